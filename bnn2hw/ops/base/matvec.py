"""Base class of the matrix-vector units `xnor` and `mac`: weights, folding and schedule."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from bnn2hw.ir import Array, Beats, Cost, Ints, Memory, Part, Ranges, Steps, StreamOp, Tensor
from bnn2hw.ir.timing import repeated
from bnn2hw.ir.types import narrow
from bnn2hw.ops.base import parts
from bnn2hw.ops.base.channels import Meaning, signed_parts, uniform
from bnn2hw.ops.base.costs import adder, block_ram_rows, ram_cost, state_bits, store_cost
from bnn2hw.ops.base.folds import check_folds, fold_sizes, worthwhile
from bnn2hw.ops.base.pixelwise import Pixelwise
from bnn2hw.targets.families import Family

T = TypeVar("T")

_KNOWN: dict[int, dict[object, Any]] = {}
"""Facts about each array of weights, by its identity. Arrays are read-only, so facts stay true."""


@dataclass(frozen=True, eq=False)
class MatVec(Pixelwise):
    """Multiply each vector of a sample with a matrix: y = x · weights.

    A vector spans the last `axes` axes of the input, so a stream needs no op that flattens it. The
    unit computes `pe` neurons, and `simd` synapses of each, per cycle. A vector takes ceil(MH / pe)
    · ceil(MW / simd) cycles. It is read in the first ceil(MW / simd) of them.

    The last fold of synapses or neurons need not be full. Padded synapses add nothing: the weight
    is 0, or the input carries code 0. Padded neurons repeat the last neuron.

    Attributes:
        weights: Integers of shape (MW, MH): synapses per neuron, neurons.
        scale: Real value of a weight of 1: one number for all neurons, or one for each.
        axes: Trailing axes of the input that form a vector.
        pe: Neurons computed in parallel; no smaller number may take as few folds.
        simd: Synapses of a neuron computed in parallel; no smaller number may take as few folds.
        loadable: True if weights can be written at run time. Then the type of the output holds for
            all weights.
    """

    knobs: ClassVar[tuple[str, ...]] = ("pe", "simd", "pixels")

    spare: ClassVar[int]
    """Wire code of the weights of padded synapses."""

    weights: Array
    scale: Meaning = 1.0
    axes: int = 1
    pe: int = 1
    simd: int = 1
    loadable: bool = False

    def loading(self, *x: Tensor) -> Self:
        return replace(self, loadable=True)

    def known(self, what: object, find: Callable[[], T]) -> T:
        """Return a fact about these weights, which is found once for all foldings.

        Args:
            what: Key of the fact.
            find: Function that finds it.
        """
        key = id(self.weights)
        if key not in _KNOWN:
            _KNOWN[key] = {}
            weakref.finalize(self.weights, _KNOWN.pop, key, None)
        facts = _KNOWN[key]
        if what not in facts:
            facts[what] = find()
        found: T = facts[what]
        return found

    @property
    def mw(self) -> int:
        """Synapses per neuron."""
        return int(self.weights.shape[0])

    @property
    def mh(self) -> int:
        """Neurons."""
        return int(self.weights.shape[1])

    @property
    def synapse_folds(self) -> int:
        """Beats of an input vector."""
        return -(-self.mw // self.simd)

    @property
    def neuron_folds(self) -> int:
        """Beats of an output vector."""
        return -(-self.mh // self.pe)

    def outer(self, x: Tensor) -> tuple[int, ...]:
        """Return the sizes of the axes that count vectors.

        Args:
            x: Type of the input.

        Raises:
            ValueError: The last `axes` axes do not hold MW values, or the folding is not legal.
        """
        check_folds("pe", self.pe, self.mh, "neurons")
        check_folds("simd", self.simd, self.mw, "synapses")
        outer = x.outer(self.mw, self.axes)
        self.check_pixels(x)
        return outer

    def whole(self, *x: Tensor) -> bool:
        return self.synapse_folds * self.neuron_folds == 1

    def vector_axes(self, *x: Tensor) -> tuple[int, ...]:
        return x[0].shape[: -self.axes]

    def meaning(self, x: Tensor) -> Meaning:
        """Return the real value of a dot product of 1.

        Args:
            x: Type of the input.

        Raises:
            ValueError: The scale or the offset of the input differs between channels.
        """
        if not isinstance(x.scale, float) or not isinstance(x.offset, float):
            raise ValueError("needs an input with one scale and one offset for all channels")  # noqa: TRY004
        return uniform(x.scale * self.scales())

    def scales(self) -> Array:
        """Return the real value of a weight of 1, of shape () or (MH,).

        Raises:
            ValueError: The number of scales is not the number of neurons.
        """
        scales = np.asarray(self.scale, np.float64)
        if scales.shape not in ((), (self.mh,)):
            raise ValueError(f"{scales.size} scales do not fit {self.mh} neurons")
        return scales

    def dot(self, x: Array) -> Array:
        """Return the exact products of a batch.

        Args:
            x: Integers of shape (batch, …).

        Returns:
            Integers of shape (vectors, MH).
        """
        vectors = x.reshape(-1, self.mw)
        largest = self._largest_sum(vectors)
        # In floating point, every partial sum is exact as long as it has no more bits than a mantissa.
        kind: type[np.generic] = (
            np.float32 if largest < 2**24 else np.float64 if largest < 2**53 else np.int64
        )
        sums: Array = vectors.astype(kind) @ self.known(("as", kind), lambda: self.weights.astype(kind))
        return sums.astype(narrow(-largest, largest), copy=False)

    def _largest_sum(self, x: Array) -> float:
        """Return a bound of all partial sums of products of x and the weights."""
        heaviest = self.known("heaviest", lambda: float(np.abs(self.weights, dtype=np.float64).sum(0).max()))
        return max(float(x.max(initial=0)), -float(x.min(initial=0))) * heaviest

    def golden(self, *x: Array) -> Array:
        sample = Tensor(x[0].shape[1:])
        return self.dot(x[0]).reshape(x[0].shape[0], *self.outer(sample), self.mh)

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        lo, hi = given[0].over(self.mw).ends
        positive, negative = signed_parts(self.weights)
        return Ranges(lo @ positive + hi @ negative, hi @ positive + lo @ negative)

    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        return self.simd * self.pixels, self.pe * self.pixels

    def beats(self, *x: Tensor) -> tuple[Beats, Beats]:
        if self.pixels > 1:
            return super().beats(*x)
        return Beats.of(self.simd, self.mw, zeros=self.counts_padding), Beats.of(self.pe, self.mh)

    @property
    def counts_padding(self) -> bool:
        """True if weights cannot cancel padding of the input, so that padding must carry code 0."""
        raise NotImplementedError

    def fuses(self, reader: StreamOp, *, same: bool) -> bool:
        return reader.one_to_one and same  # the ready signal passes the reader and the unit

    def interval(self, *x: Tensor) -> int:
        return math.prod(self.outer(x[0])) * self.synapse_folds * self.neuron_folds // self.pixels

    def pipeline(self, x: Tensor) -> int:
        """Return the cycles from the step that reads the last synapses to the output.

        Args:
            x: Type of the input.
        """
        raise NotImplementedError

    def timing(self, *x: Tensor) -> Steps:
        count, fold = self.interval(*x), np.arange(self.synapse_folds * self.neuron_folds)
        return Steps(
            reads=repeated(fold < self.synapse_folds, count),
            writes=repeated(fold % self.synapse_folds == self.synapse_folds - 1, count),
            latency=self.pipeline(x[0]),
        )

    def params(self, *x: Tensor) -> Mapping[str, int | str]:
        return {
            "PE": self.pe,
            "SIMD": self.simd,
            "SYNAPSE_FOLDS": self.synapse_folds,
            "NEURON_FOLDS": self.neuron_folds,
            "ACC_BITS": self.infer(*x).ints.bits,
        }

    def weight_codes(self) -> Array:
        """Return the wire codes of the weights, of shape (MW, MH)."""
        raise NotImplementedError

    @property
    def weight_bits(self) -> int:
        """Bits of a weight."""
        return 1

    def memories(self, *x: Tensor) -> Mapping[str, Memory]:
        rest = [self.synapse_folds * self.simd - self.mw, self.neuron_folds * self.pe - self.mh]
        padded = np.pad(self.weight_codes(), ((0, rest[0]), (0, 0)), constant_values=self.spare)
        padded = np.pad(padded, ((0, 0), (0, rest[1])), mode="edge")
        codes = padded.T.reshape(self.neuron_folds, self.pe, self.synapse_folds, self.simd)
        words = codes.transpose(0, 2, 1, 3).reshape(
            self.neuron_folds * self.synapse_folds, self.pe * self.simd
        )
        return {"WEIGHTS": Memory(words, self.weight_bits)}

    def lane_bits(self, *x: Tensor) -> int:
        return self.simd * self.weight_bits

    def printed_parts(self, *x: Tensor) -> tuple[Part, ...]:
        bits = self.lane_bits(*x)
        if not parts.needed(self.pe, bits):
            return ()
        return parts.split(self.pe, bits, self.params(*x), self.memories(*x), reads_all=True)

    def cost(self, family: Family, *x: Tensor) -> Cost:
        more, total = parts.count(self.pe, self.lane_bits(*x)) - 1, super().cost(family, *x)
        if not more:
            return total
        # Each part has its own schedule, and its own copy of the vector.
        own = self.steps_cost(family, x[0]) + self.vector_cost(family, x[0])
        return total + own * (more * self.pixels)

    def sums(self, *x: Tensor) -> Ints:
        """Return the integers of the output, which are the same in all foldings.

        Args:
            x: Types of the inputs.
        """
        return self.known((x, self.loadable), lambda: self.infer(*x).ints)

    def cost_key(self, *x: Tensor) -> Hashable:
        ints = x[0].ints, self.sums(*x), self.weight_bits
        of = type(self), self.weights.shape, self.counts_padding, self.loadable
        return of, ints, self.pe, self.simd, self.pixels

    @property
    def buffered(self) -> bool:
        """True if the words of a vector are kept in a memory."""
        return self.neuron_folds > 1 and self.synapse_folds > 1

    def around_cost(self, family: Family, x: Tensor) -> Cost:
        """Return the cost of the schedule, the memories and the accumulators.

        Args:
            family: Device family.
            x: Type of the input.
        """
        sum_bits = self.infer(x).ints.bits
        acc = self.pe * sum_bits
        total = self.schedule_cost(family, x) + Cost(ff=acc)
        if self.synapse_folds > 1:
            accumulator = family.coefficient("matvec.accumulator", 1.3, 1.0) * acc
            total += Cost(lut=self.pe * adder(family, sum_bits) + accumulator)
        return total

    def schedule_cost(self, family: Family, x: Tensor) -> Cost:
        """Return the cost of the schedule, the weights and the buffer of the vector.

        Args:
            family: Device family.
            x: Type of the input.
        """
        return self.steps_cost(family, x) + self.weights_cost(family) + self.vector_cost(family, x)

    def steps_cost(self, family: Family, x: Tensor) -> Cost:
        """Return the cost of the counters, and of the flags that travel with the data.

        Args:
            family: Device family.
            x: Type of the input.
        """
        depth, folds = self.pipeline(x) - 1, self.synapse_folds * self.neuron_folds
        # The synapse fold is the low bits of the fold, or has a counter of its own.
        shared = self.neuron_folds == 1 or self.synapse_folds & (self.synapse_folds - 1) == 0
        counters = state_bits(folds) + (0 if shared else state_bits(self.synapse_folds)) + 4
        # Three flags travel with the data; two become shift registers if LUTs of the family can be
        # that.
        flags = depth * (family.coefficient("matvec.flag", 3, 1) if self.synapse_folds > 1 else 1)
        return Cost(lut=family.coefficient("matvec.counter", 1.7, 0.35) * counters, ff=counters + flags)

    def weights_cost(self, family: Family) -> Cost:
        """Return the cost of the memory of the weights and of its two registers.

        Args:
            family: Device family.
        """
        folds, word = self.synapse_folds * self.neuron_folds, self.pe * self.simd * self.weight_bits
        weights = store_cost(family, folds, word, loadable=self.loadable)
        second_register = weights.ff
        if weights.bram and not (family.bram_registers and block_ram_rows(family, folds, word) == 1):
            second_register = word
        return weights + Cost(ff=second_register)

    def vector_cost(self, family: Family, x: Tensor) -> Cost:
        """Return the cost of the registers of a word of the vector, and of the buffer.

        Args:
            family: Device family.
            x: Type of the input.
        """
        beat = self.simd * x.ints.bits
        if not self.buffered:
            return Cost(ff=2 * beat)
        # The address of a word that is written is kept until the word is read.
        return ram_cost(family, self.synapse_folds, beat) + Cost(ff=state_bits(self.synapse_folds))

    def foldings(self, *x: Tensor) -> Iterator[Self]:
        return self._folded(worthwhile(self.mh), list(worthwhile(self.mw)), *x)

    def allowed(self, *x: Tensor) -> Iterator[Self]:
        return self._folded(fold_sizes(self.mh), fold_sizes(self.mw), *x)

    def _folded(self, pes: Iterable[int], simds: Iterable[int], *x: Tensor) -> Iterator[Self]:
        for pe in pes:
            for simd in simds:
                yield replace(self, pe=pe, simd=simd, pixels=1)
        yield from replace(self, pe=self.mh, simd=self.mw, pixels=1).side_by_side(*x)

    def negated(self, neurons: Array) -> Self:
        """Return this op with the weights of some neurons negated.

        Args:
            neurons: Booleans of shape (MH,).
        """
        return replace(self, weights=np.where(neurons[None, :], -self.weights, self.weights))
