"""Files of other tools: the values of golden against those of their own executor, and Verilator against golden.

    BNN2HW_DATA=FOLDER python benchmarks/figures.py foreign_files

The folder $BNN2HW_DATA holds `foreign/NAME.onnx`, `.keras` or `.h5`, and `foreign/NAME.io.npz` with the inputs `x` of
the file and the outputs `y` that the package which wrote it computed. Networks of the QONNX zoo are in `qonnx/`; their
accuracy is that on the test images of `mnist.npz`. BNN2HW_SIMULATE=no leaves Verilator out.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import records

import bnn2hw
from bnn2hw.errors import InputError, UnsupportedError
from bnn2hw.importers.keras.files import load

RECORD = "foreign_files"
DATA = Path(os.environ.get("BNN2HW_DATA", ""))

SIMULATED, STALLS = 32, 0.2
"""Inputs that Verilator gets, and the share of cycles in which sources and sinks pause."""

EQUAL = 1e-6
"""Share of the largest output by which float32 in the executor itself is off the exact sum."""

PIXELS, SCALED = bnn2hw.Input("uint8", scale=1 / 255), bnn2hw.Input("uint8", scale=1 / 256)

FILES: dict[str, bnn2hw.Input | None] = {
    "mlp_w1a1.onnx": None,
    "mlp_w1a1_clean.onnx": None,
    "mlp_w1a1_mt.onnx": None,
    "cnn_w2a2.onnx": PIXELS,
    "cnv_mini_w1a1.onnx": PIXELS,
    "dw_mini_w4a4.onnx": None,
    "fix_w4a4.onnx": None,
    "res_mini_w4a4.onnx": None,
    "rgb_w4a4.onnx": None,
    "rgb_w4a4_chlast.onnx": None,
    "qk09_cnn_qonnx.onnx": SCALED,
    "qk09_cnn.h5": SCALED,
    "qk3_cnn_qb4.keras": SCALED,
    "qk3_cnn_qb4.h5": SCALED,
    "qk3_mlp_bin_tern.keras": PIXELS,
    "qk3_mlp_bin_tern.h5": PIXELS,
    "hgq2_jets_mlp.keras": None,
    "knat_int8_mlp.keras": PIXELS,
    "knat_int8_weightonly_cnn.keras": PIXELS,
    "knat_int4_perchannel_mlp.keras": PIXELS,
}
"""Integers on the wire of each file; None if the file says so."""

ZOO = ("TFC_1W1A.onnx", "TFC_2W2A.onnx")


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    digest = records.sources("bnn2hw/lower", "bnn2hw/importers", "bnn2hw/golden.py", "bnn2hw/ops")
    return {"files": dict.fromkeys(FILES, digest), "zoo": dict.fromkeys(ZOO, digest)}


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the cells of a row and the versions of the tools."""
    path = DATA / ("qonnx" if table == "zoo" else "foreign") / row
    if not path.is_file():
        raise InputError(f"'{path}' is not there; BNN2HW_DATA must name the folder of the files")
    return (_zoo(path) if table == "zoo" else _file(path)), records.versions("numpy", "verilator")


def _file(path: Path) -> dict[str, str]:
    with np.load(path.parent / f"{path.stem}.io.npz") as data:
        x, y = data["x"], data["y"]
    accelerator = compiled(path, x)
    wire = on_the_wire(path, accelerator, x)
    found = np.asarray(accelerator.predict(wire)).reshape(y.shape)
    if np.allclose(y.sum(-1), 1, atol=1e-4):  # the file ends in a softmax, which the hardware leaves out
        found = np.exp(found - found.max(-1, keepdims=True))
        found /= found.sum(-1, keepdims=True)
    off = np.abs(found - y)
    return {
        "file": path.name,
        "equal values": f"{int((off <= EQUAL * np.abs(y).max()).sum())} of {off.size}",
        "largest difference": f"{off.max():.1e}",
        "largest value": f"{np.abs(y).max():.3g}",
        "same class": f"{(found.argmax(-1) == y.argmax(-1)).mean():.1%}",
        "streams equal to golden": _streams(accelerator, wire[:SIMULATED]),
    }


def _streams(accelerator: bnn2hw.Accelerator, x: np.ndarray) -> str:
    """Return how many streams of the simulated design equal golden."""
    if os.environ.get("BNN2HW_SIMULATE") == "no":
        return "not run"
    run = accelerator.simulate(x, stalls=STALLS)
    return f"{sum(m is None for m in run.mismatches.values())} of {len(run.mismatches)}"


def on_the_wire(path: Path, accelerator: bnn2hw.Accelerator, x: np.ndarray) -> np.ndarray:
    """Return the inputs of a file as integers; a leading quantizer of HGQ2 rounds them as its package does."""
    if not path.name.startswith("hgq2"):
        return np.asarray(accelerator.integers(x))
    spec = accelerator.input_specs
    if not isinstance(spec, bnn2hw.Input):
        raise InputError("a file of HGQ2 with several inputs")
    rounded = np.asarray(load(path).get_layer("d0").iq(x))
    return np.rint(rounded / spec.scale).astype(int)


def compiled(path: Path, x: np.ndarray) -> bnn2hw.Accelerator:
    """Compile a file to its scores; with the inputs as calibration where Keras rounds by what arrives."""
    wire = FILES[path.name]
    try:
        return bnn2hw.compile(path, input=wire, output="scores")
    except UnsupportedError:
        return bnn2hw.compile(path, input=wire, output="scores", calibration=x)


def _zoo(path: Path) -> dict[str, str]:
    accelerator = bnn2hw.compile(path, input=bnn2hw.Input("uint8", scale=1 / 255), output="class")
    with np.load(DATA / "mnist.npz") as data:
        images, labels = data["x_test"], data["y_test"]
    images = images.reshape(len(images), *accelerator.input.shape)
    classes = np.asarray(accelerator.predict(images))
    return {
        "network": path.name,
        "images": f"{len(images):,}",
        "accuracy": f"{(classes.reshape(-1) == labels).mean():.2%}",
        "streams equal to golden": _streams(accelerator, images[:SIMULATED]),
    }
