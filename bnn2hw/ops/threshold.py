"""Threshold unit: bias, BatchNorm, activation and quantizer reduce to comparisons with integers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, Ints, Memory, Param, Part, Ranges, Tensor
from bnn2hw.ir.types import narrow
from bnn2hw.ops.base import parts
from bnn2hw.ops.base.channels import Meaning, channels
from bnn2hw.ops.base.costs import comparison, distinct, rom_cost, rom_luts, state_bits, store_cost
from bnn2hw.ops.base.pixelwise import Elementwise
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class Threshold(Elementwise):
    """Compare each channel with its thresholds.

    For a rising channel c:   y = type.lo + type.step · #{k : x >= thresholds[c, k]}
    For a falling channel c:  y = type.hi - type.step · #{k : x >= thresholds[c, k]}

    A threshold equal to the input's `lo` always fires; one at `hi + step` never fires.

    Attributes:
        thresholds: Integers of shape (channels, levels), ascending in each row; of shape (1,
            levels) if all channels share them. `levels` is `type.count - 1`.
        type: Integers of the output.
        scale: Real value of an output of 1: one number, or one for each channel of the last axis.
        offset: Real value of an output of 0, of the same form.
        axes: Trailing axes of the input that count channels.
        pe: Channels compared in parallel (lanes of the stream).
        falls: One boolean per row of `thresholds`, true where the output falls; None if no channel
            falls.
        loadable: True if thresholds and directions can be written at run time.
    """

    kind: ClassVar[str] = "threshold"
    stages: ClassVar[int] = 2

    thresholds: Array
    type: Ints = BIPOLAR
    scale: Meaning = 1.0
    offset: Meaning = 0.0
    axes: int = 1
    pe: int = 1
    falls: Array | None = None
    loadable: bool = False

    @property
    def rows(self) -> int:
        return int(self.thresholds.shape[0])

    def loading(self, *x: Tensor) -> Self:
        rows = self.thresholds.shape[0]
        each = channels(x[0], rows, self.axes) // rows
        falls = np.zeros(rows, bool) if self.falls is None else self.falls
        return replace(
            self,
            thresholds=np.repeat(self.thresholds, each, axis=0),
            falls=np.repeat(falls, each),
            loadable=True,
        )

    def infer(self, *x: Tensor) -> Tensor:
        rows, levels = self.thresholds.shape
        ints, count = x[0].ints, self.check_folding(*x)
        if levels != self.type.count - 1:
            raise ValueError(
                f"has {levels} thresholds for each of {count} channels; {self.type} needs {self.type.count - 1}"
            )
        if self.falls is not None and self.falls.shape != (rows,):
            raise ValueError(f"has directions of shape {self.falls.shape} for {rows} rows of thresholds")
        if np.any(np.diff(self.thresholds, axis=1) < 0):
            row = int(np.flatnonzero(np.any(np.diff(self.thresholds, axis=1) < 0, axis=1))[0])
            raise ValueError(
                f"thresholds of channel {row} are not ascending: {self.thresholds[row].tolist()[:8]}"
            )
        if not Ints(ints.lo, ints.hi + ints.step, ints.step).contains(self.thresholds):
            raise ValueError(f"thresholds must be values of the input's type, {ints}, or one step above it")
        return Tensor(x[0].shape, self.type, self.scale, self.offset)

    def golden(self, *x: Array) -> Array:
        values = x[0].reshape(-1, self.thresholds.shape[0])
        levels = self.thresholds.T
        if narrow(levels.min(initial=0), levels.max(initial=0)).itemsize <= values.dtype.itemsize:
            levels = levels.astype(values.dtype)
        fired = np.zeros(values.shape, narrow(0, self.type.count * self.type.step))
        for level in levels:
            fired += values >= level
        if self.falls is not None:
            fired = np.where(self.falls, self.type.count - 1 - fired, fired)
        fired *= self.type.step
        y: Array = fired + np.asarray(self.type.lo, self.type.dtype)
        return y.reshape(x[0].shape)

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        return self.at_points(given[0].over(y.channels).ends, y)  # monotone, so the ends are extremes

    @property
    def shared(self) -> bool:
        """True if all channels share one row of thresholds."""
        return bool(self.thresholds.shape[0] == 1)

    def pads_with_zero(self, x: Tensor) -> bool:
        return not self.shared and 0 <= -self.type.first_code < self.type.count and x.ints.count > 1

    def _rom(self, x: Tensor) -> Memory:
        ints, bits = x.ints, self._level_bits(x)
        codes = self.in_folds(ints.encode(self.thresholds))
        if self.pads_with_zero(x):
            # For padding, as many thresholds as give code 0 are below all codes; the others are
            # above.
            lowest, highest = (-1 << bits - 1, (1 << bits - 1) - 1) if ints.signed else (0, (1 << bits) - 1)
            levels = np.where(np.arange(codes.shape[2]) < -self.type.first_code, lowest, highest)
            codes.reshape(-1, levels.size)[self.rows :] = levels
        return Memory(codes.reshape(self.folds, -1), bits)

    def memories(self, *x: Tensor) -> Mapping[str, Memory]:
        return {"THRESHOLDS": self._rom(x[0])}

    def _level_bits(self, x: Tensor) -> int:
        """Bits of the code of a threshold."""
        return Ints(x.ints.first_code, x.ints.first_code + x.ints.count).bits

    def lane_bits(self, *x: Tensor) -> int:
        return int(self.thresholds.shape[1]) * self._level_bits(x[0])

    def inner_bits(self, *x: Tensor) -> int:
        # Parts hold as many levels as fit. A lane has a direction for each fold.
        return self.folds if self.falls is not None and not self.loadable else 0

    def printed_parts(self, *x: Tensor) -> tuple[Part, ...]:
        found = super().printed_parts(*x)
        levels, bits = self.thresholds.shape[1], self._level_bits(x[0])
        if not parts.needed(levels, bits):
            return found
        return tuple(cut for part in found for cut in parts.by_level(part, levels, bits))

    @property
    def _directions(self) -> Array:
        """True where the output falls: lanes within folds, of shape (folds · pe,)."""
        never = np.zeros(self.thresholds.shape[0], bool)
        found = self.in_folds(never if self.falls is None else self.falls).reshape(-1)
        if not self.shared:
            found[self.rows :] = False
        return found

    def loads(self, *x: Tensor) -> Mapping[str, Memory]:
        if not self.loadable:
            return {}
        falls = self._directions.reshape(self.folds, -1).astype(np.int64)
        return {"THRESHOLDS": self._rom(x[0]), "FALLS": Memory(falls, 1)}

    def params(self, *x: Tensor) -> Mapping[str, Param]:
        return {
            "PE": self.pe,
            "FOLDS": self.folds,
            "LEVELS": self.thresholds.shape[1],
            "IN_BITS": x[0].ints.bits,
            "IN_SIGNED": int(x[0].ints.signed),
            "THRESHOLD_BITS": self._rom(x[0]).bits,
            "OUT_BITS": self.type.bits,
            "OUT_FIRST": self.type.first_code,
            "FALLS": self._directions,
        }

    def cost_of_one(self, family: Family, *x: Tensor) -> Cost:
        rom = self._rom(x[0])
        folds, lanes = rom.codes.shape
        # Levels ascend, so the upper bits of each level are partly known.
        kept = max(1.0, rom.bits - 0.5 * math.log2(self.type.count - 1))
        # A comparison with a constant keeps only the part of the carry chain at the ones of the
        # constant.
        compare = (
            comparison(family, round(kept)) * family.coefficient("threshold.comparison", 1, 1)
            if folds > 1
            else family.coefficient("threshold.constant", 0.8, 0.5) * rom.bits
        )
        count = 0.0 if self.type.count == 2 else lanes * family.coefficient("threshold.count", 1.0, 1.3)
        if folds > 1:  # some carry cells take inverted thresholds; lanes share equal ones
            count += family.coefficient("threshold.inversion", 0, 0) * distinct(folds, round(lanes * kept))
        control = state_bits(folds) + 2
        # Each lane registers its direction, and inverts the levels that it counts.
        turned = self.pe if self.falls is not None and np.any(self.falls) and folds > 1 else 0
        logic = Cost(
            lut=lanes * compare + count + control + turned * rom_luts(family, folds),
            ff=self.pe * (x[0].ints.bits + self.type.bits) + control + turned,
        )
        if self.loadable:
            directions = store_cost(family, folds, self.pe, loadable=True)
            return logic + store_cost(family, folds, lanes * rom.bits, loadable=True) + directions
        return logic + rom_cost(family, folds, round(lanes * kept))

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        rng = np.random.default_rng(3)
        dot = Ints(-12, 12, step=2)
        binary = rng.choice(np.append(dot.values(), 14), (6, 1))
        yield cls(binary, pe=2), (Tensor((2, 2, 6), dot),)
        yield (
            cls(np.sort(rng.integers(-50, 52, (4, 3)), 1), Ints(0, 3), 1 / 3, pe=4),
            (Tensor((3, 4), Ints(-50, 50)),),
        )
        ternary = np.sort(rng.integers(0, 64, (3, 2)), 1)
        yield cls(ternary, Ints(-1, 1), pe=1, offset=0.5), (Tensor((3,), Ints(0, 63)),)
        yield cls(binary[:4], axes=2, pe=2), (Tensor((2, 2), dot),)
        falls = np.array([True, False, False, True])
        yield cls(binary[:4], pe=2, falls=falls), (Tensor((3, 4), dot),)
        levels = np.sort(rng.integers(-50, 52, (4, 3)), 1)
        yield (
            cls(levels, Ints(-2, 1), (0.5, 1.0, 2.0, 0.25), pe=4, falls=falls),
            (Tensor((4,), Ints(-50, 50)),),
        )
        yield cls(levels[:1], Ints(0, 3), pe=2), (Tensor((3, 4), Ints(-50, 50)),)
        yield cls(levels[:1], Ints(0, 3), axes=2, pe=3, falls=falls[:1]), (Tensor((2, 3), Ints(-50, 50)),)
        yield cls(binary[:4], pe=4, falls=falls, pixels=4), (Tensor((2, 6, 4), dot),)
        yield cls(levels[:1], Ints(0, 3), pe=4, pixels=2), (Tensor((4, 4), Ints(-50, 50)),)
        yield cls(binary[:4], pe=2, falls=falls, loadable=True), (Tensor((3, 4), dot),)
        # Last folds with padding.
        seven = np.append(binary, [[-12]], 0)
        yield cls(seven, pe=3, falls=np.arange(7) > 4), (Tensor((3, 7), dot),)
        yield cls(np.append(levels, levels[:1], 0), Ints(-2, 1), pe=2), (Tensor((5,), Ints(-50, 50)),)
        yield cls(levels[:1], Ints(0, 3), axes=2, pe=4), (Tensor((2, 2, 5), Ints(-50, 50)),)
        yield cls(seven, pe=4, falls=np.arange(7) > 4, loadable=True), (Tensor((3, 7), dot),)
