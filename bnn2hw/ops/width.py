"""More or fewer values per beat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from bnn2hw.boards import Family
from bnn2hw.ir import BIPOLAR, Array, Cost, HardwareOp, Ints, Steps, Tensor
from bnn2hw.ops.memories import by_lut, state_bits


@dataclass(frozen=True, eq=False)
class Width(HardwareOp):
    """The same values in beats of another width; one width must divide the other.

    Attributes:
        narrow: values per beat on the narrower side.
        ratio: beats of the narrower side per beat of the wider.
        widens: whether the wider side is the output.
    """

    kind: ClassVar[str] = "width"

    narrow: int
    ratio: int
    widens: bool

    def infer(self, *x: Tensor) -> Tensor:
        if self.ratio < 2 or x[0].size % (self.narrow * self.ratio):
            raise ValueError(f"beats of {self.narrow} × {self.ratio} must divide {x[0].size} values")
        return x[0]

    def golden(self, *x: Array) -> Array:
        return x[0]

    def lanes(self, *x: Tensor) -> tuple[int, int]:
        wide = self.narrow * self.ratio
        return (self.narrow, wide) if self.widens else (wide, self.narrow)

    def interval(self, *x: Tensor) -> int:
        return x[0].size // self.narrow

    def timing(self, *x: Tensor) -> Steps:
        at = np.arange(self.interval(*x)) % self.ratio
        every = np.ones(at.size, bool)
        if self.widens:
            return Steps(every, at == self.ratio - 1, latency=1)
        return Steps(at == 0, every, latency=1)

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {"NARROW_BITS": self.narrow * x[0].ints.bits, "RATIO": self.ratio, "WIDENS": int(self.widens)}

    def cost(self, family: Family, *x: Tensor) -> Cost:
        narrow = self.narrow * x[0].ints.bits
        wide, count = narrow * self.ratio, state_bits(self.ratio)
        if self.widens:
            return Cost(lut=count + 3, ff=count + 1 + wide)
        return Cost(lut=wide - narrow + count + by_lut(family, 6, 4), ff=count + 2 + wide)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        yield cls(2, 3, widens=True), (Tensor((4, 6), BIPOLAR),)
        yield cls(1, 4, widens=False), (Tensor((12,), Ints(-2, 1)),)
        yield cls(3, 2, widens=False), (Tensor((2, 6), BIPOLAR),)
