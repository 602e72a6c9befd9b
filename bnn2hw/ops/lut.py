"""Truth tables over a few inputs each: any functions, all outputs of a vector in one cycle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, Ints, Param, Ranges, Steps, StreamOp, Tensor
from bnn2hw.ops.base.channels import Meaning
from bnn2hw.ops.base.pixelwise import Pixelwise
from bnn2hw.ops.base.truth_tables import Function, functions
from bnn2hw.targets.families import Family

MOST_BITS = 8
"""Largest number of bits that a truth table reads."""


@dataclass(frozen=True)
class Logic:
    """The logic as the templates print it.

    Attributes:
        in_bits: Bits of the input.
        functions: The function of each bit of the output.
        copies: For each bit of the output, the first bit with the same function.
    """

    in_bits: int
    functions: tuple[Function, ...]
    copies: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Lut(Pixelwise):
    """Look each output up in a truth table of its own, over the wire codes of its inputs.

    y[n] = tables[n, sum over j of code(x[wires[n, j]]) << (j · bits)], with codes of `bits` bits.

    Attributes:
        wires: Inputs of each output, of shape (outputs, most); -1 where an output has fewer, which
            counts as code 0.
        tables: Integers of shape (outputs, 2^(most · bits)). Entries of codes that do not occur are free.
        domain: Integers of the input.
        type: Integers of the output.
        scale: Real value of an output of 1: one number, or one for each output.
        offset: Real value of an output of 0, of the same form.
        axes: Trailing axes of the input that form a vector.
    """

    kind: ClassVar[str] = "lut"
    one_to_one: ClassVar[bool] = True

    wires: Array
    tables: Array
    domain: Ints
    type: Ints
    scale: Meaning = 1.0
    offset: Meaning = 0.0
    axes: int = 1

    def infer(self, *x: Tensor) -> Tensor:
        outputs, most = self.wires.shape
        size = int(np.prod(x[0].shape[-self.axes :]))
        outer = x[0].outer(size, self.axes)
        bits = most * self.domain.bits
        if bits > MOST_BITS:
            raise ValueError(f"reads {bits} bits per output, but at most {MOST_BITS} are possible")
        if x[0].ints != self.domain or self.tables.shape != (outputs, 2**bits):
            raise ValueError(
                f"has tables of shape {self.tables.shape} for {self.domain}, but the input has {x[0].ints} "
                f"and needs ({outputs}, {2**bits})"
            )
        if self.wires.min(initial=0) < -1 or self.wires.max(initial=0) >= size:
            raise ValueError(f"reads inputs outside of the {size} of a vector")
        if not self.type.contains(self.tables):
            low, high = int(self.tables.min()), int(self.tables.max())
            raise ValueError(f"has entries from {low} to {high}, outside of the output's {self.type}")
        self.check_pixels(*x)
        return Tensor((*outer, outputs), self.type, self.scale, self.offset)

    def golden(self, *x: Array) -> Array:
        outer = x[0].shape[: x[0].ndim - self.axes]
        flat = x[0].reshape(int(np.prod(outer)), -1)
        index = addresses(flat, self.wires, self.domain)
        y: Array = self.tables.astype(np.int64)[np.arange(len(self.wires)), index]
        return y.reshape(*outer, len(self.wires))

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        return Ranges.spanning(self.tables.T)

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        vector = int(np.prod(x[0].shape[-self.axes :]))
        return vector * self.pixels, len(self.wires) * self.pixels

    def interval(self, *x: Tensor) -> int:
        return int(np.prod(self.vector_axes(*x))) // self.pixels

    def whole(self, *x: Tensor) -> bool:
        return True

    def vector_axes(self, *x: Tensor) -> tuple[int, ...]:
        return x[0].shape[: -self.axes]

    def timing(self, *x: Tensor) -> Steps:
        every = np.ones(self.interval(*x), bool)
        return Steps(every, every, latency=1)

    def fuses(self, reader: StreamOp, *, same: bool) -> bool:
        return reader.one_to_one and same

    def params(self, *x: Tensor) -> Mapping[str, Param]:
        return {}

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """The function of each bit of the output, the bits of the first output first."""
        return functions(self.type.encode(self.tables), self.type.bits, self.wires, self.domain.bits)

    def body(self, *x: Tensor) -> Logic:
        first: dict[Function, int] = {}
        copies = tuple(first.setdefault(made, i) for i, made in enumerate(self.functions))
        vector = int(np.prod(x[0].shape[-self.axes :]))
        return Logic(vector * self.domain.bits, self.functions, copies)

    def cost_of_one(self, family: Family, *x: Tensor) -> Cost:
        distinct = set(self.functions)
        return Cost(lut=sum(f.luts(family.lut_inputs) for f in distinct) + 1, ff=len(distinct) + 1)

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        one = replace(self, pixels=1)
        for made in (one, *one.side_by_side(*x)):
            vars(made)["functions"] = self.functions  # independent of `pixels`
            yield made

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        rng = np.random.default_rng(7)

        def wires(outputs: int, most: int, inputs: int) -> Array:
            return np.stack([rng.choice(inputs, most, replace=False) for _ in range(outputs)])

        def tables(outputs: int, bits: int, ints: Ints) -> Array:
            return rng.choice(ints.values(), (outputs, 2**bits))

        yield cls(wires(5, 6, 9), tables(5, 6, BIPOLAR), BIPOLAR, BIPOLAR), (Tensor((9,), BIPOLAR),)
        few = wires(4, 2, 6)
        few[1, 1] = -1
        crumbs, pixels = Ints(0, 3), Ints(-3, 4)
        two = tables(4, 4, pixels)
        two[2] = two[2, 0]
        yield cls(few, two, crumbs, pixels, 0.5, offset=0.25, axes=2), (Tensor((3, 2, 3), crumbs),)
        wide = wires(3, 4, 5)
        yield cls(wide, tables(3, 8, Ints(0, 1)), crumbs, Ints(0, 1), pixels=2), (Tensor((2, 2, 5), crumbs),)
        odd = Ints(-4, 8, step=4)
        seven = cls(wires(70, 3, 40), tables(70, 6, odd), odd, odd)
        yield seven, (Tensor((40,), odd),)
        levels = np.repeat(np.array([[-1, 1]]), 2, 0)
        levels[1] *= -1
        yield cls(np.array([[2], [0]]), levels, BIPOLAR, BIPOLAR), (Tensor((2, 3), BIPOLAR),)
        yield cls(wires(2, 7, 8), tables(2, 7, BIPOLAR), BIPOLAR, BIPOLAR), (Tensor((8,), BIPOLAR),)


def addresses(x: Array, wires: Array, domain: Ints) -> Array:
    """Return where each output looks its value up.

    Args:
        x: Integers of shape (vectors, inputs).
        wires: Inputs of each output, of shape (outputs, most); -1 for none.
        domain: Integers of the input.

    Returns:
        Integers of shape (vectors, outputs).
    """
    codes = domain.encode(x) & (2**domain.bits - 1)
    codes = np.concatenate([codes, np.zeros((len(codes), 1), np.int64)], axis=1)  # -1 reads this one
    places = np.arange(wires.shape[1]) * domain.bits
    found: Array = (codes[:, wires] << places).sum(-1)
    return found
