"""The shipped MNIST network on all 10,000 test images: golden and native code against Keras, Verilator against golden.

    python benchmarks/figures.py mnist

The images come from the folder $BNN2HW_DATA (mnist.npz), or from Keras's own loader.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import records

import bnn2hw
from bnn2hw.importers.keras.files import load

MODEL = Path(__file__).parent.parent / "examples" / "mnist.keras"
DATA = Path(os.environ.get("BNN2HW_DATA", "")) / "mnist.npz"
BATCH = 500
FRAMES = 1000
"""Images that Verilator classifies."""

RECORD = "mnist"


@cache
def images() -> tuple[np.ndarray, np.ndarray]:
    """Return the test images and their labels."""
    if not DATA.is_file():
        _, (x, y) = keras.datasets.mnist.load_data()
        return x[..., None], y
    with np.load(DATA) as data:
        return data["x_test"][..., None], data["y_test"]


@cache
def compiled() -> tuple[keras.Model, bnn2hw.Accelerator]:
    """Return the model and its accelerator."""
    model = load(MODEL)
    return model, bnn2hw.compile(model, input=bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0))


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    digest = records.sources(
        "bnn2hw/lower", "bnn2hw/importers", "bnn2hw/golden.py", "bnn2hw/ops", "sim/native"
    )
    hardware = records.hardware(compiled()[1].design)
    return {
        "classes": {"all test images": digest},
        "simulation": dict.fromkeys(("smooth", "stalled"), hardware),
    }


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the cells of a row and the versions of the tools."""
    return classes(row) if table == "classes" else simulated(row)


def classes(row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Classify all images three times, and compare every edge with its Keras layer."""
    (x, y), (model, accelerator) = images(), compiled()
    parts = [x[i : i + BATCH] for i in range(0, len(x), BATCH)]
    ours = np.concatenate([np.asarray(accelerator.golden(part)) for part in parts])
    native = np.asarray(accelerator.predict(x))
    theirs = model.predict((x / 127.5 - 1).astype(np.float32), verbose=0).argmax(1)
    different = sum(d.different for part in parts for d in accelerator.deviation(part))
    cells = {
        "images": f"{len(x):,} ({row})",
        "golden equals Keras": f"{np.sum(ours == theirs):,}",
        "native equals golden": f"{np.sum(native == ours):,}",
        "accuracy, golden": f"{np.mean(ours == y):.2%}",
        "accuracy, Keras": f"{np.mean(theirs == y):.2%}",
        "values that differ from their layer": f"{different:,}",
    }
    return cells, records.versions("keras", "tensorflow-cpu", "numpy")


def simulated(row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Classify some images in Verilator."""
    (x, _), (_, accelerator) = images(), compiled()
    run = accelerator.simulate(x[:FRAMES], stalls=0.25 if row == "stalled" else 0.0)
    run.check()
    predicted = accelerator.estimate().cycles
    cells = {
        "run": row,
        "frames": f"{FRAMES:,}",
        "cycles": f"{run.cycles:,}",
        "streams, all exact": f"{len(run.mismatches)}",
        "interval (predicted)": f"{run.interval:,} ({predicted.interval:,})",
        "latency (predicted)": f"{run.latency:,} ({predicted.latency:,})",
    }
    return cells, records.versions("verilator")
