"""Walk through the layers of a Keras model, and tell them by their classes and names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterator, Sequence

import keras

from bnn2hw.importers.keras.calls import Layer

FAMILIES = ("keras", "bnn2hw", "larq", "tf_keras")
"""Packages whose classes are known by their names."""

OPEN = ("Quantizer",)
"""Classes whose subclasses may override `call`. They are functions of single values, which is tried
out."""


FORMER = ("ThresholdedReLU",)
"""Layers of Keras 2 that Keras 3 lacks, so that users write them themselves. They are functions of single
values too."""


def order(outputs: Sequence[Layer], known: Collection[int]) -> Iterator[tuple[Layer, Layer]]:
    """Yield operations and their result tensors, each after those that it reads.

    Args:
        outputs: Tensors that are wanted.
        known: Ids of tensors that are known already.
    """
    done: set[int] = set(known)
    stack: list[tuple[Layer, bool]] = [(t, False) for t in reversed(outputs)]
    while stack:
        tensor, ready = stack.pop()
        if id(tensor) in done:
            continue
        operation, index, _ = tensor._keras_history
        node = operation._inbound_nodes[index]
        if ready or not node.input_tensors:
            done.update(id(t) for t in node.output_tensors)
            yield operation, tensor
        else:
            stack.append((tensor, True))
            stack.extend((s, False) for s in reversed(node.input_tensors))


def names(model: Layer) -> dict[int, str]:
    """Return a distinct name for each layer of a model and of its nested models, by layer id.

    A layer keeps its own name if no other layer has it. Otherwise the names of the models that it
    is nested in come first, as in "block/dense". A layer of the model itself always keeps its name.
    """
    found = {id(layer): (layer.name, path) for layer, path in _layers(model, ())}
    count = Counter(name for name, _ in found.values())
    return {key: name if count[name] == 1 else "/".join((*path, name)) for key, (name, path) in found.items()}


def _layers(model: Layer, path: tuple[str, ...]) -> Iterator[tuple[Layer, tuple[str, ...]]]:
    """All layers of a model with the names of the models around them; the model's own come last."""
    known = [id(t) for t in model.inputs] if path else []
    operations = [operation for operation, _ in order(model.outputs, known)]
    for operation in operations:
        if isinstance(operation, keras.Model) and is_graph(operation):
            yield from _layers(operation, (*path, operation.name))
    yield from ((operation, path) for operation in operations)


def is_graph(model: Layer) -> bool:
    """True if a model is a graph of layers: a Sequential or a functional model of Keras itself."""
    own = type(model).__module__.split(".")[0] in FAMILIES
    return isinstance(model, keras.Sequential) or (own and _derives(model, "Functional"))


def _derives(layer: Layer, name: str) -> bool:
    return any(cls.__name__ == name for cls in type(layer).__mro__)


def class_name(layer: Layer, known: Container[str]) -> str | None:
    """Return the name by which a layer is handled: of its class, or of a class whose `call` it has.

    Args:
        layer: The layer.
        known: Class names that have a handler.

    Returns:
        None if there is none. That includes a class of the user's own with a known name, and one
        that derives from a known class but computes something else.
    """
    chosen = getattr(type(layer), "handler", None)
    if chosen in known and type(layer).__module__.split(".")[0] == "bnn2hw":
        return str(chosen)
    for cls in type(layer).__mro__:
        if cls.__name__ in FORMER and cls.__name__ in known:
            return str(cls.__name__)
        if cls.__name__ in known and cls.__module__.split(".")[0] in FAMILIES:
            same = cls.__name__ in OPEN or getattr(type(layer), "call", None) is getattr(cls, "call", None)
            return str(cls.__name__) if same else None
    return None
