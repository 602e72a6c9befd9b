"""From real form to hardware form: integers on every edge, and how faithful they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from bnn2hw.errors import Problem, UnsupportedError
from bnn2hw.ir import BIPOLAR, Array, Graph, Ints, Node, Op, Tensor
from bnn2hw.lower.probe import LEVELS, Lattice, Probed, cuts, direction, lattice, per_feature, probe, scores
from bnn2hw.ops.argmax import Argmax
from bnn2hw.ops.mac import Mac
from bnn2hw.ops.matvec import MatVec
from bnn2hw.ops.pad import Pad
from bnn2hw.ops.pool import Pool
from bnn2hw.ops.real import Border, Convolution, Dense, Flatten, MaxPool, RealOp, Softmax
from bnn2hw.ops.source import Input, Source
from bnn2hw.ops.table import Table
from bnn2hw.ops.threshold import Threshold
from bnn2hw.ops.window import Window
from bnn2hw.ops.xnor import Xnor

TABLE_ENTRIES = 2**22
"""Largest table that an edge may need."""

Output = Literal["class", "scores"]


@dataclass(frozen=True)
class Fidelity:
    """How a layer of the hardware relates to the layer in Keras.

    `exact`: given the same inputs, it gives the same outputs, for all inputs. `rounded`: float32 rounding inside
    Keras can tip a decision; how often is measured on data.
    """

    kind: Literal["exact", "rounded"]
    why: str


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


@dataclass(frozen=True)
class _Edge:
    """An edge of the real graph: integers in the new one, and the real ops that still follow them."""

    name: str
    real: str
    chain: tuple[Node, ...] = ()


def to_hardware(graph: Graph, wire: Input | None, output: Output | None = None) -> Lowered:
    """Lower a simplified real graph.

    Args:
        graph: in real form.
        wire: what arrives at the input.
        output: "class" or "scores"; None gives the class where the model ends in a softmax.

    Raises:
        UnsupportedError: every place where a stream is not integer, at once.
    """
    return _Lowering(graph, wire).run(output)


@dataclass
class _Lowering:
    graph: Graph
    wire: Input | None
    nodes: list[Node] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    fidelity: dict[str, Fidelity] = field(default_factory=dict)
    matches: dict[str, str] = field(default_factory=dict)
    types: dict[str, Tensor] = field(default_factory=dict)
    errors: dict[str, float] = field(
        default_factory=dict
    )  # by edge: bound of Keras's rounding of its real value

    def run(self, output: Output | None) -> Lowered:
        edges: dict[str, _Edge] = {}
        for node in self.graph:
            if isinstance(node.op, Source):
                edges[node.name] = self._source(node, node.op)
            elif isinstance(node.op, Dense | Convolution):
                edges[node.name] = self._matvec(node, node.op, edges[node.inputs[0]])
            elif isinstance(node.op, Border):
                edges[node.name] = self._border(node, node.op, edges[node.inputs[0]])
            else:
                before = edges[node.inputs[0]]
                edges[node.name] = replace(before, chain=(*before.chain, node))
        last = self._output(edges[self.graph.outputs[0]], output)
        if self.problems:
            raise UnsupportedError(self.problems)
        return Lowered(Graph(tuple(self.nodes), (last,)), self.fidelity, self.matches)

    # ---- building

    def _add(self, name: str, op: Op, *inputs: str) -> str:
        self.nodes.append(Node(name, op, inputs))
        self.types[name] = op.infer(*(self.types[i] for i in inputs))
        return name

    def _problem(self, layer: str, found: str, supported: str, remedy: str) -> None:
        self.problems.append(Problem(layer, found, supported, remedy))

    def _source(self, node: Node, op: Source) -> _Edge:
        if self.wire is None:
            self._problem(
                node.name,
                "nothing says which integers arrive at the input",
                "a Rescaling layer in front of the model, or input=",
                "for pixels p that the model sees as p/255, pass input=bnn2hw.Input('uint8', scale=1/255)",
            )
        wire = self.wire or Input()
        self._add(node.name, Source(wire.tensor(op.tensor.shape)))
        return _Edge(node.name, node.name)

    def _matvec(self, node: Node, op: Dense | Convolution, before: _Edge) -> _Edge:
        edge = self._settle(node, before)
        flat = op.kernel.reshape(-1, op.kernel.shape[-1])
        weights = lattice(flat)
        if weights is None or weights.offset:
            count = np.unique(flat).size
            self._problem(
                op.layer,
                f"its kernel takes {count} distinct values",
                f"kernels of at most {LEVELS} evenly spaced values, such as those of ste_sign",
                "give the layer a kernel_quantizer",
            )
            weights, flat = Lattice(BIPOLAR, 1.0, 0.0), np.ones_like(flat)
        integers = weights.index(flat).astype(np.int32)
        if isinstance(op, Convolution):
            edge = self._add(f"{node.name}.window", Window(op.kernel.shape[:2], op.stride), edge)
        x = self.types[edge]
        binary = x.ints == BIPOLAR and weights.type == BIPOLAR
        if not binary and x.ints.step != 1:
            self._problem(
                op.layer,
                f"±1 inputs times weights of {weights.type}",
                "±1 inputs times ±1 weights, or integer inputs",
                "use kernel_quantizer='ste_sign'",
            )
            return _Edge(edge, node.name)
        # A dense layer takes the last axis of its input, all axes of the stream where a Flatten lies between.
        axes = 1 if isinstance(op, Convolution) or len(self._shape(node)) > 1 else len(x.shape)
        unit: MatVec = (
            Xnor(integers.astype(np.int8), weights.scale, axes)
            if binary
            else Mac(integers, weights.scale, axes)
        )
        self._add(node.name, unit, edge)
        self.errors[node.name] = self._rounding(unit, x)
        return _Edge(node.name, node.name)

    def _border(self, node: Node, op: Border, before: _Edge) -> _Edge:
        edge = self._settle(node, before)
        x = self.types[edge]
        scale, offset = float(np.max(x.scale)), float(np.max(x.offset))
        value = (op.value - offset) / scale
        ternary = x.ints == BIPOLAR and op.value == 0
        if not ternary and (value != round(value) or not x.ints.contains(np.array([round(value)]))):
            self._problem(
                op.layer,
                f"a border of {op.value:g} around values {x.ints} that mean v · {scale:g} + {offset:g}",
                "borders of a value that the stream can carry, and of 0 around ±1",
                "use padding='valid', another pad_values, or an input whose 0 is an integer, such as p/255",
            )
            return _Edge(self._add(f"{node.name}.missing", Source(Tensor(op.shape, BIPOLAR))), node.name)
        self._add(node.name, Pad(op.rows, op.columns, 0 if ternary else round(value)), edge)
        self.matches[node.name] = node.name
        return _Edge(node.name, node.name)

    def _shape(self, node: Node) -> tuple[int, ...]:
        """Shape of what a node of the real form reads."""
        return self.graph.types[node.inputs[0]].shape

    @staticmethod
    def _rounding(op: MatVec, x: Tensor) -> float:
        """Bound of the float32 error of Keras's dot product, in any order of summation.

        0 where all partial sums are integers times one power of two, below 2^24. Otherwise
        γ(n)·Σ|w·x| with γ(n) = n·u / (1 − n·u), u = 2^−24 (Higham, Accuracy and Stability of Numerical Algorithms,
        2nd ed., section 3.1), n counting two roundings of the input beside the sum's own.
        """
        largest = max(abs(x.ints.lo), abs(x.ints.hi))
        sums = float(np.abs(op.weights.astype(np.int64)).sum(0).max()) * largest
        powers = all(math.frexp(s)[0] == 0.5 for s in (*np.ravel(op.scale), float(np.max(x.scale))))
        if powers and not np.any(x.offset) and sums < 2**24:
            return 0.0
        real = float(np.abs(np.asarray(x.real(np.array([x.ints.lo, x.ints.hi])))).max())
        n = (op.mw + 4) * 2.0**-24
        return (
            n
            / (1 - n)
            * real
            * float(np.max(op.scale))
            * float(np.abs(op.weights.astype(np.int64)).sum(0).max())
        )

    # ---- from an accumulator to the next quantizer

    def _settle(self, reader: Node, edge: _Edge) -> str:
        """Make integers of what a matrix-vector unit reads: thresholds, or a table where they do not rise."""
        if all(isinstance(n.op, Flatten) for n in edge.chain):
            accumulator = isinstance(self._node(edge.name).op, MatVec)
            return self._not_quantized(reader, edge, None) if accumulator else edge.name
        edge = self._pool_first(edge)
        settled = self._probe(edge)
        if settled is None:
            return self._not_quantized(reader, edge, None)
        name, probed, others = settled
        grid = lattice(probed.values)
        if grid is None:
            return self._not_quantized(reader, edge, probed.values)
        levels = grid.index(probed.values)
        moved = [np.any(grid.index(o.values) != levels) for o in others]
        self._judge(edge, tips=any(moved))
        domain = self.types[name].ints
        if grid.type == domain and np.array_equal(
            levels, np.broadcast_to(domain.values()[:, None], levels.shape)
        ):
            return name
        last, rising = edge.chain[-1].name, bool(np.all(direction(levels) == 1))
        if rising:
            op: Op = Threshold(
                cuts(levels, domain, grid.type), grid.type, grid.scale, grid.offset, self._axes(edge)
            )
            name = self._pool(edge, probed, self._add(f"{edge.real}.threshold", op, name))
        else:
            name = self._pool(edge, probed, name)
            op = Table(levels.T, domain, grid.type, grid.scale, grid.offset, self._axes(edge))
            name = self._add(f"{edge.real}.table", op, name)
        self.matches[name] = last
        return name

    def _node(self, name: str) -> Node:
        return next(n for n in self.nodes if n.name == name)

    def _probe(self, edge: _Edge) -> tuple[str, Probed, list[Probed]] | None:
        """Probe a chain; where it falls over an accumulator, negate that neuron's weights so that it rises.

        Returns:
            The edge, the results, and those with Keras's largest rounding error added either way; None where a
            layer of the chain gives NaN or is no function of single values.
        """
        chain = [n.op for n in edge.chain if isinstance(n.op, RealOp)]
        tensor = self.types[edge.name]
        features = tensor.size if per_feature(chain) else tensor.channels
        sign = np.ones(tensor.channels)
        if features * tensor.ints.count > TABLE_ENTRIES * 16:
            return None
        try:
            probed = probe(chain, tensor, sign)
            node = self._node(edge.name)
            if isinstance(node.op, MatVec) and features == tensor.channels:
                falls = direction(probed.values) == -1
                self._replace(node, node.op.negated(falls))
                tensor, sign = self.types[edge.name], np.where(falls, -1.0, 1.0)
                probed = probe(chain, tensor, sign)
            error = self.errors.get(edge.name, 0.0)
            others = [probe(chain, tensor, sign, shift) for shift in (-error, error)] if error else []
        except (FloatingPointError, TypeError):
            return None
        return edge.name, probed, others

    def _axes(self, edge: _Edge) -> int:
        """Trailing axes that count channels: all where a function behind a Flatten differs between features."""
        chain = [n.op for n in edge.chain if isinstance(n.op, RealOp)]
        return len(self.types[edge.name].shape) if per_feature(chain) else 1

    def _replace(self, node: Node, op: Op) -> None:
        self.nodes[self.nodes.index(node)] = replace(node, op=op)
        self.types[node.name] = op.infer(*(self.types[i] for i in node.inputs))

    def _pool_first(self, edge: _Edge) -> _Edge:
        """Pool the integers themselves where what follows differs between the features that come out of the pooling."""
        chain = [n.op for n in edge.chain if isinstance(n.op, RealOp)]
        if not per_feature(chain) or not any(isinstance(op, MaxPool) for op in chain):
            return edge
        image = chain[: next(i for i, op in enumerate(chain) if isinstance(op, Flatten))]
        tensor = self.types[edge.name]
        name = self._pool(edge, probe(image, tensor, np.ones(tensor.channels)), edge.name)
        self.errors[name] = self.errors.get(edge.name, 0.0)
        return _Edge(name, edge.real, tuple(n for n in edge.chain if not isinstance(n.op, MaxPool)))

    def _pool(self, edge: _Edge, probed: Probed, name: str) -> str:
        """The poolings of a chain, moved behind its thresholds (or before its table)."""
        pools = [(n, n.op) for n in edge.chain if isinstance(n.op, MaxPool)]
        for (node, op), way in zip(pools, probed.pools, strict=True):
            if np.any(way == 0):
                self._problem(
                    node.name,
                    "max pooling over a function that neither rises nor falls",
                    "pooling over monotone functions",
                    "put the pooling in front of that function",
                )
            name = self._add(node.name, Pool(way == -1, op.size), name)
        return name

    def _judge(self, edge: _Edge, *, tips: bool) -> None:
        layers = [edge.real, *(n.op.layer for n in edge.chain if isinstance(n.op, RealOp))]
        if tips:
            fidelity = Fidelity("rounded", "Keras's float32 rounding can tip decisions at a threshold")
        elif self.errors.get(edge.name, 0.0):
            fidelity = Fidelity("exact", "no float32 rounding of the real input reaches a threshold")
        else:
            fidelity = Fidelity("exact", "integers throughout")
        for layer in dict.fromkeys(layers):
            self.fidelity.setdefault(layer, fidelity)

    def _not_quantized(self, reader: Node, edge: _Edge, values: Array | None) -> str:
        """Note the problem; signs of the right shape stand in for the input, so that later problems are found too."""
        layer = reader.op.layer if isinstance(reader.op, RealOp) else reader.name
        found = "its input is real-valued"
        if values is not None:
            found += f" ({np.unique(values).size} distinct values after '{edge.chain[-1].name}')"
        elif edge.chain:
            found = (
                f"the layers before it, from '{edge.chain[0].name}' on, cannot be evaluated value by value"
            )
        self._problem(
            layer,
            found,
            f"inputs of at most {LEVELS} evenly spaced values, such as those of input_quantizer='ste_sign'",
            "give the layer an input_quantizer",
        )
        return self._add(f"{reader.name}.missing", Source(Tensor(self._shape(reader), BIPOLAR)))

    # ---- the end of the network

    def _output(self, edge: _Edge, output: Output | None) -> str:
        softmax = bool(edge.chain) and isinstance(edge.chain[-1].op, Softmax)
        if softmax:
            self.fidelity[edge.chain[-1].name] = Fidelity(
                "exact", "dropped: it keeps the order of the scores"
            )
            edge = replace(edge, chain=edge.chain[:-1])
        name = self._scores(edge)
        if output == "class" or (output is None and softmax):
            flat = any(isinstance(n.op, Flatten) for n in edge.chain)
            name = self._add("class", Argmax(len(self.types[name].shape) if flat else 1), name)
        return name

    def _scores(self, edge: _Edge) -> str:
        tensor = self.types[edge.name]
        chain = [n for n in edge.chain if not isinstance(n.op, Flatten)]
        last = edge.chain[-1].name if edge.chain else edge.real
        if not chain and isinstance(tensor.scale, float) and isinstance(tensor.offset, float):
            self._judge(edge, tips=bool(self.errors.get(edge.name, 0.0)))
            self.matches[edge.name] = last
            return edge.name
        edge = self._pool_first(edge)
        tensor = self.types[edge.name]
        settled = self._probe(edge)
        if settled is None or tensor.channels * tensor.ints.count > TABLE_ENTRIES:
            self._problem(
                edge.chain[-1].name,
                "the scores cannot be evaluated value by value",
                f"functions of single values, over at most {TABLE_ENTRIES} integers",
                "end the model with a BatchNormalization, a bias or an activation",
            )
            return edge.name
        name, probed, others = settled
        grid = lattice(probed.values)
        if grid is not None:
            table, scale, offset, kept = grid.index(probed.values), grid.scale, grid.offset, True
            kind = grid.type
        else:
            table, fraction, kept = scores(probed.values)
            scale, offset, kind = 2.0**-fraction, 0.0, Ints(int(table.min()), int(table.max()))
        self._judge(edge, tips=bool(others) or not kept)
        domain = self.types[name].ints
        name = self._pool(edge, probed, name)
        name = self._add(
            f"{edge.real}.scores", Table(table.T, domain, kind, scale, offset, self._axes(edge)), name
        )
        self.matches[name] = last
        return name
