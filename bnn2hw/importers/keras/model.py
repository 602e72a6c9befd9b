"""Keras 3 models, `bnn2hw.nn` and Larq's layers among them, to a graph in real form.

Layers are known by the names of their classes, so nothing of the training side is imported; what a layer computes is
asked of the layer itself, in float32 and inference mode, one layer at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras

from bnn2hw.errors import InputError, UnsupportedError
from bnn2hw.importers.imported import Imported
from bnn2hw.importers.keras.layers import HANDLERS, JOINS
from bnn2hw.importers.keras.reader import Reader, names
from bnn2hw.ir import Graph
from bnn2hw.ops.source import Input, Source


def to_graph(model: Any) -> Imported:
    """The graph of a built Sequential or functional model.

    Raises:
        InputError: not a Keras model, or one without weights and shapes yet.
        UnsupportedError: all layers and options that cannot be compiled, at once.
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
    reader = Reader(HANDLERS, JOINS, names=names(model))
    edges = reader.model(model)
    if reader.problems:
        raise UnsupportedError(reader.problems)
    graph, inputs = _at_the_inputs(Graph(tuple(reader.nodes), edges), reader.scalings)
    return Imported(graph, inputs, model.name)


def _at_the_inputs(graph: Graph, scalings: Mapping[str, Input]) -> tuple[Graph, dict[str, Input]]:
    """Take Rescaling layers that alone read an input out of the graph: they say what arrives on its wires."""
    inputs: dict[str, Input] = {}
    gone: dict[str, str] = {}
    for name, meaning in scalings.items():
        [source] = graph[name].inputs
        sole = graph.consumers[source] == (graph[name],) and source not in graph.outputs
        if sole and name not in graph.outputs and isinstance(graph[source].op, Source):
            inputs[source], gone[name] = meaning, source
    nodes = [replace(n, inputs=tuple(gone.get(i, i) for i in n.inputs)) for n in graph if n.name not in gone]
    return Graph(tuple(nodes), graph.outputs), inputs
