"""Whole networks: folding, cycles, size beside FINN's published figures, and how fast all of it is made and simulated.

    python benchmarks/figures.py networks

LFC is the published network if the folder $BNN2HW_DATA holds lfc_w1a1_mnist.npz, else the same shape with random
weights; CNV has random weights. Yosys maps each design as a whole, which takes long for LFC and CNV.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import records

import bnn2hw
from bnn2hw.backends import verilog
from bnn2hw.importers.keras import files
from bnn2hw.synthesis import synthesize
from bnn2hw.targets import families

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from tests.support import networks as net  # noqa: E402
from tests.support import published  # noqa: E402

LFC = Path(os.environ.get("BNN2HW_DATA", "")) / "lfc_w1a1_mnist.npz"
FRAMES = 40
"""Random frames that are simulated."""
PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)
CLOCK = 200e6


@dataclass(frozen=True)
class Network:
    """A network, the cycles per frame that are asked for, and what FINN publishes of its own design of it."""

    title: str
    cycles: int
    wire: bnn2hw.Input
    peer: str


NETWORKS = {
    "tutorial": Network("tutorial, 28×28×1: 32-P-64-P-64, 64-10", 784, PIXELS, ""),
    "lfc": Network(
        "LFC: 784-1024-1024-1024-10",
        128,
        bnn2hw.Input("bipolar"),
        "LFC-max: 128 cycles, 82,988 LUT, 396 BRAM36 (arXiv 1612.07119)",
    ),
    "cnv": Network(
        "CNV, 32×32×3: 64-64-P-128-128-P-256-256, 512-512-10",
        9130,
        PIXELS,
        "CNV-max: 9,130 cycles, 46,253 LUT, 186 BRAM36 (arXiv 1612.07119)",
    ),
}


def cnv() -> keras.Model:
    layers: list[Any] = []
    for i, filters in enumerate((64, 64, 128, 128, 256, 256)):
        first = {} if i else {"input_quantizer": None}
        layers += [net.conv(filters, 3, **first), net.norm()]
        layers += [keras.layers.MaxPooling2D(2)] if i in (1, 3) else []
    layers += [keras.layers.Flatten(), net.dense(512), net.norm(), net.dense(512), net.norm(), net.dense(10)]
    return net.chain((32, 32, 3), *layers, name="cnv")


def model(name: str) -> keras.Model:
    if name == "tutorial":
        return files.load(HERE.parent / "examples" / "mnist.keras")
    if name == "cnv":
        return cnv()
    if LFC.is_file():
        return published.model(LFC)
    widths = (1024, 1024, 1024)
    dense = [layer for width in widths for layer in (net.dense(width), net.norm())]
    return net.chain((784,), *dense, net.dense(10), name="lfc")


def designed(name: str, network: keras.Model) -> bnn2hw.Accelerator:
    """Compile a network."""
    known = NETWORKS[name]
    return bnn2hw.compile(network, input=known.wire, target="xc7z045", fps=CLOCK / known.cycles)


def compiled(name: str) -> tuple[bnn2hw.Accelerator, float]:
    """Compile and write a network; the accelerator and the seconds that took."""
    network = model(name)
    began = time.perf_counter()
    accelerator = designed(name, network)
    with tempfile.TemporaryDirectory() as folder:
        accelerator.write(Path(folder) / "out")
    return accelerator, time.perf_counter() - began


def folding(accelerator: bnn2hw.Accelerator) -> str:
    """PE×SIMD of the matrix-vector units, and their pixels per beat where these are several."""
    units = (f for f in accelerator.folding().values() if {"pe", "simd"} <= set(f))
    return ", ".join(
        f"{f['pe']}×{f['simd']}" + (f" of {f['pixels']} pixels" if "pixels" in f else "") for f in units
    )


RECORD = "networks"


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    return {
        "networks": {
            n.title: records.hardware(designed(name, model(name)).design, records.yosys())
            for name, n in NETWORKS.items()
        }
    }


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Simulate and synthesize; return the cells of a row and the versions of the tools."""
    name = next(name for name, n in NETWORKS.items() if n.title == row)
    accelerator, seconds = compiled(name)
    values = accelerator.input.ints.values()
    run = accelerator.simulate(np.random.default_rng(0).choice(values, (FRAMES, *accelerator.input.shape)))
    run.check()
    known, cost = accelerator.estimate(), accelerator.estimate().cost
    design = verilog.render(accelerator.graph, family=families.family("xilinx"))
    with tempfile.TemporaryDirectory(prefix="bnn2hw-") as folder:
        used = synthesize.area(design, families.family("xilinx"), Path(folder))

    def sized(resource: str) -> str:
        predicted, found = getattr(cost, resource), getattr(used, resource)
        return f"{found:,} ({predicted:,.0f}, {predicted / found - 1 if found else 0.0:+.1%})"

    cells = {
        "network": row,
        "PE×SIMD": folding(accelerator),
        "cycles per frame (predicted)": f"{run.interval:,} ({known.cycles.interval:,})",
        "latency (predicted)": f"{run.latency:,} ({known.cycles.latency:,})",
        "LUT by Yosys (estimate, its error)": sized("lut"),
        "FF": sized("ff"),
        "BRAM18": sized("bram"),
        "frames/s at 200 MHz": f"{CLOCK / (run.interval or math.inf):,.0f}",
        "FINN's": NETWORKS[name].peer or "–",
        "model to RTL in s": f"{seconds:.1f}",
        "simulated frames/s": f"{FRAMES / (run.seconds or math.inf):,.1f}",
        "of that run the harness": f"{run.overhead:.0%}",
    }
    return cells, {**records.yosys(), **records.versions("verilator")}
