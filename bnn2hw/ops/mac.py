"""Integer matrix-vector unit: multi-bit inputs, ±1 or multi-bit weights."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir import BIPOLAR, Array, Cost, Ints, Ranges, StreamOp, Tensor
from bnn2hw.ops.base.channels import any_sums, any_weights, code_ranges, coded, codes, uniform, within_words
from bnn2hw.ops.base.costs import adder, adder_tree, dsps, state_bits
from bnn2hw.ops.base.matvec import MatVec
from bnn2hw.ops.base.packing import Packing, soft_product
from bnn2hw.targets.families import Family

LONGEST = 8
"""Pairs of lanes that a chain adds at most; mac.sv.j2 has the same number."""


@dataclass(frozen=True, eq=False)
class Mac(MatVec):
    """Multiply integer inputs with integer weights.

    If the step of the input is larger than 1, the unit multiplies wire codes: y = sum of w ·
    code(x). The type of the output is exact for the given weights. If weights can be loaded, it
    holds for all weights of `weight_type`.

    Scale and offset of the output follow from those of the input. With x = s · v + o, sum of w · x
    = s · (sum of w · v) + (sum of w · o), so the offset differs between neurons. Offsets per
    channel repeat along the vector, which is positions × channels.

    Attributes:
        domain: Integers of the input; may be None if their step is 1.
        packed: Neurons that share a multiplication. 1: none do, and synthesis chooses how it makes a
            product. 0: products are sums in LUTs. Other values than 1 only if the weights are
            neither ±1 nor constant.
    """

    kind: ClassVar[str] = "mac"
    knobs: ClassVar[tuple[str, ...]] = (*MatVec.knobs, "packed")
    spare: ClassVar[int] = 0

    @property
    def counts_padding(self) -> bool:
        return self.weight_type == BIPOLAR

    domain: Ints | None = None
    packed: int = 1

    @property
    def module(self) -> str:
        return "mac_products" if self.packed != 1 else self.kind

    @property
    def packs(self) -> bool:
        """True if neurons may share multiplications."""
        folds = self.synapse_folds * self.neuron_folds
        return self.weight_type != BIPOLAR and (folds > 1 or self.loadable)

    def packing(self, x: Tensor) -> Packing:
        """Return how neurons share multiplications.

        Args:
            x: Type of the input.
        """
        return Packing(self.packed, self.weight_type, coded(x, self.domain)[0], self.simd)

    def outer(self, x: Tensor) -> tuple[int, ...]:
        if self.packed != 1 and not (self.packs and 0 <= self.packed <= self.pe):
            raise ValueError(
                f"packed={self.packed} needs as many neurons in parallel, and weights that are neither ±1 nor constant"
            )
        return super().outer(x)

    @property
    def weight_type(self) -> Ints:
        """Type of the weights: ±1 if they fit, else the smallest signed range that contains them.

        If weights can be loaded, the range is the symmetric one of as many bits.
        """
        return any_weights(self.known("type", self._weight_type), loadable=self.loadable)

    def _weight_type(self) -> Ints:
        if np.all(np.abs(self.weights) == 1):
            return BIPOLAR
        return Ints(min(int(self.weights.min()), -1), max(int(self.weights.max()), 0))

    def infer(self, *x: Tensor) -> Tensor:
        outer = self.outer(x[0])
        ints, scale, offset = coded(x[0], self.domain)
        if scale.ndim or self.mw % offset.size:
            raise ValueError(
                f"needs an input with one scale, and with offsets whose number divides the {self.mw} synapses"
            )
        lo, hi = self.known((ints.lo, ints.hi), lambda: self._range(ints))
        if self.loadable:
            lo, hi = any_sums(self.weight_type, ints, self.mw)
        by_offset = self.known(
            offset.size, lambda: self.weights.reshape(-1, offset.size, self.mh).sum(0, dtype=np.int64)
        )
        sums = offset.reshape(-1) @ by_offset
        meaning = uniform(scale * self.scales()), uniform(sums * self.scales())
        return Tensor((*outer, self.mh), within_words(Ints(lo, hi), "sums"), *meaning)

    def _range(self, ints: Ints) -> tuple[int, int]:
        """Return the smallest and the largest sum of a neuron."""
        positive, negative = self.known(
            "parts",
            lambda: (
                np.maximum(self.weights, 0).sum(0, dtype=np.int64).astype(object),  # unlimited integers
                np.minimum(self.weights, 0).sum(0, dtype=np.int64).astype(object),
            ),
        )
        low, high = positive * ints.lo + negative * ints.hi, positive * ints.hi + negative * ints.lo
        return int(low.min()), int(high.max())

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        return super().ranges(x, [code_ranges(given[0], self.domain)], y)

    def dot(self, x: Array) -> Array:
        return super().dot(codes(x, self.domain))

    @property
    def chained(self) -> bool:
        """True if neurons add sums and differences of pairs of lanes."""
        folds = self.synapse_folds * self.neuron_folds
        return self.weight_type == BIPOLAR and self.simd > 1 and (folds > 1 or self.loadable)

    @property
    def chains(self) -> tuple[int, int]:
        """Chains of pairs of lanes, and the pairs of the longest one."""
        pairs = -(-self.simd // 2)
        chains = -(-pairs // LONGEST)
        return chains, -(-pairs // chains)

    def lane_bits(self, *x: Tensor) -> int:
        sum_bits = x[0].ints.bits + self.weight_bits + state_bits(self.simd)
        if not self.chained:
            return max(super().lane_bits(*x), sum_bits)
        chains, length = self.chains
        totals = chains * (x[0].ints.bits + 2 + state_bits(length))
        return max(super().lane_bits(*x), sum_bits, totals, 2 * length)

    def inner_bits(self, *x: Tensor) -> int:
        products = 0 if self.chained else self.simd * (x[0].ints.bits + self.weight_bits)
        if self.packed > 1:
            spacing = self.packing(x[0]).field_bits + state_bits(self.simd)
            products = self.packed * spacing << state_bits(self.simd)
        return max(self.lane_bits(*x), products)

    def pipeline(self, x: Tensor) -> int:
        if not self.chained:
            return 4 + state_bits(self.simd) + (self.packed > 1)
        chains, length = self.chains
        return 4 + length + state_bits(chains)

    def weight_codes(self) -> Array:
        codes = self.weight_type.encode(self.weights)
        return 1 - codes if self.weight_type == BIPOLAR else codes  # of a sign: whether to subtract

    @property
    def weight_bits(self) -> int:
        return self.weight_type.bits

    def params(self, *x: Tensor) -> dict[str, int | str]:
        params: dict[str, int | str] = {
            **super().params(*x),
            "X_BITS": x[0].ints.bits,
            "X_SIGNED": int(x[0].ints.signed),
            "W_BITS": self.weight_bits,
            "BIPOLAR": int(self.weight_type == BIPOLAR),
        }
        if self.packed != 1:
            packing = self.packing(x[0])
            fields = {"FIELD_BITS": packing.field_bits, "DIGIT_BITS": packing.digit_bits}
            params |= {"PACKED": self.packed, **fields}
        return params

    def _folded(self, pes: Iterable[int], simds: Iterable[int], *x: Tensor) -> Iterator[Self]:
        for op in super(Mac, replace(self, packed=1))._folded(pes, simds, *x):
            yield op
            for packed in (0, *range(2, op.pe + 1)) if op.packs else ():
                other = replace(op, packed=packed)
                if other.packing(x[0]).fits:
                    yield other
                elif packed:
                    break

    def folded_like(self, other: StreamOp) -> StreamOp:
        folded = super().folded_like(other)
        # Only the weights of the other op may be neither ±1 nor constant.
        return folded if not isinstance(folded, Mac) or folded.packs else replace(folded, packed=1)

    def around_cost(self, family: Family, x: Tensor) -> Cost:
        counters = 4 + state_bits(self.synapse_folds) + state_bits(self.synapse_folds * self.neuron_folds)
        control = Cost(lut=family.coefficient("mac.counter", 0, 0.5) * counters)
        if not family.cells or self.synapse_folds == 1:
            return super().around_cost(family, x) + control
        sums = self.sums(x).bits  # the family's own accumulator takes the first term within its adder
        each = adder(family, sums + (family.adder_bits > 1))
        return self.schedule_cost(family, x) + control + Cost(lut=self.pe * each, ff=self.pe * sums)

    def _chain_cost(self, family: Family, x: Tensor) -> Cost:
        """Return the cost of sums and differences of pairs, and of the chains that add them."""
        bits, (chains, length) = x.ints.bits, self.chains
        pairs, total = -(-self.simd // 2), Cost()
        for pair in range(pairs):
            at, alone = pair % length, 2 * pair + 1 == self.simd
            late = at + (chains * length - pairs if pair // length == chains - 1 else 0)
            row = bits + 2 + state_bits(at + 1)
            # A LUT with six inputs selects and adds; one with four inputs selects only.
            each = family.by_lut(bits + 2 - alone + adder(family, row + 1), row)
            shared = 0 if alone else 2 * adder(family, bits + 1)
            lanes = bits if alone else 2 * bits
            total += Cost(
                lut=self.pe * each + shared,
                ff=self.pe * (row + 2 * (late + 1)) + late * lanes + (bits if alone else 2 * bits + 2),
            )
        return total + adder_tree(family, chains, bits + 2 + state_bits(length), self.pe)

    def cost_of_one(self, family: Family, *x: Tensor) -> Cost:
        if self.chained:
            return self._chain_cost(family, x[0]) + self.around_cost(family, x[0])
        if self.packed != 1:
            return self.packing(x[0]).cost(family, self.pe) + self.around_cost(family, x[0])
        takes = x[0].ints.bits == 1 and not x[0].ints.signed and self.weight_bits > 1
        width = self.weight_bits + (0 if takes else x[0].ints.bits)
        # With constant weights, neurons share equal products and equal sums.
        fixed = self.weights if self.synapse_folds * self.neuron_folds == 1 and not self.loadable else None
        terms = self.simd
        if family.dsp_adds and not takes and dsps(family, x[0].ints.bits, self.weight_bits):
            # A DSP block with an adder sums two products.
            terms, width, fixed = math.ceil(terms / 2), width + 1, None
        tree = adder_tree(family, terms, width, self.pe, fixed)
        return self._products(family, x[0]) + tree + self.around_cost(family, x[0])

    def _products(self, family: Family, x: Tensor) -> Cost:
        fixed = self.synapse_folds * self.neuron_folds == 1 and not self.loadable
        each = self.known("products", self._distinct) if fixed else self.simd * self.pe
        width = x.ints.bits + self.weight_bits
        if self.weight_type == BIPOLAR:
            # All neurons share the negative of an input. Each selects by its weight.
            select = 0 if fixed else self.pe * width
            return Cost(lut=self.simd * (adder(family, width) + select), ff=each * width)
        if (
            x.ints.bits == 1 and not x.ints.signed
        ):  # a product is the weight, or the reset value of its register
            return Cost(ff=each * self.weight_bits)
        if not dsps(family, x.ints.bits, self.weight_bits):
            return Cost(lut=each * soft_product(family, x.ints.bits, self.weight_bits), ff=each * width)
        # DSP blocks of some families contain the register after the multiplier and that of the weight;
        # those with an adder also contain that of the input, unless the buffer is read into it.
        if not family.dsp_registers:
            return Cost(dsp=self.simd * self.pe, ff=each * width)
        held = self.simd * (
            self.pe * self.weight_bits + (x.ints.bits if family.dsp_adds and not self.buffered else 0)
        )
        return Cost(dsp=self.simd * self.pe, ff=-held)

    def cost_key(self, *x: Tensor) -> Hashable:
        # The cost of constant weights depends on their values.
        constants = id(self.weights) if self.synapse_folds * self.neuron_folds == 1 else 0
        return super().cost_key(*x), constants, self.packed

    def _distinct(self) -> int:
        """Return the number of different products of an input with a weight."""
        return sum(len(np.unique(row)) for row in self.weights)

    @classmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        rng = np.random.default_rng(2)
        pixel = Ints(0, 255)
        signs = np.array([-1, 1], np.int8)
        yield cls(rng.choice(signs, (9, 4)), pe=4, simd=1), (Tensor((3, 9), pixel, 1 / 127.5, -1.0),)
        yield cls(rng.choice(signs, (6, 6)), pe=2, simd=3), (Tensor((2, 6), Ints(-1, 1)),)
        yield (
            cls(rng.integers(-3, 4, (10, 2)), scale=1 / 3, axes=2, pe=1, simd=10),
            (Tensor((2, 5), Ints(-7, 5)),),
        )
        yield cls(rng.integers(-8, 8, (4, 3)), pe=3, simd=2), (Tensor((2, 4), pixel),)
        offsets, scales = (0.5, -1.0, 0.25), (0.5, 1.0, 2.0, 0.125)
        yield (
            cls(rng.integers(-3, 4, (6, 4)), scales, pe=2, simd=6, domain=BIPOLAR),
            (Tensor((2, 6), BIPOLAR, 0.5, offsets),),
        )
        yield cls(rng.integers(-3, 4, (4, 3)), pe=3, simd=4, pixels=2), (Tensor((3, 4, 4), pixel),)
        odd = Ints(-7, 9, step=4)
        yield cls(rng.choice(signs, (6, 4)), pe=2, simd=3, domain=odd), (Tensor((6,), odd),)
        yield cls(rng.integers(-40, 40, (6, 4)), pe=4, simd=2, domain=odd), (Tensor((6,), odd),)
        yield cls(rng.integers(-1, 2, (40, 4)), pe=2, simd=20, loadable=True), (Tensor((40,), Ints(-7, 5)),)
        # Last folds with padding.
        yield cls(rng.choice(signs, (10, 7)), pe=4, simd=4), (Tensor((2, 10), Ints(-7, 5)),)
        yield cls(rng.integers(-8, 8, (11, 5)), pe=3, simd=4), (Tensor((2, 11), pixel),)
        yield cls(rng.choice(signs, (7, 3)), pe=2, simd=4, domain=odd), (Tensor((7,), odd),)
        yield cls(rng.choice(signs, (4, 4)), pe=4, simd=4, loadable=True), (Tensor((3, 4), pixel),)
        # Products that share multiplications: full and partly filled fields, sums of no, some and all lanes.
        yield cls(rng.integers(-8, 8, (8, 4)), pe=2, simd=4, packed=2), (Tensor((3, 8), Ints(0, 15)),)
        yield cls(rng.integers(-128, 128, (6, 5)), pe=5, simd=3, packed=2), (Tensor((2, 6), Ints(-128, 127)),)
        yield cls(rng.integers(-2, 2, (9, 8)), pe=4, simd=5, packed=3), (Tensor((2, 9), Ints(-4, 3)),)
        yield (
            cls(rng.integers(-3, 4, (7, 8)), pe=8, simd=7, packed=4, loadable=True),
            (Tensor((3, 7), Ints(0, 3)),),
        )
        yield cls(rng.integers(-1, 2, (10, 6)), pe=3, simd=2, packed=3, domain=odd), (Tensor((10,), odd),)
        # Products in LUTs.
        yield cls(rng.integers(-4, 4, (8, 4)), pe=2, simd=3, packed=0), (Tensor((2, 8), Ints(-16, 15)),)
        yield (
            cls(rng.integers(-100, 100, (6, 4)), pe=4, simd=2, packed=0, loadable=True),
            (Tensor((3, 6), Ints(0, 7)),),
        )
        yield cls(rng.integers(-1, 1, (6, 4)), pe=4, simd=2, packed=0), (Tensor((3, 6), Ints(-2, 1)),)
        # Two chains of pairs, of five and four.
        yield cls(rng.choice(signs, (34, 4)), pe=2, simd=17), (Tensor((2, 34), pixel),)
        # Products in LUTs that need fewer bits than their operands have.
        yield cls(rng.integers(-1, 2, (6, 4)), pe=4, simd=2, packed=0), (Tensor((3, 6), Ints(0, 3)),)
