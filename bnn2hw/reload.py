"""Load another model's weights into the hardware of a compiled model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bnn2hw import deviation, pipeline
from bnn2hw.backends.design import Design
from bnn2hw.backends.loading import FIXED
from bnn2hw.comparison import Comparison
from bnn2hw.compiled import CompiledModel
from bnn2hw.dataflow import connect, free_running, insert
from bnn2hw.deviation import Deviation
from bnn2hw.errors import InputError, Problem, UnsupportedError
from bnn2hw.importers.imported import Imported, Model
from bnn2hw.ir import Array, Graph, HardwareOp, Node, Op, Param, StreamOp
from bnn2hw.lower.fidelity import Fidelity
from bnn2hw.lower.precision import Precision
from bnn2hw.lower.recipe import Recipe
from bnn2hw.lower.unread_tables import without_unread_tables
from bnn2hw.ops.affine import Affine
from bnn2hw.pipeline import LoweredModel
from bnn2hw.progress import Progress

REFUSED = "this model cannot be loaded into that hardware"
SAME = "the same layers, shapes, types and ranges as the model that was compiled"
ANEW = "compile the new model, and program its bitstream"


@dataclass(frozen=True)
class Reloaded:
    """The part of an accelerator that changes with the weights.

    Attributes:
        graph: The streamed graph.
        fidelity: Fidelity by layer.
        origin: The other model.
        measured: Deviations of its edges from the model, on random frames.
        compared: Its outputs beside those of the executor of the model's own format.
    """

    graph: Graph
    fidelity: Mapping[str, Fidelity]
    origin: LoweredModel
    measured: tuple[Deviation, ...]
    compared: Comparison


def check(graph: Graph, how: Recipe) -> None:
    """Refuse a model that could never be reloaded, before hardware is made of it.

    Args:
        graph: The graph in hardware form.
        how: The options by which it was lowered.

    Raises:
        InputError: Nothing in the graph can be written at run time.
        UnsupportedError: Constants of fixed point follow layers that can be loaded. Their widths
            depend on the weights.
    """
    if not how.loadable:
        return
    if not any(n.op.writable for n in graph if isinstance(n.op, HardwareOp)):
        raise InputError("nothing in this model can be loaded: no layer asked for has weights or thresholds")
    if how.loadable is not True:
        return
    behind: set[str] = set()
    problems = []
    for node in graph:
        if (isinstance(node.op, HardwareOp) and node.op.writable) or behind & set(node.inputs):
            behind.add(node.name)
        if isinstance(node.op, Affine) and node.name in behind and node.op.shift:
            problems.append(
                Problem(
                    node.layer,
                    "scales real numbers in fixed point, whose widths follow from the weights before it",
                    "loadable layers whose activations are quantized",
                    "quantize the activation there, or name the layers that are to be loadable",
                )
            )
    if problems:
        raise UnsupportedError(problems)


def weights(
    accelerator: CompiledModel,
    model: Any,
    progress: Progress,
    custom_objects: Mapping[str, Any] | None = None,
) -> Reloaded:
    """Lower another model into the hardware of an accelerator.

    Args:
        accelerator: The accelerator.
        model: A built model of the same architecture, or the path of one.
        progress: Called at the start of each step.
        custom_objects: Classes and functions of the user's own in a file of Keras, by name.

    Raises:
        InputError: The model cannot be used, or the memories of the accelerator cannot be written.
        UnsupportedError: The model needs other hardware, or computes something else than its layers.
    """
    if accelerator.recipe is None:
        raise InputError(FIXED)
    progress("reading the model")
    imported = pipeline.read(model, custom_objects)
    progress("lowering to integers")
    renamed = _renamed(imported, accelerator.recipe)
    made = pipeline.lower(renamed, accelerator.input_specs, accelerator.recipe)
    graph = _streamed(accelerator, made.lowered.graph)
    progress(f"comparing with the model ({imported.oracle.name if imported.oracle else imported.executor})")
    frames = pipeline.compared_frames(renamed, made, None)
    compared = pipeline.check_whole(renamed, made, frames)
    precision = Precision.of(accelerator.recipe.bits)
    measured = deviation.checked(renamed.graph, made.lowered, frames, precision)
    return Reloaded(graph, made.lowered.fidelity, made, tuple(measured), compared)


def compare(old: Design, new: Design) -> None:
    """Check that two designs differ in the contents of memories only.

    Raises:
        InputError: Other files differ.
    """
    names = {n for n in (*old.files, *new.files) if not n.endswith(".hex")}
    other = sorted(n for n in names if old.files.get(n) != new.files.get(n))
    if other:
        raise InputError(
            f"the model needs other hardware: {', '.join(other)} differ; this is a fault of bnn2hw, report it"
        )


def _renamed(imported: Imported, how: Recipe) -> Imported:
    """A model with the names and layers of the compiled model's nodes, in the same order."""
    nodes, types = imported.graph.nodes, imported.graph.types
    for node, known in zip(nodes, how.nodes, strict=False):
        kind, shape = type(node.op).__name__, types[node.name].shape
        if (kind, shape) != (known.kind, known.shape):
            raise _refusal(
                known.layer,
                f"{kind} of shape {shape} where the compiled model has {known.kind} of shape {known.shape}",
            )
    if len(nodes) != len(how.nodes):
        raise _refusal(imported.name, f"{len(nodes)} steps where the compiled model has {len(how.nodes)}")
    names = {node.name: known.name for node, known in zip(nodes, how.nodes, strict=True)}
    renamed = [
        Node(known.name, node.op, tuple(names[i] for i in node.inputs), known.layer)
        for node, known in zip(nodes, how.nodes, strict=True)
    ]
    graph = Graph(tuple(renamed), tuple(names[o] for o in imported.graph.outputs))
    inputs = {names[n]: wire for n, wire in imported.inputs.items()}
    return replace(imported, graph=graph, inputs=inputs, model=_with_names(imported.model, names))


def _with_names(model: Model | None, names: Mapping[str, str]) -> Model | None:
    """The function of a model whose inputs and outputs have other names."""
    if model is None:
        return None
    old = {new: name for name, new in names.items()}

    def run(x: Mapping[str, Array]) -> Mapping[str, Array]:
        found = model({old[n]: a for n, a in x.items()})
        return {names[n]: y for n, y in found.items()}

    return run


def _refusal(layer: str, found: str) -> UnsupportedError:
    return UnsupportedError([Problem(layer, found, SAME, ANEW)], REFUSED)


def _streamed(accelerator: CompiledModel, new: Graph) -> Graph:
    """Fold and connect a model as the compiled model is.

    Args:
        accelerator: The compiled model.
        new: The other model in hardware form.

    Raises:
        UnsupportedError: The other model needs other hardware, or weights differ that cannot be
            loaded.
    """
    old = accelerator.graph
    bare = insert.remove_fifos(old)
    folded = _folded_like(bare, without_unread_tables(new))
    problems = list(_other_nodes(bare, folded))
    if problems:
        raise UnsupportedError(problems, REFUSED)
    problems = [p for node in _makers(folded) for p in _differences(bare, folded, node)]
    if problems:
        raise UnsupportedError(problems, REFUSED)
    made = connect.connect(folded)
    return free_running.free(made, accelerator.device.family) if free_running.is_free(old) else made


def _folded_like(old: Graph, new: Graph) -> Graph:
    """Return the new graph with the folding that nodes of the same names have in the old one."""
    there = {n.name: n.op for n in old}
    ops: dict[str, Op] = {}
    for node in new:
        model = there.get(node.name)
        if isinstance(node.op, StreamOp) and isinstance(model, StreamOp):
            ops[node.name] = node.op.folded_like(model)
    return new.map_ops(ops)


def _makers(graph: Graph) -> list[Node]:
    """The nodes that make streams."""
    return [n for n in graph if isinstance(n.op, StreamOp)]


def _other_nodes(old: Graph, new: Graph) -> Iterator[Problem]:
    """The first op that is of another class or reads another stream."""
    before, after = _makers(old), _makers(new)
    for a, b in zip(before, after, strict=False):
        same = a.name == b.name and type(a.op) is type(b.op)
        if not same or [old.wire(i) for i in a.inputs] != [new.wire(i) for i in b.inputs]:
            kinds = f"{type(b.op).__name__} '{b.name}' where there is {type(a.op).__name__} '{a.name}'"
            yield Problem(a.layer, f"its weights need other hardware: {kinds}", SAME, ANEW)
            return
    if len(before) != len(after):
        found = f"{len(after)} units where the compiled model has {len(before)}"
        yield Problem(before[-1].layer, found, SAME, ANEW)


def _differences(old: Graph, new: Graph, node: Node) -> Iterator[Problem]:
    """Differences of an op that are wired into the hardware."""
    there = old[node.name]
    was, now = old.types[there.name], new.types[node.name]
    found = ""
    if (was.shape, was.type) != (now.shape, now.type):
        found = f"gives {now.type} of shape {now.shape} where {was.type} of shape {was.shape} is wired"
    elif isinstance(node.op, HardwareOp) and isinstance(there.op, HardwareOp):
        x, before = new.inputs_of(node), old.inputs_of(there)
        found = _other_constants(there.op.params(*before), node.op.params(*x), set(there.op.loads(*before)))
        if not found and not there.op.writable:
            constants = {n: m.codes for n, m in there.op.memories(*before).items()}
            changed = {n: m.codes for n, m in node.op.memories(*x).items()}
            if not all(np.array_equal(constants[n], changed[n]) for n in constants):
                yield Problem(
                    node.layer,
                    "its constants have changed, and they are not loadable",
                    "new weights and thresholds of loadable layers",
                    f"compile with loadable=True or with '{node.layer}' among the loadable layers",
                )
    if found:
        yield Problem(node.layer, found, SAME, ANEW)


def _other_constants(old: Mapping[str, Param], new: Mapping[str, Param], loaded: set[str]) -> str:
    """Describe the first wired parameter that has another value; empty if there is none."""
    for name, value in old.items():
        if name not in loaded and not np.array_equal(value, new[name]):
            shown = f" ({new[name]} where {value} is wired)" if np.ndim(value) == 0 else ""
            return f"needs another {name}{shown}"
    return ""
