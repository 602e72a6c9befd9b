"""Product of two streams, or of a stream and one vector per frame, for one or several pixels per beat."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Beats, Cost, HardwareOp, Ints, Ranges, Steps, StreamOp, Tensor
from bnn2hw.ops.base.abreast import abreast, check_pixels
from bnn2hw.ops.base.channels import uniform, within_words
from bnn2hw.ops.base.costs import dsps, ram_cost, state_bits
from bnn2hw.ops.base.folds import divisors
from bnn2hw.ops.base.join import by_channel, coded, zero
from bnn2hw.ops.base.recoding import columns
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class Products(HardwareOp):
    """Multiply two inputs value by value.

    The second input has the shape of the first, or it is one vector per frame with a factor for
    each channel. The op reads such a vector at the first position of a frame and stores it.

    Attributes:
        lanes: Channels per beat of each pixel; must divide the number of channels.
    """

    lanes: int = 1

    def infer(self, *x: Tensor) -> Tensor:
        a, b = x
        if b.channels != a.channels or (b.shape != a.shape and math.prod(b.shape[:-1]) != 1):
            raise ValueError(f"shape {b.shape} is neither {a.shape} nor a vector of {a.channels} channels")
        if a.channels % self.lanes:
            raise ValueError(f"lanes={self.lanes} must divide {a.channels} channels")
        if any(o for tensor in x for o in by_channel(tensor.offset, 1)):
            raise ValueError(f"cannot multiply integers with an offset: {a.offset} and {b.offset}")
        scales = zip(by_channel(a.scale, a.channels), by_channel(b.scale, a.channels), strict=True)
        products = within_words(_product(a.ints, b.ints), "products")
        return Tensor(a.shape, products, uniform(np.array([s * t for s, t in scales])))

    def golden(self, *x: Array) -> Array:
        a, b = x
        if b.shape != a.shape:
            b = b.reshape(b.shape[0], *(1,) * (a.ndim - 2), b.shape[-1])
        product: Array = a.astype(np.int64) * b
        return product

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        return Ranges.spanning(np.stack([a * b for a in given[0].ends for b in given[1].ends]))

    def folded_like(self, other: StreamOp) -> StreamOp:
        if not isinstance(other, Products):
            return self
        return type(other)(**{knob: getattr(other, knob) for knob in other.knobs})

    def foldings(self, *x: Tensor) -> Iterator[Products]:
        for lanes in divisors(x[0].channels):
            yield Multiply(lanes)
        for pixels in abreast(*x):
            yield ParallelMultiply(x[0].channels, pixels=pixels)

    def interval(self, *x: Tensor) -> int:
        return self.beats(*x)[0].count(x[0].size)

    def timing(self, *x: Tensor) -> Steps:
        every = np.ones(self.interval(*x), bool)
        reads = np.arange(every.size) < self.input_beats(1, *x).count(x[1].size)
        return Steps(every, every, latency=3 if _keeps(x) else 2, others=(reads,))

    def codes(self, *x: Tensor) -> dict[str, int | str]:
        """Return the parameters that tell how the inputs are coded, and the bits of the products.

        Args:
            x: Types of the inputs.
        """
        a, b = x[0].ints, x[1].ints
        return {
            "KEEPS": int(_keeps(x)),
            **coded("A", a),
            "A_STEP": a.step,
            "A_ZERO": zero(a),
            "A_VALUE": _signed_bits(a),
            **coded("B", b),
            "B_STEP": b.step,
            "B_ZERO": zero(b),
            "B_VALUE": _signed_bits(b),
            "Y_BITS": _product(a, b).bits,
        }

    def blocks(self, family: Family, *x: Tensor) -> int:
        """Return the DSP blocks of one product; 0 if it is made of LUTs.

        Args:
            family: Device family.
            x: Types of the inputs.
        """
        a, b = x[0].ints, x[1].ints
        widths = (a.bits, b.bits) if min(a.lo, b.lo) >= 0 else (_signed_bits(a), _signed_bits(b))
        return dsps(family, *widths)


@dataclass(frozen=True, eq=False)
class Multiply(Products):
    """Multiply one pixel, or some channels of it, per beat."""

    kind: ClassVar[str] = "multiply"
    knobs: ClassVar[tuple[str, ...]] = ("lanes",)

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.lanes, self.lanes

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {
            "LANES": self.lanes,
            "FOLDS": x[0].channels // self.lanes,
            "POSITIONS": x[0].size // x[0].channels,
            **self.codes(*x),
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        a, b = x[0].ints, x[1].ints
        widths, out = (_signed_bits(a), _signed_bits(b)), self.lanes * _product(a, b).bits
        mine, theirs = self.lanes * a.bits, self.lanes * b.bits
        blocks = self.blocks(family, *x)
        # DSP blocks of some families contain the registers around the multiplier.
        absorbs = blocks > 0 and family.dsp_registers
        product = family.coefficient("multiply.product", 1.25, 1.25)
        logic = 0.0 if blocks else product * self.lanes * a.bits * b.bits
        if BIPOLAR in (a, b) and not blocks:  # the other factor, or its negative
            logic = family.coefficient("multiply.sign", 2.0, 1.2) * self.lanes * max(widths)
        total = Cost(lut=logic + 4, ff=2 + (0 if absorbs else mine + theirs + out), dsp=blocks * self.lanes)
        if _keeps(x):
            folds = x[0].channels // self.lanes
            states = state_bits(folds) + state_bits(x[0].size // x[0].channels)
            state = family.coefficient("multiply.state", 2, 1)
            beside = Cost(lut=state * states + 2, ff=2 * states + 2 + (0 if absorbs else mine))
            kept = ram_cost(family, folds, theirs) if folds > 1 else Cost(ff=2 * theirs)
            total += beside + kept
            if not absorbs:  # the stored vector is the operand register
                total += Cost(ff=-theirs)
        return total

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls(lanes=2), (Tensor((3, 2, 4), Ints(-8, 7), 0.5), Tensor((3, 2, 4), Ints(-3, 12), 0.25))
        yield cls(lanes=2), (Tensor((3, 2, 6), Ints(0, 15)), Tensor((6,), Ints(0, 255), 1 / 255))
        yield (
            cls(lanes=4),
            (Tensor((5, 4), Ints(-3, 9, step=6)), Tensor((1, 4), BIPOLAR, (1.0, 2.0, 1.0, 1.0))),
        )
        yield cls(lanes=1), (Tensor((2, 3, 2), BIPOLAR), Tensor((1, 1, 2), Ints(-9, -2)))
        yield cls(lanes=3), (Tensor((3,), Ints(1, 5, step=2)), Tensor((3,), Ints(0, 1)))


@dataclass(frozen=True, eq=False)
class ParallelMultiply(Products):
    """Multiply whole pixels. All pixels of a beat share a vector that is stored.

    `lanes` must be the number of channels.

    Attributes:
        pixels: Pixels per beat; must divide the pixels of a frame.
    """

    kind: ClassVar[str] = "parallel_multiply"
    knobs: ClassVar[tuple[str, ...]] = ("lanes", "pixels")

    pixels: int = 1

    def infer(self, *x: Tensor) -> Tensor:
        if self.lanes != x[0].channels:
            raise ValueError(f"lanes={self.lanes} must be all {x[0].channels} channels")
        check_pixels(self.pixels, x[0])
        return super().infer(*x)

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.lanes * self.pixels, self.lanes * self.pixels

    def input_beats(self, port: int, *x: Tensor) -> Beats:
        return Beats(self.lanes if port and _keeps(x) else self.lanes * self.pixels)

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {
            "LANES": self.lanes,
            "PIXELS": self.pixels,
            "BEATS": self.interval(*x),
            **self.codes(*x),
        }

    def cost(self, family: Family, *x: Tensor) -> Cost:
        count, (a, b) = self.pixels * self.lanes, (tensor.ints for tensor in x)
        blocks = self.blocks(family, *x)
        absorbs = blocks > 0 and family.dsp_registers
        total = self._product(family, a, b, blocks) * count + Cost(lut=4, ff=2)
        # An operand whose codes are converted has its register in front of the logic for that.
        held = [not absorbs or _converted(ints) > 0 for ints in (a, b)]
        operand, factor = (ints.bits * needed for ints, needed in zip((a, b), held, strict=True))
        if blocks:
            total += Cost(lut=_converted(b) * (self.lanes if _keeps(x) else count))
        if not _keeps(x):
            return total + Cost(ff=count * (operand + factor))
        states = state_bits(self.interval(*x))
        state = family.coefficient("multiply.state", 2, 1)
        # Some DSP blocks have two registers for an operand; the second one is then that of the stream.
        beside = family.coefficient("parallel_multiply.beside", 1, 0) if not held[0] else 1
        vector = b.bits * (1 + (1 if held[1] else family.coefficient("parallel_multiply.beside", 1, 0)))
        return total + Cost(
            lut=state * states + 2,
            ff=states + 2 + count * (operand + beside * a.bits) + self.lanes * vector,
        )

    def _product(self, family: Family, a: Ints, b: Ints, blocks: int) -> Cost:
        """Return the cost of one product and its register."""
        out = _product(a, b).bits
        if blocks:
            return Cost(lut=_converted(a), ff=0 if family.dsp_registers else out, dsp=blocks)
        if BIPOLAR in (a, b):  # the other factor, or its negative
            sign = family.coefficient("parallel_multiply.sign", 2.35, 1.55)
            return Cost(lut=sign * max(_signed_bits(a), _signed_bits(b)), ff=out)
        # The bits of partial products, and the adders of all but the first.
        product = family.coefficient("parallel_multiply.product", 1.0, 0.72)
        return Cost(lut=product * (a.bits * b.bits + (min(a.bits, b.bits) - 1) * max(a.bits, b.bits)), ff=out)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls(4, pixels=2), (Tensor((3, 2, 4), Ints(-8, 7), 0.5), Tensor((3, 2, 4), Ints(-3, 12), 0.25))
        yield cls(3, pixels=2), (Tensor((3, 4, 3), Ints(0, 15)), Tensor((3,), Ints(0, 255), 1 / 255))
        yield (
            cls(2, pixels=3),
            (Tensor((2, 3, 2), Ints(-3, 9, step=6)), Tensor((1, 1, 2), BIPOLAR, (1.0, 2.0))),
        )
        yield cls(1, pixels=4), (Tensor((4, 1), BIPOLAR), Tensor((1, 1), Ints(-9, -2)))
        yield cls(3), (Tensor((2, 3), Ints(1, 5, step=2)), Tensor((2, 3), Ints(0, 1)))


def _product(a: Ints, b: Ints) -> Ints:
    ends = [s * t for s in (a.lo, a.hi) for t in (b.lo, b.hi)]
    return Ints(min(ends), max(ends))


def _converted(ints: Ints) -> int:
    """Return the bits of a value that are no bits of its code."""
    return columns(ints, ints.step, zero(ints), _signed_bits(ints))[1]


def _signed_bits(ints: Ints) -> int:
    """Return the bits of the values in two's complement."""
    return Ints(min(ints.lo, -1), max(ints.hi, 0)).bits


def _keeps(x: tuple[Tensor, ...]) -> bool:
    """Return True if the second input is a vector that serves several positions."""
    return x[1].size < x[0].size
