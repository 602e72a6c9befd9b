"""Whole networks: folding, cycles, size beside FINN's published figures, and how fast all of it is made and simulated.

    python benchmarks/networks.py [tutorial lfc cnv] [--lfc lfc_w1a1_mnist.npz] [--no-area] [--frames 40]

LFC is the published network where its weights are given, else the same shape with random weights; CNV has random
weights. Yosys maps each design as a whole, which takes long for LFC and CNV; its figures are kept in networks.json by
the sources that they belong to.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import bnn2hw
from bnn2hw import tools
from bnn2hw.backends import verilog
from bnn2hw.importers.keras import files
from bnn2hw.synthesis import synthesize
from bnn2hw.targets import families

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from tests.support import networks as net  # noqa: E402
from tests.support import published  # noqa: E402

KEPT = Path(__file__).with_suffix(".json")
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


def model(name: str, lfc: Path | None) -> keras.Model:
    if name == "tutorial":
        return files.load(HERE.parent / "examples" / "mnist.keras")
    if name == "cnv":
        return cnv()
    if lfc:
        return published.model(lfc)
    widths = (1024, 1024, 1024)
    dense = [layer for width in widths for layer in (net.dense(width), net.norm())]
    return net.chain((784,), *dense, net.dense(10), name="lfc")


def made(name: str, network: keras.Model) -> tuple[bnn2hw.Accelerator, float]:
    """Compile and write; the accelerator and the seconds that took."""
    known = NETWORKS[name]
    began = time.perf_counter()
    rate = CLOCK / known.cycles
    try:
        accelerator = bnn2hw.compile(network, input=known.wire, target="xc7z045", fps=rate)
    except bnn2hw.errors.FoldingError as error:
        print(f"{name}: {error}", file=sys.stderr)
        best = int(str(error).split("needs at least ")[1].split(";")[0])
        accelerator = bnn2hw.compile(network, input=known.wire, target="xc7z045", fps=CLOCK / best)
    with tempfile.TemporaryDirectory() as folder:
        accelerator.write(Path(folder) / "out")
    return accelerator, time.perf_counter() - began


def area(accelerator: bnn2hw.Accelerator) -> dict[str, Any] | None:
    """What Yosys makes of the whole design for 7 series, kept by its sources."""
    design = verilog.render(accelerator.graph, family=families.family("xilinx"))
    key = hashlib.sha256(json.dumps(sorted(design.files.items())).encode()).hexdigest()[:16]
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    if kept.get(accelerator.name, {}).get("key") != key:
        with tempfile.TemporaryDirectory(prefix="bnn2hw-") as folder:
            used = synthesize.area(design, families.family("xilinx"), Path(folder))
        figures = {r: getattr(used, r) for r in ("lut", "ff", "bram", "dsp")}
        kept[accelerator.name] = {"key": key, "yosys": tools.yosys().release, **figures}
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    return kept[accelerator.name]


def folding(accelerator: bnn2hw.Accelerator) -> str:
    """PE×SIMD of the matrix-vector units, and their pixels per beat where these are several."""
    units = (f for f in accelerator.folding().values() if {"pe", "simd"} <= set(f))
    return ", ".join(
        f"{f['pe']}×{f['simd']}" + (f" of {f['pixels']} pixels" if "pixels" in f else "") for f in units
    )


def row(name: str, options: argparse.Namespace) -> list[str]:
    accelerator, seconds = made(name, model(name, options.lfc))
    values = accelerator.input.ints.values()
    frames = np.random.default_rng(0).choice(values, (options.frames, *accelerator.input.shape))
    run = accelerator.simulate(frames)
    run.check()
    known, cost = accelerator.estimate(), accelerator.estimate().cost
    found = None if options.no_area else area(accelerator)

    def sized(resource: str) -> str:
        predicted = f"{getattr(cost, resource):,.0f}"
        if not found:
            return f"– ({predicted})"
        off = getattr(cost, resource) / found[resource] - 1 if found[resource] else 0.0
        return f"{found[resource]:,} ({predicted}, {off:+.1%})"

    return [
        NETWORKS[name].title,
        folding(accelerator),
        f"{run.interval:,} ({known.cycles.interval:,})",
        f"{run.latency:,} ({known.cycles.latency:,})",
        sized("lut"),
        sized("ff"),
        sized("bram"),
        f"{CLOCK / (run.interval or math.inf):,.0f}",
        NETWORKS[name].peer or "–",
        f"{seconds:.1f}",
        f"{options.frames / run.seconds:,.1f}",
        f"{run.overhead:.0%}",
    ]


HEAD = [
    "network",
    "PE×SIMD",
    "cycles per frame (predicted)",
    "latency (predicted)",
    "LUT by Yosys (estimate, its error)",
    "FF",
    "BRAM18",
    "frames/s at 200 MHz",
    "FINN's",
    "model to RTL in s",
    "simulated frames/s",
    "of that run the harness",
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", choices=[*NETWORKS, []], metavar="NETWORK")
    parser.add_argument("--lfc", type=Path, help="the published weights of LFC")
    parser.add_argument("--frames", type=int, default=40, help="simulated")
    parser.add_argument("--no-area", action="store_true", help="without Yosys")
    options = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n"
    )
    print(f"| {' | '.join(HEAD)} |", f"| {' | '.join(['---'] * len(HEAD))} |", sep="\n", flush=True)
    for name in options.networks or NETWORKS:
        print(f"| {' | '.join(row(name, options))} |", flush=True)


if __name__ == "__main__":
    main()
