"""Registration of names with Keras, the precision of functions, and readable sizes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import keras

T = TypeVar("T")

_UNITS = ("B", "KiB", "MiB", "GiB")


def memory_as_readable_str(num_bits: float) -> str:
    """Write a number of bits as bytes with a binary prefix, for example ``13.19 KiB``.

    Args:
        num_bits: A size in bits.

    Returns:
        The size with two decimals and thousands separators, in B, KiB, MiB or GiB.
    """
    size = num_bits / 8
    for unit in _UNITS[:-1]:
        if abs(size) < 1024:
            return f"{size:,.2f} {unit}"
        size /= 1024
    return f"{size:,.2f} {_UNITS[-1]}"


def register_keras_custom_object(cls: T) -> T:
    """Make a class or function known to Keras under its own name, without a package prefix.

    Larq registers its objects in this way, so files that it wrote name them so.
    """
    keras.saving.get_custom_objects()[getattr(cls, "__name__", "")] = cls
    return cls


def register_alias(name: str) -> Callable[[T], T]:
    """Make a class or function known to Keras under a second name.

    Args:
        name: The string that users may write instead of the object.
    """

    def register(target: T) -> T:
        keras.saving.get_custom_objects()[name] = target
        return target

    return register


def set_precision(precision: int = 1) -> Callable[[T], T]:
    """Attach ``precision``, the number of bits of its outputs, to a quantizer function.

    Args:
        precision: Bits per value; `models.summary` and the optimizers read it.
    """

    def attach(function: T) -> T:
        function.precision = precision  # type: ignore[attr-defined]
        return function

    return attach


@contextmanager
def patch_object(target: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute for the duration of a ``with`` block, whatever happens inside it.

    Args:
        target: The object whose attribute is replaced.
        name: The attribute.
        value: Its value inside the block.
    """
    before = getattr(target, name)
    setattr(target, name, value)
    try:
        yield
    finally:
        setattr(target, name, before)


def register_function(function: T) -> T:
    """Make a function known to Keras under a name of its own, beside the class of the same alias.

    Files then say which of the two they mean: ``ste_sign`` is the quantizer, ``bnn2hw>ste_sign`` the
    function.
    """
    registered: T = keras.saving.register_keras_serializable("bnn2hw")(function)
    return registered


def find_registered(identifier: Any) -> Any:
    """Return what is registered under a string, an object if a class is; anything else unchanged.

    Keras's ``activations.get`` and ``constraints.get`` know only their built-in names; this comes before
    them.

    Args:
        identifier: What the user wrote.
    """
    if not isinstance(identifier, str):
        return identifier
    target = keras.saving.get_registered_object(identifier)
    if target is None:
        return identifier
    return target() if isinstance(target, type) else target


def teach_keras(kind: str, names: dict[str, Any]) -> None:
    """Let layers of Keras itself understand our names, as in ``Activation("ste_sign")``.

    Keras has no public way to add to these two tables; where a future version has no such table,
    only our own layers understand the strings.

    Args:
        kind: ``"activations"`` or ``"constraints"``.
        names: Names and what they mean; those that Keras has already stay as they are.
    """
    table = getattr(importlib.import_module(f"keras.src.{kind}"), "ALL_OBJECTS_DICT", {})
    for name, target in names.items():
        table.setdefault(name, target)
