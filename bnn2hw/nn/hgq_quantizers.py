# mypy: allow-subclassing-any
"""Quantizers of HGQ2 as they compute at inference, with the bits that its files hold.

A number of a quantizer has k bits for a sign, i in front of the point and f behind it. Each may differ from
one element to the next, and a sum of 0 makes the element 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import ops

Description = dict[str, Any]

ROUNDINGS = ("RND", "TRN", "RND_CONV", "TRN_ZERO", "RND_ZERO", "RND_INF", "RND_MIN_INF")
OVERFLOWS = ("WRAP", "SAT", "SAT_SYM")

_DEFAULTS = {"k0": 1, "b0": 8, "i0": 2, "f0": 6}
"""Bits before a file's own are assigned."""

KNOWN = frozenset(
    (
        *("q_type", "place", "k0", "i0", "b0", "f0", "round_mode", "overflow_mode", "bw_mapper", "is_weight"),
        *("homogeneous_axis", "heterogeneous_axis", "trainable", "affine", "scaler"),
        *("ic", "ir", "bc", "br", "fc", "fr", "i_decay_speed", "qnoise_factor"),
        *("e0", "e00", "e0c", "e0r", "ec", "er", "m0", "mc", "mr"),
    )
)
"""Options of a quantizer that are read, or change no value at inference: limits of the trained bits, noise of
training, and those of types that are refused."""

SUBCLASSES: dict[str, Description] = {
    "HardTanhConfig": {"overflow_mode": "SAT"},
    "HardSigmoidConfig": {"overflow_mode": "SAT", "affine": (0.25, 0.5)},
}
"""Kinds of a quantizer's description, with what they leave out."""


def described(value: Any) -> Any:
    """Return a part of a description as plain data, with tuples for those that Keras wraps."""
    if isinstance(value, dict) and value.get("class_name") == "__tuple__":
        return tuple(described(v) for v in value["items"])
    if isinstance(value, list):
        return [described(v) for v in value]
    return {n: described(v) for n, v in value.items()} if isinstance(value, dict) else value


def _rounded(x: Any, mode: str) -> Any:
    """Round to whole numbers."""
    if mode == "RND":
        return ops.floor(x + 0.5)
    if mode == "TRN":
        return ops.floor(x)
    if mode == "RND_CONV":
        return ops.round(x)
    if mode == "RND_MIN_INF":
        return -ops.floor(-x + 0.5)
    if mode == "TRN_ZERO":
        return ops.floor(ops.abs(x)) * ops.sign(x)
    if mode == "RND_ZERO":
        return -ops.floor(-ops.abs(x) + 0.5) * ops.sign(x)
    return ops.floor(ops.abs(x) + 0.5) * ops.sign(x)


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A function to fixed-point numbers.

    Attributes:
        k: 1 for signed numbers, else 0: float32 of a shape that broadcasts with the values, as all bits. They
            are tensors of Keras in a layer and arrays elsewhere.
        i: Bits in front of the point.
        f: Bits behind the point.
        rounding: One of `ROUNDINGS`.
        overflow: One of `OVERFLOWS`; empty if numbers are only rounded, as some weights are.
        scaler: The input is divided by it and the result multiplied.
        affine: Factor and summand of the result.
    """

    k: Any
    i: Any
    f: Any
    rounding: str
    overflow: str
    scaler: float | None = None
    affine: tuple[float, float] | None = None

    def __call__(self, x: Any) -> Any:
        """Return the numbers that values become."""
        x = ops.cast(x, "float32")
        y = self._fixed(x if self.scaler is None else x / self.scaler)
        y = y if self.scaler is None else y * self.scaler
        return y if self.affine is None else y * self.affine[0] + self.affine[1]

    def _fixed(self, x: Any) -> Any:
        steps = 2.0**self.f
        if not self.overflow:
            return _rounded(x * steps, self.rounding) / steps
        i = ops.maximum(self.i, -self.f)
        if self.overflow == "WRAP":
            reach, below = 2.0 ** (i + self.k), self.k * 2.0 ** (i + self.k - 1)
            y = (_rounded(x * steps, self.rounding) / steps + below) % reach - below
        else:
            top = 2.0**i - 1 / steps
            least = -self.k * (top if self.overflow == "SAT_SYM" else 2.0**i)
            y = _rounded(ops.minimum(ops.maximum(x, least), top) * steps, self.rounding) / steps
        return ops.where(self.empty, ops.zeros_like(y), y)

    @property
    def empty(self) -> Any:
        """The elements without bits, which are 0."""
        return self.k + self.i + self.f <= 0

    def arrays(self) -> FixedPoint:
        """Return the same function with its bits as arrays."""
        k, i, f = (np.asarray(ops.convert_to_numpy(v), np.float32) for v in (self.k, self.i, self.f))
        return replace(self, k=k, i=i, f=f)

    @property
    def step(self) -> float | None:
        """The number that divides all results; None if none does."""
        if self.affine is not None or self.scaler is not None or not self.overflow or np.all(self.empty):
            return None
        return float(2.0 ** -self.f[~self.empty].max())

    def reshaped(self, shape: tuple[int, ...]) -> FixedPoint:
        """Return the same function with its bits in another shape."""
        k, i, f = (v.reshape(shape) for v in (self.k, self.i, self.f))
        return replace(self, k=k, i=i, f=f)

    def single(self, axes: Sequence[int]) -> FixedPoint:
        """Return the same function with one element along some axes, where all are equal."""
        at = tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(self.k.ndim))
        return replace(self, k=self.k[at], i=self.i[at], f=self.f[at])

    def varying(self) -> list[int]:
        """Return the axes along which the bits differ."""
        return [
            axis
            for axis in range(self.k.ndim)
            if any(np.any(v != v.take([0], axis)) for v in (self.k, self.i, self.f))
        ]


class Quantizer(keras.layers.Layer):
    """A quantizer of HGQ2, alone or within a layer.

    Args:
        conf: Description of its kind: a dictionary with a class and its configuration, as in a file.

    Raises:
        ValueError: The kind is not supported.
    """

    handler = "hgq>Quantizer"

    def __init__(self, conf: Description, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conf = conf
        self.quantizer = _internal(conf)

    @classmethod
    def from_config(cls, config: Description) -> Any:
        """Return the layer that a file describes."""
        own = dict(config)
        return cls(own.pop("config"), **own)

    def get_config(self) -> Description:
        """Return the arguments of an equal layer, as a file describes it."""
        return {**super().get_config(), "config": described(self.conf)}

    def build(self, input_shape: Any) -> None:
        """Make the bits."""
        self.quantizer.build(input_shape)
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Compute the layer."""
        fixed = self.fixed
        return inputs if fixed is None else fixed(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the input."""
        return input_shape

    @property
    def fixed(self) -> FixedPoint | None:
        """The function that it computes; None for the identity."""
        found: FixedPoint | None = self.quantizer.fixed
        return found


class _Identity(keras.layers.Layer):
    """No quantizer."""

    fixed = None


class _Bits(keras.layers.Layer):
    """The bits of a quantizer, as weights in the order of HGQ2."""

    def __init__(self, conf: Description, kind: str) -> None:
        super().__init__(trainable=bool(conf.get("trainable", True)))
        self.conf, self.kind = conf, kind

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        shape, wraps = self._shape(input_shape), self.conf["overflow_mode"] == "WRAP"
        self._k = self._weight("k", shape, trainable=False, dtype="uint8")
        if self.kind == "kbi":
            self._b = self._weight("b", shape)
        self._i = self._weight("i", shape, trainable=not wraps)
        if self.kind == "kif":
            self._f = self._weight("f", shape)
        if wraps:
            self.add_weight(name="i_decay_speed", shape=(), initializer="zeros", trainable=False)
        super().build(input_shape)

    def _weight(self, name: str, shape: tuple[int, ...], **options: Any) -> Any:
        value = keras.initializers.Constant(float(_number(self.conf.get(f"{name}0"), _DEFAULTS[f"{name}0"])))
        return self.add_weight(name=name, shape=shape, initializer=value, **options)

    def _shape(self, input_shape: Any) -> tuple[int, ...]:
        """One element for each index of the axes along which bits may differ."""
        count = len(input_shape)
        same = self.conf.get("homogeneous_axis")
        if self.conf.get("heterogeneous_axis") is not None:
            own = [axis % count for axis in self.conf["heterogeneous_axis"]]
        else:
            own = [a for a in range(count) if a not in [axis % count for axis in same or ()]]
        return tuple(int(input_shape[axis]) if axis in own else 1 for axis in range(count))

    @property
    def fixed(self) -> FixedPoint:
        """The function of these bits."""
        k, i = ops.cast(self._k, "float32"), ops.round(self._i)
        f = ops.round(self._b) - i if self.kind == "kbi" else ops.round(self._f)
        overflow, rounding = self.conf["overflow_mode"], self.conf["round_mode"]
        # HGQ2 takes it that weights are in the range that wraps.
        plain = self.kind == "kif" or rounding == "RND"
        if overflow == "WRAP" and self.conf.get("is_weight") and self.trainable and plain:
            overflow = ""
        affine = self.conf.get("affine")
        pair = None if affine is None else (float(affine[0]), float(affine[1]))
        scaler = self.conf.get("scaler")
        return FixedPoint(
            k, i, f, rounding, overflow, None if scaler is None else float(_number(scaler, 1)), pair
        )


def _number(value: Any, default: float) -> float:
    """A number, or that of an initializer's description; the default for anything else."""
    if isinstance(value, dict):
        value = value.get("config", {}).get("value")
    return float(value) if isinstance(value, int | float) else float(default)


def _internal(described: Description) -> Any:
    """The bits that a description asks for.

    Raises:
        ValueError: It is not supported.
    """
    name, conf = str(described.get("class_name", "QuantizerConfig")), dict(described.get("config", described))
    left_out: Description = {**SUBCLASSES.get(name, {})}
    if name == "HardTanhConfig" and conf.pop("symmetric", False):
        left_out["overflow_mode"] = "SAT_SYM"
    conf = {**left_out, **conf}
    kind = conf.get("q_type")
    unknown = sorted(set(conf) - KNOWN - {"name"})
    if unknown:
        raise ValueError(
            f"a quantizer with {unknown[0]}={conf[unknown[0]]!r} is not supported: leave {unknown[0]} out"
        )
    if kind == "dummy":
        return _Identity()
    if kind not in ("kif", "kbi"):
        raise ValueError(
            f"a quantizer of type '{kind}' is not supported: use 'kif' or 'kbi', which are fixed point"
        )
    _check(conf, "round_mode", ROUNDINGS)
    _check(conf, "overflow_mode", OVERFLOWS)
    if conf.get("bw_mapper") is not None:
        raise ValueError(
            "a quantizer with a bw_mapper of its own is not supported: use homogeneous_axis or heterogeneous_axis"
        )
    return _Bits(conf, str(kind))


def _check(conf: Description, name: str, known: Sequence[str]) -> None:
    """Bring a mode to its own name at inference, where no rounding is stochastic."""
    found = str(conf.get(name, known[0])).upper().removeprefix("S_")
    if found not in known:
        raise ValueError(
            f"a quantizer with {name}='{conf.get(name)}' is not supported: use one of {', '.join(known)}"
        )
    conf[name] = found
