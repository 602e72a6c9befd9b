"""Ops: what a node computes, and for hardware its schedule, cost and parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bnn2hw.ir.parts import Array, Memory, Param, Printed
from bnn2hw.ir.ranges import Ranges
from bnn2hw.ir.timing import Timing
from bnn2hw.ir.types import Beats, Tensor
from bnn2hw.targets.families import Family


@dataclass(frozen=True)
class Cycles:
    """Clock cycles of an op or of a whole network.

    Attributes:
        interval: Cycles between two frames in the steady state.
        latency: Cycles from the first input beat that is taken to the first output beat that is
            offered, from an empty pipeline.
        startup: Cycles between the ends of the first frames of a network, while FIFOs fill. All
            later frames are `interval` apart. None if this was not computed.
    """

    interval: int
    latency: int
    startup: tuple[int, ...] | None = None

    def between(self, frames: int) -> tuple[int, ...] | None:
        """Return the cycles between the ends of neighboring frames; None if the start-up is not known.

        Args:
            frames: Number of frames, sent without a pause.
        """
        if self.startup is None:
            return None
        count = max(frames - 1, 0)
        return (*self.startup, *[self.interval] * count)[:count]


def startup(intervals: Sequence[int]) -> tuple[int, ...]:
    """Return the intervals before those that equal the last one."""
    count = len(intervals)
    while count and intervals[count - 1] == intervals[-1]:
        count -= 1
    return tuple(intervals[:count])


@dataclass(frozen=True)
class Cost:
    """Predicted resources in a device family.

    Attributes:
        lut: LUTs of the family's size.
        ff: Flip-flops.
        bram: Block RAMs of the family's native size.
        dsp: DSP blocks.
        held: Bits that are stored in the block RAMs.
    """

    lut: float = 0.0
    ff: float = 0.0
    bram: float = 0.0
    dsp: float = 0.0
    held: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.lut + other.lut,
            self.ff + other.ff,
            self.bram + other.bram,
            self.dsp + other.dsp,
            self.held + other.held,
        )

    def __mul__(self, times: float) -> Cost:
        return Cost(self.lut * times, self.ff * times, self.bram * times, self.dsp * times, self.held * times)


@dataclass(frozen=True, eq=False)
class Op(ABC):
    """The computation of a node. Its fields define it; arrays among them become read-only."""

    def __post_init__(self) -> None:
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @abstractmethod
    def infer(self, *x: Tensor) -> Tensor:
        """Return the type of the output.

        Args:
            x: Types of the inputs.

        Raises:
            ValueError: The op does not accept these inputs, or its fields are not consistent.
        """

    @abstractmethod
    def golden(self, *x: Array) -> Array:
        """Return the exact outputs of a batch.

        Args:
            x: Inputs, each of shape (batch, *shape).

        Returns:
            Outputs of shape (batch, *shape).
        """

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        """Return the range of each channel of the output, by default that of its type.

        Args:
            x: Types of the inputs.
            given: Ranges of the inputs.
            y: Type of the output, as `infer` returns it.
        """
        return Ranges.of(y)


USUAL: Mapping[str, int | str] = {"pixels": 1, "packed": 1, "accumulators": "lut"}
"""Values of knobs that a folding need not name."""


class StreamOp(Op):
    """An op whose output is a stream of the hardware: an input of the design, or a `HardwareOp`."""

    knobs: ClassVar[tuple[str, ...]] = ()
    """The fields that fold the op: what `foldings` varies, and what a user may set by hand."""

    one_to_one: ClassVar[bool] = False
    """True if each step reads a beat and writes one, so the op can follow its producer directly."""

    @abstractmethod
    def beats(self, *x: Tensor) -> tuple[Beats, Beats]:
        """Return how values lie in the beats of the first input and in those of the output.

        Args:
            x: Types of the inputs.
        """

    def input_beats(self, port: int, *x: Tensor) -> Beats:
        """Return how values lie in the beats of one input. By default, all inputs have the same beats.

        Args:
            port: Index of the input.
            x: Types of the inputs.
        """
        return self.beats(*x)[0]

    @abstractmethod
    def interval(self, *x: Tensor) -> int:
        """Return the cycles per frame in the steady state, exactly.

        Args:
            x: Types of the inputs.
        """

    @abstractmethod
    def timing(self, *x: Tensor) -> Timing:
        """Return when each beat is read and written.

        Args:
            x: Types of the inputs.
        """

    def cost(self, family: Family, *x: Tensor) -> Cost:
        """Return the predicted resources in a device family.

        Args:
            family: Device family.
            x: Types of the inputs.
        """
        return Cost()

    def cost_key(self, *x: Tensor) -> Hashable:
        """Return a key that is equal for ops of equal cost, or None if there is none.

        Args:
            x: Types of the inputs.
        """
        return None

    def foldings(self, *x: Tensor) -> Iterator[StreamOp]:
        """Return the foldings of this op that may be the cheapest for some rate.

        Args:
            x: Types of the inputs.
        """
        yield self

    def folded_like(self, other: StreamOp) -> StreamOp:
        """Return this op in the folding of another, or itself if that is a different kind of op.

        Args:
            other: An op of the same kind with other constants.
        """
        if type(self) is not type(other):
            return self
        return replace(self, **{knob: getattr(other, knob) for knob in self.knobs})

    def fuses(self, reader: StreamOp, *, same: bool) -> bool:
        """Return True if the only reader of the stream needs no FIFO at its input.

        Args:
            reader: The op that reads the stream; it has no other input.
            same: True if the reader takes the beats as they are.
        """
        return False


class HardwareOp(Printed, StreamOp):
    """An op over integers that backends can print. Its class holds everything known about it."""

    kind: ClassVar[str]
    """The stem of its file and of its templates."""

    @property
    def module(self) -> str:
        """The stem of its SystemVerilog template: `kind`, unless some of its foldings have another one."""
        return self.kind

    @abstractmethod
    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        """Return the values per beat of the first input and of the output.

        Args:
            x: Types of the inputs.
        """

    def beats(self, *x: Tensor) -> tuple[Beats, Beats]:
        """Return the beats of the first input and of the output: without padding in most ops.

        Args:
            x: Types of the inputs.
        """
        taken, given = self.stream_lanes(*x)
        return Beats(taken), Beats(given)

    @abstractmethod
    def cost(self, family: Family, *x: Tensor) -> Cost:
        """Return the predicted resources in a device family.

        Args:
            family: Device family.
            x: Types of the inputs.
        """

    @abstractmethod
    def params(self, *x: Tensor) -> Mapping[str, Param]:
        """Return the parameters of the templates: numbers, texts, or booleans for vectors of bits.

        Args:
            x: Types of the inputs.
        """

    def form_params(self, *x: Tensor) -> Mapping[str, Mapping[str, Param]]:
        """Return parameters that a template has only in families that draw some module, by that module.

        Args:
            x: Types of the inputs.
        """
        return {}

    def body(self, *x: Tensor) -> object | None:
        """Return data from which the templates print a separate text for each instance.

        Args:
            x: Types of the inputs.

        Returns:
            The data; None if all instances share one text.
        """
        return None

    def shapes(self, *x: Tensor) -> Mapping[str, Sequence[object]]:
        """Return ordered, hashable plans by which a family draws modules, by the name of the module.

        Args:
            x: Types of the inputs.
        """
        return {}

    def memories(self, *x: Tensor) -> Mapping[str, Memory]:
        """Return the contents of ROMs, by the parameter that takes the name of the file.

        Args:
            x: Types of the inputs.
        """
        return {}

    @property
    def copies(self) -> int:
        """Number of instances of the module, each of which processes a part of every beat."""
        return 1

    @property
    def writable(self) -> bool:
        """True if memories can be written at run time, by the field `loadable` if the op has it."""
        return bool(getattr(self, "loadable", False))

    def loading(self, *x: Tensor) -> Self:
        """Return this op with memories that can be written at run time.

        The types of such an op hold for any contents of its memories. The result is the op itself
        if it does not depend on weights, or cannot be loaded.

        Args:
            x: Types of the inputs.
        """
        return self

    def loads(self, *x: Tensor) -> Mapping[str, Memory]:
        """Return the memories that can be written at run time, by their parameter.

        Args:
            x: Types of the inputs.
        """
        return self.memories(*x) if self.writable else {}

    def foldings(self, *x: Tensor) -> Iterator[HardwareOp]:
        """Return the foldings of this op that may be the cheapest for some rate.

        Args:
            x: Types of the inputs.
        """
        yield self

    def allowed(self, *x: Tensor) -> Iterator[HardwareOp]:
        """Return the foldings that a user may ask for: `foldings`, and others that rarely pay.

        Args:
            x: Types of the inputs.
        """
        return self.foldings(*x)

    @classmethod
    @abstractmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        """Return small instances with their input types. Together they vary every field."""

    def cycles(self, *x: Tensor) -> Cycles:
        """Return interval and latency of this op alone, without waits at its inputs and outputs.

        Args:
            x: Types of the inputs.
        """
        counts = (self.input_beats(port, *x).count(tensor.size) for port, tensor in enumerate(x))
        arrive = (np.arange(2 * count, dtype=np.int64) for count in counts)
        return Cycles(self.interval(*x), int(self.timing(*x).asap(*arrive).written[0]))
