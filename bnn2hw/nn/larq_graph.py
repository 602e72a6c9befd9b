"""Conversion of Keras 2 descriptions of models to Keras 3 models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from bnn2hw.nn.larq_objects import CONSTANT, FUNCTIONS, MODELS, OPERATIONS, Description, build

ERRORS = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, NotImplementedError)
"""Errors with which layers say that their arguments or inputs do not fit."""

Reference = list[Any]
Nodes = dict[tuple[str, int], Any]


def build_model(description: Description) -> keras.Model:
    """Build a model from its description, with initial weights.

    Args:
        description: ``class_name`` and ``config`` of a sequential or functional model.

    Raises:
        ValueError: The description is of another kind of model, such as a subclassed one.
    """
    kind, config = description["class_name"], description["config"]
    if kind == "Sequential":
        return _build_sequential(config)
    if "layers" not in config or "input_layers" not in config:
        raise ValueError(
            f"The file holds a model of the class {kind}, which is neither sequential nor functional."
        )
    return _Functional(config).model()


def _build_layer(described: Description) -> Any:
    """Build a layer or a nested model."""
    if described["class_name"] in MODELS:
        return build_model(described)
    with _told_of(described["config"].get("name", described["class_name"])):
        return build(described)


@contextmanager
def _told_of(name: str) -> Iterator[None]:
    """Let errors of a layer say which one it is; Keras's own words often do not."""
    try:
        yield
    except ERRORS as error:
        raise ValueError(f"layer '{name}': {error}") from error


def _chained(layers: list[Any], name: str | None) -> keras.Sequential:
    """Return a sequential model of layers."""
    try:
        return keras.Sequential(layers, name=name)
    except ERRORS:
        tensor = layers[0]
        for layer in layers[1:]:
            with _told_of(layer.name):
                tensor = layer(tensor)
        raise


def _input(config: Description) -> Any:
    """Return the input tensor of an input layer."""
    shape = config["batch_input_shape"] if "batch_input_shape" in config else config["batch_shape"]
    return keras.Input(batch_shape=tuple(shape), dtype=config.get("dtype"), name=config["name"])


def _build_sequential(config: Any) -> keras.Sequential:
    """Build a sequential model."""
    if isinstance(config, list):
        config = {"name": None, "layers": config}
    layers: list[Any] = []
    for described in config["layers"]:
        if described["class_name"] == "InputLayer":
            layers.append(_input(described["config"]))
            continue
        shape = described["config"].get("batch_input_shape")
        if not layers and shape is not None:
            layers.append(keras.Input(batch_shape=tuple(shape)))
        layers.append(_build_layer(described))
    model = _chained(layers, config.get("name"))
    if not model.built and config.get("build_input_shape"):
        model.build(tuple(config["build_input_shape"]))
    return model


def _calls_of(name: str, value: Any) -> list[int]:
    """Return the numbers of the calls of a layer that references in a description name."""
    if not isinstance(value, list | tuple | dict):
        return []
    if isinstance(value, list) and len(value) >= 3 and value[0] == name and isinstance(value[1], int):
        return [value[1]]
    parts = value.values() if isinstance(value, dict) else value
    return [number for part in parts for number in _calls_of(name, part)]


class _Functional:
    """Builder of a functional model. It calls each layer as soon as the inputs of the call exist.

    Args:
        config: Layers with their inbound nodes, input layers and output layers.
    """

    def __init__(self, config: Description) -> None:
        self.config = config
        self.tensors: Nodes = {}
        self.layers: dict[str, Any] = {}

    def model(self) -> keras.Model:
        """Return the model."""
        waiting = [(layer, node) for layer in self.config["layers"] for node in self._nodes(layer)]
        while waiting:
            later = [item for item in waiting if not self._call(*item)]
            if len(later) == len(waiting):
                raise ValueError(f"The layer '{later[0][0]['name']}' gets an input from nowhere.")
            waiting = later
        inputs, outputs = (self._ends(self.config[name]) for name in ("input_layers", "output_layers"))
        return keras.Model(inputs, outputs, name=self.config.get("name"))

    def _nodes(self, described: Description) -> list[tuple[int, list[Any]]]:
        """Create the tensor of an input layer, or return the numbered calls of another layer."""
        name = described["name"]
        if described["class_name"] == "InputLayer":
            self.tensors[name, 0] = _input(described["config"])
            return []
        self.layers[name] = _build_layer(described)
        return list(enumerate(described["inbound_nodes"], self._first_call(described)))

    def _first_call(self, described: Description) -> int:
        """Return the number of a layer's first call.

        A nested model with inputs of its own has been called once by itself, so its calls in this
        model have numbers from 1.
        """
        if described["class_name"] not in MODELS:
            return 0
        ends = (self.config["input_layers"], self.config["output_layers"])
        calls = (*ends, *(layer["inbound_nodes"] for layer in self.config["layers"]))
        return min(_calls_of(described["name"], calls), default=0)

    def _ends(self, references: Any) -> Any:
        """Return the tensors of references: one tensor, or a list of several."""
        if references and isinstance(references[0], str):
            return self._tensor(references)
        tensors = [self._tensor(reference) for reference in references]
        return tensors[0] if len(tensors) == 1 else tensors

    def _tensor(self, reference: Reference) -> Any:
        """Return the tensor of a reference: name of a layer, number of the call, number of the output."""
        name, node, output = reference[:3]
        outputs = self.tensors[name, node]
        return outputs[output] if isinstance(outputs, list | tuple) else outputs

    def _call(self, described: Description, numbered: tuple[int, list[Any]]) -> bool:
        """Call a layer if all its inputs exist, and return True if it was called."""
        number, node = numbered
        references = [node] if isinstance(node[0], str) else node
        options = references[0][3] if len(references[0]) > 3 else {}
        extra = [value for value in options.values() if self._is_reference(value)]
        wanted = [*references, *extra]
        known = self.tensors
        if any(r[0] != CONSTANT and (r[0], r[1]) not in known for r in wanted):
            return False
        if described["class_name"] == "TFOpLambda" and self._has_numbers(described, node):
            self.tensors[described["name"], number] = result = self._function(described, node)
            name = described["name"].replace(".", "_")
            result._keras_history.operation.name = f"{name}_{number}" if number else name
            return True
        tensors = [self._tensor(reference) for reference in wanted if reference[0] != CONSTANT]
        plain = {name: options[name] for name in ("training",) if options.get(name) is not None}
        name = described["name"]
        with _told_of(name):
            given = tensors if len(tensors) > 1 else tensors[0]
            self.tensors[name, number] = self.layers[name](given, **plain)
        return True

    def _has_numbers(self, described: Description, node: list[Any]) -> bool:
        """Return True if a call of a TensorFlow function has numbers among its operands."""
        function = described["config"]["function"]
        if function not in OPERATIONS:
            return True
        references = [node] if isinstance(node[0], str) else node
        options = references[0][3] if len(references[0]) > 3 else {}
        numbers = [v for n, v in options.items() if n != "name" and isinstance(v, int | float | list)]
        return references[0][0] == CONSTANT or any(not self._is_reference(v) for v in numbers)

    def _function(self, described: Description, node: list[Any]) -> Any:
        """Return the result of a TensorFlow function of one tensor and numbers.

        Raises:
            ValueError: Keras 3 has no such function, or it takes other arguments.
        """
        [reference] = [node] if isinstance(node[0], str) else node
        first = reference[2] if reference[0] == CONSTANT else self._tensor(reference)
        options = {n: v for n, v in (reference[3] if len(reference) > 3 else {}).items() if v is not None}
        operands = [value for name, value in options.items() if name != "name"]
        given = [self._tensor(v) if self._is_reference(v) else np.float32(v) for v in operands]
        function = described["config"]["function"]
        try:
            result = getattr(keras.ops, FUNCTIONS[function])(first, *given)
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(
                f"'{described['name']}' applies {function} to {list(options)}: {error}"
            ) from error
        return result

    def _is_reference(self, value: Any) -> bool:
        """Return True if an argument of a call refers to the output of a layer."""
        known = isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)
        return known and any(layer["name"] == value[0] for layer in self.config["layers"])
