"""The quantizers that files of QKeras describe: by text, as `quantized_relu(4,2)`, or by a dictionary."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras

from bnn2hw.nn import qkeras_activations, qkeras_quantizers
from bnn2hw.nn.qkeras_activations import FUNCTIONS
from bnn2hw.nn.qkeras_quantizers import QKerasQuantizer

Function = Callable[[Any], Any]

_CLASSES = [
    found
    for module in (qkeras_quantizers, qkeras_activations)
    for found in vars(module).values()
    if isinstance(found, type) and issubclass(found, QKerasQuantizer) and found.kind
]
KINDS: dict[str, type[QKerasQuantizer]] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{cls.kind: cls for cls in _CLASSES},
}
"""Quantizers by their names in QKeras, and by those here."""

REFUSED = {
    "bernoulli": "it samples at inference too: use stochastic_binary, which does not",
    "quantized_hswish": "use quantized_relu, or Keras's hard_silu in front of quantized_bits",
}
"""Quantizers that are refused, with the way out."""


def quantizer(value: Any) -> Function | None:
    """Return the function that a file describes; None for none and for the identity.

    Args:
        value: Text, a dictionary with a class and its configuration, or the function itself.

    Raises:
        ValueError: It is not known, or has arguments that are not supported.
    """
    if isinstance(value, dict):
        return _described(value)
    if isinstance(value, str):
        return _written(value)
    if value is None or callable(value):
        return value  # type: ignore[no-any-return]
    raise _unknown(str(value))


def kernel_quantizer(value: Any) -> Function | None:
    """Return the quantizer of a kernel, where QKeras reads `alpha=None` as "auto_po2"."""
    found: Any = quantizer(value)
    if not isinstance(found, QKerasQuantizer) or getattr(found, "alpha", "") is not None:
        return found  # type: ignore[no-any-return]
    symmetric = {"symmetric": True} if hasattr(found, "symmetric") else {}
    scaled: Any = replace(found, **{"alpha": "auto_po2", **symmetric})
    return scaled  # type: ignore[no-any-return]


def activation(value: Any) -> Function | None:
    """Return a quantizer of values that are known at run time only.

    Raises:
        ValueError: Its scale depends on these values.
    """
    found: Any = quantizer(value)
    if isinstance(found, QKerasQuantizer) and found.needs_frame:
        raise ValueError(
            f"{found.kind} with alpha='{getattr(found, 'alpha', '')}' scales by the values of each batch: give "
            "an activation a number as its alpha"
        )
    return found  # type: ignore[no-any-return]


def _unknown(name: str) -> ValueError:
    why = REFUSED.get(name, f"use one of {', '.join(sorted(cls.kind for cls in _CLASSES))}")
    return ValueError(f"the quantizer {name} is not supported; {why}")


def _described(value: dict[str, Any]) -> Function | None:
    name, config = str(value.get("class_name", "")).split(">")[-1], value.get("config", {})
    if isinstance(config, str):
        return _written(config)  # the name of a function
    return _made(name, [], {n: v for n, v in config.items() if n != "name"})


def _made(name: str, args: list[Any], options: dict[str, Any]) -> Function:
    if name not in KINDS:
        raise _unknown(name)
    made: Any = KINDS[name]
    try:
        return made(*args, **options)  # type: ignore[no-any-return]
    except TypeError as error:
        raise ValueError(f"{name} has arguments that are not known: {error}") from error


def _written(text: str) -> Function | None:
    """Read a call with constant arguments, or the name of a function."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
        call = node if isinstance(node, ast.Call) else None
        args = [ast.literal_eval(a) for a in call.args] if call else []
        options = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords} if call else {}
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"'{text}' is not the call of a quantizer with constants") from error
    name = (ast.unparse(call.func) if call else text.strip()).split(">")[-1]
    if name in KINDS or name in REFUSED or call:
        return _made(name, args, options)
    if name == "linear":
        return None
    return FUNCTIONS[name] if name in FUNCTIONS else _of_keras(name)


def _of_keras(name: str) -> Function:
    try:
        return keras.activations.get(name)  # type: ignore[no-any-return]
    except ValueError as error:
        raise _unknown(name) from error
