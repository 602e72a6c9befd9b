"""The attributes that handlers read. A node with any other one is refused, since it may mean something else.

Functions of single values are not listed: ONNX Runtime evaluates them with all their attributes.
"""

from __future__ import annotations

from collections.abc import Mapping

from bnn2hw.importers.onnx.model import Op

_WINDOWS = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")
_QUANT = ("narrow", "rounding_mode", "signed")
_OLD = ("consumed_inputs", "is_test", "momentum", "seed", "ratio")
"""Attributes of old versions and of training, which change no value at inference."""

_REDUCE = ("axes", "keepdims", "noop_with_empty_axes")

READ: Mapping[str, tuple[str, ...]] = {
    "Conv": (*_WINDOWS, "group"),
    "ConvTranspose": (*_WINDOWS, "group", "output_padding", "output_shape"),
    "MaxPool": (*_WINDOWS, "ceil_mode", "storage_order"),
    "AveragePool": (*_WINDOWS, "ceil_mode", "count_include_pad"),
    "MaxPoolNHWC": ("kernel_shape", "pads", "strides", "ceil_mode"),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "MatMul", "XnorPopcountMatMul"), ()),
    "Gemm": ("alpha", "beta", "transA", "transB", "broadcast"),
    "Im2Col": (
        *("stride", "kernel_size", "input_shape", "pad_amount", "pad_value", "depthwise", "dilations"),
    ),
    "BatchNormalization": ("epsilon", "momentum", "training_mode", "spatial", "is_test", "consumed_inputs"),
    **dict.fromkeys(("Quant", "IntQuant"), _QUANT),
    "Trunc": _QUANT,
    **dict.fromkeys(("BipolarQuant", "BinaryQuant"), ()),
    "FloatQuant": ("has_inf", "has_nan", "has_subnormal", "rounding_mode", "saturation", "signed"),
    "MultiThreshold": ("out_dtype", "out_scale", "out_bias", "data_layout"),
    "QuantizeLinear": ("axis", "block_size", "output_dtype", "precision", "saturate"),
    "DequantizeLinear": ("axis", "block_size", "output_dtype"),
    "DynamicQuantizeLinear": (),
    "Pad": ("mode", "paddings", "pads", "value"),
    **dict.fromkeys(("Tile", "Expand"), ()),
    **dict.fromkeys(("And", "Or", "Xor"), ("axis", "broadcast")),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), ("blocksize", "mode")),
    "Transpose": ("perm",),
    "Reshape": ("allowzero", "shape", "consumed_inputs"),
    "Flatten": ("axis",),
    **dict.fromkeys(("Squeeze", "Unsqueeze"), ("axes",)),
    **dict.fromkeys(("Identity", "Dropout"), _OLD),
    "Concat": ("axis",),
    "Split": ("axis", "split", "num_outputs"),
    "Slice": ("axes", "starts", "ends"),
    "Gather": ("axis",),
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum"), _REDUCE),
    "ArgMax": ("axis", "keepdims", "select_last_index"),
    "TopK": ("axis", "k", "largest", "sorted"),
    "Cast": ("round_mode", "saturate", "to"),
    "CastLike": ("round_mode", "saturate"),
}
"""Names of attributes by op: those that its handler takes or refuses, and those that change no value."""


def unknown(op: Op) -> list[str]:
    """Return the attributes of a node that its handler does not know."""
    known = READ.get(op.kind)
    return [] if known is None else sorted(set(op.attributes) - set(known))
