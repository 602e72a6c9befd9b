"""ONNX graphs that contradict themselves, and outputs that no hardware makes: each is refused by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import bnn2hw
from bnn2hw.errors import InputError, UnsupportedError
from tests.support.machine import package_or_skip
from tests.support.onnx_graphs import PIXELS, Graph

package_or_skip("onnxruntime")

SIGNS = np.where(np.random.default_rng(0).random((4, 3, 3, 3)) < 0.5, -1.0, 1.0)
Grow = Callable[[Graph], str]


def refusal(model: onnx.ModelProto, kind: type[Exception] = UnsupportedError) -> str:
    with pytest.raises(kind) as caught:
        bnn2hw.compile(model, input=PIXELS)
    return str(caught.value)


def grown(grow: Grow, opset: int = 13) -> onnx.ModelProto:
    graph = Graph((1, 3, 6, 6), opset)
    return graph.model(grow(graph))


def conv(**attributes: object) -> Grow:
    return lambda g: g.add("Conv", "x", SIGNS, name="it", **attributes)


def one(kind: str, *inputs: object, **attributes: object) -> Grow:
    return lambda g: g.add(kind, "x", *inputs, name="it", **attributes)


CONTRADICTIONS: dict[str, Grow] = {
    "a kernel larger than the image": lambda g: g.add("Conv", "x", np.ones((2, 3, 8, 8)), name="it"),
    "a bias of other channels": lambda g: g.add("Conv", "x", SIGNS, np.ones(3), name="it"),
    "a kernel without axes": lambda g: g.add("Conv", "x", np.float32(1), name="it"),
    "a window of another size": lambda g: g.add(
        "AveragePool", "x", name="it", kernel_shape=[2, 2], pads=[1] * 3
    ),
    "no window": one("MaxPool"),
    "no groups": conv(group=0),
    "a number for a list": conv(strides=2),
    "padding stated twice": conv(auto_pad="VALID", pads=[1, 1, 1, 1]),
    "a padding that does not exist": conv(auto_pad="SAME"),
    "statistics of other channels": one("BatchNormalization", *(np.ones(5) for _ in range(4))),
    "statistics by position": one("BatchNormalization", *(np.ones(3) for _ in range(4)), spatial=0),
    "slopes along another axis": one("PRelu", np.ones(4)),
    "a scale along another axis": one(
        "Quant", np.ones(4), np.float32(0), np.float32(4), signed=1, narrow=0, rounding_mode="ROUND"
    ),
    "an axis that does not exist": lambda g: g.add("Concat", "x", "x", axis=9, name="it"),
    "no axis": lambda g: g.add("Concat", "x", "x", name="it"),
    "an order of other axes": one("Transpose", perm=[0, 2, 1]),
    "an order of axes that do not exist": one("Transpose", perm=[0, 1, 2, 7]),
    "an axis that is longer than 1": one("Squeeze", np.array([1])),
    "an index that does not exist": one("Gather", np.array([9]), axis=2),
    "parts that are not the whole": one("Split", np.array([1, 9]), axis=1, outputs=2),
    "repeats of other axes": one("Tile", np.array([1, 2])),
    "blocks that do not fit": one("SpaceToDepth", blocksize=4),
    "no type": one("Cast"),
    "a shape of other values": one("Reshape", np.array([1, 109])),
    "a shape with two lengths left open": one("Reshape", np.array([-1, -1])),
    "NaN in a constant": one("Mul", np.float32(np.nan)),
    "NaN in a scale": one("Quant", np.float32(np.nan), np.float32(0), np.float32(4), signed=1, narrow=0),
    "an infinite weight": lambda g: g.add("Conv", "x", np.where(SIGNS > 0, np.inf, 1), name="it"),
    "a value that no node makes": lambda g: g.add("Add", "x", "nothing", name="it"),
}


@pytest.mark.parametrize("grow", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_node_that_contradicts_itself_is_refused_by_name(grow: Grow) -> None:
    opset = 7 if grow is CONTRADICTIONS["statistics by position"] else 13

    found = refusal(grown(grow, opset))

    assert "layer 'it'" in found
    assert "Way out" in found


def test_a_circle_of_nodes_is_refused() -> None:
    graph = Graph((1, 3, 6, 6))
    graph.nodes += [
        helper.make_node("Add", ["x", "b"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="second"),
    ]

    assert "depends on its own output" in refusal(graph.model("b"), InputError)


def test_two_nodes_of_one_output_are_refused() -> None:
    graph = Graph((1, 3, 6, 6))
    graph.nodes += [
        helper.make_node("Relu", ["x"], ["y"], name="first"),
        helper.make_node("Neg", ["x"], ["y"], name="second"),
    ]

    assert "'first' and 'second' both make 'y'" in refusal(graph.model("y"), InputError)


@pytest.mark.parametrize(
    ("kind", "attributes", "element"),
    [("Dropout", {}, TensorProto.BOOL), ("MaxPool", {"kernel_shape": [2, 2]}, TensorProto.INT64)],
)
def test_masks_and_places_are_no_outputs(kind: str, attributes: dict[str, object], element: int) -> None:
    graph = Graph((1, 3, 6, 6))
    first = graph.add(kind, "x", outputs=2, name="it", **attributes)
    second = first.removesuffix("0") + "1"
    model = graph.model(first, second)
    model.graph.output[1].type.tensor_type.elem_type = element

    assert f"layer 'it': {kind}: its output '{second}' is used" in refusal(model)


def test_dropout_that_drops_is_refused() -> None:
    model = grown(lambda g: g.add("Dropout", "x", np.float32(0.5), "training", name="it"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "training"))

    assert "layer 'it': Dropout: training_mode=True" in refusal(model)


def test_scores_and_classes_at_once_are_refused() -> None:
    graph = Graph((1, 12))
    scores = graph.add("MatMul", "x", SIGNS.reshape(12, 9))
    model = graph.model(scores, graph.best(scores, 1))
    model.graph.output[1].type.tensor_type.elem_type = TensorProto.INT64

    found = refusal(model)

    assert f"the values '{scores}'" in found
    assert "remove the other outputs" in found


def test_indices_of_other_counts_are_refused() -> None:
    graph = Graph((1, 12))
    scores = graph.add("MatMul", "x", SIGNS.reshape(12, 9))

    found = refusal(graph.model(graph.best(scores, 2), graph.best(scores, 1), kind=TensorProto.INT64))

    assert "the best 2 of 'TopK_1_1', the best 1 of 'TopK_2_1'" in found


def test_sparse_weights_are_refused() -> None:
    model = grown(conv())
    values, places = (
        numpy_helper.from_array(np.ones(1, np.float32), "w"),
        numpy_helper.from_array(np.array([0])),
    )
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [4]))

    assert "the initializer 'w' is sparse" in refusal(model, InputError)


def test_missing_weights_of_a_model_in_memory() -> None:
    model = grown(conv())
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="missing.bin")

    assert "missing.bin" in refusal(model, InputError)
