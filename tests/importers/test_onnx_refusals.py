"""Models that cannot be read or compiled: each refusal names the node or the file, the reason and the way out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import bnn2hw
from bnn2hw.errors import Bnn2hwError, InputError, MissingToolError, UnsupportedError
from tests.support import ROOT
from tests.support.machine import package_or_skip
from tests.support.onnx_graphs import PIXELS, Graph

package_or_skip("onnxruntime")

SIGNS = np.where(np.random.default_rng(0).random((4, 3, 2, 2)) < 0.5, -1.0, 1.0)


def refusal(kind: type[Bnn2hwError], model: object) -> str:
    with pytest.raises(kind) as caught:
        bnn2hw.compile(model, input=PIXELS)
    return str(caught.value)


def image() -> Graph:
    return Graph((1, 3, 6, 6))


def scale_at_run_time() -> onnx.ModelProto:
    graph = image()
    scale = graph.add("ReduceMax", "x", keepdims=0)
    graph.nodes[-1].name = "/act/scale"
    return graph.model(
        graph.add("Quant", "x", scale, np.float32(0), np.float32(4), name="/act/Quant", signed=1, narrow=0)
    )


def unknown_op() -> onnx.ModelProto:
    graph = image()
    return graph.model(graph.add("LpNormalization", graph.add("Conv", "x", SIGNS), name="/body/norm"))


def unknown_domain() -> onnx.ModelProto:
    graph = image()
    value = graph.add("Relu", graph.add("Conv", "x", SIGNS), name="/body/relu")
    graph.nodes[-1].domain = "com.example"
    return graph.model(value)


def float_quant() -> onnx.ModelProto:
    graph = image()
    numbers = [np.float32(n) for n in (1, 4, 3, 7, 240)]
    return graph.model(graph.add("FloatQuant", "x", *numbers, name="/act/FloatQuant"))


def two_values() -> onnx.ModelProto:
    graph = Graph((1, 6))
    return graph.model(graph.add("MatMul", "x", graph.add("Transpose", "x"), name="/attention/MatMul"))


def rounding() -> onnx.ModelProto:
    graph = Graph((1, 6))
    return graph.model(graph.quant("x", 1, 0, 4, rounding_mode="STOCHASTIC", name="/act/Quant"))


def unborn_version() -> onnx.ModelProto:
    graph = image()
    graph.opset = 99
    return graph.model(graph.add("Relu", "x", name="/body/relu"))


def transposed() -> onnx.ModelProto:
    """More values than a matrix moves."""
    graph = Graph((1, 3, 40, 40))
    return graph.model(
        graph.add("Conv", graph.add("Transpose", "x", perm=[0, 1, 3, 2]), SIGNS, name="/body/conv")
    )


def no_root() -> onnx.ModelProto:
    graph = image()
    ones = np.ones(3, np.float32)
    statistics = (ones, ones, ones, ones * [1, 1, -2])
    return graph.model(graph.add("BatchNormalization", "x", *statistics, name="/body/norm"))


REFUSED = {
    scale_at_run_time: (
        "layer '/act/Quant': Quant: a scale that is computed at run time",
        "make a scale constant",
    ),
    unknown_op: ("layer '/body/norm': LpNormalization: an op that is not known", "docs/onnx.md"),
    unknown_domain: (
        "layer '/body/relu': Relu: an op of the domain 'com.example' that is not known",
        "replace",
    ),
    float_quant: (
        "layer '/act/FloatQuant': FloatQuant: a quantizer to floating point",
        "quantize to integers",
    ),
    two_values: (
        "layer '/attention/MatMul': MatMul: a product of two values",
        "one matrix among the constants",
    ),
    rounding: ("layer '/act/Quant': Quant: the rounding mode STOCHASTIC", "HALF_EVEN"),
    no_root: ("layer '/body/norm': BatchNormalization: the variance -2 in channel 2", "larger epsilon"),
    unborn_version: ("layer '/body/relu': Relu: version 99 of the op", "export an older opset"),
    transposed: ("layer '/body/conv': Conv: reads values whose stream has another order", "transposition"),
}


@pytest.mark.parametrize("model", REFUSED, ids=lambda f: f.__name__)
def test_nodes(model: object) -> None:
    found = refusal(UnsupportedError, model())

    assert all(part in found for part in REFUSED[model]), found
    assert "Way out: " in found


def test_all_problems_at_once() -> None:
    graph = image()
    value = graph.add("Conv", graph.add("LpNormalization", "x"), SIGNS)
    model = graph.model(graph.add("Hardmax", graph.add("LRN", value, size=3)))

    assert "(3 problems)" in refusal(UnsupportedError, model)


def test_no_word_on_the_wire() -> None:
    graph = image()
    with pytest.raises(UnsupportedError, match=r"pass input=bnn2hw\.Input\('uint8', scale=1/255\)"):
        bnn2hw.compile(graph.model(graph.add("Conv", "x", SIGNS)))


def test_an_input_without_a_shape() -> None:
    graph = image()
    model = graph.model(graph.add("Conv", "x", SIGNS))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"

    assert "export the model with a fixed shape" in refusal(UnsupportedError, model)


def test_an_open_batch_is_one_frame() -> None:
    graph = image()
    model = graph.model(graph.add("Conv", "x", SIGNS))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"

    assert bnn2hw.compile(model, input=PIXELS).output.shape == (5, 5, 4)


FILES = {
    "model.tflite": ("is a TensorFlow Lite model", "tf2onnx"),
    "model.pt": ("is a PyTorch model", "export_qonnx"),
    "model.pth": ("is a PyTorch model", "export_qonnx"),
    "frozen.pb": ("is a SavedModel or a frozen graph", "model.save('model.keras')"),
    "broken.onnx": ("cannot be read as an ONNX model", "broken.onnx"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_other_kinds(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"not what it says")

    found = refusal(InputError, tmp_path / name)

    assert all(part in found for part in FILES[name]), found


def test_folders_of_saved_models(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"")

    assert "is a SavedModel" in refusal(InputError, folder)
    assert "model.save('model.keras')" in refusal(InputError, str(folder))


def test_objects_of_pytorch() -> None:
    module = type("Net", (), {"__module__": "torch.nn"})()

    assert "export it from PyTorch" in refusal(InputError, module)


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bnn2hw.importers import onnx as importer

    file = tmp_path / "model.onnx"
    file.write_bytes(image().model(image().add("Conv", "x", SIGNS)).SerializeToString())
    monkeypatch.setattr(importer, "find_spec", lambda name: None)

    found = refusal(MissingToolError, file)

    assert "ONNX models need the package 'onnx'" in found
    assert "pip install onnx" in found


SCRIPT = """
import sys
import bnn2hw
accelerator = bnn2hw.compile(sys.argv[1], input=bnn2hw.Input("int4", 0.5))
accelerator.write(sys.argv[2])
bnn2hw.load(sys.argv[2])
assert "keras" not in sys.modules and "tensorflow" not in sys.modules
"""


def test_onnx_needs_no_keras(tmp_path: Path) -> None:
    graph = image()
    onnx.save(graph.model(graph.add("Conv", "x", SIGNS)), tmp_path / "small.onnx")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "small.onnx"), str(tmp_path / "build")]

    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    assert done.returncode == 0, done.stderr


def test_the_command_line_reads_onnx(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from bnn2hw.cli.main import main

    graph = image()
    onnx.save(graph.model(graph.add("Conv", graph.quant("x", 1, 0, 4), SIGNS)), tmp_path / "small.onnx")

    done = CliRunner().invoke(main, ["compile", str(tmp_path / "small.onnx"), "-o", str(tmp_path / "build")])

    assert done.exit_code == 0, done.output
    assert "axes of 'x'" in done.output
    assert bnn2hw.load(tmp_path / "build").layouts["x"].shape == (3, 6, 6)
