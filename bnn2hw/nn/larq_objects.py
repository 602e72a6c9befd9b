"""Conversion of Keras 2 descriptions of objects, as files contain them, to Keras 3 objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from bnn2hw.nn import layers, qkeras_layers, quantizers
from bnn2hw.nn.constraints import WeightClip, weight_clip

Description = dict[str, Any]

MODELS = frozenset({"Functional", "Model", "Sequential"})

OPERATIONS = {
    "__operators__.add": "Add",
    "math.add": "Add",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
    "nn.relu": "ReLU",
}
"""Supported TensorFlow functions between layers, and the layers that compute the same."""

CONSTANT = "_CONSTANT_VALUE"
"""In place of a layer's name, a number that is the first operand."""

FUNCTIONS = {
    **{f"math.{n}": n for n in ("add", "subtract", "multiply", "divide", "maximum", "minimum")},
    **{f"math.{n}": n for n in ("abs", "sign", "square", "sqrt", "exp", "tanh", "sigmoid", "negative")},
    **{f"math.{n}": n for n in ("floor", "ceil", "round", "pow")},
    **{
        f"nn.{n}": n
        for n in ("relu", "relu6", "elu", "selu", "silu", "softplus", "softmax", "sigmoid", "tanh")
    },
    **{f"__operators__.{n}": n for n in ("add", "maximum", "minimum")},
    "math.truediv": "true_divide",
    "math.pow": "power",
    "clip_by_value": "clip",
}
"""Supported TensorFlow functions of one tensor and numbers, and the functions of `keras.ops`."""

KINDS = {
    **dict.fromkeys(
        ("SyncBatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2"), "BatchNormalization"
    ),
    "ThresholdedReLU": "ReLU",
}
"""Layers of Keras 2 that compute in inference what a layer of another name computes."""

_CODE = frozenset({"Lambda", "__lambda__", "SlicingOpLambda"})

_OWN: dict[str, Any] = {
    **{name: getattr(layers, name) for name in layers.__all__},
    **{
        name: target
        for name, target in vars(quantizers).items()
        if isinstance(target, type) and issubclass(target, quantizers.Quantizer)
    },
    **qkeras_layers.LAYERS,
    "WeightClip": WeightClip,
    "weight_clip": weight_clip,
}

_KERAS = (keras.layers, keras.initializers, keras.regularizers, keras.constraints)

_GONE = frozenset(
    {
        "batch_input_shape",
        "fused",
        "renorm",
        "renorm_clipping",
        "renorm_momentum",
        "virtual_batch_size",
        "adjustment",
        "experimental_sync",
    }
)
"""Arguments of Keras 2 that have no meaning in Keras 3."""

_GONE_FROM = {
    name: frozenset({"groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"})
    for name in (
        "QuantDepthwiseConv2D",
        "QuantSeparableConv1D",
        "QuantSeparableConv2D",
        "DepthwiseConv2D",
        "SeparableConv1D",
        "SeparableConv2D",
    )
} | {
    name: frozenset({"groups"})
    for name in ("QuantConv2DTranspose", "QuantConv3DTranspose", "Conv2DTranspose", "Conv3DTranspose")
}
"""Arguments that Keras 2 writes for layers that ignore them."""


def find(name: str) -> Any:
    """Return the class that a description names, or None.

    Args:
        name: A class of `bnn2hw.nn`, of Keras's layers, initializers, regularizers or constraints, or
            one that is registered with Keras.
    """
    name = KINDS.get(name, name)
    if name in _OWN:
        return _OWN[name]
    found = next((getattr(module, name) for module in _KERAS if hasattr(module, name)), None)
    return found if isinstance(found, type) else keras.saving.get_registered_object(name)


def is_object(value: Any) -> bool:
    """Return True if a value of a description describes an object."""
    return isinstance(value, dict) and "class_name" in value and "config" in value


def check(description: Description) -> list[str]:
    """Return the reasons why a model cannot be built, one sentence each, without duplicates."""
    return list(dict.fromkeys(_problems(description)))


def _problems(value: Any) -> Iterator[str]:
    """Yield the problems of a description and of all nested descriptions."""
    if is_object(value):
        problem = _problem(value)
        if problem:
            yield problem
        if value["class_name"] in qkeras_layers.LAYERS:
            return  # the layer reads its quantizers itself
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for element in value:
            yield from _problems(element)


def _problem(described: Description) -> str | None:
    """Return the reason why one object cannot be built, or None."""
    kind, config = described["class_name"], described["config"]
    name = config.get("name", kind) if isinstance(config, dict) else kind
    if kind in _CODE:
        return f"'{name}' is a {kind} layer: it holds code, which is not executed. Replace it by a layer."
    if kind in (*qkeras_layers.LAYERS, *qkeras_layers.INSTEAD):
        return qkeras_layers.problem(kind, config)
    if kind == "TFOpLambda":
        known = config.get("function") in OPERATIONS or config.get("function") in FUNCTIONS
        return None if known else f"'{name}' applies the TensorFlow function {config.get('function')}."
    if KINDS.get(kind, kind) == "BatchNormalization" and len(_axes(config)) > 1:
        return f"'{name}' normalizes over the axes {config['axis']}, but one axis is supported."
    if kind in MODELS or kind in ("Policy", "InputLayer") or find(kind) is not None:
        return None
    return f"'{name}' is of the class {kind}, which is none of Keras's, Larq's or QKeras's."


def build(value: Any) -> Any:
    """Return a value of a description with every object in it built.

    Args:
        value: A value of a description, checked by `check`.
    """
    if is_object(value):
        return _build_object(value["class_name"], value["config"])
    if isinstance(value, list):
        return [build(element) for element in value]
    return value


def _build_object(kind: str, config: Description) -> Any:
    """Return an object of the class with this name."""
    if kind == "Policy":
        return config["name"]
    if kind == "TFOpLambda" and config["function"] not in OPERATIONS:
        return None
    if kind == "TFOpLambda":
        layer = find(OPERATIONS[config["function"]])(name=config["name"].replace(".", "_"))
        layer.larq_class = kind
        return layer
    if kind in qkeras_layers.LAYERS:
        return find(kind).from_config(config)
    return find(kind)(**_arguments(kind, config))


def _arguments(kind: str, config: Description) -> Description:
    """Return the arguments for Keras 3 from a configuration of Keras 2."""
    gone = _GONE | _GONE_FROM.get(kind, frozenset())
    arguments = {name: build(value) for name, value in config.items() if name not in gone}
    if KINDS.get(kind, kind) == "BatchNormalization":
        [axis] = _axes(config)
        # Keras 2 splits the batch along a new axis in front of the others, and counts it.
        arguments["axis"] = axis - 1 if config.get("virtual_batch_size") and axis > 0 else axis
    if kind == "ThresholdedReLU":
        arguments["threshold"] = float(arguments.pop("theta", 1.0))
    return arguments


def _axes(config: Description) -> list[int]:
    """Return the axes of a BatchNormalization."""
    axes = config.get("axis", -1)
    return list(axes) if isinstance(axes, list | tuple) else [axes]
