"""From real form to hardware form: integers on every edge, and how faithful they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bnn2hw.errors import UnsupportedError
from bnn2hw.ir import BIPOLAR, Array, Graph, Node, Tensor, View
from bnn2hw.lower import kernels
from bnn2hw.lower.builder import Builder, Edge, Fidelity, Precision
from bnn2hw.lower.fixed_point import ANY, Requirement, fixed_step
from bnn2hw.lower.outputs import Output, leave
from bnn2hw.lower.probe import NotPointwise
from bnn2hw.lower.requantize import Settler
from bnn2hw.ops.add import Add
from bnn2hw.ops.base.channels import Meaning, uniform
from bnn2hw.ops.concat import Concat
from bnn2hw.ops.depthwise import Depthwise
from bnn2hw.ops.multiply import Multiply
from bnn2hw.ops.pad import Pad
from bnn2hw.ops.real import (
    AveragePool,
    Border,
    Concatenation,
    Convolution,
    Dense,
    DepthwiseConvolution,
    MaxPool,
    Product,
    Refold,
    Reshape,
    Sum,
)
from bnn2hw.ops.sliding_window import SlidingWindow
from bnn2hw.ops.source import Input, Source

__all__ = ["Fidelity", "Lowered", "Output", "to_hardware"]

GROWTH = 6
"""Bits that sums of streams may have beyond a stream's own before they are rounded again."""

FINEST = 5
"""Bits that a sum may be finer than its own range asks for, to keep the scale of one of its inputs."""


@dataclass(frozen=True)
class Lowered:
    """A graph in hardware form, and how its edges relate to those of the real form.

    Attributes:
        graph: in hardware form.
        fidelity: by layer of the model.
        matches: by edge of the hardware form, the edge of the real form that it stands for.
    """

    graph: Graph
    fidelity: Mapping[str, Fidelity]
    matches: Mapping[str, str]


def to_hardware(
    graph: Graph,
    wires: Mapping[str, Input],
    output: Output | None = None,
    precision: Precision = Precision(),  # noqa: B008
    ranges: Mapping[str, tuple[Array, Array]] | None = None,
    *,
    loadable: bool | frozenset[str] = False,
) -> Lowered:
    """Lower a simplified real graph.

    Args:
        graph: in real form.
        wires: what arrives at the inputs, by name.
        output: "scores", "class" or "top3"; None gives the class where the model ends in a softmax.
        precision: bits of what must be rounded.
        ranges: by node of the real form, the smallest and largest value of each channel that is to be
            expected.
        loadable: whether memories can be written at run time: all, none, or those of some layers.

    Raises:
        UnsupportedError: every place that cannot be made, at once.
    """
    return _Lowering(wires, Builder(graph, precision, ranges or {}, loadable)).run(output)


class _Lowering:
    def __init__(self, wires: Mapping[str, Input], builder: Builder) -> None:
        self.graph, self.wires = builder.real, wires
        self.b = builder
        self.settler = Settler(self.b)
        self.edges: dict[str, Edge] = {}

    def run(self, output: Output | None) -> Lowered:
        for node in self.graph:
            self.edges[node.name] = self._edge(node)
        last = [leave(self.settler, self.edges[name], output) for name in self.graph.outputs]
        if self.b.problems:
            raise UnsupportedError(self.b.problems)
        pruned = self.b.graph(last)
        if all(isinstance(n.op, Source | View) for n in pruned):
            self.b.problem(
                self.b.layers[self.graph.outputs[0]],
                "nothing to compute",
                "models with layers that compute",
                "add one",
            )
            raise UnsupportedError(self.b.problems)
        for node in pruned:
            self.b.mark(node.layer, Fidelity("exact", "integers throughout"))  # where nothing judged it
        return Lowered(pruned, self.b.fidelity, self.b.matches)

    def _edge(self, node: Node) -> Edge:
        before = [self.edges[i] for i in node.inputs]
        match node.op:
            case Source():
                return self._source(node, node.op)
            case Dense() | Convolution():
                return self._matvec(node, node.op, before[0])
            case DepthwiseConvolution():
                return self._depthwise(node, node.op, before[0])
            case AveragePool():
                return self._average(node, node.op, before[0])
            case Border():
                return self._border(node, node.op, before[0])
            case Refold():
                return self._refolded(node, node.op, before[0])
            case Sum():
                return self._sum(node, node.op, before)
            case Product():
                return self._product(node, before)
            case Concatenation():
                return self._concatenation(node, before)
        edge = before[0].then(node)
        shared = len(self.graph.consumers[node.name]) > 1
        # Poolings take memories: where several layers read what comes out of one, it is made once.
        return self._pooled(edge) if shared and any(isinstance(op, MaxPool) for op in edge.ops) else edge

    def _pooled(self, edge: Edge) -> Edge:
        try:
            return self.settler.pooled(edge)
        except (FloatingPointError, NotPointwise):
            return edge

    # ---- where integers come from

    def _source(self, node: Node, op: Source) -> Edge:
        if node.name not in self.wires:
            self.b.problem(
                node.layer,
                "nothing says which integers arrive at the input",
                "a Rescaling layer in front of the model, or input=",
                "for pixels p that the model sees as p/255, pass input=bnn2hw.Input('uint8', scale=1/255)",
            )
        wire = self.wires.get(node.name, Input())
        return Edge(self.b.add(node.name, Source(wire.tensor(op.tensor.shape))), node.name)

    def _settle(
        self, reader: Node, edge: Edge, requirement: Requirement = ANY, bits: int | None = None
    ) -> str:
        name = self.settler.settle(edge, requirement, bits)
        if name is None:
            self.b.problem(
                reader.layer,
                f"the layers before it, from '{edge.chain[0].layer}' on, cannot be evaluated value by value",
                "functions of single values, without NaN",
                "replace those layers",
            )
            shape = self.graph.types[edge.last].shape
            return self.b.add(reader.name, Source(Tensor(shape, BIPOLAR)), part="missing")
        return name

    def _most(self, node: Node) -> int:
        """Bits that the integers that a node reads have at most: those of streams, and some more for sums of them."""
        return self.b.precision.of_stream(node.layer) + GROWTH

    def _refolded(self, node: Node, op: Refold, before: Edge) -> Edge:
        """Channels that mean something else need one meaning for all."""
        edge = self._settle(node, before, Requirement(single=True))
        self.b.mark(node.layer, Fidelity("exact", "integers throughout"))
        return Edge(self.b.view(edge, op.shape), node.name)

    # ---- matrix-vector units

    def _matvec(self, node: Node, op: Dense | Convolution, before: Edge) -> Edge:
        flat = op.kernel.reshape(-1, op.kernel.shape[-1])
        exact = kernels.whole_kernel(flat)
        edge = self._settle(node, before, Requirement(single=exact is not None, bits=self._most(node)))
        x = self.b.types[edge]
        if exact is None:
            integers, scale = kernels.rounded_kernel(flat, x, self.b.precision.of_kernel(node.layer))
            x = replace(x, scale=1.0, offset=kernels.in_scale(x))
            edge = self._meaning(edge, x)
        else:
            integers, scale = exact
        integers, edge = (
            self._windows(node, op, integers, edge) if isinstance(op, Convolution) else (integers, edge)
        )
        unit = kernels.unit(self.b.types[edge], integers, scale)
        name = self.b.add(node.name, unit, edge)
        self.b.errors[name] = kernels.rounding(unit, self.b.types[edge])
        if exact is None:
            bits = self.b.precision.of_kernel(node.layer)
            self.b.mark(node.layer, Fidelity("rounded", f"a kernel of {bits} bits"))
            self.b.errors[name] = 0.0
        self.b.match(name, node.name)
        return Edge(self.b.view(name, op.shape), node.name)

    def _meaning(self, edge: str, tensor: Tensor) -> str:
        """An edge whose integers are read with another meaning."""
        if (self.b.types[edge].scale, self.b.types[edge].offset) == (tensor.scale, tensor.offset):
            return edge
        return self.b.add(edge, View(tensor.shape, tensor.scale, tensor.offset), edge, part="plain")

    def _windows(self, node: Node, op: Convolution, integers: Array, edge: str) -> tuple[Array, str]:
        """The windows of a convolution; over three axes, planes first, and the kernel in the same order."""
        if len(op.stride) == 3:
            depth, height, width, channels = self.b.types[edge].shape
            planes = self.b.view(edge, (depth, height * width, channels))
            apart = self.b.add(
                node.name,
                SlidingWindow((op.kernel.shape[0], 1), (op.stride[0], 1), dilation=(op.dilation[0], 1)),
                planes,
                part="planes",
            )
            deep = self.b.types[apart].shape[0]
            edge = self.b.view(apart, (deep, height, width, op.kernel.shape[0] * channels))
            integers = (
                integers.reshape(op.kernel.shape).transpose(1, 2, 0, 3, 4).reshape(-1, op.kernel.shape[-1])
            )
        sizes = op.kernel.shape[-4:-2]
        stride, dilation = (tuple(v[-2:]) for v in (op.stride, op.dilation))
        if sizes == (1, 1) and stride == (1, 1):
            return integers, edge
        window = SlidingWindow(
            (sizes[0], sizes[1]), (stride[0], stride[1]), dilation=(dilation[0], dilation[1])
        )
        return integers, self.b.add(node.name, window, edge, part="window")

    def _depthwise(self, node: Node, op: DepthwiseConvolution, before: Edge) -> Edge:
        edge = self._settle(node, before, Requirement(bits=self._most(node)))
        flat = op.kernel.reshape(-1, op.kernel.shape[-1])
        exact = kernels.whole_kernel(flat)
        bits = self.b.precision.of_kernel(node.layer)
        integers, scale = exact if exact is not None else kernels.rounded_columns(flat, bits)
        name = self._by_channel(node, edge, integers, scale, op.kernel.shape[:2], op.stride, op.dilation)
        if exact is None:
            self.b.mark(node.layer, Fidelity("rounded", f"a kernel of {bits} bits"))
        return Edge(name, node.name)

    def _average(self, node: Node, op: AveragePool, before: Edge) -> Edge:
        edge = self._settle(node, self._pooled(before), Requirement(bits=self._most(node)))
        count = math.prod(op.size)
        ones = np.ones((count, op.shape[-1]), np.int64)
        name = self._by_channel(node, edge, ones, 1.0 / count, op.size, op.stride, (1, 1))
        return Edge(name, node.name)

    def _by_channel(
        self,
        node: Node,
        edge: str,
        integers: Array,
        scale: Meaning,
        size: tuple[int, ...],
        stride: tuple[int, int],
        dilation: tuple[int, int],
    ) -> str:
        """Weighted sums of each channel over windows; one window that is the whole image needs no memory."""
        x = self.b.types[edge]
        if size == x.shape[:2]:
            name = self.b.add(node.name, Depthwise(integers, scale, axes=3, domain=kernels.domain(x)), edge)
        else:
            window = self.b.add(
                node.name, SlidingWindow((size[0], size[1]), stride, dilation=dilation), edge, part="window"
            )
            name = self.b.add(node.name, Depthwise(integers, scale, domain=kernels.domain(x)), window)
        real = np.abs(np.asarray(x.real(np.array([[x.ints.lo], [x.ints.hi]])))).max()
        gain = float(np.abs(integers).sum(0).max()) * float(np.max(np.abs(np.asarray(scale))))
        sums = float(np.abs(integers).sum(0).max()) * max(abs(x.ints.lo), abs(x.ints.hi))
        n = 0.0 if kernels._powers(scale, x) and sums < 2**24 else (len(integers) + 4) * 2.0**-24
        self.b.errors[name] = n / (1 - n) * gain * real + gain * self.b.errors.get(edge, 0.0)
        self.b.mark(node.layer, Fidelity("exact", "integers throughout"))
        self.b.match(name, node.name)
        return self.b.view(name, self.graph.types[node.name].shape)

    def _border(self, node: Node, op: Border, before: Edge) -> Edge:
        edge = self._settle(node, before)
        x = self.b.types[edge]
        values = (op.value - np.broadcast_to(np.asarray(x.offset), (x.channels,))) / np.asarray(x.scale)
        near = np.rint(values)
        if np.abs(values - near).max() > 1e-6 or np.abs(near).max() > 2**20:
            edge = self._settle(node, before, Requirement(zero=True))
            x = self.b.types[edge]
            values = np.broadcast_to(op.value / np.asarray(x.scale), (x.channels,))
            near = np.rint(values)
        if np.abs((values - near) * np.asarray(x.scale)).max() > 1e-3 * abs(op.value):
            # Steps of which a whole number makes the border.
            fine = float(np.abs(self.settler.step(before, single=True)).max())
            edge = self._settle(
                node,
                before,
                Requirement(
                    scale=abs(op.value) * 2.0 ** math.floor(math.log2(fine / abs(op.value))), zero=True
                ),
            )
            x = self.b.types[edge]
            values = np.broadcast_to(op.value / np.asarray(x.scale), (x.channels,))
            near = np.rint(values)
        whole = tuple(int(v) for v in near)
        value = whole[0] if len(set(whole)) == 1 else whole
        name = self._bordered(node, op, value, edge)
        self.b.errors[name] = self.b.errors.get(edge, 0.0)
        off = float((np.abs(values - near) * np.abs(np.asarray(x.scale))).max())
        if off > 1e-6 * max(abs(op.value), float(np.max(np.abs(np.asarray(x.scale))))):
            self.b.mark(node.layer, Fidelity("rounded", f"a border that is off by {off:.2g}"))
        self.b.match(name, node.name)
        return Edge(name, node.name)

    def _bordered(self, node: Node, op: Border, value: int | tuple[int, ...], edge: str) -> str:
        if len(op.sides) == 2:
            return self.b.add(node.name, Pad(op.sides[0], op.sides[1], value, (op.gaps[0], op.gaps[1])), edge)
        depth, height, width, channels = self.b.types[edge].shape
        rows, columns = op.sides[1:]
        if any((*rows, *columns)):
            edge = self.b.add(node.name, Pad(rows, columns, value), edge, part="planes")
        _, height, width, channels = self.b.types[edge].shape
        flat = self.b.view(edge, (depth, height * width, channels))
        return self.b.view(self.b.add(node.name, Pad(op.sides[0], (0, 0), value), flat), op.shape)

    # ---- branches

    def _sum(self, node: Node, op: Sum, before: list[Edge]) -> Edge:
        try:
            scale = self._common(node, op, before)
        except (FloatingPointError, NotPointwise):
            scale = 1.0
        second: Meaning = scale[op.first :] if isinstance(scale, tuple) else scale
        a = self._settle(node, before[0], Requirement(scale))
        b = self._settle(node, before[1], Requirement(second))
        try:
            name = self.b.add(node.name, Add(op.first), a, b)
        except ValueError as error:
            self.b.problem(node.layer, str(error), "sums of streams of one scale", "report this model")
            return Edge(a, node.name)
        exact = all(math.frexp(s)[0] == 0.5 for s in np.atleast_1d(np.asarray(scale)).tolist())
        tensor = self.b.types[name]
        largest = float(np.abs(np.asarray(tensor.real(np.array([[tensor.ints.lo], [tensor.ints.hi]])))).max())
        rounding = 0.0 if exact and max(-tensor.ints.lo, tensor.ints.hi) < 2**24 else largest * 2.0**-24
        self.b.errors[name] = self.b.errors.get(a, 0.0) + self.b.errors.get(b, 0.0) + rounding
        self.b.mark(node.layer, Fidelity("exact", "integers throughout"))
        self.b.match(name, node.name)
        return Edge(name, node.name)

    def _common(self, node: Node, op: Sum, before: list[Edge]) -> Meaning:
        """The scale of both inputs of a sum: that of one that needs no rounding, where it is fine enough."""
        fixed = [e for e in before if all(isinstance(op, Reshape) for op in e.ops)]
        tensors = [self.b.types[e.name] for e in fixed]
        if len(tensors) == 2 and not op.first and tensors[0].scale == tensors[1].scale:
            return tensors[0].scale
        (low, high), (other_low, other_high) = (self.settler.range(e) for e in before)
        low, high = low.copy(), high.copy()
        low[op.first :] = np.minimum(low[op.first :], other_low)
        high[op.first :] = np.maximum(high[op.first :], other_high)
        needed = fixed_step(low, high, self.b.precision.of_stream(node.layer))
        for edge, tensor in zip(fixed, tensors, strict=True):
            scale = np.abs(np.asarray(tensor.scale))
            if op.first and edge is not before[0]:
                continue
            if np.all(scale <= 4 * needed) and np.all(scale >= needed / 2**FINEST):
                return tensor.scale
        return uniform(needed)

    def _product(self, node: Node, before: list[Edge]) -> Edge:
        a, b = (self._settle(node, e, Requirement(zero=True, bits=self._most(node))) for e in before)
        shapes = [self.b.types[e].shape for e in (a, b)]
        if shapes[0] != shapes[1]:
            b = self.b.view(b, (shapes[0][-1],))
        name = self.b.add(node.name, Multiply(), a, b)
        errors = [self.b.errors.get(e, 0.0) for e in (a, b)]
        self.b.errors[name] = kernels.product_rounding([self.b.types[e] for e in (a, b)], errors)
        self.b.mark(node.layer, Fidelity("exact", "integers throughout"))
        self.b.match(name, node.name)
        return Edge(name, node.name)

    def _concatenation(self, node: Node, before: list[Edge]) -> Edge:
        a, b = (self._settle(node, e, Requirement(bits=self._most(node))) for e in before)
        name = self.b.add(node.name, Concat(), a, b)
        self.b.errors[name] = max(self.b.errors.get(a, 0.0), self.b.errors.get(b, 0.0))
        self.b.mark(node.layer, Fidelity("exact", "integers throughout"))
        self.b.match(name, node.name)
        return Edge(name, node.name)
