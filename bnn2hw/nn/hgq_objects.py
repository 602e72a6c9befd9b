"""The names in files of HGQ2, and the classes that read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bnn2hw.nn import hgq_functions, hgq_layers
from bnn2hw.nn.hgq_quantizers import SUBCLASSES, Quantizer

_CLASSES: tuple[type, ...] = (
    *(hgq_layers.QDense, hgq_layers.QBatchNormDense, hgq_layers.QEinsumDense),
    *(hgq_layers.QEinsumDenseBatchnorm, hgq_layers.QConv1D, hgq_layers.QConv2D, hgq_layers.QConv3D),
    *(hgq_layers.QBatchNormalization, Quantizer, *hgq_functions.POOLINGS, *hgq_functions.JOINS),
    *(hgq_functions.QAveragePow2, hgq_functions.QSum, hgq_functions.QMeanPow2),
    *(hgq_functions.QUnaryFunctionLUT, hgq_functions.QAffinedUnaryFunctionLUT),
)

LAYERS: dict[str, type] = {cls.__name__: cls for cls in _CLASSES}
"""Layers of HGQ2 that are read, by class name."""

_LOOKUP = "QDense and QUnaryFunctionLUT"
_STATE = "layers without state"
_ATTENTION = "layers that do not multiply two streams with each other"

INSTEAD = {
    "QSoftmax": "no softmax at the end of the model, and output='class'",
    "QDot": "QMultiply and QSum",
    "QEinsum": "QEinsumDense with trained weights",
    **dict.fromkeys(("QDenseT", "QEinsumDenseT"), _LOOKUP),
    **dict.fromkeys(("QConvT1D", "QConvT2D"), "QConv1D or QConv2D and QUnaryFunctionLUT"),
    **dict.fromkeys(("QSimpleRNN", "QGRU", "QSimpleSNN", "QSimpleSNNCell", "QLIF", "QLIFCell"), _STATE),
    **dict.fromkeys(
        ("QMultiHeadAttention", "QMultiHeadAttentionT", "QLinformerAttention", "QLinformerAttentionT"),
        _ATTENTION,
    ),
}
"""Layers of HGQ2 that are refused, with what to use."""

PARTS = (
    "QuantizerConfig",
    *SUBCLASSES,
    "MinMax",
    "Min",
    "Max",
    "Constant",
    "MonoL1",
    "DefaultBitwidthMapper",
)
"""Other objects in its files. The layers around them read what matters at inference."""


def _refused(name: str) -> type:
    """A class that says why no layer of it is made."""

    def from_config(cls: type, config: Any) -> Any:
        own = config.get("name", name) if isinstance(config, dict) else name
        raise ValueError(f"layer '{own}' is a {name} of HGQ2, which is not supported; use {INSTEAD[name]}")

    return type(name, (), {"from_config": classmethod(from_config)})


def _kept(name: str) -> type:
    """A class of which a description remains one."""

    def from_config(cls: type, config: Any) -> Any:
        return {"class_name": name, "config": config}

    return type(name, (), {"from_config": classmethod(from_config)})


def objects() -> Mapping[str, Any]:
    """Return the classes by the names in files of HGQ2."""
    classes = {**LAYERS, **{n: _refused(n) for n in INSTEAD}, **{n: _kept(n) for n in PARTS}}
    return {f"{package}>{name}": cls for name, cls in classes.items() for package in ("hgq", "hgq2")}
