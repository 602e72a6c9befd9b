"""Read a Keras 3 model, with layers of Keras, `bnn2hw.nn` or Larq, as a graph in real form.

Layers are known by the names of their classes, so nothing of the training side is imported. What a
layer computes is asked of the layer itself, one layer at a time, in float32 and inference mode
(docs/decisions/0002).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from bnn2hw.errors import InputError, UnsupportedError
from bnn2hw.importers.imported import Imported, Model, Oracle, version_of
from bnn2hw.importers.keras import channels_last, handlers, originals
from bnn2hw.importers.keras.calls import Draft
from bnn2hw.importers.keras.functions import array, tensor
from bnn2hw.importers.keras.half_precision import half_layers, in_float32
from bnn2hw.importers.keras.originals import Load, Package
from bnn2hw.importers.keras.reader import read_model
from bnn2hw.importers.keras.walk import names
from bnn2hw.ir import Array, AxisOrder, Graph
from bnn2hw.ops.real import Refold, Reshape
from bnn2hw.ops.source import Input

UNABLE = (
    "the backend of Keras cannot compute this model with its channels first; "
    "the design is compared with the model rewritten to have them last"
)

HANDLER_FILES = handlers.FILES
"""The files whose handlers are registered."""


def to_graph(model: Any, original: Callable[[Package], Load] | None = None) -> Imported:
    """Return the graph of a built Sequential or functional model.

    Args:
        model: The model.
        original: Returns what loads the model with the layers of their own package; None if there are none.

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
    relaid = channels_last.rewritten(model)
    draft = Draft(relaid.names if relaid else names(model))
    edges = read_model(draft, relaid.model if relaid else model)
    if draft.problems:
        raise UnsupportedError(draft.problems)
    places = {
        draft.name(t._keras_history[0]): i for i, t in enumerate((relaid.model if relaid else model).inputs)
    }
    nodes = sorted(draft.nodes, key=lambda n: len(places) if n.inputs else places.get(n.name, 0))
    graph, meanings = _without_scalings(Graph(tuple(nodes), edges), draft.scalings)
    whole = _whole(model, names(model), edges)
    layouts = {} if relaid is None else _layouts(relaid, edges)
    if relaid is not None:
        whole = _in_streams(whole, layouts, _whole(relaid.model, relaid.names, edges))
    made = Imported(graph, meanings, model.name, _of_quantizers(graph), layouts, names=_output_names(model))
    return replace(made, model=whole, **_executors(model, edges, layouts, original))


def _executors(
    model: Any,
    edges: tuple[str, ...],
    layouts: Mapping[str, AxisOrder],
    original: Callable[[Package], Load] | None,
) -> dict[str, Any]:
    """Return the fields of `Imported` that say what evaluates a model: Keras, or the package of its layers."""
    keras_itself, package = originals.runs_on(), originals.package_of(model)
    if package is None:
        return {"executor": version_of(keras_itself), "packages": keras_itself}
    words = {
        "executor": f"bnn2hw's layers of {package.name} on {version_of(keras_itself)}",
        "packages": keras_itself,
    }
    if package.installed is None or original is None:
        return {**words, "lacking": f"the package {package.distributions[0]} is not installed"}
    load = original(package)

    def run(x: Mapping[str, Array]) -> Mapping[str, Array]:
        found = load()
        return _in_order(_whole(found, names(found), edges), layouts)(x)

    return {**words, "oracle": Oracle({package.installed: package.name, **keras_itself}, run)}


def _layouts(relaid: channels_last.Rewritten, outputs: tuple[str, ...]) -> dict[str, AxisOrder]:
    """The order of the values in the streams by input and output, where the model has another one."""
    sources = [relaid.names[id(t._keras_history[0])] for t in relaid.model.inputs]
    found = zip((*sources, *outputs), (*relaid.inputs, *relaid.outputs), strict=True)
    return {name: layout for name, layout in found if layout is not None}


WIDEST = 16
"""Most bits on the wire of an input."""


def _of_quantizers(graph: Graph) -> dict[str, Input]:
    """Return the numbers of the quantizer at inputs that only a quantizer to binary fixed point reads."""
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
    if len(model.outputs) < 2:
        return ()
    outputs = getattr(model, "_outputs_struct", None)
    keys = sorted(outputs) if isinstance(outputs, dict) else ()
    names = keys if len(keys) == len(model.outputs) else getattr(model, "output_names", ())
    return _distinct([str(name) for name in names]) if len(names) == len(model.outputs) else ()


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names of which all but the first of equal ones have a number: Keras names outputs after their layers."""
    found: list[str] = []
    for at, name in enumerate(names):
        tries = (name, *(f"{name}_{n}" for n in range(2, len(names) + 2)))
        later = names[at + 1 :]
        found.append(next(t for t in tries if t not in found and (t == name or t not in later)))
    return tuple(found)


def _behind_shapes(graph: Graph, name: str) -> str | None:
    """The input that an edge is, seen through changes of shape; None if it is none, or is read elsewhere."""
    while graph[name].inputs and isinstance(graph[name].op, Reshape | Refold):
        [name] = graph[name].inputs
    return name if not graph[name].inputs and len(graph.consumers[name]) == 1 else None


def _in_streams(model: Model, layouts: Mapping[str, AxisOrder], twin: Model) -> Model:
    """A model as a function of values in the order of the streams.

    Args:
        model: The model as a function of its own arrays.
        layouts: The order of the axes by input and output.
        twin: The model rewritten, which serves where the backend cannot compute with channels first.
    """
    ordered = _in_order(model, layouts)

    def apply(x: Mapping[str, Array]) -> Mapping[str, Array]:
        try:
            return ordered(x)
        except Exception as error:
            warnings.warn(f"{UNABLE} ({type(error).__name__})", stacklevel=2)
            return twin(x)

    return apply


def _in_order(model: Model, layouts: Mapping[str, AxisOrder]) -> Model:
    """A model as a function of values in the order of the streams, if its backend can compute it."""

    def apply(x: Mapping[str, Array]) -> Mapping[str, Array]:
        found = model({n: layouts[n].from_stream(a) if n in layouts else a for n, a in x.items()})
        return {n: layouts[n].to_stream(a) if n in layouts else a for n, a in found.items()}

    return apply


def _whole(model: Any, own: Mapping[int, str], outputs: tuple[str, ...]) -> Model:
    """The model itself as a function, in float32 and inference mode."""
    names = [own.get(id(t._keras_history.operation), "") for t in model.inputs]
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
