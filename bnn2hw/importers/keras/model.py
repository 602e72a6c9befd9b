"""Read a Keras 3 model, with layers of Keras, `bnn2hw.nn` or Larq, as a graph in real form.

Layers are known by the names of their classes, so nothing of the training side is imported. What a
layer computes is asked of the layer itself, one layer at a time, in float32 and inference mode
(docs/decisions/0002).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from bnn2hw.errors import InputError, UnsupportedError
from bnn2hw.importers.imported import Imported, Model
from bnn2hw.importers.keras import handlers
from bnn2hw.importers.keras.calls import Draft
from bnn2hw.importers.keras.functions import array, tensor
from bnn2hw.importers.keras.half_precision import half_layers, in_float32
from bnn2hw.importers.keras.reader import read_model
from bnn2hw.importers.keras.walk import names
from bnn2hw.ir import Array, Graph
from bnn2hw.ops.real import Refold, Reshape
from bnn2hw.ops.source import Input

HANDLER_FILES = handlers.FILES
"""The files whose handlers are registered."""


def to_graph(model: Any) -> Imported:
    """Return the graph of a built Sequential or functional model.

    Raises:
        InputError: The object is not a Keras model, or it has no weights and shapes yet.
        UnsupportedError: The model has layers or options that cannot be compiled. The error lists
            all of them.
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"expected a Keras model or the path of one, not {type(model).__name__}")
    try:
        inputs, outputs = model.inputs, model.outputs
    except (AttributeError, ValueError):
        inputs = outputs = None
    if not model.built or not inputs or not outputs:
        raise InputError(
            f"model '{model.name}' has no shapes yet or is a subclass of keras.Model; call it once or give it an "
            "Input layer, and use a Sequential or functional model"
        )
    draft = Draft(names(model))
    edges = read_model(draft, model)
    if draft.problems:
        raise UnsupportedError(draft.problems)
    places = {draft.name(t._keras_history[0]): i for i, t in enumerate(inputs)}
    nodes = sorted(draft.nodes, key=lambda n: len(places) if n.inputs else places.get(n.name, 0))
    graph, meanings = _without_scalings(Graph(tuple(nodes), edges), draft.scalings)
    whole = _whole(model, draft, edges)
    defaults = _of_quantizers(graph)
    return Imported(graph, meanings, model.name, defaults, names=_output_names(model), model=whole)


WIDEST = 16
"""Most bits on the wire of an input."""


def _of_quantizers(graph: Graph) -> dict[str, Input]:
    """What arrives at inputs that only a quantizer to binary fixed point reads: its numbers."""
    found = {}
    for source in graph.sources:
        readers, name = graph.consumers[source.name], source.name
        while len(readers) == 1 and isinstance(readers[0].op, Reshape | Refold):
            name = readers[0].name
            readers = graph.consumers[name]
        fixed = getattr(readers[0].op, "fixed", None) if len(readers) == 1 else None
        if fixed is not None and fixed.bits <= WIDEST:
            kind = "int" if np.any(fixed.signs[fixed.used]) else "uint"
            found[source.name] = Input(f"{kind}{max(fixed.bits, 2)}", 2.0**-fixed.point)
    return found


def _output_names(model: Any) -> tuple[str, ...]:
    """The names of several outputs, in the order of `model.outputs`: the keys of a dict, or Keras's names."""
    outputs = getattr(model, "_outputs_struct", None)
    names = sorted(outputs) if isinstance(outputs, dict) else getattr(model, "output_names", ())
    fits = len(model.outputs) > 1 and len(set(names)) == len(model.outputs)
    return tuple(map(str, names)) if fits else ()


def _behind_shapes(graph: Graph, name: str) -> str | None:
    """The input that an edge is, seen through changes of shape; None if it is none, or is read elsewhere."""
    while graph[name].inputs and isinstance(graph[name].op, Reshape | Refold):
        [name] = graph[name].inputs
    return name if not graph[name].inputs and len(graph.consumers[name]) == 1 else None


def _whole(model: Any, draft: Draft, outputs: tuple[str, ...]) -> Model:
    """The model itself as a function, in float32 and inference mode."""
    names = [draft.name(t._keras_history.operation) for t in model.inputs]
    shapes = [tuple(t.shape[1:]) for t in model.inputs]
    halves, structure = half_layers(model), getattr(model, "_inputs_struct", None)

    def apply(x: Mapping[str, Array]) -> dict[str, Array]:
        count = len(next(iter(x.values())))
        # Nothing depends on an input that is no node.
        given = [
            tensor(x[n] if n in x else np.zeros((count, *shape)))
            for n, shape in zip(names, shapes, strict=True)
        ]
        inputs = given[0] if structure is None else keras.tree.pack_sequence_as(structure, given)
        with keras.StatelessScope(), in_float32(halves):
            results = keras.tree.flatten(model(inputs, training=False))
        return {edge: array(y) for edge, y in zip(outputs, results, strict=True)}

    return apply


def _without_scalings(graph: Graph, scalings: Mapping[str, Input | None]) -> tuple[Graph, dict[str, Input]]:
    """Remove Rescaling layers that alone read an input: they define its integers' meaning.

    Returns:
        The graph without them, and the meaning of the integers by input.
    """
    inputs: dict[str, Input] = {}
    gone: dict[str, str] = {}
    for name, meaning in scalings.items():
        [source] = graph[name].inputs
        pixels = _behind_shapes(graph, source)
        if pixels and (meaning is None or pixels != source):
            inputs[pixels] = Input("uint8")  # the layer is computed
            continue
        if meaning is None:
            continue
        sole = graph.consumers[source] == (graph[name],) and source not in graph.outputs
        if sole and name not in graph.outputs and not graph[source].inputs:
            inputs[source], gone[name] = meaning, source
    nodes = [replace(n, inputs=tuple(gone.get(i, i) for i in n.inputs)) for n in graph if n.name not in gone]
    return Graph(tuple(nodes), graph.outputs), inputs
