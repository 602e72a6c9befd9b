"""One node of an ONNX model, the real form under construction, and the registry of handlers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bnn2hw.errors import Problem
from bnn2hw.importers.imported import small_enough
from bnn2hw.importers.moves import MOVED, selection
from bnn2hw.importers.onnx.constants import Constant
from bnn2hw.importers.onnx.model import Model, Op
from bnn2hw.importers.onnx.values import Grid, Value, grid, on_stream
from bnn2hw.ir import Array, Node, Tensor
from bnn2hw.ir import Op as GraphOp
from bnn2hw.ops import real

FIXED = "constants: initializers, or values that are computed from them"


@dataclass
class Draft:
    """The real form that is being made, and the problems that were found.

    Attributes:
        model: The model.
        nodes: Nodes of the real form so far.
        problems: Reasons why the model cannot be compiled, collected so that users see all at once.
        shapes: Shape of one sample by edge.
        constants: Constants of the model by name.
        values: Other values of the model by name.
        best: By output of the model that is the index of the largest value: the number of indices.
        channels: Order of the channels in windows, by name of the node that arranged them.
        room: Bytes that further values of constants may take.
    """

    model: Model
    nodes: list[Node] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    best: dict[str, int] = field(default_factory=dict)
    channels: dict[str, Array] = field(default_factory=dict)
    room: int = 0

    @property
    def batch(self) -> int:
        """Batch size that the file states for its inputs; 1 if it is open."""
        return max((entry.batch for entry in self.model.inputs.values()), default=1)

    def add(self, layer: str, name: str, op: GraphOp, *edges: str) -> str:
        """Append a node and return the name of its edge. A number follows the name if it is taken."""
        unique, count = name, 1
        while unique in self.shapes:
            count += 1
            unique = f"{name}#{count}"
        self.nodes.append(Node(unique, op, edges, layer))
        self.shapes[unique] = op.infer(*(Tensor(self.shapes[e]) for e in edges)).shape
        small_enough(layer, self.shapes[unique])
        return unique

    def reshape(self, layer: str, edge: str, shape: tuple[int, ...]) -> str:
        """Return an edge in another shape, in the same order."""
        before = self.shapes[edge]
        if before == shape:
            return edge
        return self.add(layer, f"{edge}.{'x'.join(map(str, shape))}", real.reshaping(before, shape), edge)


@dataclass(frozen=True)
class Call:
    """One node that reads a value.

    Attributes:
        draft: The graph that nodes and problems are added to.
        op: The node.
    """

    draft: Draft
    op: Op

    @property
    def name(self) -> str:
        """Name of the node, and of its layer."""
        return self.op.name

    @property
    def positions(self) -> list[int]:
        """Positions of the inputs that are values rather than constants."""
        return [i for i, name in enumerate(self.op.inputs) if name in self.draft.values]

    @property
    def value(self) -> Value:
        """The first input that is a value."""
        return self.draft.values[self.op.inputs[self.positions[0]]]

    @property
    def several(self) -> list[Value]:
        """All inputs that are values."""
        return [self.draft.values[self.op.inputs[i]] for i in self.positions]

    def present(self, position: int) -> bool:
        """True if there is an input at a position."""
        return position < len(self.op.inputs) and bool(self.op.inputs[position])

    def constant(self, position: int, what: str) -> Array | None:
        """Return a constant input, and note a problem if it is none.

        Args:
            position: Position of the input.
            what: Word for it in messages.
        """
        found = self.known(position)
        if found is None:
            self.problem(
                f"{what} that is computed at run time", f"{what} among the {FIXED}", f"make {what} constant"
            )
        return None if found is None else found.values

    def known(self, position: int) -> Constant | None:
        """Return a constant input; None if there is none or it is no constant."""
        return self.draft.constants.get(self.op.inputs[position]) if self.present(position) else None

    def setting(self, name: str, position: int, default: object = None) -> object:
        """Return a setting that older versions have as an attribute, and later ones as an input.

        Args:
            name: Name of the attribute.
            position: Position of the input.
            default: The result if there is neither.
        """
        found = self.known(position)
        if found is not None:
            return found.values
        return self.op.attributes.get(name, default)

    def problem(self, found: str, supported: str, remedy: str) -> Value:
        """Note a reason why the node cannot be compiled, and return a value in place of its output."""
        self.draft.problems.append(Problem(self.name, f"{self.op.kind}: {found}", supported, remedy))
        return Value("", np.zeros((1, 1), np.int64))

    def add(self, op: GraphOp, *edges: str, part: str = "") -> str:
        """Append a node of this layer and return its edge.

        Args:
            op: Its op.
            edges: Edges that it reads.
            part: Appended to the name with a dot.
        """
        return self.draft.add(self.name, f"{self.name}.{part}" if part else self.name, op, *edges)

    def step_of(self, edge: str) -> float | None:
        """Return the number that divides all values of an edge, as far as quantizers state it."""
        node = next(n for n in self.draft.nodes if n.name == edge)
        if isinstance(node.op, real.Pointwise):
            return node.op.step
        moves = isinstance(node.op, real.MaxPool | real.Reshape | real.Refold)
        return self.step_of(node.inputs[0]) if moves else None

    def on_grid(self, value: Value, axis: int) -> tuple[str, Grid] | None:
        """Return the edge of a value with an axis as channels; None with a problem if it has no such form.

        A matrix moves the values of a small frame whose stream has another order.

        Args:
            value: The value.
            axis: The axis in the model.
        """
        value = self.with_last(value, axis)
        found = grid(value, axis)
        if found is None or value.windows is not None:
            self.problem(
                f"reads values whose stream has another order than {value.shape} with axis {axis} last",
                f"streams with the channels of a pixel together, pixels row by row, or up to {MOVED} values",
                "leave out the transposition in front of it",
            )
            return None
        return self.draft.reshape(self.name, value.edge, found.shape), found

    def with_last(self, value: Value, axis: int) -> Value:
        """Return a value in the order of its stream with an axis as channels, moved by a matrix if need be.

        Args:
            value: The value.
            axis: The axis in the model.

        Returns:
            The value itself if it has this order already, or has too many values to be moved.
        """
        order = np.moveaxis(value.order, axis, -1)
        large = max(order.size, math.prod(self.draft.shapes[value.edge])) > MOVED
        if grid(value, axis) is not None or value.windows is not None or order.shape[0] != 1 or large:
            return value
        edge = self.chosen(
            value.edge, math.prod(self.draft.shapes[value.edge]), order.ravel(), order.shape[1:]
        )
        return Value(edge, np.moveaxis(np.arange(order.size).reshape(order.shape), -1, axis))

    def chosen(self, edge: str, size: int, places: Array, shape: tuple[int, ...], part: str = "order") -> str:
        """Append a matrix with a single 1 for each output, and return its edge.

        Args:
            edge: Edge that is read.
            size: Values of the vectors that the matrix multiplies, as many as fit into a sample.
            places: For each output of a vector, its place there.
            shape: Shape of a sample of the output.
            part: Appended to the name.
        """
        vectors = math.prod(self.draft.shapes[edge]) // size
        before = (vectors,) if vectors > 1 else ()
        flat = self.draft.reshape(self.name, edge, (*before, size))
        made = self.add(selection(places, size, before), flat, part=part)
        return self.draft.reshape(self.name, made, shape)

    def pointwise(
        self,
        fn: Callable[..., Array],
        value: Value,
        params: Sequence[Array] = (),
        part: str = "",
        step: float | None = None,
    ) -> Value:
        """Append a function of single values and their parameters, and return its output.

        Args:
            fn: Function of a float32 batch and of the parameters, which have one value per channel, or
                one for all.
            value: What it reads.
            params: Parameters, each of a shape that can be broadcast to that of the value.
            part: Appended to the name.
            step: Number that divides all results, if the node states one.
        """
        if any(np.broadcast_shapes(p.shape, value.shape) != value.shape for p in params):
            return self.problem(
                f"constants of shape {[p.shape for p in params]} for values of shape {value.shape}",
                "constants that leave the shape as it is",
                "repeat the values before",
            )
        edge = value.edge
        along = [_by_channel(on_stream(p, value.order), self.draft.shapes[edge][-1]) for p in params]
        if any(a is None for a in along):
            edge = self.draft.reshape(self.name, edge, (value.order.size,))
            along = [_by_channel(on_stream(p, value.order), value.order.size) for p in params]
        ready = [a for a in along if a is not None]

        def apply(x: Array) -> Array:
            # Infinities are clipped by the quantizer that follows; lowering refuses NaN by itself.
            with np.errstate(all="ignore"):
                return fn(x.astype(np.float32), *ready).astype(np.float32)

        same = all(a.ndim == 0 for a in ready)
        made = self.add(real.Pointwise(apply, self.draft.shapes[edge], same, step), edge, part=part)
        return Value(self.draft.reshape(self.name, made, self.draft.shapes[value.edge]), value.order)


def _by_channel(values: Array, channels: int) -> Array | None:
    """Values of a stream as one for all, or as one per channel; None if they differ between positions."""
    rows = values.reshape(-1, channels)
    if np.all(rows == rows[0, 0]):
        return np.asarray(rows[0, 0])
    return rows[0] if np.all(rows == rows[0]) else None


def along(axis: int, rank: int, values: Array) -> Array:
    """Return a vector along one axis of a value.

    Args:
        axis: The axis.
        rank: Number of axes of the value.
        values: The vector.
    """
    shape = [1] * rank
    shape[axis] = values.size
    return values.reshape(shape)


Handler = Callable[[Call], Value]
"""Add the nodes of a node of the model to the draft, and return its first output."""

HANDLERS: dict[str, Handler] = {}
"""Handlers by name of the op."""


def handles(*kinds: str) -> Callable[[Handler], Handler]:
    """Register the decorated function as the handler of ops."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return register
