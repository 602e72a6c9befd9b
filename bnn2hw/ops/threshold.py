"""Compare with per-channel thresholds: what bias, BatchNorm, activation and quantizer come down to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, Ints, Memory, Param, Ranges, Tensor
from bnn2hw.ops.base.channels import Meaning, channels
from bnn2hw.ops.base.costs import comparison, distinct, rom_cost, rom_luts, state_bits, store_cost
from bnn2hw.ops.base.pixelwise import Elementwise
from bnn2hw.targets.families import Family


@dataclass(frozen=True, eq=False)
class Threshold(Elementwise):
    """The output climbs one step for each threshold that the input reaches.

    y = type.lo + type.step · #{k : x ≥ thresholds[c, k]}. A threshold at the input's `lo` always fires,
    one at `hi + step` never does. In the channels that fall, y = type.hi − type.step · #{k : x ≥ thresholds[c, k]}.

    Channels run along the last `axes` axes of the input.

    Attributes:
        thresholds: integers of shape (channels, type.count − 1), each row in rising order; (1, type.count − 1)
            for all channels alike.
        type: the output's integers.
        scale: real meaning of the output (see Tensor).
        offset: likewise.
        axes: trailing axes of the input that count channels.
        pe: channels per beat; the fewest for their number of beats.
        falls: booleans, one per row of `thresholds`: where the output falls; None where it never does.
        loadable: whether thresholds and directions can be written at run time.
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
            raise ValueError(f"{levels} thresholds do not fit {self.type} and {count} channels")
        if self.falls is not None and self.falls.shape != (rows,):
            raise ValueError(f"{rows} rows of thresholds need as many directions, not {self.falls.shape}")
        if np.any(np.diff(self.thresholds, axis=1) < 0):
            raise ValueError("thresholds must rise")
        if not Ints(ints.lo, ints.hi + ints.step, ints.step).contains(self.thresholds):
            raise ValueError(f"thresholds must lie on {ints} or one step above")
        return Tensor(x[0].shape, self.type, self.scale, self.offset)

    def golden(self, *x: Array) -> Array:
        values = x[0].reshape(-1, self.thresholds.shape[0])
        fired = np.zeros(values.shape, np.int64)
        for level in self.thresholds.T:
            fired += values >= level
        if self.falls is not None:
            fired = np.where(self.falls, self.type.count - 1 - fired, fired)
        return (self.type.lo + self.type.step * fired).reshape(x[0].shape)

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        return self.at_points(given[0].over(y.channels).ends, y)  # it rises everywhere, or it falls

    @property
    def shared(self) -> bool:
        """Whether all channels have the same thresholds."""
        return bool(self.thresholds.shape[0] == 1)

    def pads_with_zero(self, x: Tensor) -> bool:
        return not self.shared and 0 <= -self.type.first_code < self.type.count and x.ints.count > 1

    def _rom(self, x: Tensor) -> Memory:
        ints = x.ints
        bits = Ints(ints.first_code, ints.first_code + ints.count).bits
        codes = self.in_folds(ints.encode(self.thresholds))
        if self.pads_with_zero(x):
            # In padding as many of the thresholds as lead to code 0 lie below every code, and the others above.
            lowest, highest = (-1 << bits - 1, (1 << bits - 1) - 1) if ints.signed else (0, (1 << bits) - 1)
            levels = np.where(np.arange(codes.shape[2]) < -self.type.first_code, lowest, highest)
            codes.reshape(-1, levels.size)[self.rows :] = levels
        return Memory(codes.reshape(self.folds, -1), bits)

    def memories(self, *x: Tensor) -> Mapping[str, Memory]:
        return {"THRESHOLDS": self._rom(x[0])}

    @property
    def _directions(self) -> Array:
        """Where the output falls, lane by lane within fold by fold."""
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
        # Levels rise, so the upper bits of each are known in part.
        kept = max(1.0, rom.bits - 0.5 * math.log2(self.type.count - 1))
        # A comparison with a constant keeps only the half of its chain that the constant's ones make.
        compare = (
            comparison(family, round(kept)) * family.coefficient("threshold.comparison", 1, 1)
            if folds > 1
            else family.coefficient("threshold.constant", 0.8, 0.5) * rom.bits
        )
        count = 0.0 if self.type.count == 2 else lanes * family.coefficient("threshold.count", 1.0, 1.3)
        if folds > 1:  # some carry cells take inverted thresholds; lanes share equal ones
            count += family.coefficient("threshold.inversion", 0, 0) * distinct(folds, round(lanes * kept))
        control = state_bits(folds) + 2
        # Of each direction there is a register; levels are turned where they are counted.
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
        # Last folds that are not full.
        seven = np.append(binary, [[-12]], 0)
        yield cls(seven, pe=3, falls=np.arange(7) > 4), (Tensor((3, 7), dot),)
        yield cls(np.append(levels, levels[:1], 0), Ints(-2, 1), pe=2), (Tensor((5,), Ints(-50, 50)),)
        yield cls(levels[:1], Ints(0, 3), axes=2, pe=4), (Tensor((2, 2, 5), Ints(-50, 50)),)
        yield cls(seven, pe=4, falls=np.arange(7) > 4, loadable=True), (Tensor((3, 7), dot),)
