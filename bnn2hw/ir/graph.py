"""Ops, and the immutable graph that holds them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from bnn2hw.errors import Bnn2hwError
from bnn2hw.ir.ranges import Ranges
from bnn2hw.ir.timing import Timing
from bnn2hw.ir.types import Beats, Tensor
from bnn2hw.targets.families import Family

Array = NDArray[Any]
Param = int | str | Array


@dataclass(frozen=True)
class Cycles:
    """Clock cycles of one op or of a whole network.

    `interval` lies between two frames in the steady state; `latency` between the cycle in which the first
    input beat is taken and the cycle in which the first output beat is offered, from an empty pipeline.
    """

    interval: int
    latency: int


@dataclass(frozen=True)
class Cost:
    """Predicted resources: LUTs of the family's size, flip-flops, block RAMs of its native size, DSP blocks.

    `held` counts the bits that lie in the block RAMs.
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


@dataclass(frozen=True)
class Memory:
    """The contents of a ROM: `codes[word, lane]`, each lane `bits` wide, lane 0 in the least significant bits."""

    codes: Array
    bits: int


@dataclass(frozen=True, eq=False)
class Op(ABC):
    """What a node computes. Fields are its whole identity; arrays among them are made read-only."""

    def __post_init__(self) -> None:
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @abstractmethod
    def infer(self, *x: Tensor) -> Tensor:
        """The type of the output; raises ValueError where the inputs do not fit this op."""

    @abstractmethod
    def golden(self, *x: Array) -> Array:
        """Exact outputs for a batch (the first axis)."""

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        """Return the range of each channel of the output; the range of its type unless an op knows better.

        Args:
            x: Types of the inputs.
            given: Ranges of the inputs.
            y: Type of the output, as `infer` returns it.
        """
        return Ranges.of(y)


class StreamOp(Op):
    """An op whose output is a stream of the hardware: an input of the design, or a `HardwareOp`."""

    knobs: ClassVar[tuple[str, ...]] = ()
    """The fields that fold the op: what `foldings` varies, and what a user may set by hand."""

    one_to_one: ClassVar[bool] = False
    """Whether each step reads a beat and writes one, so that the op can follow its producer without a FIFO."""

    @abstractmethod
    def beats(self, *x: Tensor) -> tuple[Beats, Beats]:
        """Return how values lie in the beats of the input and in those of the output."""

    @abstractmethod
    def interval(self, *x: Tensor) -> int:
        """Return the cycles per frame in the steady state, exactly."""

    @abstractmethod
    def timing(self, *x: Tensor) -> Timing:
        """Return when each beat is read and written."""

    def cost(self, family: Family, *x: Tensor) -> Cost:
        """Return the predicted resources in a device family."""
        return Cost()

    def alike(self, *x: Tensor) -> Hashable:
        """Return a key that is equal for ops of equal cost, so that one need not be counted for each; or None."""
        return None

    def foldings(self, *x: Tensor) -> Iterator[StreamOp]:
        """Return the foldings of this op that may be the cheapest for some rate."""
        yield self

    def folded_like(self, other: StreamOp) -> StreamOp:
        """Return this op in the folding of another one; itself if the other is a different kind of op.

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


class HardwareOp(StreamOp):
    """An op over integers that the backends can print. Its class holds everything that is known of it."""

    kind: ClassVar[str]
    """The stem of its file and of its templates."""

    @abstractmethod
    def stream_lanes(self, *x: Tensor) -> tuple[int, int]:
        """Return the values per beat of the input and of the output."""

    def beats(self, *x: Tensor) -> tuple[Beats, Beats]:
        """Return the beats of the input and of the output: without padding in most ops."""
        taken, given = self.stream_lanes(*x)
        return Beats(taken), Beats(given)

    @abstractmethod
    def cost(self, family: Family, *x: Tensor) -> Cost:
        """Return the predicted resources in a device family."""

    @abstractmethod
    def params(self, *x: Tensor) -> Mapping[str, Param]:
        """What the templates print, beside the widths of the streams: numbers, or vectors of bits (booleans)."""

    def body(self, *x: Tensor) -> object | None:
        """What the templates print anew for each instance; None where all instances share one text."""
        return None

    def memories(self, *x: Tensor) -> Mapping[str, Memory]:
        """ROM contents by the name of the parameter that takes the file's name."""
        return {}

    @property
    def copies(self) -> int:
        """How many of its module stand side by side, each with its part of every beat; they move together."""
        return 1

    @property
    def writable(self) -> bool:
        """Whether its memories can be written at run time: the field `loadable`, where it has one."""
        return bool(getattr(self, "loadable", False))

    def loading(self, *x: Tensor) -> Self:
        """This op with memories that can be written at run time, and types that hold for any contents of them.

        Itself where nothing in it depends on a model's weights, or where it cannot be loaded.
        """
        return self

    def loads(self, *x: Tensor) -> Mapping[str, Memory]:
        """What can be written at run time, by the parameter that takes the file's name; empty where nothing can."""
        return self.memories(*x) if self.writable else {}

    def foldings(self, *x: Tensor) -> Iterator[HardwareOp]:
        """Return the foldings of this op that may be the cheapest for some rate."""
        yield self

    def allowed(self, *x: Tensor) -> Iterator[HardwareOp]:
        """Return the foldings that a user may ask for: those of `foldings`, and others that hardly pay."""
        return self.foldings(*x)

    @classmethod
    @abstractmethod
    def examples(cls) -> Iterable[tuple[Self, tuple[Tensor, ...]]]:
        """Small instances with their input types, which together vary every field."""

    def cycles(self, *x: Tensor) -> Cycles:
        """Interval and latency of this op alone, its input always there and its output always taken."""
        taken = self.beats(*x)[0]
        arrive = (np.arange(2 * taken.count(tensor.size), dtype=np.int64) for tensor in x)
        return Cycles(self.interval(*x), int(self.timing(*x).asap(*arrive).written[0]))


@dataclass(frozen=True, eq=False)
class View(Op):
    """The same values in the same order under another shape or meaning: no hardware, only another name of a stream.

    Attributes:
        shape: of one sample.
        scale: real meaning of the integers (see Tensor); as it was where None.
        offset: likewise.
    """

    shape: tuple[int, ...]
    scale: float | tuple[float, ...] | None = None
    offset: float | tuple[float, ...] | None = None

    def infer(self, *x: Tensor) -> Tensor:
        """The same type under the other shape."""
        if math.prod(self.shape) != x[0].size:
            raise ValueError(f"{x[0].shape} and {self.shape} do not hold the same number of values")
        channels = self.shape[-1]
        scale = _repeated(x[0].scale, channels) if self.scale is None else self.scale
        offset = _repeated(x[0].offset, channels) if self.offset is None else self.offset
        return Tensor(self.shape, x[0].type, scale, offset)

    def golden(self, *x: Array) -> Array:
        """The same values."""
        return x[0].reshape(x[0].shape[0], *self.shape)

    def ranges(self, x: Sequence[Tensor], given: Sequence[Ranges], y: Tensor) -> Ranges:
        """Return the ranges of the input, for the output's channels."""
        return given[0].over(y.channels)


def _repeated(by_channel: float | tuple[float, ...], channels: int) -> float | tuple[float, ...]:
    """What holds for each channel, for another number of channels.

    Raises:
        ValueError: neither number divides the other, or the longer one does not repeat.
    """
    if not isinstance(by_channel, tuple) or len(by_channel) == channels:
        return by_channel
    period = by_channel[:channels]
    longer = max(channels, len(by_channel))
    if longer % len(period) or period * (len(by_channel) // len(period)) != by_channel:
        raise ValueError(f"scales of {len(by_channel)} channels do not fit {channels} channels")
    return period * (channels // len(period))


@dataclass(frozen=True)
class Node:
    """An op in a graph. Its name is also the name of its output edge.

    Attributes:
        name: Name of the node, unique in its graph.
        op: The op.
        inputs: Names of the edges that the op reads, in the order of its inputs.
        layer: Name of the model's layer that the node was made from. The importer sets it and every pass keeps it.
            It is empty in graphs that were not made from a model.
    """

    name: str
    op: Op
    inputs: tuple[str, ...] = ()
    layer: str = ""


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order and the names of the edges that leave the graph.

    Raises:
        Bnn2hwError: A node is named twice, reads an edge that does not precede it, does not fit its inputs, or has
            no layer although other nodes have one.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    types: Mapping[str, Tensor] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        types: dict[str, Tensor] = {}
        for node in self.nodes:
            missing = [i for i in node.inputs if i not in types]
            if missing or node.name in types:
                why = f"reads '{missing[0]}' before it is made" if missing else "is named twice"
                raise Bnn2hwError(f"node '{node.name}' {why}")
            try:
                types[node.name] = node.op.infer(*(types[i] for i in node.inputs))
            except (ValueError, TypeError) as error:
                raise Bnn2hwError(f"node '{node.name}' ({type(node.op).__name__}): {error}") from error
        bare = [node.name for node in self.nodes if not node.layer]
        if bare and len(bare) < len(self.nodes):
            raise Bnn2hwError(
                f"node '{bare[0]}' does not say which layer it was made from, although others do"
            )
        for output in self.outputs:
            if output not in types:
                raise Bnn2hwError(f"the graph has no edge '{output}' to give out")
        object.__setattr__(self, "types", types)

    @cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return {n.name: n for n in self.nodes}

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    @cached_property
    def sources(self) -> tuple[Node, ...]:
        """The nodes that read nothing: the inputs of the graph."""
        return tuple(n for n in self.nodes if not n.inputs)

    def inputs_of(self, node: Node) -> tuple[Tensor, ...]:
        """Types of the edges that a node reads."""
        return tuple(self.types[i] for i in node.inputs)

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each edge."""
        return {n.name: tuple(c for c in self.nodes if n.name in c.inputs) for n in self.nodes}

    def wire(self, name: str) -> str:
        """The node that makes the stream which an edge is, seen through views."""
        while isinstance(self[name].op, View):
            [name] = self[name].inputs
        return name

    @cached_property
    def readers(self) -> Mapping[str, tuple[tuple[Node, int], ...]]:
        """By node that makes a stream: the nodes that read it, directly or through views, and at which input."""
        found: dict[str, list[tuple[Node, int]]] = {n.name: [] for n in self.nodes}
        for node in self.nodes:
            if not isinstance(node.op, View):
                for port, name in enumerate(node.inputs):
                    found[self.wire(name)].append((node, port))
        return {name: tuple(nodes) for name, nodes in found.items()}

    def map_ops(self, ops: Mapping[str, Op]) -> Graph:
        """The same graph with some nodes' ops replaced."""
        return Graph(tuple(replace(n, op=ops.get(n.name, n.op)) for n in self.nodes), self.outputs)


def hardware_nodes(graph: Graph) -> Iterator[tuple[Node, HardwareOp]]:
    """List the nodes that become hardware, each with its op."""
    return ((n, n.op) for n in graph if isinstance(n.op, HardwareOp))
