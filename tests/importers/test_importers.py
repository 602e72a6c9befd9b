"""An importer is a module with `read` and a line in `IMPORTERS`."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import bnn2hw
from bnn2hw import importers
from bnn2hw.errors import InputError
from bnn2hw.importers import Importer
from bnn2hw.importers.imported import Imported
from bnn2hw.ir import Graph, Node, Tensor
from bnn2hw.ops import Source
from bnn2hw.ops.real import Dense, Pointwise
from tests.support import layerwise


class Matrix:
    """A model of another tool."""

    def __init__(self, weights: list[list[int]]) -> None:
        self.weights = weights


def read(model: object) -> Imported:
    """Read a matrix of signs and the sign of its product, from an object or a JSON file."""
    weights = json.loads(model.read_text()) if isinstance(model, Path) else model.weights
    kernel = np.array(weights, np.float32)
    product = Dense(lambda x: x @ kernel, kernel.shape[1:], kernel)
    sign = Pointwise(lambda x: np.where(x < 0, -1, 1).astype(np.float32), kernel.shape[1:], uniform=True)
    nodes = (
        Node("x", Source(Tensor(kernel.shape[:1])), layer="x"),
        Node("matrix/product", product, ("x",), layer="matrix"),
        Node("matrix/sign", sign, ("matrix/product",), layer="matrix"),
    )
    return Imported(Graph(nodes, ("matrix/sign",)), {"x": bnn2hw.Input("bipolar")}, "matrix")


@pytest.fixture
def matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("bnn2hw.importers.matrices")
    module.read = read
    monkeypatch.setitem(sys.modules, module.__name__, module)
    row = Importer("matrices", "a matrix", (".matrix",), (Matrix.__module__.split(".")[0],))
    monkeypatch.setattr(importers, "IMPORTERS", (*importers.IMPORTERS, row))


WEIGHTS = [[1, -1], [1, 1], [-1, 1]]


@pytest.mark.parametrize("kind", ["file", "object"])
def test_another_importer(kind: str, matrices: None, tmp_path: Path) -> None:
    file = tmp_path / "model.matrix"
    file.write_text(json.dumps(WEIGHTS))
    x = np.array([[1, 1, 1], [-1, 1, -1], [-1, -1, -1], [1, -1, 1]])

    accelerator = bnn2hw.compile(file if kind == "file" else Matrix(WEIGHTS))

    assert np.array_equal(accelerator.golden(x), np.where(x @ np.array(WEIGHTS) < 0, -1, 1))
    assert layerwise.check_layers(accelerator, x) == "exact"
    accelerator.simulate(x).check()


def test_what_no_importer_reads(matrices: None, tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_text("text")

    with pytest.raises(
        InputError, match=r"expected a Keras model, an ONNX model, a matrix or the path of one, not int"
    ):
        bnn2hw.compile(3)
    with pytest.raises(InputError, match=r"expected a file that ends in \.keras, \.h5, \.onnx or \.matrix"):
        bnn2hw.compile(tmp_path / "model.txt")
