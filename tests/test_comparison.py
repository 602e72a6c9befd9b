"""A compiled model is compared with the executor of its own format, and the report says with which."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw.accelerator import Accelerator
from bnn2hw.cli.main import main
from bnn2hw.errors import UnsupportedError
from bnn2hw.importers import onnx as importer
from tests.support import networks as net
from tests.support import shared
from tests.support.in_memory import shake
from tests.support.machine import package_or_skip
from tests.support.onnx_graphs import Graph

WIRE = bnn2hw.Input("int4", scale=0.5)
PIXELS = bnn2hw.Input("uint8", scale=1 / 255)
KERAS = f"Keras {metadata.version('keras')}"


def convolved(*, quantized: bool) -> onnx.ModelProto:
    """A small network, with or without quantizers of QONNX."""
    graph = Graph((1, 3, 5, 5))
    value = graph.add("Conv", "x", np.random.default_rng(0).choice([-1.0, 1.0], (4, 3, 3, 3)))
    value = graph.quant(value, 0.5, 0, 4) if quantized else graph.add("Relu", value)
    return graph.model(value)


def on_file(path: Path, **options: object) -> Accelerator:
    return bnn2hw.compile(path, input=WIRE, **options)


@pytest.mark.parametrize("quantized", [True, False])
def test_onnx_files_are_compared_with_their_executor(quantized: bool, tmp_path: Path) -> None:
    package_or_skip("qonnx")
    path = tmp_path / "net.onnx"
    onnx.save(convolved(quantized=quantized), path)
    runtime = f"ONNX Runtime {metadata.version('onnxruntime')}"
    name = f"qonnx {metadata.version('qonnx')} on {runtime}" if quantized else runtime

    accelerator = on_file(path)

    [output] = accelerator.compared.outputs
    assert (accelerator.compared.executor, accelerator.compared.lacking) == (name, "")
    assert (output.equal, output.count, output.decisions) == (8 * 36, 8 * 36, False)
    assert f"compared with {name} on 8 random frames:" in str(accelerator)
    assert "288 of 288 values equal" in str(accelerator)


def test_without_qonnx_the_report_says_what_was_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer.whole, "find_spec", lambda name: None)

    compared = bnn2hw.compile(convolved(quantized=True), input=WIRE).compared

    assert compared.executor.startswith("bnn2hw's quantizers of QONNX on ONNX Runtime")
    assert "pip install qonnx" in compared.lacking
    assert list(compared.versions) == ["onnxruntime"]
    assert compared.outputs[0].equal == 288


def test_an_executor_that_fails_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    package_or_skip("qonnx")

    def fail(*_: object) -> None:
        raise AssertionError("no shape\nat all")

    monkeypatch.setattr(importer.whole, "by_qonnx", fail)

    accelerator = bnn2hw.compile(convolved(quantized=True), input=WIRE)

    assert "cannot compute the model: no shape)" in str(accelerator)
    assert accelerator.compared.executor.startswith("bnn2hw's quantizers")


def test_a_model_that_its_executor_computes_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    package_or_skip("qonnx")
    real = importer.whole.by_qonnx
    monkeypatch.setattr(importer.whole, "by_qonnx", lambda *model: lambda x: [3 * y for y in real(*model)(x)])

    with pytest.raises(UnsupportedError, match=r"the model in qonnx .* returns other values"):
        bnn2hw.compile(convolved(quantized=True), input=WIRE)


def test_best_classes_are_compared_as_decisions() -> None:
    graph = Graph((1, 6))
    scores = graph.add("MatMul", "x", np.random.default_rng(0).normal(size=(6, 5)))

    best = bnn2hw.compile(
        graph.model(graph.best(scores, 2), kind=onnx.TensorProto.INT64), input=WIRE
    ).compared
    layers = [net.dense(5, name="a"), keras.layers.Softmax(name="end")]
    softmax = bnn2hw.compile(net.chain((6,), *layers), input=WIRE).compared

    assert [(o.decisions, o.equal, o.count) for o in best.outputs] == [(True, 8, 8)]
    assert [(o.decisions, o.equal, o.count) for o in softmax.outputs] == [(True, 8, 8)]
    assert softmax.executor.startswith(KERAS)


def test_the_comparison_is_kept_in_files_and_in_json(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(convolved(quantized=False), path)
    first, again = (
        on_file(path, target="generic"),
        on_file(path, target="generic"),
    )  # the second from the cache

    first.write(tmp_path / "build")
    command = ["compile", path, "-o", tmp_path / "again", "--input", "int4", "--scale", "0.5", "--json"]
    result = CliRunner().invoke(main, [str(word) for word in command])

    assert first.compared is not None
    assert bnn2hw.load(tmp_path / "build").compared == again.compared == first.compared
    printed = json.loads(result.stdout)["compared"]
    assert printed["executor"] == first.compared.executor
    assert printed["versions"] == {"onnxruntime": metadata.version("onnxruntime")}
    assert printed["outputs"][0]["equal"] == 288


def test_models_of_hgq2_are_compared_with_the_package(tmp_path: Path) -> None:
    package_or_skip("hgq")
    from hgq.layers import QDense

    inputs = keras.Input((6,), name="x")
    model = shake(keras.Model(inputs, QDense(3, name="a")(inputs)))
    model.save(tmp_path / "net.keras")

    for given in (model, tmp_path / "net.keras"):
        compared = bnn2hw.compile(given, input=bnn2hw.Input("int8", scale=1 / 16)).compared
        assert compared.executor.startswith(f"HGQ2 {metadata.version('HGQ2')} on {KERAS}")
        assert [(o.equal, o.count) for o in compared.outputs] == [(24, 24)]


def test_layers_of_a_missing_package_are_named() -> None:
    compared = bnn2hw.compile(shared("foreign/qk3_mlp_bin_tern.keras"), input=PIXELS).compared

    assert compared.executor.startswith(f"bnn2hw's layers of QKeras on {KERAS}")
    assert compared.lacking == "the package qkeras-v3 is not installed"
    assert compared.outputs[0].equal == 80


def test_the_page_says_what_the_model_was_compared_with() -> None:
    accelerator = bnn2hw.compile(convolved(quantized=False), input=WIRE)

    page = accelerator.report()

    name = accelerator.compared.executor
    assert f"The model was compared with {name} on 8 random frames: " in page
    assert "288 of 288 values equal" in page
