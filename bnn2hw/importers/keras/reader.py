"""Read a Keras model call by call, and collect nodes and problems.

The handlers say what a layer becomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from bnn2hw.importers import variances
from bnn2hw.importers.keras import layer_check
from bnn2hw.importers.keras.calls import HANDLERS, JOINS, Call, Draft, Handler, Layer
from bnn2hw.importers.keras.functions import array, backend_errors
from bnn2hw.importers.keras.handlers.pointwise import SINGLE, own_function
from bnn2hw.importers.keras.walk import FAMILIES, class_name, is_graph, order
from bnn2hw.ir import Tensor
from bnn2hw.ops.source import Source

TRAINING_ONLY = ("i_decay_speed",)
"""Weights that only training reads. HGQ2 sets this one to infinity for weights that wrap."""


def read_model(draft: Draft, model: Layer, known: Mapping[int, str] | None = None) -> tuple[str, ...]:
    """Add all calls of a model to a draft.

    Args:
        draft: The graph so far.
        model: A Sequential or functional model.
        known: Edges of the model's inputs by the id of the tensor; None if the inputs become
            sources.

    Returns:
        The edges of the model's outputs.
    """
    edges = dict(known or {})
    for operation, result in order(model.outputs, edges):
        edges.update(_read(draft, operation, result, edges))
    return tuple(edges[id(t)] for t in model.outputs)


def _read(draft: Draft, layer: Layer, result: Layer, edges: Mapping[int, str]) -> dict[int, str]:
    """Add one call, and return the edges of its results by the id of the tensor."""
    node = layer._inbound_nodes[result._keras_history[1]]
    if not node.input_tensors:
        return {id(result): _source(draft, layer, tuple(result.shape[1:]))}
    inputs = tuple(edges[id(t)] for t in node.input_tensors)
    if isinstance(layer, keras.Model):
        return _nested(draft, layer, inputs, node)
    problems = len(draft.problems)
    edge = _handled(Call(draft, layer, inputs, tuple(result.shape[1:]), node))
    if len(draft.problems) == problems:
        return {id(result): edge}
    found = {}
    for tensor in node.output_tensors:
        shape = tuple(tensor.shape[1:])
        found[id(tensor)] = edge if draft.shapes[edge] == shape else _stand_in(draft, layer, shape)
    return found


def _handled(call: Call) -> str:
    """Let the handler of a layer add its nodes. A problem leaves the first input as the output."""
    if None in call.shape:
        if not any("the open input shape" in p.found for p in call.draft.problems):
            call.problem(
                f"the open output shape {call.shape}", "fixed shapes", "give all sizes of its output"
            )
        return call.edge
    known = JOINS if len(call.edges) > 1 else HANDLERS
    name = class_name(call.layer, known)
    if name is None:
        return _of_the_user(call, known)
    return _read_and_checked(call, known[name]) if _finite(call) else call.edge


def _of_the_user(call: Call, known: Mapping[str, Handler]) -> str:
    """Read a layer without a handler if it is of a class of the user's own and a function of single values."""
    foreign = type(call.layer).__module__.split(".")[0] not in (*FAMILIES, "qkeras", "hgq")
    if not foreign or len(call.edges) > 1 or not isinstance(call.layer, keras.Layer):
        _unknown(call, known)
        return call.edge

    def read(call: Call) -> str:
        edge = own_function(call)
        if edge is None:
            name = type(call.layer).__name__
            call.problem(
                f"a class {name} of your own, whose values depend on several values of its input", *SINGLE
            )
        return edge or call.edge

    return _read_and_checked(call, read) if _finite(call) else call.edge


def _read_and_checked(call: Call, handler: Handler) -> str:
    """Let a handler add its nodes, and compare them with the layer itself."""
    nodes, problems = len(call.draft.nodes), len(call.draft.problems)
    try:
        edge = handler(call)
    except backend_errors() as error:
        layer_check.cannot_compute(call, error)
        return call.edge
    if len(call.draft.problems) == problems:
        layer_check.check(call, call.draft.nodes[nodes:], edge)
    return edge


def _unknown(call: Call, known: Mapping[str, Any]) -> None:
    """Note the problem of a layer without a handler."""
    name = type(call.layer).__name__
    several = " with several inputs" if len(call.edges) > 1 else ""
    call.problem(f"a layer of type {name}{several}", "the layers in docs/coverage.md", "replace the layer")


def _finite(call: Call) -> bool:
    """True if all weights that inference reads are finite; notes a problem otherwise."""
    weights = getattr(call.layer, "weights", [])
    read = [w for w in weights if w.name not in TRAINING_ONLY]
    wrong = [w.name for w in read if not np.all(np.isfinite(array(w)))]
    if wrong:
        call.problem(
            f"NaN or infinite values in {', '.join(wrong)}", "finite weights", "train the model again"
        )
    return not wrong and _with_roots(call)


def _with_roots(call: Call) -> bool:
    """True if all variances of a normalization have a root; notes a problem otherwise."""
    inside = getattr(call.layer, "batchnorm", None)  # of a composite layer of QKeras
    for each in (call.layer, inside):
        name = "variance" if isinstance(each, keras.layers.Normalization) else "moving_variance"
        values = getattr(each, name, None)
        if values is None:
            continue
        found = variances.wrong(array(values), getattr(each, "epsilon", keras.config.epsilon()))
        if found:
            call.problem(*found)
            return False
    return True


def _stand_in(draft: Draft, layer: Layer, shape: tuple[int | None, ...]) -> str:
    """A source in place of something that cannot be read, so that later problems are found too."""
    known = tuple(1 if size is None else size for size in shape)
    return draft.add(layer, f"{draft.name(layer)}.missing", Source(Tensor(known)))


def _nested(draft: Draft, model: Layer, inputs: Sequence[str], node: Any) -> dict[int, str]:
    """Add the layers of a model within a model, where it is called."""
    if not is_graph(model):
        draft.problem(
            model, "a subclass of keras.Model", "Sequential and functional models", "use one of those"
        )
        return {id(t): _stand_in(draft, model, tuple(t.shape[1:])) for t in node.output_tensors}
    outputs = read_model(draft, model, {id(t): e for t, e in zip(model.inputs, inputs, strict=True)})
    return {id(t): edge for t, edge in zip(node.output_tensors, outputs, strict=True)}


def _source(draft: Draft, layer: Layer, shape: tuple[int | None, ...]) -> str:
    if None in shape:
        draft.problem(
            layer, f"the open input shape {shape}", "fixed shapes", "build the model with all sizes given"
        )
    if not shape:
        draft.problem(layer, "an input of single numbers", "inputs of shape (1,) or larger", "use shape=(1,)")
    known = tuple(1 if size is None else size for size in shape or (1,))
    return draft.add(layer, draft.name(layer), Source(Tensor(known)))
