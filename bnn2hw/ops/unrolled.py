"""Unrolled layer of bits: weights are wiring, and all neurons of a vector are computed per cycle."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, Ints, Param, Steps, Tensor
from bnn2hw.ops.adder_graph.layout import Layout
from bnn2hw.ops.adder_graph.logic import Logic
from bnn2hw.ops.adder_graph.planes import program
from bnn2hw.ops.adder_graph.plans import ANY, Cells, adder_luts
from bnn2hw.ops.adder_graph.sums import Sums
from bnn2hw.ops.base.channels import Meaning
from bnn2hw.ops.base.compressors import BitPlan
from bnn2hw.ops.base.pixelwise import Pixelwise
from bnn2hw.ops.mac import Mac
from bnn2hw.ops.xnor import Xnor
from bnn2hw.targets.families import Family

SMALL, COMPRESSED = Cells(inputs=4), Cells(compressors=True)
"""Cells of families with LUTs of four inputs, and of those that have compressors."""

GROUP = 64
"""Nodes that share an enable signal; unrolled.sv.j2 has the same number."""


@lru_cache(32)
def _program_of(weights: bytes, shape: tuple[int, ...], cells: Cells) -> tuple[Array, Array]:
    """Return a program and its outputs; designs of the same weights, as those of a study, share the search."""
    sums, found = program(np.frombuffer(weights, np.int64).reshape(shape), cells)
    nodes, outputs = sums.encode(), np.array([(v.node, v.sign) for v in found])
    nodes.setflags(write=False)
    outputs.setflags(write=False)
    return nodes, outputs


@dataclass(frozen=True, eq=False)
class Unrolled(Pixelwise):
    """Multiply inputs of two values with constant weights, and optionally compare, a vector per cycle.

    Without thresholds the output is the one of the folded unit: the dot product, coded as in `Xnor`, if
    inputs and weights are ±1, else the sum of weight · code, as in `Mac`. With thresholds the output of
    a rising neuron is +1 if that is at least the threshold, else -1. A falling neuron has the opposite
    sign.

    Attributes:
        weights: Integers of shape (MW, MH).
        nodes: Program that computes the sums (see `Sums.encode`).
        outputs: For each neuron its node, -1 if it has no weights, and the factor of that node, ± a power
            of two; integers of shape (MH, 2).
        thresholds: Integers of shape (MH,); None for dot products.
        falls: Booleans of shape (MH,), true where the output falls; None if no neuron falls.
        scale: Real value of a weight of 1: one number for all neurons, or one for each.
        axes: Trailing axes of the input that form a vector.
        domain: Integers of the input, two of them.
    """

    kind: ClassVar[str] = "unrolled"
    one_to_one: ClassVar[bool] = True

    weights: Array
    nodes: Array
    outputs: Array
    thresholds: Array | None = None
    falls: Array | None = None
    scale: Meaning = 1.0
    axes: int = 1
    domain: Ints = BIPOLAR

    @classmethod
    def of(
        cls,
        unit: Xnor | Mac,
        thresholds: Array | None = None,
        falls: Array | None = None,
        cells: Cells = ANY,
        domain: Ints = BIPOLAR,
    ) -> Self:
        """Unroll a folded unit and the threshold that reads it.

        Args:
            unit: Folded unit.
            thresholds: Integers of shape (MH,); None for dot products.
            falls: Booleans of shape (MH,), true where the output falls; None if no neuron falls.
            cells: Cells of the family.
            domain: Integers of the input.
        """
        nodes, outputs = cls.program_of(unit.weights, cells)
        return cls(unit.weights, nodes, outputs, thresholds, falls, unit.scale, unit.axes, domain)

    @staticmethod
    def program_of(weights: Array, cells: Cells = ANY) -> tuple[Array, Array]:
        """Return the fields `nodes` and `outputs` for some weights.

        Args:
            weights: Integers of shape (MW, MH).
            cells: Cells of the family.
        """
        weights = np.ascontiguousarray(weights, np.int64)
        return _program_of(weights.tobytes(), weights.shape, cells)

    @cached_property
    def folded(self) -> Xnor | Mac:
        """The folded unit with the same weights, without thresholds."""
        mw, mh = self.weights.shape
        if self.signs:
            return Xnor(self.weights, self.scale, self.axes, pe=mh, simd=mw)
        domain = self.domain if self.domain.step > 1 else None
        return Mac(self.weights, self.scale, self.axes, pe=mh, simd=mw, domain=domain)

    @cached_property
    def signs(self) -> bool:
        """True if inputs and weights are ±1."""
        return self.domain == BIPOLAR and bool(np.all(np.abs(self.weights) == 1))

    @cached_property
    def sums(self) -> Sums:
        """The program, after a check that it computes exactly these weights.

        Raises:
            ValueError: It computes other sums.
        """
        made = Sums.decode(self.nodes)
        if self.outputs.shape != (self.folded.mh, 2):
            raise ValueError(f"has outputs of shape {self.outputs.shape}, expected ({self.folded.mh}, 2)")
        factors, _ = made.meaning(self.folded.mw)
        factors = np.vstack([factors, np.zeros_like(factors, shape=(1, self.folded.mw))])  # of node -1
        node, factor = self.outputs.T
        if not np.array_equal(factors[node].T * factor, self.weights):
            raise ValueError("has a program that computes other sums than its weights")
        return made

    def infer(self, *x: Tensor) -> Tensor:
        if x[0].ints != self.domain or self.domain.count != 2 or self.domain.signed:
            raise ValueError(f"needs inputs of two values, {self.domain}, not {x[0].ints}")
        dot = self.folded.infer(*x)
        self.check_pixels(*x)
        _ = self.sums
        if self.thresholds is None:
            return dot
        ints, neurons = dot.ints, (self.folded.mh,)
        if self.thresholds.shape != neurons or (self.falls is not None and self.falls.shape != neurons):
            raise ValueError(f"needs {self.folded.mh} thresholds, and as many directions or none")
        if not Ints(ints.lo, ints.hi + ints.step, ints.step).contains(self.thresholds):
            raise ValueError(f"thresholds must be {ints}, or one step above")
        return Tensor(dot.shape, BIPOLAR)

    def golden(self, *x: Array) -> Array:
        dot = self.folded.golden(*x)
        if self.thresholds is None:
            return dot
        fired = dot >= self.thresholds
        return np.where(fired if self.falls is None else fired ^ self.falls, 1, -1)

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.folded.mw * self.pixels, self.folded.mh * self.pixels

    def interval(self, *x: Tensor) -> int:
        return self.folded.interval(*x) // self.pixels

    def whole(self, *x: Tensor) -> bool:
        return True

    def vector_axes(self, *x: Tensor) -> tuple[int, ...]:
        return x[0].shape[: -self.axes]

    @cached_property
    def stages(self) -> int:
        """Registers from the input to the output."""
        return 1 + max((self.sums.stages[n] for n in self.outputs[:, 0].tolist() if n >= 0), default=0)

    def timing(self, *x: Tensor) -> Steps:
        every = np.ones(self.interval(*x), bool)
        return Steps(every, every, latency=self.stages)

    def params(self, *x: Tensor) -> Mapping[str, Param]:
        return {}

    @cached_property
    def logic(self) -> Logic:
        """The logic that the templates print."""
        dot = replace(self.folded, axes=1).infer(Tensor(self.weights.shape[:1], self.domain)).ints
        out = dot if self.thresholds is None else BIPOLAR
        made = Layout(self.sums, self.outputs, self.weights, self.thresholds, self.falls, signs=self.signs)
        return made.logic(out)

    def body(self, *x: Tensor) -> Logic:
        return self.logic

    def shapes(self, *x: Tensor) -> Mapping[str, Sequence[BitPlan]]:
        plans = [t.plan for t in self.logic.tables if t.plan]
        return {"bit_count": plans} if plans else {}

    def cost_of_one(self, family: Family, *x: Tensor) -> Cost:
        logic, sums = self.logic, self.sums
        registers = sum(sums.width(n) for n, made in enumerate(sums.nodes) if sums.stages[n])
        ff = registers + sum(logic.held) + sum(bits for _, bits, _ in logic.delayed)
        ff += logic.stages + len(logic.neurons) * logic.out_bits
        split = (1, 1, 1, 1, 1, 2, 4)  # LUTs with 4 inputs per bit of a table, by its inputs
        small = family.lut_inputs == 4
        lut = 0.0
        for t in logic.tables:
            if t.plan:
                lut += t.plan.luts + t.plan.adds
                ff += t.plan.ffs + t.bits * (t.cycles - 1 - t.plan.levels)
            else:
                lut += t.bits * (split[len(t.lanes)] if small else 1)
        for a in logic.adders:
            longer = max(a.left_bits - a.shift, a.right_bits)
            lut += adder_luts(longer, a.carry is not None, family.lut_inputs)
            lut += a.inverted
        for neuron in logic.neurons:
            if neuron.number is None or (neuron.as_it_is and not logic.compares):
                continue
            each = family.lut_inputs - 1
            lut += math.ceil((neuron.bits - 1) / each) if logic.compares else logic.out_bits
        copies = math.ceil(logic.nodes / GROUP)
        return Cost(lut=lut + 1 + copies, ff=ff + copies)

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        known = {name: getattr(self, name) for name in ("folded", "signs", "sums", "stages", "logic")}
        one = replace(self, pixels=1)
        for made in (one, *one.side_by_side(*x)):
            vars(made).update(known)  # independent of `pixels`, and slow to find
            yield made

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        rng = np.random.default_rng(1)

        def unit(mw: int, mh: int, scale: float = 1.0, axes: int = 1) -> Xnor:
            return Xnor(rng.choice(np.array([-1, 1], np.int8), (mw, mh)), scale, axes)

        def limits(mw: int, mh: int) -> Array:
            return 2 * rng.integers(-mw // 4, mw // 4 + 1, mh) + mw % 2

        yield cls.of(unit(9, 3, scale=0.5), cells=SMALL), (Tensor((2, 2, 9), BIPOLAR),)
        falls = rng.integers(0, 2, 5).astype(bool)
        yield cls.of(unit(34, 5, axes=2), limits(34, 5), falls), (Tensor((3, 2, 17), BIPOLAR),)
        same = unit(5, 8)
        same = replace(
            same, weights=np.repeat(same.weights[:, :2], 4, 1) * np.array([1, 1, -1, 1] * 2, np.int8)
        )
        yield cls.of(same, np.array([-5, 7, 1, -1, 3, 5, -3, 7])), (Tensor((5,), BIPOLAR),)
        yield cls.of(unit(1, 2)), (Tensor((3, 1), BIPOLAR),)
        yield replace(cls.of(unit(9, 3)), pixels=4), (Tensor((2, 6, 9), BIPOLAR),)
        yield replace(cls.of(unit(9, 4), limits(9, 4)), pixels=2), (Tensor((4, 9), BIPOLAR),)

        # Zeros among the weights, and weights of several bits.
        def mac(made: Array, bit: Ints = BIPOLAR, axes: int = 1) -> Mac:
            return Mac(made, axes=axes, domain=bit if bit.step > 1 else None)

        few = rng.integers(-1, 2, (20, 6))
        few[:, 2] = 0
        yield cls.of(mac(few)), (Tensor((20,), BIPOLAR, 0.5),)
        yield cls.of(mac(few), rng.integers(-3, 5, 6), np.arange(6) % 3 == 1), (Tensor((2, 20), BIPOLAR),)
        groups = np.repeat(np.eye(3, dtype=np.int64), 8, axis=0)
        yield cls.of(mac(groups, axes=2)), (Tensor((4, 6), BIPOLAR),)
        some = np.repeat(np.eye(3, dtype=np.int64), (12, 40, 25), axis=0) * rng.choice([-1, 1], (77, 3))
        yield cls.of(mac(some), cells=COMPRESSED), (Tensor((3, 77), BIPOLAR),)
        yield cls.of(mac(some), np.array([2, -1, 4]), cells=COMPRESSED), (Tensor((77,), BIPOLAR),)
        wide = rng.integers(-7, 8, (13, 5))
        wide[:, 1] &= ~1
        wide[0], wide[1:, 4] = 4, 0
        yield cls.of(mac(wide), cells=SMALL), (Tensor((13,), BIPOLAR),)
        bit = Ints(0, 1)
        yield cls.of(mac(wide, bit), rng.integers(-9, 9, 5), domain=bit), (Tensor((13,), bit),)
