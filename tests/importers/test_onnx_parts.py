"""Nodes of ONNX that select, join and reduce parts of a value equal the executor."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import onnx
import pytest

import bnn2hw
from bnn2hw.errors import UnsupportedError
from bnn2hw.importers.onnx import attributes
from bnn2hw.importers.onnx.calls import HANDLERS
from tests.support.machine import package_or_skip
from tests.support.onnx_graphs import PIXELS, Graph

package_or_skip("qonnx")

IMAGE, ROW, VECTOR = (1, 4, 6, 6), (1, 4, 16), (1, 6)
RNG = np.random.default_rng(0)


def signs(*shape: int) -> np.ndarray:
    return RNG.choice([-1.0, 1.0], shape)


def conv(g: Graph, x: str = "x", filters: int = 4, **options: object) -> str:
    """Integers of four bits behind a convolution, or behind a product of vectors."""
    if len(g.shape) == 2:
        return g.quant(g.add("MatMul", x, signs(6, filters)), 1, 0, 4)
    return g.quant(g.add("Conv", x, signs(filters, 4, *[3] * (len(g.shape) - 2)), **options), 1, 0, 4)


def halves(g: Graph) -> str:
    first = g.add("Split", conv(g, filters=6), np.array([2, 4]), outputs=2, axis=1)
    return g.add("Concat", first.removesuffix("0") + "1", first, axis=1)


def slice_of(g: Graph, starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> str:
    return g.add("Slice", conv(g), *map(np.array, (starts, ends, axes, steps)))


def shortcut(g: Graph) -> str:
    """A shortcut without weights: every second pixel, and channels of zeros."""
    q = conv(g)
    thin = g.add("Slice", q, *map(np.array, ([0, 0], [2**62, 2**62], [2, 3], [2, 2])))
    wide = g.add("Pad", thin, np.array([0, 2, 0, 0, 0, 2, 0, 0]))
    return g.add(
        "Add", g.quant(g.add("Conv", q, signs(8, 4, 3, 3), strides=[2, 2], pads=[1] * 4), 1, 0, 5), wide
    )


def shuffled(g: Graph) -> str:
    apart = g.add("Reshape", conv(g), np.array([1, 2, 2, 4, 4]))
    turned = g.add("Transpose", apart, perm=[0, 2, 1, 3, 4])
    return g.add("Conv", g.add("Reshape", turned, np.array([1, 4, 4, 4])), signs(4, 1, 3, 3), group=4)


def chosen(g: Graph) -> str:
    """Signs as PyTorch writes them by hand."""
    above = g.add("GreaterOrEqual", g.add("Conv", "x", signs(4, 4, 3, 3)), np.float32(0.25))
    return g.add("Conv", g.add("Where", above, np.float32(1), np.float32(-1)), signs(2, 4, 3, 3))


GRAPHS: dict[str, tuple[tuple[int, ...], Callable[[Graph], str]]] = {
    "split and concatenated": (IMAGE, halves),
    "split in two": (VECTOR, lambda g: g.add("Split", conv(g, filters=8), outputs=2, axis=-1)),
    "rows at a distance": (IMAGE, lambda g: slice_of(g, [1], [4], [2], [2])),
    "channels backwards": (IMAGE, lambda g: slice_of(g, [-1], [-(2**62)], [1], [-1])),
    "the last step": (ROW, lambda g: g.add("Gather", conv(g), np.array(-1), axis=2)),
    "channels by list": (IMAGE, lambda g: g.add("Gather", conv(g), np.array([3, 0, 0]), axis=1)),
    "a shortcut without weights": (IMAGE, shortcut),
    "shuffled channels": (IMAGE, shuffled),
    "cropped": (IMAGE, lambda g: g.add("Pad", conv(g), np.array([0, 0, -1, 1, 0, 0, 0, -2]))),
    "the larger one": (IMAGE, lambda g: g.add("Max", conv(g), conv(g))),
    "the smaller one": (IMAGE, lambda g: g.add("Min", conv(g), conv(g))),
    "a sum of three": (IMAGE, lambda g: g.add("Sum", conv(g), conv(g), conv(g))),
    "rows together": (IMAGE, lambda g: g.add("Concat", conv(g), conv(g), axis=2)),
    "columns together": (IMAGE, lambda g: g.add("Concat", conv(g), conv(g), conv(g), axis=-1)),
    "means of partial windows": (
        IMAGE,
        lambda g: g.add("AveragePool", conv(g), kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1]),
    ),
    "means of whole and larger windows": (
        IMAGE,
        lambda g: g.add(
            *("AveragePool", conv(g)),
            kernel_shape=[3, 3],
            strides=[2, 2],
            pads=[1] * 4,
            ceil_mode=1,
            count_include_pad=1,
        ),
    ),
    "means of a row": (
        ROW,
        lambda g: g.add("AveragePool", conv(g), kernel_shape=[3], strides=[2], pads=[1, 1]),
    ),
    "the largest of all": (IMAGE, lambda g: g.add("ReduceMax", conv(g), axes=[2, 3], keepdims=0)),
    "the least of each row": (IMAGE, lambda g: g.add("ReduceMin", conv(g), axes=[3], keepdims=1)),
    "sums of columns": (IMAGE, lambda g: g.add("ReduceSum", conv(g), np.array([2]), keepdims=0)),
    "every second pixel": (
        IMAGE,
        lambda g: g.add(
            *("Resize", conv(g), np.zeros(0, np.float32), np.array([1, 1, 0.5, 0.5], np.float32)),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
    ),
    "signs by hand": (IMAGE, chosen),
    "a negative factor": (VECTOR, lambda g: g.add("Gemm", conv(g), signs(3, 4), transB=1, alpha=-2.0)),
    "a batch of matrices of one": (VECTOR, lambda g: g.add("MatMul", conv(g), signs(1, 4, 3))),
    "a logarithm of a softmax": (VECTOR, lambda g: g.add("LogSoftmax", conv(g), axis=-1)),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_values_are_those_of_the_executor(name: str) -> None:
    shape, grow = GRAPHS[name]
    graph = Graph(shape)

    compared = bnn2hw.compile(graph.model(grow(graph)), input=PIXELS, target="xc7z045").compared

    [output] = compared.outputs
    assert compared.executor.startswith("ONNX Runtime" if name == "signs by hand" else "qonnx")
    assert (output.equal, output.count) == (output.count, output.count)
    assert output.decisions == (name == "a logarithm of a softmax")


def test_constants_of_a_shape_are_folded() -> None:
    graph = Graph(IMAGE)
    two = onnx.helper.make_tensor("two", onnx.TensorProto.FLOAT, [1], [2.0])
    filled = graph.add("ConstantOfShape", np.array([1, 4, 1, 1]), value=two)

    compared = bnn2hw.compile(graph.model(graph.add("Mul", conv(graph), filled)), input=PIXELS).compared

    assert compared.outputs[0].equal == compared.outputs[0].count


@pytest.mark.parametrize(("dtype", "zero"), [(ml_dtypes.int4, -3), (ml_dtypes.uint4, 7)])
def test_integers_of_four_bits(dtype: type, zero: int) -> None:
    """Weights in blocks, as quantizers of language models write them, and activations with a zero point."""
    graph = Graph((1, 32), 21)
    origin, step = graph.constant(zero, dtype), np.float32(0.5)
    value = graph.add("DequantizeLinear", graph.add("QuantizeLinear", "x", step, origin), step, origin)
    integers = graph.constant(RNG.integers(0, 7, (32, 3)), dtype)
    scales = np.float32(2.0) ** RNG.integers(-3, 0, (2, 3))
    weights = graph.add("DequantizeLinear", integers, scales, axis=0, block_size=16)
    model = graph.model(graph.add("MatMul", value, weights))
    session = package_or_skip("onnxruntime").InferenceSession(model.SerializeToString())

    accelerator = bnn2hw.compile(model)

    wire = accelerator.input_specs
    assert wire.dtype == np.dtype(dtype).name
    v = RNG.choice(wire.ints.values(), (6, 32))
    expected = np.concatenate(
        [session.run(None, {"x": (f[None] * wire.scale + wire.offset).astype(np.float32)})[0] for f in v]
    )
    assert np.array_equal(accelerator.dequantize(accelerator.golden(v)), expected)


def test_an_output_type_without_a_zero_point_is_honoured() -> None:
    graph = Graph(VECTOR, 21)
    codes = graph.add("QuantizeLinear", "x", np.float32(0.5), output_dtype=onnx.TensorProto.INT8)
    real = graph.add("DequantizeLinear", codes, np.float32(0.5))

    accelerator = bnn2hw.compile(graph.model(graph.add("MatMul", real, signs(6, 3))))

    assert accelerator.input_specs.dtype == "int8"
    assert accelerator.compared.outputs[0].equal == 24


REFUSED = {
    "depthwise windows": ("Im2Col", {"kernel_size": [2, 2], "stride": [1, 1], "depthwise": 1}, "depthwise=1"),
    "another attribute": ("Flatten", {"order": 1}, "the attribute order=1, which is not known"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_attributes_that_mean_something_else_are_refused(name: str) -> None:
    kind, options, words = REFUSED[name]
    graph = Graph((1, 6, 6, 4))

    with pytest.raises(UnsupportedError, match=words):
        bnn2hw.compile(graph.model(graph.add(kind, "x", **options)), input=PIXELS)


def test_every_attribute_of_every_op_is_read_or_refused() -> None:
    """An attribute that a new version of ONNX adds is in nobody's list, so this fails."""
    known = attributes.READ
    plain = {"Resize", "Upsample"}  # probed as a whole, with all attributes
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "" and schema.name in HANDLERS and schema.name in known:
            assert set(schema.attributes) <= set(known[schema.name]), schema.name
        elif schema.domain == "" and schema.name in HANDLERS and schema.name not in plain:
            assert set(schema.attributes) <= EVALUATED, schema.name


EVALUATED = {
    *("alpha", "beta", "gamma", "approximate", "axis", "broadcast", "consumed_inputs", "max", "min"),
    *("fmod", "direction"),
}
"""Attributes of functions of single values, which ONNX Runtime evaluates."""


def test_every_attribute_of_qonnx_is_read_or_refused() -> None:
    from qonnx.custom_op.registry import getCustomOp

    kinds = {*HANDLERS} & {*attributes.READ}
    found = 0
    for domain in ("qonnx.custom_op.general", "qonnx.custom_op.channels_last"):
        for kind in sorted(kinds):
            try:
                types = getCustomOp(onnx.helper.make_node(kind, [], [], domain=domain)).get_nodeattr_types()
            except (KeyError, AttributeError, ModuleNotFoundError):  # not an op of this domain
                continue
            found += 1
            assert set(types) <= set(attributes.READ[kind]), kind
    assert found >= 8
