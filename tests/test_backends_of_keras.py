"""Keras runs on a package that is installed; build folders and ONNX files need no Keras."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw import frameworks
from tests.support import networks as net

BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras", "tensorflow", "jax", "torch"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocker())
"""


def test_a_missing_package_is_replaced_by_one_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frameworks, "installed_backends", lambda: ["jax", "torch"])
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_HOME", os.devnull)
    monkeypatch.setenv("KERAS_BACKEND", "")

    frameworks.choose_backend()

    assert os.environ["KERAS_BACKEND"] == "jax"


@pytest.mark.parametrize("chosen", ["torch", "tensorflow"])
def test_a_choice_in_the_environment_stays(monkeypatch: pytest.MonkeyPatch, chosen: str) -> None:
    monkeypatch.setattr(frameworks, "installed_backends", lambda: ["jax"])
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_BACKEND", chosen)

    frameworks.choose_backend()

    assert os.environ["KERAS_BACKEND"] == chosen


def test_the_progress_names_what_keras_runs_on() -> None:
    steps: list[str] = []

    bnn2hw.compile(net.chain((8,), net.dense(4)), input=bnn2hw.Input("bipolar"), progress=steps.append)

    named = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}[keras.config.backend()]
    ran_on = rf"comparing with the model \(Keras {re.escape(keras.__version__)} on {named} \d+\..*\)"
    assert any(re.fullmatch(ran_on, step) for step in steps), steps


def test_commands_on_build_folders_need_no_keras(tmp_path: Path) -> None:
    accelerator = bnn2hw.compile(net.chain((8,), net.dense(4)), input=bnn2hw.Input("bipolar"))
    accelerator.write(tmp_path / "build")
    x = np.random.default_rng(0).choice([-1, 1], (4, 8))
    np.save(tmp_path / "x.npy", x)
    script = f"""{BLOCKED}
from pathlib import Path
import numpy as np
import bnn2hw
from click.testing import CliRunner
from bnn2hw.cli.main import main
folder = {str(tmp_path / "build")!r}
loaded = bnn2hw.load(folder)
assert loaded.golden(np.load({str(tmp_path / "x.npy")!r})).tolist() == {accelerator.golden(x).tolist()!r}
for command in ("simulate", "predict", "estimate", "verify", "report"):
    images = ["--images", {str(tmp_path / "x.npy")!r}] if command in ("simulate", "predict") else []
    done = CliRunner().invoke(main, [command, folder, *images])
    assert done.exit_code == 0, (command, done.output, done.exception)
"""

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
