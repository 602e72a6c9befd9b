"""Registration of names with Keras, precision of functions, and readable sizes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import keras

T = TypeVar("T")

_UNITS = ("B", "KiB", "MiB", "GiB")


def memory_as_readable_str(num_bits: float) -> str:
    """Return a number of bits as bytes with a binary prefix, for example ``13.19 KiB``.

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
    """Register a class or function with Keras under its own name, without a package prefix.

    Larq registers its objects in this way, so its files contain these names.
    """
    keras.saving.get_custom_objects()[getattr(cls, "__name__", "")] = cls
    return cls


def register_alias(name: str) -> Callable[[T], T]:
    """Register a class or function with Keras under an additional name.

    Args:
        name: String that users may write instead of the object.
    """

    def register(target: T) -> T:
        keras.saving.get_custom_objects()[name] = target
        return target

    return register


def set_precision(precision: int = 1) -> Callable[[T], T]:
    """Attach the attribute ``precision`` to a quantizer function.

    Args:
        precision: Bits per output value. `models.summary` and the optimizers read it.
    """

    def attach(function: T) -> T:
        function.precision = precision  # type: ignore[attr-defined]
        return function

    return attach


@contextmanager
def patch_object(target: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute during a ``with`` block, and restore it also after an exception.

    Args:
        target: Object whose attribute is replaced.
        name: Name of the attribute.
        value: Value inside the block.
    """
    before = getattr(target, name)
    setattr(target, name, value)
    try:
        yield
    finally:
        setattr(target, name, before)


def register_function(function: T) -> T:
    """Register a function with Keras under a name that differs from the alias of its quantizer class.

    In files, ``ste_sign`` refers to the quantizer and ``bnn2hw>ste_sign`` to the function.
    """
    registered: T = keras.saving.register_keras_serializable("bnn2hw")(function)
    return registered


def find_registered(identifier: Any) -> Any:
    """Return the object that is registered under a name.

    The functions ``activations.get`` and ``constraints.get`` of Keras know only built-in names, so
    callers look up a name here first.

    Args:
        identifier: A name, or any other value.

    Returns:
        The registered function, or an instance of the registered class. The identifier itself if it
        is not a registered name.
    """
    if not isinstance(identifier, str):
        return identifier
    target = keras.saving.get_registered_object(identifier)
    if target is None:
        return identifier
    return target() if isinstance(target, type) else target


def teach_keras(kind: str, names: dict[str, Any]) -> None:
    """Add names to the tables of Keras, so that its own layers accept them: ``Activation("ste_sign")``.

    Keras has no public function for this. If a version of Keras has no such table, only the layers
    of this package accept the names.

    Args:
        kind: ``"activations"`` or ``"constraints"``.
        names: Objects by name. Names that Keras has already keep their meaning.
    """
    table = getattr(importlib.import_module(f"keras.src.{kind}"), "ALL_OBJECTS_DICT", {})
    for name, target in names.items():
        table.setdefault(name, target)
