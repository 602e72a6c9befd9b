"""Check the values of options before anything is computed, with one message per mistake."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

from bnn2hw.errors import Bnn2hwError, InputError


def number(name: str, value: Any, *, above: float | None = None, whole: bool = False) -> None:
    """Check a finite number.

    Args:
        name: Name of the option.
        value: Value that a user gave.
        above: Number that the value must exceed; None for no limit.
        whole: Whether it must be an integer.

    Raises:
        InputError: It is no such number.
    """
    kind = Integral if whole else Real
    fits = type(value) is not bool and isinstance(value, kind) and math.isfinite(value)
    if not fits or (above is not None and not value > above):
        limit = " positive" if above == 0 else "" if above is None else f" (above {above:g})"
        raise InputError(f"{name} must be a{limit}{' whole' * whole} number, not {value!r}")


def text(name: str, value: Any, example: str) -> None:
    """Check a name.

    Args:
        name: Name of the option.
        value: Value that a user gave.
        example: A right value, for the message.

    Raises:
        InputError: It is no text.
    """
    if not isinstance(value, str):
        raise InputError(f"{name} must be a text such as '{example}', not {value!r}")


def path(name: str, value: Any) -> None:
    """Check a path.

    Raises:
        InputError: It is neither a text nor a path, or no system could have it.
    """
    if (
        not isinstance(value, str | os.PathLike)
        or isinstance(os.fspath(value), bytes)
        or "\0" in os.fspath(value)
    ):
        raise InputError(f"{name} must be a path, not {value!r}")


def mapping(name: str, value: Any, example: str) -> Mapping[str, Any]:
    """Check a mapping whose keys are names, and return it.

    Raises:
        InputError: It is none.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{name} must be a mapping such as {example}, not {value!r}")
    return value


def callback(name: str, value: Any) -> None:
    """Check a function.

    Raises:
        InputError: It cannot be called.
    """
    if not callable(value):
        raise InputError(f"{name} must be a function, not {value!r}")


def known(
    name: str, given: Iterable[str], there: Iterable[str], error: type[Bnn2hwError] = InputError
) -> None:
    """Check names of layers.

    Args:
        name: Name of the option.
        given: Names that a user gave.
        there: Names that exist.
        error: Kind of the error.

    Raises:
        Bnn2hwError: A name does not exist.
    """
    names = list(there)
    for layer in given:
        if layer not in names:
            raise error(
                f"{name} names a layer {layer!r}, which the model does not have; layers: {', '.join(names)}"
            )
