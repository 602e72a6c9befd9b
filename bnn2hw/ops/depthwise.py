"""Depthwise units: a weighted sum over a window per channel, in turn or at once; average pooling included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, HardwareOp, Ints, Memory, Param, Ranges, Steps, StreamOp, Tensor
from bnn2hw.ops.base.abreast import abreast, check_pixels
from bnn2hw.ops.base.channels import (
    Meaning,
    any_sums,
    any_weights,
    code_ranges,
    coded,
    codes,
    signed_parts,
    uniform,
    within_words,
)
from bnn2hw.ops.base.constant_sums import Leaves, products, tree
from bnn2hw.ops.base.costs import adder, dsps, lutram_cost, state_bits, store_cost
from bnn2hw.ops.base.folds import divisors
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class WindowSums(HardwareOp):
    """Sum the weighted values of each channel over a window.

    y[c] = sum over positions p of weights[p, c] · x[p, c]

    A window spans the last `axes` axes of the input (positions × channels). As in `Mac`, the unit
    multiplies wire codes if the step of the input is larger than 1. Scale and offset of the output
    follow from those of the input, which may differ between channels.

    Attributes:
        weights: Integers of shape (positions, channels).
        scale: Real value of a weight of 1: one number for all channels, or one for each.
        axes: Trailing axes of the input that form a window.
        domain: Integers of the input; may be None if their step is 1.
        lanes: Values per beat of the input, for each window or pixel in it.
    """

    weights: Array
    scale: Meaning = 1.0
    axes: int = 1
    domain: Ints | None = None
    lanes: int = 1

    @property
    def positions(self) -> int:
        """Positions of a window: the values that each channel sums."""
        return int(self.weights.shape[0])

    @property
    def channels(self) -> int:
        """Channels of the input and of the output."""
        return int(self.weights.shape[1])

    @property
    def unit(self) -> bool:
        """True if all weights are always 1, so that the unit has no multipliers."""
        return not self.writable and bool(np.all(self.weights == 1))

    @property
    def weight_type(self) -> Ints:
        """Type of the weights: ±1 if they fit, else the smallest signed range that contains them.

        If weights can be loaded, the range is the symmetric one of as many bits.
        """
        if np.all(np.abs(self.weights) == 1):
            return BIPOLAR
        smallest = Ints(min(int(self.weights.min()), -1), max(int(self.weights.max()), 0))
        return any_weights(smallest, loadable=self.writable)

    def infer(self, *x: Tensor) -> Tensor:
        outer, w = x[0].outer(self.weights.size, self.axes), self.weights.astype(np.int64)
        ints, scale, offset = coded(x[0], self.domain)
        own = np.asarray(self.scale, np.float64)
        for name, values in (("input scales", scale), ("input offsets", offset), ("scales", own)):
            if values.shape not in ((), (self.channels,)):
                raise ValueError(f"has {values.size} {name} for {self.channels} channels")
        positive, negative = (part.sum(0).astype(object) for part in (np.maximum(w, 0), np.minimum(w, 0)))
        lo = int((positive * ints.lo + negative * ints.hi).min())  # unlimited integers
        hi = int((positive * ints.hi + negative * ints.lo).max())
        if self.writable:
            lo, hi = any_sums(self.weight_type, ints, self.positions)
        meaning = uniform(scale * own), uniform(offset * w.sum(0) * own)
        return Tensor((*outer, self.channels), within_words(Ints(lo, hi), "sums"), *meaning)

    def golden(self, *x: Array) -> Array:
        outer = Tensor(x[0].shape[1:]).outer(self.weights.size, self.axes)
        windows = codes(x[0], self.domain).reshape(-1, *self.weights.shape)
        sums: Array = np.einsum("npc,pc->nc", windows, self.weights.astype(np.int64))
        return sums.reshape(x[0].shape[0], *outer, self.channels)

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        lo, hi = code_ranges(given[0], self.domain).over(self.channels).ends
        positive, negative = (part.sum(0) for part in signed_parts(self.weights))
        return Ranges(lo * positive + hi * negative, hi * positive + lo * negative)

    def folded_like(self, other: StreamOp) -> StreamOp:
        if type(self) is type(other) or not isinstance(other, WindowSums):
            return super().folded_like(other)
        return self._as(type(other), **{knob: getattr(other, knob) for knob in other.knobs})

    def _as(self, kind: type[WindowSums], **knobs: int) -> WindowSums:
        """Return these sums in the form of another class."""
        kept = {f.name: getattr(self, f.name) for f in fields(WindowSums)}
        return kind(**{**kept, **knobs})

    def foldings(self, *x: Tensor) -> Iterator[WindowSums]:
        for lanes in divisors(self.channels):
            yield self._as(Depthwise, lanes=lanes)
        yield from self._parallel(*x)

    def _parallel(self, *x: Tensor) -> Iterator[WindowSums]:
        """List the foldings that take several pixels of a window per beat: all of them, or some of an image."""
        if self.axes == 1:
            outer = Tensor((*x[0].shape[:-1], 1), x[0].type)
            for pixels in (1, *abreast(outer)):
                yield self._as(ParallelDepthwise, lanes=self.weights.size, pixels=pixels)
        elif self.unit:
            row = x[0].shape[-2]
            for pixels in divisors(self.positions):
                if 1 < pixels <= row:
                    yield self._as(ParallelDepthwise, lanes=self.channels, pixels=pixels)


@dataclass(frozen=True, eq=False)
class Depthwise(WindowSums):
    """Take a window pixel by pixel, `lanes` channels per beat.

    `lanes` must divide the number of channels.

    Attributes:
        loadable: True if weights can be written at run time. Then the type of the output holds for
            all weights.
    """

    kind: ClassVar[str] = "depthwise"
    knobs: ClassVar[tuple[str, ...]] = ("lanes",)

    loadable: bool = False

    def loading(self, *x: Tensor) -> Self:
        return self if self.unit else replace(self, loadable=True)

    def foldings(self, *x: Tensor) -> Iterator[WindowSums]:
        if not self.loadable:
            yield from super().foldings(*x)
            return
        for lanes in divisors(self.channels):
            yield replace(self, lanes=lanes)

    @property
    def folds(self) -> int:
        """Beats of a position."""
        return self.channels // self.lanes

    def infer(self, *x: Tensor) -> Tensor:
        if self.channels % self.lanes:
            raise ValueError(f"lanes={self.lanes} must divide {self.channels} channels")
        return super().infer(*x)

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.lanes, self.lanes

    def interval(self, *x: Tensor) -> int:
        return x[0].size // self.lanes

    def timing(self, *x: Tensor) -> Steps:
        at = np.arange(self.interval(*x)) % (self.positions * self.folds)
        last = at >= (self.positions - 1) * self.folds
        return Steps(np.ones(at.size, bool), last, latency=1 if self.unit else 3)

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {
            "LANES": self.lanes,
            "FOLDS": self.folds,
            "POSITIONS": self.positions,
            "X_BITS": x[0].ints.bits,
            "X_SIGNED": int(x[0].ints.signed),
            "W_BITS": self.weight_type.bits,
            "BIPOLAR": int(self.weight_type == BIPOLAR),
            "UNIT": int(self.unit),
            "ACC_BITS": self.infer(*x).ints.bits,
        }

    def inner_bits(self, *x: Tensor) -> int:
        return 0 if self.unit else self.lanes * self.weight_type.bits

    def memories(self, *x: Tensor) -> Mapping[str, Memory]:
        if self.unit:
            return {}
        words = self.weight_type.encode(self.weights).reshape(-1, self.lanes)
        return {"WEIGHTS": Memory(words, self.weight_type.bits)}

    def cost(self, family: Family, *x: Tensor) -> Cost:
        acc, inputs = self.infer(*x).ints.bits, x[0].ints.bits
        absorbs = family.dsp_adds and not self.unit and dsps(family, inputs, self.weight_type.bits) > 0
        counters = state_bits(self.folds) + state_bits(self.positions) + 2
        first = family.coefficient("depthwise.first", 1.0, 0.0) * (acc if self.positions > 1 else 0)
        lane = Cost(lut=adder(family, acc) + first, ff=acc)
        if absorbs and self.folds == 1:  # these DSP blocks also accumulate
            lane = Cost()
        counter = family.coefficient("depthwise.counter", 1.7, 1.0)
        total = lane * self.lanes + Cost(lut=counter * counters + 2, ff=counters + 1)
        if self.folds > 1:
            total += lutram_cost(family, self.folds, self.lanes * acc, ports=1, held=True)
        if self.unit:
            return total
        words, bits = self.positions * self.folds, self.weight_type.bits
        total += self._products(family, inputs) * self.lanes + store_cost(
            family, words, self.lanes * bits, loadable=self.loadable
        )
        flags = 2 * (state_bits(self.folds) + 3)
        held = 0 if absorbs else self.lanes * inputs
        return total + Cost(lut=state_bits(words) + 2, ff=flags + state_bits(words) + held)

    def _products(self, family: Family, inputs: int) -> Cost:
        """Return the cost of one product with its register."""
        bits = self.weight_type.bits
        width = inputs + bits
        if self.weight_type == BIPOLAR:
            return Cost(lut=adder(family, width), ff=width)
        if inputs == 1:
            return Cost(ff=bits)
        blocks = dsps(family, inputs, bits)
        if blocks:
            return Cost(ff=0 if family.dsp_registers else width, dsp=blocks)
        return Cost(lut=width * min(inputs, bits), ff=width)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        rng = np.random.default_rng(6)
        signs, byte, odd = np.array([-1, 1], np.int8), Ints(0, 255), Ints(-7, 9, step=4)
        yield cls(rng.integers(-8, 8, (9, 4)), lanes=2), (Tensor((2, 3, 36), byte, 1 / 255),)
        scales = (0.5, 1.0, 2.0, 0.125)
        yield (
            cls(rng.integers(-3, 4, (4, 4)), scales, domain=BIPOLAR),
            (Tensor((3, 16), BIPOLAR, scales, scales),),
        )
        yield cls(rng.choice(signs, (4, 3)), lanes=3), (Tensor((3, 12), Ints(-7, 5), offset=0.5),)
        yield cls(rng.choice(signs, (6, 2)), axes=2, domain=odd), (Tensor((2, 3, 4), odd),)
        yield cls(np.ones((6, 4), np.int64), 1 / 6, axes=3, lanes=2), (Tensor((2, 3, 4), Ints(-3, 3)),)
        yield cls(np.ones((4, 3), np.int64), 1 / 4, lanes=3), (Tensor((2, 2, 12), byte),)
        yield cls(np.ones((4, 3), np.int64), domain=BIPOLAR), (Tensor((2, 12), BIPOLAR),)
        yield cls(rng.integers(-8, 8, (1, 4)), lanes=4), (Tensor((5, 4), Ints(-3, 3)),)
        yield cls(rng.integers(-8, 8, (9, 4)), lanes=2, loadable=True), (Tensor((2, 36), byte),)


@dataclass(frozen=True, eq=False)
class ParallelDepthwise(WindowSums):
    """Add whole windows, one or several per beat, or several pixels of a window without weights.

    If `lanes` is all values of a window, a beat holds `pixels` windows. If `lanes` is the number of
    channels, all weights are 1, and a beat holds `pixels` pixels of a window.

    Attributes:
        pixels: Windows or pixels per beat; must divide their number.
    """

    kind: ClassVar[str] = "parallel_depthwise"
    knobs: ClassVar[tuple[str, ...]] = ("lanes", "pixels")

    pixels: int = 1

    @property
    def _taps(self) -> int:
        """Pixels of a window in a beat."""
        return self.positions if self.lanes == self.weights.size else self.pixels

    @property
    def _windows(self) -> int:
        """Windows per beat of the output."""
        return self.pixels if self.lanes == self.weights.size else 1

    @property
    def _phases(self) -> int:
        """Beats of a window."""
        return self.positions // self._taps

    def infer(self, *x: Tensor) -> Tensor:
        made = super().infer(*x)
        if self.lanes == self.weights.size:
            check_pixels(self.pixels, made)
        elif self.lanes != self.channels or not self.unit:
            raise ValueError(
                f"lanes={self.lanes} must be the {self.weights.size} values of a window, or the {self.channels} "
                "channels if all weights are 1"
            )
        elif self.pixels < 1 or self.positions % self.pixels:
            raise ValueError(f"pixels={self.pixels} must divide the {self.positions} pixels of a window")
        return made

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.lanes * self.pixels, self.channels * self._windows

    def interval(self, *x: Tensor) -> int:
        return x[0].size // (self.lanes * self.pixels)

    @property
    def _signs(self) -> bool:
        """True if all weights are signs, so that values or their complements are added."""
        return self.weight_type == BIPOLAR

    @property
    def _closes(self) -> bool:
        """True if the tree of adders has a register behind it: a sum so far, or the constant of the complements."""
        return self._phases > 1 or (self._signs and (not self.unit or self._taps == 1))

    @property
    def _stages(self) -> int:
        """Registers from the input to the output."""
        return (not self._signs) + state_bits(self._taps) + self._closes

    def timing(self, *x: Tensor) -> Steps:
        at = np.arange(self.interval(*x)) % self._phases
        return Steps(np.ones(at.size, bool), at == self._phases - 1, latency=self._stages)

    def params(self, *x: Tensor) -> Mapping[str, Param]:
        weights, bits = self.weight_type.encode(self.weights), self.weight_type.bits
        taken = weights[: self._taps].reshape(-1, 1) >> np.arange(bits) & 1
        return {
            "LANES": self.channels,
            "TAPS": self._taps,
            "WINDOWS": self._windows,
            "PHASES": self._phases,
            "X_BITS": x[0].ints.bits,
            "X_SIGNED": int(x[0].ints.signed),
            "W_BITS": bits,
            "SIGNS": int(self._signs),
            "ACC_BITS": self.infer(*x).ints.bits,
            "WEIGHTS": taken.reshape(-1).astype(bool),
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        acc, ints = self.infer(*x).ints.bits, x[0].ints
        unsigned, weights = not ints.signed, self.weights[: self._taps].astype(np.int64)
        total, term = Cost(), ints.bits
        if self._signs:
            leaves = Leaves.of(np.ones(weights.shape, bool), term, unsigned=unsigned)
            if ints.bits > 1:  # a LUT of the first adder inverts a single bit, and a large one any bit
                total += Cost(lut=family.by_lut(1, 0) * ints.bits * np.count_nonzero(weights < 0))
        else:
            term += self.weight_type.bits
            total += products(family, ints, weights, term)
            leaves = Leaves.of(weights != 0, term, unsigned=unsigned, weights=weights, largest=ints.count - 1)
        sums = tree(family, leaves, term, acc)
        # A carry chain of large LUTs takes none for the low bits that are 0 in products.
        share = 1.0 if self._signs else family.by_lut(1.0, 0.75)
        total += Cost(lut=share * sums.lut, ff=sums.ff)
        if self._closes:
            # A carry chain of large LUTs adds a constant without LUTs where the constant is 0.
            share = family.by_lut(1.0, 0.45) if self._phases == 1 else 1.0
            total += Cost(lut=share * adder(family, acc), ff=acc) * self.channels
        if self._phases > 1:
            total += Cost(lut=family.coefficient("depthwise.first", 1.0, 0.0) * acc) * self.channels
        flags = self._stages + state_bits(self._phases) * 2
        return total * self._windows + Cost(lut=3 + state_bits(self._phases) * 2, ff=flags)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        rng = np.random.default_rng(6)
        signs, byte, odd = np.array([-1, 1], np.int8), Ints(0, 255), Ints(-7, 9, step=4)
        yield cls(rng.integers(-8, 8, (9, 4)), lanes=36), (Tensor((2, 3, 36), byte, 1 / 255),)
        scales = (0.5, 1.0, 2.0, 0.125)
        yield (
            cls(rng.integers(-3, 4, (4, 4)), scales, domain=BIPOLAR, lanes=16, pixels=3),
            (Tensor((3, 16), BIPOLAR, scales, scales),),
        )
        yield cls(rng.choice(signs, (4, 3)), lanes=12, pixels=2), (Tensor((2, 4, 12), Ints(-7, 5)),)
        yield cls(rng.choice(signs, (6, 2)), axes=2, domain=odd, lanes=12), (Tensor((2, 3, 4), odd),)
        yield cls(rng.choice(signs, (9, 2)), domain=BIPOLAR, lanes=18, pixels=2), (Tensor((4, 18), BIPOLAR),)
        ones = np.ones((6, 4), np.int64)
        yield cls(ones, 1 / 6, axes=3, lanes=4, pixels=3), (Tensor((2, 3, 4), Ints(-3, 3)),)
        yield cls(ones, axes=3, lanes=4), (Tensor((2, 3, 4), byte),)
        yield cls(ones[:4, :3], 1 / 4, lanes=12, pixels=2), (Tensor((2, 2, 12), byte),)
        yield cls(rng.integers(-8, 8, (1, 4)), lanes=4, pixels=5), (Tensor((5, 4), Ints(-3, 3)),)
        yield cls(rng.choice(signs, (1, 2)), lanes=2, pixels=2), (Tensor((4, 2), byte),)
        yield cls(rng.integers(-128, 128, (3, 2)), lanes=6), (Tensor((4, 6), Ints(-3, 3)),)
