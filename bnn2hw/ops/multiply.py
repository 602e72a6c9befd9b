"""Product of two streams, or of a stream and one vector per frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, HardwareOp, Ints, Ranges, Steps, Tensor
from bnn2hw.ops.base.channels import uniform, within_words
from bnn2hw.ops.base.costs import dsps, ram_cost, state_bits
from bnn2hw.ops.base.folds import divisors
from bnn2hw.ops.base.join import by_channel, coded, zero
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class Multiply(HardwareOp):
    """Multiply two inputs value by value.

    The second input has the shape of the first, or it is one vector per frame with a factor for
    each channel. The op reads such a vector at the first position of a frame and stores it.

    Attributes:
        lanes: Channels per beat; must divide the number of channels.
    """

    kind: ClassVar[str] = "multiply"
    knobs: ClassVar[tuple[str, ...]] = ("lanes",)

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

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.lanes, self.lanes

    def interval(self, *x: Tensor) -> int:
        return x[0].size // self.lanes

    def timing(self, *x: Tensor) -> Steps:
        every = np.ones(self.interval(*x), bool)
        reads = np.arange(every.size) < x[1].size // self.lanes
        return Steps(every, every, latency=3 if _keeps(x) else 2, others=(reads,))

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        a, b = x[0].ints, x[1].ints
        return {
            "LANES": self.lanes,
            "FOLDS": x[0].channels // self.lanes,
            "POSITIONS": x[0].size // x[0].channels,
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

    def cost(self, family: Family, *x: Tensor) -> Cost:
        a, b = x[0].ints, x[1].ints
        widths, out = (_signed_bits(a), _signed_bits(b)), self.lanes * _product(a, b).bits
        mine, theirs = self.lanes * a.bits, self.lanes * b.bits
        blocks = dsps(family, *((a.bits, b.bits) if min(a.lo, b.lo) >= 0 else widths))
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

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        for lanes in divisors(x[0].channels):
            yield replace(self, lanes=lanes)

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


def _product(a: Ints, b: Ints) -> Ints:
    ends = [s * t for s in (a.lo, a.hi) for t in (b.lo, b.hi)]
    return Ints(min(ends), max(ends))


def _signed_bits(ints: Ints) -> int:
    """Return the bits of the values in two's complement."""
    return Ints(min(ints.lo, -1), max(ints.hi, 0)).bits


def _keeps(x: tuple[Tensor, ...]) -> bool:
    """Return True if the second input is a vector that serves several positions."""
    return x[1].size < x[0].size
