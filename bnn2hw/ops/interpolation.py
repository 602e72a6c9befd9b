"""Interpolation: a curved function in fixed point as a table of straight lines, one per segment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import Array, Cost, Ints, Memory, Tensor
from bnn2hw.ops.base.channels import Meaning, signed_bits
from bnn2hw.ops.base.costs import adder, block_ram_cost, column_luts, dsps, in_block_ram, product_luts
from bnn2hw.ops.base.pixelwise import Elementwise
from bnn2hw.targets.families import Family

FINE = 2
"""Fraction bits of the height of a line, in steps of the output."""


@dataclass(frozen=True, eq=False)
class Interpolation(Elementwise):
    """Interpolate a function between equidistant inputs. All channels share the lines.

    y = (bases[s] · 2^low + slopes[s] · (x mod 2^low)) >> (low + FINE),  s = floor(x / 2^low) - first

    The shift rounds down. To round to the nearest integer, add 2^FINE / 2 to the bases.

    Attributes:
        bases: Height of each line at the start of its segment, in steps of 2^-FINE: integers of
            shape (segments,).
        slopes: Rise of each line per input step, in steps of 2^-(low + FINE): integers of shape
            (segments,).
        low: Bits of the input within a segment; at least 1.
        domain: Integers of the input, in steps of 1.
        type: Integers of the output. They contain every result.
        scale: Real value of an output of 1: one number, or one for each channel of the last axis.
        offset: Real value of an output of 0, of the same form.
        axes: Trailing axes of the input that count channels.
        pe: Channels computed in parallel (lanes of the stream). A copy of the lines serves two.
    """

    kind: ClassVar[str] = "interpolation"
    stages: ClassVar[int] = 4

    bases: Array
    slopes: Array
    low: int
    domain: Ints
    type: Ints
    scale: Meaning = 1.0
    offset: Meaning = 0.0
    axes: int = 1
    pe: int = 1

    @property
    def rows(self) -> int:
        return 1

    @property
    def first(self) -> int:
        """Number of the segment that holds the lowest integer of the domain."""
        return self.domain.lo >> self.low

    @property
    def segments(self) -> int:
        """Number of segments, each of which has a line."""
        return (self.domain.hi >> self.low) - self.first + 1

    def infer(self, *x: Tensor) -> Tensor:
        self.check_folding(*x)
        if x[0].ints != self.domain or self.domain.step != 1 or not 1 <= self.low < self.domain.bits:
            raise ValueError(
                f"interpolates {self.domain} in segments of {self.low} bits, but the input has {x[0].ints}"
            )
        if self.bases.shape != (self.segments,) or self.slopes.shape != (self.segments,):
            raise ValueError(
                f"has bases of shape {self.bases.shape} and slopes of shape {self.slopes.shape} "
                f"for {self.segments} segments"
            )
        if self._sum_bits > 62:
            raise ValueError(f"has sums of {self._sum_bits} bits, but 62 are possible")
        starts = np.arange(self.first, self.first + self.segments) << self.low
        ends = np.concatenate([starts, starts + 2**self.low - 1]).clip(self.domain.lo, self.domain.hi)
        if not self.type.contains(self.golden(ends)):
            raise ValueError(f"has results outside of the output's {self.type}")
        return Tensor(x[0].shape, self.type, self.scale, self.offset)

    def golden(self, *x: Array) -> Array:
        wide = x[0].astype(np.int64)
        segment, within = (wide >> self.low) - self.first, wide & (2**self.low - 1)
        bases, slopes = self.bases.astype(np.int64), self.slopes.astype(np.int64)
        y: Array = ((bases[segment] << self.low) + slopes[segment] * within) >> (self.low + FINE)
        return y

    @property
    def _base_bits(self) -> int:
        return signed_bits(int(self.bases.min()), int(self.bases.max()))

    @property
    def _slope_bits(self) -> int:
        return signed_bits(int(self.slopes.min()), int(self.slopes.max()))

    @property
    def _sum_bits(self) -> int:
        return max(self._base_bits, self._slope_bits) + self.low + 1

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {
            "PE": self.pe,
            "IN_BITS": x[0].ints.bits,
            "LOW": self.low,
            "FINE": FINE,
            "BASE_BITS": self._base_bits,
            "SLOPE_BITS": self._slope_bits,
            "OUT_BITS": self.type.bits,
        }

    def memories(self, *x: Tensor) -> Mapping[str, Memory]:
        # Bases and slopes differ in width, so a lane of the ROM is a single bit.
        kinds = ((self.bases, self._base_bits), (self.slopes, self._slope_bits))
        planes = [values.astype(np.int64)[:, None] >> np.arange(bits) & 1 for values, bits in kinds]
        rows = np.concatenate(planes, axis=1)
        words = np.zeros((2 ** (x[0].ints.bits - self.low), rows.shape[1]), np.int64)
        words[np.arange(self.first, self.first + self.segments) % len(words)] = rows
        return {"LINES": Memory(words, 1)}

    def cost_of_one(self, family: Family, *x: Tensor) -> Cost:
        words, base, slope = 2 ** (x[0].ints.bits - self.low), self._base_bits, self._slope_bits
        blocks, out = dsps(family, self.low + 1, slope), self.type.bits
        block_ram = in_block_ram(words, base + slope)
        # Bits of the product below the lowest bit of the bases change no carry, so they are not
        # registered.
        lane = Cost(lut=adder(family, base + 1), ff=2 * self.low + base + slope + 1 + out, dsp=blocks)
        lane += Cost(lut=product_luts(family, self.low + 1, slope))
        if not blocks:
            lane += Cost(lut=self.low * slope)
        elif family.dsp_adds:  # the block also adds, and contains the registers
            lane = Cost(
                ff=out + 2 * base if block_ram else out + slope, lut=0 if block_ram else base, dsp=blocks
            )
        if block_ram:
            readers = min(self.pe, family.bram_readers)
            rom = block_ram_cost(family, words, base + slope, readers) * math.ceil(self.pe / readers)
            lane += Cost(ff=0 if family.bram_registers or family.dsp_adds else base + slope)
        else:
            bits = self.pe * (base + slope)
            registers = family.coefficient("interpolation.rom_register", 2, 0)
            rom = Cost(lut=bits * column_luts(family, words), ff=registers * bits)
        return rom + lane * self.pe + Cost(lut=1, ff=4)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        rng = np.random.default_rng(6)

        def lines(domain: Ints, low: int, top: int) -> tuple[Array, Array, int, Ints]:
            count = (domain.hi >> low) - (domain.lo >> low) + 1
            return rng.integers(-top, top, count), rng.integers(-top, top, count), low, domain

        signed, byte = Ints(-70, 57), Ints(0, 255)
        out = Ints(-128, 127)
        yield cls(*lines(signed, 3, 200), out, 0.25, pe=2), (Tensor((3, 4), signed),)
        yield cls(*lines(byte, 5, 100), out, offset=0.5, axes=2, pe=3), (Tensor((2, 3), byte),)
        yield cls(*lines(signed, 6, 90), out, pe=3, pixels=2), (Tensor((2, 4, 3), signed),)
        yield cls(*lines(byte, 5, 100), out, pe=2), (Tensor((2, 3), byte),)
        # The largest case: 24 bits in, 22 bits out, lines in block RAM.
        wide, real = Ints(-(2**23), 2**23 - 1), (0.5, 0.25, 1.0)
        large = Ints(-(2**22), 2**22 - 1)
        yield cls(*lines(wide, 13, 2**22), large, real, real[::-1], pe=3), (Tensor((2, 3), wide),)
