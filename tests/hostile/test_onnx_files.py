"""Model files of ONNX that were made to harm: each is refused in a sentence, in little memory, and changes nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import bnn2hw
from bnn2hw.errors import Bnn2hwError
from tests.support.confined import MIB, confined

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and measures memory as Linux does")

PIXELS = bnn2hw.Input("uint8")
HUGE = 1 << 40


def array(name: str, values: object, dtype: type = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def model(
    *nodes: onnx.NodeProto, constants: list[onnx.TensorProto] | None = None, shape: tuple[int, ...] = (1, 4)
) -> onnx.ModelProto:
    """A model from x to y: the nodes, then a product of x with the constant w."""
    product = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    weights = [array("w", np.ones((4, 2)))] if not any("w" in n.output for n in nodes) else []
    graph = helper.make_graph(
        [*nodes, product],
        "hostile",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [*weights, *(constants or [])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def made(kind: str, *inputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, list(inputs), ["w"], name="bomb", **attributes)


def outside(location: str, **more: str) -> Callable[[], onnx.ModelProto]:
    """A model whose weights lie in another file."""

    def build() -> onnx.ModelProto:
        found = model()
        tensor = found.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **more}.items():
            tensor.external_data.add(key=key, value=value)
        return found

    return build


def declared(dims: tuple[int, ...]) -> onnx.ModelProto:
    found = model()
    del found.graph.initializer[0].dims[:]
    found.graph.initializer[0].dims.extend(dims)
    return found


def looping() -> onnx.ModelProto:
    """A loop without an end, of constants."""
    inputs = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
    ]
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["w0"], ["e"])],
        "body",
        inputs,
        [
            helper.make_tensor_value_info("d", TensorProto.BOOL, []),
            helper.make_tensor_value_info("e", TensorProto.FLOAT, None),
        ],
    )
    constants = [array("n", HUGE, np.int64), array("t", True, np.bool_), array("w0", np.ones((4, 2)))]
    return model(made("Loop", "n", "t", body=body), constants=constants)


def nested(depth: int) -> bytes:
    """The bytes of a model with graphs inside graphs, which the package itself does not write."""
    graph = b""
    for _ in range(depth):
        attribute = field(1, b"then_branch") + field(6, graph)
        graph = field(1, field(4, b"If") + field(2, b"o") + field(5, attribute))
    return model().SerializeToString() + field(7, graph)


def field(number: int, data: bytes) -> bytes:
    """A field of bytes, as protobuf writes it."""
    size, rest = [], len(data)
    while rest > 127:
        size.append(128 + rest % 128)
        rest //= 128
    return bytes([8 * number + 2, *size, rest]) + data


def chained(count: int, *, twice: bool) -> onnx.ModelProto:
    """Many nodes in a row, or rhombs of them, of which nothing tells where the channels are."""
    nodes, last = [], "x"
    for i in range(count):
        nodes.append(
            helper.make_node("Add" if twice else "Relu", [last] * (1 + twice), [f"v{i}"], name=f"n{i}")
        )
        if twice:
            nodes.append(helper.make_node("Relu", [last], [f"r{i}"], name=f"r{i}"))
            nodes.append(helper.make_node("Add", [f"v{i}", f"r{i}"], [f"s{i}"], name=f"s{i}"))
        last = f"s{i}" if twice else f"v{i}"
    nodes.append(helper.make_node("Sin", [last], ["y"], name="end"))
    graph = helper.make_graph(
        nodes,
        "chained",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 4, 2))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def permuted() -> onnx.ModelProto:
    node = helper.make_node("Transpose", ["x"], ["z"], perm=[0, 9, 1, 7], name="turn")
    return model(node, shape=(1, 4, 4, 4))


def renamed(name: str) -> onnx.ModelProto:
    found = model()
    found.graph.node[0].name = name
    return found


SQUARE = [array("c", np.ones((1 << 16, 1))), array("r", np.ones((1, 1 << 16)))]

CASES: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "weights in a file of the system": (outside("/etc/passwd"), "outside of the model's folder"),
    "weights above the folder": (outside("../up"), "outside of the model's folder"),
    "weights above the folder, on Windows": (outside("..\\up"), "outside of the model's folder"),
    "weights on a drive": (outside("C:up"), "outside of the model's folder"),
    "weights without a file": (outside(""), "outside of the model's folder"),
    "weights behind a link": (outside("link"), "a symbolic link"),
    "weights behind a linked folder": (outside("folder/zero"), "a symbolic link"),
    "weights in a folder": (outside("real"), "not a regular file"),
    "weights behind the end of a file": (
        outside("data", offset="1000000"),
        "cannot be read as an ONNX model",
    ),
    "weights of a negative place": (outside("data", offset="-5"), "cannot be read as an ONNX model"),
    "more weights than a file holds": (outside("data", length=str(HUGE)), "cannot be read as an ONNX model"),
    "weights of a TiB": (lambda: declared((1 << 20, 1 << 18)), "at most 2,147,483,648 are read"),
    "weights of a negative size": (lambda: declared((-4, -2)), "is not a valid ONNX model"),
    "weights of another size": (lambda: declared((4, 3)), "is not a valid ONNX model"),
    "a constant that grows": (
        lambda: model(made("ConstantOfShape", "s"), constants=[array("s", (HUGE, 2), np.int64)]),
        "its values would take",
    ),
    "a range without an end": (
        lambda: model(
            made("Range", "a", "b", "d"),
            constants=[array(n, v) for n, v in (("a", 0), ("b", 1e12), ("d", 1))],
        ),
        "its values would take",
    ),
    "repetitions": (
        lambda: model(
            made("Tile", "o", "s"), constants=[array("o", np.ones((4, 2))), array("s", (HUGE, 1), np.int64)]
        ),
        "its values would take",
    ),
    "a column and a row": (lambda: model(made("Add", "c", "r"), constants=SQUARE), "its values would take"),
    "a product of a column and a row": (
        lambda: model(made("MatMul", "c", "r"), constants=SQUARE),
        "its values would take",
    ),
    "random values": (lambda: model(made("RandomNormal", shape=[HUGE, 2])), "its values would take"),
    "a border": (
        lambda: model(
            made("Pad", "o", "p"),
            constants=[array("o", np.ones((4, 2))), array("p", (0, 0, HUGE, 0), np.int64)],
        ),
        "its values would take",
    ),
    "a loop without an end": (looping, "a node with a graph inside"),
    "an image of absurd size": (lambda: model(shape=(1, 1 << 20, 1 << 20)), "1,099,511,627,776 values"),
    "an image of a negative size": (lambda: model(shape=(1, -5)), "shape"),
    "axes that are not there": (permuted, "Transpose: inputs or attributes that do not fit together"),
    "1,100 nodes in a row": (lambda: chained(1100, twice=False), "Sin"),
    "40 rhombs in a row": (lambda: chained(40, twice=True), "Sin"),
    "a name with a line break": (
        lambda: renamed("a\nendmodule"),
        "a name has at most 500 printable characters",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").write_bytes(bytes(32))
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "folder").symlink_to("/dev")
    (tmp_path / "real").mkdir()
    return tmp_path


def refused(path: Path, reason: str) -> None:
    with confined() as peak, pytest.raises(Bnn2hwError) as caught:
        bnn2hw.compile(path, input=PIXELS)
    assert re.search(re.escape(reason), str(caught.value)), caught.value
    assert peak.added < 128 * MIB


@pytest.mark.parametrize(("build", "reason"), CASES.values(), ids=CASES)
def test_a_file(folder: Path, build: Callable[[], onnx.ModelProto], reason: str) -> None:
    (folder / "m.onnx").write_bytes(build().SerializeToString())

    refused(folder / "m.onnx", reason)


def test_graphs_inside_graphs(folder: Path) -> None:
    (folder / "m.onnx").write_bytes(nested(300))

    refused(folder / "m.onnx", "cannot be read as an ONNX model")


def test_the_unchanged_models_compile(folder: Path) -> None:
    (folder / "m.onnx").write_bytes(model().SerializeToString())
    (folder / "data").write_bytes(np.ones((4, 2), np.float32).tobytes())
    (folder / "beside.onnx").write_bytes(outside("data")().SerializeToString())
    repeated = model(
        made("Tile", "o", "s"), constants=[array("o", np.ones((2, 2))), array("s", (2, 1), np.int64)]
    )
    (folder / "repeated.onnx").write_bytes(repeated.SerializeToString())

    found = [
        bnn2hw.compile(folder / f"{name}.onnx", input=PIXELS).golden(np.array([[1, 2, 3, 4]])).tolist()
        for name in ("m", "beside", "repeated")
    ]

    assert found == [found[0]] * 3
