"""Evaluate nodes as the executor of QONNX does: its own ops in NumPy, those of ONNX in ONNX Runtime."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime

from bnn2hw.importers.onnx import floats, linear, quantizers
from bnn2hw.importers.onnx.model import QUANTIZED, Op
from bnn2hw.ir import Array

FORMAT = 10
"""Version of the file format of the models of one node; every ONNX Runtime in use reads it."""


UNEVEN = "a quantizer to floating point, whose levels are not evenly spaced"
"""The reason why a FloatQuant node is refused."""


class Unknown(Exception):  # noqa: N818  (not an error for users: the reader catches it and names the node)
    """A node cannot be evaluated."""


def function(op: Op, constants: Mapping[int, Array], count: int = 1) -> Callable[..., Array]:
    """Return a node of ONNX as a function of its inputs that are not constant.

    Args:
        op: The node.
        constants: Constant inputs by position.
        count: Number of the other inputs, which are float32.

    Returns:
        A function from float32 arrays of any shape to the first output of the node, as float32.

    Raises:
        Unknown: ONNX Runtime does not know the node in its version, or its attributes are wrong.
    """
    free = [i for i, name in enumerate(op.inputs) if name and i not in constants][:count]
    try:
        session = _session(op, dict.fromkeys(free, np.float32), constants)
    except Exception as error:  # ONNX Runtime's own classes share no base
        raise Unknown(f"version {op.version} of the op, which ONNX Runtime refuses: {error}") from error

    def apply(*x: Array) -> Array:
        given = {f"x{i}": np.ascontiguousarray(v, np.float32) for i, v in zip(free, x, strict=True)}
        found: Array = np.asarray(session.run(None, given)[0]).astype(np.float32)
        return found

    return apply


def outputs(op: Op, inputs: Sequence[Array | None]) -> list[Array]:
    """Return the outputs of a node whose inputs are all constant.

    Args:
        op: The node.
        inputs: Its inputs; None for those that are left out.

    Raises:
        Unknown: The node is no op of ONNX or QONNX, or it cannot be evaluated.
    """
    if op.kind in CUSTOM and op.domain in QUANTIZED:
        return [CUSTOM[op.kind](op, [i for i in inputs if i is not None])]
    if not op.standard or op.channels_last:
        raise Unknown(f"an op {op.kind} of the domain '{op.domain}'")
    present = {i: a for i, a in enumerate(inputs) if a is not None}
    if op.kind in linear.CONSTANTS and any(linear.is_narrow(a.dtype) for a in present.values()):
        return [linear.CONSTANTS[op.kind](op.attributes, *present.values())]
    try:
        session = _session(op, {i: a.dtype for i, a in present.items()}, {})
        return [np.asarray(a) for a in session.run(None, {f"x{i}": a for i, a in present.items()})]
    except Exception as error:  # ONNX Runtime's own classes share no base
        raise Unknown(str(error)) from error


SMALLER = ("NonZero", "Unique", "Compress", "NonMaxSuppression")
"""Ops whose outputs have a size that depends on values, at most that of the inputs."""


FEW = 1024
"""Values of a constant that may be a shape, on which the shape of an output depends."""


def fits(op: Op, inputs: Sequence[Array | None], room: int) -> None:
    """Check the size of the outputs of a node of constants before they are computed.

    Args:
        op: The node.
        inputs: Its inputs; None for those that are left out.
        room: Bytes that the outputs may take.

    Raises:
        Unknown: They take more, or their size cannot be told.
    """
    if any(isinstance(each, onnx.GraphProto) for each in _parts(op.attributes.values())):
        raise Unknown("a node with a graph inside, which is not evaluated")
    present = {i: a for i, a in enumerate(inputs) if a is not None}
    if not op.standard or op.channels_last or op.kind in SMALLER:
        shape = (
            np.broadcast_shapes(*(a.shape for a in present.values() if a.ndim))
            if op.domain in QUANTIZED
            else ()
        )
        wanted = [shape]
    else:
        wanted = _shapes(op, present)
    size = sum(math.prod(shape) for shape in wanted) * np.dtype(np.float64).itemsize
    if size > room:
        raise Unknown(
            f"its values would take {size:,} bytes, for which the constants of the model leave {room:,}"
        )


def _parts(values: Iterable[Any]) -> Iterator[Any]:
    """Attributes, and the elements of those that are lists."""
    for each in values:
        yield from each if isinstance(each, list | tuple) else (each,)


def _shapes(op: Op, constants: Mapping[int, Array]) -> list[tuple[int, ...]]:
    """The shapes of the outputs of a node of constants.

    Raises:
        Unknown: ONNX cannot tell them.
    """
    large = {i: a for i, a in constants.items() if a.size > FEW}
    model = _model(
        op, {i: a.dtype for i, a in large.items()}, {i: a for i, a in constants.items() if i not in large}
    )
    for entry, array in zip(model.graph.input, large.values(), strict=True):
        for length in array.shape:
            entry.type.tensor_type.shape.dim.add().dim_value = length
    try:
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:  # the package's own classes share no base
        raise Unknown(str(error)) from error
    shapes = []
    for output in model.graph.output:
        dims = output.type.tensor_type.shape.dim
        if not output.type.tensor_type.HasField("shape") or not all(d.HasField("dim_value") for d in dims):
            raise Unknown("an output whose size cannot be told before it is computed")
        shapes.append(tuple(d.dim_value for d in dims))
    return shapes


def inferred(
    op: Op, shapes: Mapping[int, tuple[int, ...]], constants: Mapping[int, Array]
) -> tuple[int, ...] | None:
    """Return the shape that ONNX gives the first output of a node; None if it cannot tell.

    Args:
        op: The node, of ONNX itself.
        shapes: Shapes of the inputs that are no constants, with the batch, by position.
        constants: Constant inputs by position.

    Raises:
        Unknown: The shapes and attributes of the node contradict each other.
    """
    large = {i: a.shape for i, a in constants.items() if a.size > FEW}
    wide = {**shapes, **large}
    try:
        model = _model(
            op, dict.fromkeys(wide, np.float32), {i: a for i, a in constants.items() if i not in large}
        )
        for i, entry in zip(wide, model.graph.input, strict=True):
            entry.type.tensor_type.shape.CopyFrom(onnx.TensorShapeProto())
            for length in wide[i]:
                entry.type.tensor_type.shape.dim.add().dim_value = length
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:  # the package's own classes share no base
        if "ShapeInferenceError" in str(error):
            raise Unknown(str(error).splitlines()[0]) from error
        return None
    dims = model.graph.output[0].type.tensor_type.shape.dim
    known = model.graph.output[0].type.tensor_type.HasField("shape") and all(
        d.HasField("dim_value") for d in dims
    )
    return tuple(d.dim_value for d in dims) if known else None


def computed(
    op: Op, shapes: Mapping[int, tuple[int, ...]], constants: Mapping[int, Array]
) -> tuple[int, ...]:
    """Return the shape of the first output of a node as ONNX Runtime computes it.

    Args:
        op: The node.
        shapes: Shapes of the inputs that are no constants, with the batch, by position.
        constants: Constant inputs by position.

    Raises:
        Unknown: ONNX Runtime refuses the node or what it reads.
    """
    fn = function(op, constants, len(shapes))
    try:
        return fn(*(np.zeros(shapes[i], np.float32) for i in sorted(shapes))).shape
    except Exception as error:  # ONNX Runtime's own classes share no base
        raise Unknown(str(error).splitlines()[0]) from error


def _session(op: Op, free: Mapping[int, Any], constants: Mapping[int, Array]) -> Any:
    """A session of ONNX Runtime for one node."""
    return onnxruntime.InferenceSession(
        _model(op, free, constants).SerializeToString(), quiet_options(), providers=["CPUExecutionProvider"]
    )


def _model(op: Op, free: Mapping[int, Any], constants: Mapping[int, Array]) -> onnx.ModelProto:
    """A model of one node, whose inputs are the types in `free` and the constants."""
    names = [f"x{i}" if i in free or i in constants else "" for i, _ in enumerate(op.inputs)]
    made = [f"y{i}" if name else "" for i, name in enumerate(op.outputs)]
    attributes = {
        n: onnx.numpy_helper.from_array(a) if isinstance(a, np.ndarray) else a
        for n, a in op.attributes.items()
    }
    node = onnx.helper.make_node(op.kind, names, made, **attributes)
    graph = onnx.helper.make_graph(
        [node],
        "node",
        [_unshaped(f"x{i}", dtype) for i, dtype in free.items()],
        [onnx.ValueInfoProto(name=name) for name in made if name],
        [onnx.numpy_helper.from_array(a, f"x{i}") for i, a in constants.items()],
    )
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", op.version)], ir_version=FORMAT
    )


@cache
def quiet_options() -> Any:
    """Return settings of ONNX Runtime: one thread, and no messages."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return options


def _unshaped(name: str, dtype: Any) -> onnx.ValueInfoProto:
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return onnx.helper.make_tensor_value_info(name, kind, None)


def options_of(op: Op) -> dict[str, Any]:
    """Return signedness, narrowness and rounding mode of a Quant or Trunc node.

    Raises:
        Unknown: The rounding mode is unknown.
    """
    trunc = op.kind == "Trunc"
    rounding = str(op.attributes.get("rounding_mode", "FLOOR" if trunc else "ROUND")).upper()
    if rounding not in quantizers.ROUNDINGS:
        raise Unknown(f"the rounding mode {rounding}")
    return {
        "signed": bool(op.attributes.get("signed", 1)),
        "narrow": bool(op.attributes.get("narrow", 0 if trunc else 1)),
        "rounding": rounding,
    }


def quant(op: Op, x: Array, scale: Array, zero: Array, bits: Array) -> Array:
    """Return the real values of a Quant node."""
    return (quantizers.integers(x, scale, zero, bits, **options_of(op)) - zero) * scale


def trunc(op: Op, x: Array, scale: Array, zero: Array, *rest: Array) -> Array:
    """Return the real values of a Trunc node of either version, which the number of inputs tells."""
    options = options_of(op)
    if len(rest) == 2:
        bits, out_bits = rest
        return quantizers.truncated_v1(x, scale, zero, bits - out_bits, rounding=options["rounding"])
    _, out_scale, out_bits = rest
    return quantizers.truncated(x, scale, zero, out_bits, out_scale, **options)


def bipolar(op: Op, x: Array, scale: Array) -> Array:
    """Return the real values of a BipolarQuant node."""
    return quantizers.bipolar(x, scale)


def even_step(op: Op, *format_of: Array) -> float | None:
    """Return the step of a FloatQuant node for a scale of 1; None if its levels are not evenly spaced."""
    return floats.even_step(*format_of) if op.attributes.get("saturation", 1) else None


def float_quant(op: Op, x: Array, scale: Array, *format_of: Array) -> Array:
    """Return the real values of a FloatQuant node whose levels are evenly spaced.

    Raises:
        Unknown: They are not.
    """
    if even_step(op, *format_of) is None:
        raise Unknown(UNEVEN)
    return floats.quantized(x, scale, format_of, options_of(op)["rounding"])


CUSTOM: dict[str, Callable[[Op, Sequence[Array]], Array]] = {
    **dict.fromkeys(("Quant", "IntQuant"), lambda op, given: quant(op, *given)),
    **dict.fromkeys(("BipolarQuant", "BinaryQuant"), lambda op, given: bipolar(op, *given)),
    "Trunc": lambda op, given: trunc(op, *given),
    "FloatQuant": lambda op, given: float_quant(op, *given),
}
"""Ops of QONNX that are evaluated where all their inputs are constant."""
