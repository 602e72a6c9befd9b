"""Translate a hardware graph into a program of kernel calls.

Edges of the graph are kept in up to two layouts (see sim/native/kernels.hpp): `bits` for ±1 and 0/1, `numbers` for
everything. The layouts of an edge are made when a reader asks for them. Sliding windows and borders of true zeros are
not carried out at all if their readers can look at the image itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bnn2hw.errors import Problem, UnsupportedError
from bnn2hw.ir import BIPOLAR, Array, Graph, HardwareOp, Ints, Node, Tensor, View
from bnn2hw.native.program import SIZES, Buffer, Constants, Port, Program, Step, element, layout
from bnn2hw.ops import Source
from bnn2hw.ops.pad import Pad
from bnn2hw.ops.sliding_window import Windows

BITS = (BIPOLAR, Ints(0, 1))
"""Ranges that have the layout `bits`."""

SPREAD = 4
"""Elements of a word of bits whose bytes stand apart."""


@dataclass(frozen=True)
class Numbers:
    """The place of an edge's values in memory.

    Attributes:
        address: C++ expression.
        element: Element type.
        buffer: Number of the buffer, or None for an input of the network.
    """

    address: str
    element: str
    buffer: int | None

    @property
    def uses(self) -> frozenset[int]:
        """Buffers that a reader uses."""
        return frozenset() if self.buffer is None else frozenset({self.buffer})

    def __str__(self) -> str:
        return f"{{{self.address}, Type::{self.element}}}"


@dataclass(frozen=True)
class Bits:
    """The place of an edge's bits in memory, each place of the image in whole words."""

    buffer: int

    @property
    def uses(self) -> frozenset[int]:
        """Buffers that a reader uses."""
        return frozenset({self.buffer})

    def __str__(self) -> str:
        return f"words({self.buffer})"


def words(channels: int) -> int:
    """Words of 32 bits that hold so many bits."""
    return -(-channels // 32)


def packed(signs: Array) -> Array:
    """Booleans of shape (..., channels) as words of shape (..., words), the first channel in the lowest bit."""
    spare = -signs.shape[-1] % 32
    padded = np.pad(signs, [(0, 0)] * (signs.ndim - 1) + [(0, spare)])
    octets = np.ascontiguousarray(np.packbits(padded, axis=-1, bitorder="little"))
    return octets.view("<u4").astype(np.uint32)


def fits(values: Array, bits: int = 32) -> bool:
    """True if signed integers of so many bits hold all values."""
    return bool(np.all(values >= -(2 ** (bits - 1))) and np.all(values < 2 ** (bits - 1)))


def places(shape: tuple[int, ...]) -> int:
    """Places of one sample: all axes but the channels."""
    return math.prod(shape[:-1])


@dataclass
class Compiler:
    """Collects a program while the nodes of a graph are visited in order.

    Attributes:
        graph: The graph without FIFOs and width converters.
        keep: Edges whose values leave the program as well.
    """

    graph: Graph
    keep: frozenset[str] = frozenset()
    steps: list[Step] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    constants: Constants = field(default_factory=Constants)
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    _numbers: dict[tuple[str, str], Numbers] = field(default_factory=dict)
    _bits: dict[str, Bits] = field(default_factory=dict)
    _spread: dict[int, Bits] = field(default_factory=dict)
    _own: dict[str, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    """Nodes that the handler of another node has carried out."""

    # ---- buffers and steps ----

    def buffer(self, size: int) -> int:
        """Make a buffer of so many bytes for one image."""
        self.buffers.append(Buffer(len(self.buffers), size))
        return len(self.buffers) - 1

    def step(self, kernel: str, *arguments: object, uses: frozenset[int] = frozenset()) -> None:
        """Append a call of a kernel."""
        used = uses.union(*(a.uses for a in arguments if isinstance(a, Numbers | Bits)), frozenset())
        self.steps.append(Step(kernel, tuple(map(_text, arguments)), used))

    # ---- layouts of edges ----

    def type(self, edge: str) -> Tensor:
        """The type of an edge."""
        return self.graph.types[edge]

    def make_numbers(self, edge: str, kind: str | None = None) -> Numbers:
        """Make room for the values of an edge."""
        tensor = self.type(edge)
        kind = kind or element(tensor.ints)
        number = self.buffer(tensor.size * SIZES[kind])
        self._own.setdefault(edge, kind)
        made = self._numbers[edge, kind] = Numbers(f"at({number})", kind, number)
        return made

    def make_bits(self, edge: str) -> Bits:
        """Make room for the bits of an edge."""
        shape = self.type(edge).shape
        self._bits[edge] = Bits(self.buffer(4 * places(shape) * words(shape[-1])))
        return self._bits[edge]

    def numbers(self, edge: str, kind: str | None = None) -> Numbers:
        """The values of an edge, in an element type or the smallest one."""
        kind = kind or self._own.get(edge) or element(self.type(edge).ints)
        if (edge, kind) not in self._numbers:
            self._make_numbers(edge, kind)
        return self._numbers[edge, kind]

    def _make_numbers(self, edge: str, kind: str) -> None:
        tensor = self.type(edge)
        node = self.graph[edge]
        if edge in self._own:
            have = self._numbers[edge, self._own[edge]]
            self.step("convert", have, self.count(tensor.size), self.make_numbers(edge, kind))
        elif edge in self._bits:
            low, high = tensor.ints.lo, tensor.ints.hi
            args = self.count(places(tensor.shape)), tensor.channels, low, high
            self.step("unpack", self._bits[edge], *args, self.make_numbers(edge, kind))
        elif isinstance(node.op, View):
            seen = self.numbers(node.inputs[0], kind)
            self._own[edge], self._numbers[edge, kind] = kind, seen
        elif isinstance(node.op, Windows):
            self._window(edge, node.op, kind)
        elif isinstance(node.op, Pad):
            self._pad(edge, node.op, kind)
        else:
            raise KeyError(edge)

    def has_bits(self, edge: str) -> bool:
        """True if an edge can be read as bits."""
        return self.type(edge).ints in BITS

    def is_only_numbers(self, edge: str) -> bool:
        """True if an edge exists as numbers, and its bits would have to be made."""
        return edge in self._own and edge not in self._bits

    def bits(self, edge: str) -> Bits:
        """The bits of an edge: set for the larger value."""
        if edge not in self._bits:
            node, tensor = self.graph[edge], self.type(edge)
            if isinstance(node.op, View) and self._same_words(node):
                self._bits[edge] = self.bits(node.inputs[0])
            elif isinstance(node.op, Pad) and edge not in self._own and self.has_bits(node.inputs[0]):
                self._pad_bits(edge, node.op)
            else:
                source = self.numbers(edge)
                self.step(
                    "pack", source, self.count(places(tensor.shape)), tensor.channels, self.make_bits(edge)
                )
        return self._bits[edge]

    def bits_of_signs(self, edge: str) -> Bits:
        """Bits of an edge that are set where its value is positive."""
        return self._packed("pack", edge)

    def mask(self, edge: str) -> Bits:
        """Bits of an edge that are set where its value is not 0."""
        return self._packed("pack_nonzero", edge)

    def spread(self, bits: Bits, size: int) -> Bits:
        """Words of bits with their bytes apart, as vectors are filled with them.

        Args:
            bits: The words.
            size: Words of a sample.
        """
        if bits.buffer not in self._spread:
            made = self._spread[bits.buffer] = Bits(self.buffer(4 * SPREAD * size))
            self.step("spread", bits, self.count(size), made)
        return self._spread[bits.buffer]

    def _packed(self, kernel: str, edge: str) -> Bits:
        tensor = self.type(edge)
        made = Bits(self.buffer(4 * places(tensor.shape) * words(tensor.channels)))
        self.step(kernel, self.numbers(edge), self.count(places(tensor.shape)), tensor.channels, made)
        return made

    def _same_words(self, node: Node) -> bool:
        """True if a view leaves bits in the words in which they are."""
        before, after = self.type(node.inputs[0]), self.type(node.name)
        even = before.channels % 32 == 0 and after.channels % 32 == 0
        return self.has_bits(node.inputs[0]) and (before.channels == after.channels or even)

    def count(self, each: int) -> str:
        """C++ expression for so many of each image."""
        return f"{each} * n"

    # ---- windows and borders ----

    def _window(self, edge: str, op: Windows, kind: str) -> None:
        [source] = self.graph[edge].inputs
        x, geometry = self.numbers(source, kind), self.window(op, self.type(source))
        self.step("window", x, self.images(source, 3), geometry, self.make_numbers(edge, kind))

    def images(self, edge: str, axes: int) -> str:
        """C++ expression for the images of an edge whose last axes make an image."""
        return self.count(math.prod(self.type(edge).shape[:-axes]))

    @staticmethod
    def window(
        op: Windows, x: Tensor, unit: int = 0, border: Pad | None = None, offsets: str = "nullptr"
    ) -> str:
        """C++ expression of a window's geometry.

        Args:
            op: The sliding window.
            x: What it reads; the image itself if `border` is left out by the reader.
            unit: Size of a place in elements; the channels by default.
            border: True zeros around the image, which are not there in memory.
            offsets: C++ expression of the places of a window's inputs, see `offsets`.
        """
        height, width, channels = x.shape[-3:]
        top, left, bottom, right = (
            (border.rows[0], border.columns[0], border.rows[1], border.columns[1]) if border else (0, 0, 0, 0)
        )
        grid = (
            (size + sum(pad) - ((k - 1) * d + 1)) // s + 1
            for size, pad, k, d, s in zip(
                (height, width),
                ((top, bottom), (left, right)),
                op.kernel,
                op.dilation,
                op.stride,
                strict=True,
            )
        )
        values = (
            height,
            width,
            unit or channels,
            *op.kernel,
            *op.stride,
            *op.dilation,
            top,
            left,
            *grid,
            offsets,
        )
        return f"Window{{{', '.join(map(str, values))}}}"

    def offsets(self, places: Array) -> str:
        """C++ expression of where the inputs of a window are; null if they follow each other."""
        if np.array_equal(places, np.arange(places.size)):
            return "nullptr"
        return self.constants.add(places.astype(np.int32), "i32")

    def _pad(self, edge: str, op: Pad, kind: str) -> None:
        x = self.numbers(self.graph[edge].inputs[0], kind)
        value = self.constants.add(_border_values(op, self.type(edge).channels).astype(np.int64), "i64")
        geometry = self._border(edge, op, self.type(edge).channels)
        self.step("pad", x, *geometry, value, self.make_numbers(edge, kind))

    def _pad_bits(self, edge: str, op: Pad) -> None:
        tensor = self.type(edge)
        value = packed(_border_values(op, tensor.channels) == tensor.ints.hi)
        x = self.bits(self.graph[edge].inputs[0])
        geometry = self._border(edge, op, words(tensor.channels))
        self.step("pad_bits", x, *geometry, self.constants.add(value, "u32"), self.make_bits(edge))

    def _border(self, edge: str, op: Pad, unit: int) -> tuple[object, ...]:
        [source] = self.graph[edge].inputs
        height, width = self.type(source).shape[-3:-1]
        rows, columns = self.type(edge).shape[-3:-1]
        return (
            self.images(source, 3),
            height,
            width,
            unit,
            op.rows[0],
            op.columns[0],
            rows,
            columns,
            *op.gaps,
        )

    # ---- the whole ----

    def run(self, handlers: dict[str, Callable[[Compiler, Node], None]]) -> Program:
        """Visit all nodes.

        Args:
            handlers: By kind of op, what appends its steps.

        Raises:
            UnsupportedError: The graph has ops without a handler.
        """
        self._check(handlers)
        for node in self.graph:
            if isinstance(node.op, Source):
                self._source(node)
            elif isinstance(node.op, HardwareOp) and not (node.name in self.done or _waits(node)):
                handlers[node.op.kind](self, node)
        for name in dict.fromkeys((*self.graph.outputs, *sorted(self.keep))):
            self._leave(name)
        offsets, arena = layout(self.steps, self.buffers, frozenset())
        constants = b"".join(self.constants.chunks)
        return Program(tuple(self.inputs), tuple(self.outputs), tuple(self.steps), offsets, arena, constants)

    def _check(self, handlers: dict[str, Callable[[Compiler, Node], None]]) -> None:
        unknown = [
            node
            for node in self.graph
            if isinstance(node.op, HardwareOp) and not _waits(node) and node.op.kind not in handlers
        ]
        if unknown:
            raise UnsupportedError(
                [
                    Problem(n.name, f"is a {type(n.op).__name__}", "ops with a native kernel", "use golden")
                    for n in unknown
                ]
            )

    def _source(self, node: Node) -> None:
        tensor = self.type(node.name)
        kind = element(tensor.ints)
        self._own[node.name] = kind
        self._numbers[node.name, kind] = Numbers(f"in[{len(self.inputs)}]", kind, None)
        self.inputs.append(Port(node.name, kind, tensor.size))

    def _leave(self, edge: str) -> None:
        tensor = self.type(edge)
        kind = element(tensor.ints)
        to = f"{{out[{len(self.outputs)}], Type::{kind}}}"
        self.step("convert", self.numbers(edge, kind), self.count(tensor.size), to)
        self.outputs.append(Port(edge, kind, tensor.size))


def _waits(node: Node) -> bool:
    """True if a node is carried out only when its values are asked for."""
    return isinstance(node.op, Windows | Pad)


def _border_values(op: Pad, channels: int) -> Array:
    """The value of a border by channel."""
    return np.broadcast_to(np.asarray(op.value, np.int64), channels)


def _text(argument: object) -> str:
    return ("true" if argument else "false") if isinstance(argument, bool) else str(argument)
