"""Lookup table: any function of one integer per channel, exactly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, Ints, Memory, Ranges, Tensor
from bnn2hw.ops.base.channels import Meaning, channels
from bnn2hw.ops.base.costs import (
    block_ram_cost,
    block_ram_rows,
    column_luts,
    in_block_ram,
    load_cost,
    rom_luts,
    state_bits,
)
from bnn2hw.ops.base.pixelwise import Elementwise
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class Table(Elementwise):
    """Look each value up in the table of its channel: y = table[c, index of x in `domain`].

    Attributes:
        table: Integers of shape (channels, entries); of shape (1, entries) if all channels share a
            table. `entries` is `domain.count`.
        domain: Integers of the input.
        type: Integers of the output.
        scale: Real value of an output of 1: one number, or one for each channel of the last axis.
        offset: Real value of an output of 0, of the same form.
        axes: Trailing axes of the input that count channels.
        pe: Channels looked up in parallel (lanes of the stream). Each lane needs a read port of a
            copy of the table.
        loadable: True if the table can be written at run time.
    """

    kind: ClassVar[str] = "table"
    stages: ClassVar[int] = 2

    table: Array
    domain: Ints
    type: Ints
    scale: Meaning = 1.0
    offset: Meaning = 0.0
    axes: int = 1
    pe: int = 1
    loadable: bool = False

    @property
    def rows(self) -> int:
        return int(self.table.shape[0])

    def loading(self, *x: Tensor) -> Self:
        rows = self.table.shape[0]
        each = channels(x[0], rows, self.axes) // rows
        return replace(self, table=np.repeat(self.table, each, axis=0), loadable=True)

    def infer(self, *x: Tensor) -> Tensor:
        entries = self.table.shape[1]
        self.check_folding(*x)
        if x[0].ints != self.domain or self.domain.count != entries:
            raise ValueError(f"has {entries} entries for {self.domain}, but the input has {x[0].ints}")
        if not self.type.contains(self.table):
            low, high = int(self.table.min()), int(self.table.max())
            raise ValueError(f"has entries from {low} to {high}, outside of the output's {self.type}")
        return Tensor(x[0].shape, self.type, self.scale, self.offset)

    def golden(self, *x: Array) -> Array:
        rows = self.table.shape[0]
        index = (x[0].reshape(-1, rows).astype(np.int64) - self.domain.lo) // self.domain.step
        values: Array = self.table.astype(np.int64)[np.arange(rows), index]
        return values.reshape(x[0].shape)

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        first, last = (given[0].over(y.channels).ends.astype(np.int64) - self.domain.lo) // self.domain.step
        table = np.broadcast_to(self.table, (max(self.rows, y.channels), self.domain.count))
        table = table.reshape(-1, y.channels, self.domain.count)
        reached = (table[:, c, a : b + 1] for c, (a, b) in enumerate(zip(first, last, strict=True)))
        return Ranges(*np.array([(part.min(), part.max()) for part in reached], np.float64).T)

    def memories(self, *x: Tensor) -> Mapping[str, Memory]:
        out, ints = self.type, x[0].ints
        words = np.zeros((self.table.shape[0], 2**ints.bits), np.int64)
        words[:, ints.encode(ints.values()) % 2**ints.bits] = out.encode(self.table)
        lanes = 1 if self.shared else self.pe
        rest = np.zeros((self.folds * lanes - self.rows, words.shape[1]), np.int64)
        folded = np.concatenate([words, rest]).reshape(-1, lanes, words.shape[1]).transpose(0, 2, 1)
        return {"TABLE": Memory(folded.reshape(-1, lanes), out.bits)}

    @property
    def shared(self) -> bool:
        """True if all channels share one table."""
        return bool(self.table.shape[0] == 1)

    def pads_with_zero(self, x: Tensor) -> bool:
        return not self.shared

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {
            "PE": self.pe,
            "FOLDS": self.folds,
            "SHARED": int(self.shared),
            "IN_BITS": x[0].ints.bits,
            "OUT_BITS": self.type.bits,
        }

    def cost_of_one(self, family: Family, *x: Tensor) -> Cost:
        folds = self.folds
        words, out = folds * 2 ** x[0].ints.bits, self.pe * self.type.bits
        shared = family.coefficient("table.control", 2, 0.5)
        control = Cost(lut=state_bits(folds) + shared, ff=state_bits(folds) + 2 + out)
        # As many lanes as a block RAM has read ports share a copy, which holds their columns only.
        if in_block_ram(words, self.type.bits if self.shared else out):
            readers = min(self.pe, family.bram_readers)
            width = self.type.bits if self.shared else readers * self.type.bits
            # Block RAMs of some families contain the output register, if nothing selects a row behind them.
            alone = family.bram_registers and block_ram_rows(family, words, width) == 1
            own = out if alone else 0
            copy = block_ram_cost(family, words, width, readers, written=self.loadable)
            rom = Cost(ff=-own) + copy * math.ceil(self.pe / readers)
        else:
            # This ROM drives nothing but a register, so 6-input LUTs use their wide multiplexers.
            per_bit = family.by_lut(rom_luts(family, words), math.ceil(words / 64))
            if family.packs_rom(words) and not self.loadable:
                per_bit = column_luts(family, words)
            rom = Cost(lut=out * per_bit, ff=out)
        return rom + control + (load_cost(family, words, out) if self.loadable else Cost())

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        rng = np.random.default_rng(4)
        dot, signed = Ints(-8, 8, step=2), Ints(-2, 3)
        yield cls(rng.integers(-100, 100, (4, 9)), dot, Ints(-100, 99), 0.25, pe=2), (Tensor((3, 4), dot),)
        yield cls(rng.choice([-1, 1], (3, 6)), signed, BIPOLAR, offset=0.5, axes=2), (Tensor((1, 3), signed),)
        pixels, real = Ints(0, 15), (0.5, 0.25, 1.0, 2.0)
        shared = rng.integers(-8, 8, (1, 16))
        yield cls(shared, pixels, Ints(-8, 7), real, real[::-1], pe=2), (Tensor((3, 4), pixels),)
        yield cls(rng.integers(0, 9, (1, 9)), dot, Ints(0, 8), axes=2, pe=3), (Tensor((2, 2, 3), dot),)
        yield (
            cls(rng.integers(0, 9, (3, 9)), dot, Ints(0, 8), pe=3, pixels=2),
            (Tensor((4, 3), dot),),
        )
        yield cls(rng.integers(0, 9, (7, 9)), dot, Ints(0, 8), pe=3), (Tensor((2, 7), dot),)
        wide = rng.integers(-(2**31), 2**31, (4, 9))
        yield cls(wide, dot, Ints(-(2**31), 2**31 - 1), pe=2, loadable=True), (Tensor((3, 4), dot),)
