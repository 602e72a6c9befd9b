"""Lower a graph from real form to hardware form: integers on every edge, and how faithful they are.

Each file of this folder holds the handlers of a group of ops. Importing a file registers its
handlers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bnn2hw.errors import UnsupportedError
from bnn2hw.ir import Array, Graph, HardwareOp, Node
from bnn2hw.lower.builder import Builder
from bnn2hw.lower.fidelity import INTEGERS, Fidelity
from bnn2hw.lower.hardware import borders, few_inputs, inputs, joins, matrices, shapes, windows
from bnn2hw.lower.hardware.lowering import HANDLERS, Lowering
from bnn2hw.lower.output_names import named, with_identity
from bnn2hw.lower.outputs import Output, finish
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.precision import Precision
from bnn2hw.lower.probe import NotPointwise, Unfit
from bnn2hw.lower.requantize import pooled, strategies
from bnn2hw.lower.truth_tables import fused
from bnn2hw.ops.real import Refold, Reshape
from bnn2hw.ops.source import Input, Source

REASONS = (FloatingPointError, NotPointwise, Unfit)
"""Exceptions that say why a node cannot be lowered."""

HANDLER_FILES = (borders, few_inputs, inputs, joins, matrices, shapes, windows)


@dataclass(frozen=True)
class Lowered:
    """A graph in hardware form and its relation to the real form.

    Attributes:
        graph: The graph in hardware form.
        fidelity: Fidelity by layer of the model.
        matches: Node of the real form by edge of the hardware form that carries its values. An edge
            that carries the values of a change of shape is matched to the node in front of it.
        own: Bound of the error that the hardware makes at a node of the real form, in the model's unit,
            of shape () or (features,).
    """

    graph: Graph
    fidelity: Mapping[str, Fidelity]
    matches: Mapping[str, str]
    own: Mapping[str, Array] = field(default_factory=dict)


def to_hardware(
    graph: Graph,
    wires: Mapping[str, Input],
    output: Output | None = None,
    precision: Precision = Precision(),  # noqa: B008  (it is immutable)
    expected: Mapping[str, tuple[Array, Array]] | None = None,
    *,
    loadable: bool | frozenset[str] = False,
    names: tuple[str, ...] = (),
) -> Lowered:
    """Lower a graph from real form to hardware form.

    Args:
        graph: The graph in real form.
        wires: Integers that arrive at each source, and their real meaning to the model.
        output: "scores", "class" or "top3"; None returns the class if the model ends in a softmax,
            else the scores.
        precision: Bits of what must be rounded.
        expected: Smallest and largest value of each channel that calibration data let expect, by
            node of the real form.
        loadable: True if all memories can be written at run time, False if none can, or the layers
            whose memories can.
        names: Names of the outputs; none to name them after their nodes.

    Raises:
        UnsupportedError: The graph cannot be lowered. The error lists all reasons.
    """
    b = Builder(graph, precision, expected or {}, loadable)
    lowering = Lowering(b, strategies(b), wires)
    edges: dict[str, Pending] = {}
    for node in graph:
        edges[node.name] = _lower(lowering, node, [edges[i] for i in node.inputs])
    made = b.graph([_finished(lowering, edges[name], output) for name in graph.outputs])
    made = fused(made)
    if not b.problems and not any(isinstance(n.op, HardwareOp) for n in made) and _computes(graph):
        made = with_identity(made, b)
    if not b.problems and not any(isinstance(n.op, HardwareOp) for n in made):
        b.problem(
            b.layers[graph.outputs[0]], "nothing to compute", "models with layers that compute", "add one"
        )
    if b.problems:
        raise UnsupportedError(b.problems)
    for node in made:
        b.mark(node.layer, INTEGERS)  # layers that nothing has judged
    made, matches = named(made, names, b.matches) if names else (made, b.matches)
    return Lowered(made, b.fidelity, matches, b.own)


def _computes(graph: Graph) -> bool:
    """True if a graph in real form does more than change shapes."""
    return any(not isinstance(n.op, Source | Reshape | Refold) for n in graph)


def _lower(lowering: Lowering, node: Node, before: list[Pending]) -> Pending:
    """Lower a node. A problem leaves a stand-in, so that later problems are found too."""
    try:
        return _lowered(lowering, node, before)
    except REASONS as error:
        return lowering.refused(node, before, error)


def _lowered(lowering: Lowering, node: Node, before: list[Pending]) -> Pending:
    handler = HANDLERS.get(type(node.op))
    if handler is not None:
        return handler(lowering, node, node.op, before)
    pending = before[0].then(node)
    shared = len(lowering.real.consumers[node.name]) > 1
    if pending.pools and (shared or lowering.b.chain(pending).by_position):
        # A pooling takes memory. If several nodes read its result, it is made once. Functions that differ by
        # position need it done, for its positions are theirs.
        return pooled(lowering.work, pending)
    return pending


def _finished(lowering: Lowering, pending: Pending, output: Output | None) -> str:
    """The edge that leaves the design for an output of the model; a stand-in if it cannot be made."""
    try:
        return finish(lowering.work, pending, output)
    except REASONS as error:
        node = lowering.real[pending.end]
        return lowering.refused(node, [replace(pending, chain=pending.chain[:-1])], error).edge
