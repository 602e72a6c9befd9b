"""The notebooks of the examples run from top to bottom, call what exists, and are kept without results."""

from __future__ import annotations

import ast
import functools
import inspect
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bnn2hw
import bnn2hw.nn
from tests.support import EXAMPLES, ROOT, shared

NOTEBOOKS = sorted(path.name for path in EXAMPLES.glob("*.ipynb"))

SHOWN = {
    "exploring_foldings.ipynb": ("digits on ice40-up5k", "foldings on ice40-up5k", "<svg", "point 0: "),
    "mnist_end_to_end.ipynb": ("<progress", "exact", "estimate on ecp5-85k", "report.html"),
    "residual_fashion.ipynb": ("rounded", "deviation", " 6 bits: ", "estimate on ecp5-85k"),
}
"""Words that the results of a notebook contain."""

SHORT = ("mnist_end_to_end.ipynb",)
"""Notebooks that the default run executes: it trains, compiles, simulates, estimates and writes."""


def keras_cache() -> Path:
    return Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "datasets"


def download(notebook: str) -> str:
    """Python that stands for the download of images, where neither Keras's cache nor a notebook has them."""
    for name, kept in (("mnist", "mnist.npz"), ("fashion_mnist", "fashion-mnist")):
        if f"keras.datasets.{name}.load_data()" in notebook and not (keras_cache() / kept).exists():
            return (
                f"import keras\nfrom pathlib import Path\nfrom fashion import load_images\n"
                f"keras.datasets.{name}.load_data = lambda: load_images(Path({str(shared(f'{name}.npz'))!r}))"
            )
    return "pass"


def printed(cells: list[Any]) -> str:
    """All texts that the cells of a notebook show."""
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    texts = [str(o.get("text", "")) + "".join(map(str, o.get("data", {}).values())) for o in outputs]
    return "\n".join(texts)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_are_kept_without_results(name: str) -> None:
    cells = json.loads((EXAMPLES / name).read_text())["cells"]

    assert cells[0]["cell_type"] == "markdown"
    assert all(not c.get("outputs") and c.get("execution_count") is None for c in cells)


def called(notebook: Path) -> Iterator[tuple[ast.Call, Any]]:
    """Yield the calls of a notebook to the package and to its accelerators, with what they call."""
    cells = json.loads(notebook.read_text())["cells"]
    tree = ast.parse("\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code"))
    names: dict[str, Any] = {"bnn2hw": bnn2hw, "nn": bnn2hw.nn}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("bnn2hw.compile("):
            names[ast.unparse(node.targets[0])] = bnn2hw.Accelerator
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and "(" not in ast.unparse(node.func):
            first, *parts = ast.unparse(node.func).split(".")
            if first in names:
                yield node, functools.reduce(getattr, parts, names[first])


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_calls_what_there_is_with_arguments_that_it_has(name: str) -> None:
    """The default run asks no more of some notebooks; the long runs execute them all."""
    calls = list(called(EXAMPLES / name))

    assert len(calls) >= 5
    for call, function in calls:
        of_object = ["self"] if "self" in (signature := inspect.signature(function)).parameters else []
        signature.bind_partial(*of_object, *call.args, **{k.arg: k.value for k in call.keywords if k.arg})


@pytest.mark.parametrize(
    "name", [n if n in SHORT else pytest.param(n, marks=pytest.mark.soak) for n in NOTEBOOKS]
)
def test_a_notebook_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="notebooks need nbclient")
    nbclient = pytest.importorskip("nbclient", reason="notebooks need nbclient")
    pytest.importorskip("ipykernel", reason="notebooks need ipykernel")
    for file in EXAMPLES.iterdir():
        if file.suffix in (".py", ".keras"):
            shutil.copy(file, tmp_path)
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    start = nbformat.v4.new_code_cell(download((EXAMPLES / name).read_text()))
    notebook.cells.insert(0, start)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    nbclient.NotebookClient(
        notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()

    text = printed(notebook.cells)
    assert [words for words in SHOWN[name] if words not in text] == []
    assert [o for c in notebook.cells for o in c.get("outputs", ()) if o.get("name") == "stderr"] == []
