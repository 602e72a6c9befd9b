"""The MNIST tutorial network at one pixel per cycle and at several: cycles and size.

    python benchmarks/pixels.py [--area] [--frames 20]

Cycles are counted by Verilator, and every stream is compared with golden, with random stalls and without. Resources are
predicted; with --area those that Yosys makes for 7 series stand beside them.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import bnn2hw
from bnn2hw.backends import verilog
from bnn2hw.importers.keras import files
from bnn2hw.synthesis import synthesize
from bnn2hw.targets import devices, families

MODEL = Path(__file__).parent.parent / "examples" / "mnist.keras"
PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)
TARGET = "xc7z045"
CLOCK = devices.device(TARGET).clock_mhz * 1e6
CYCLES = 28 * 28
"""Per frame, where a pixel is taken in each."""

HEAD = [
    "cycles per frame (predicted)",
    "latency (predicted)",
    "frames/s",
    "LUT",
    "FF",
    "BRAM18",
    "pixels per beat",
]


def row(each: int, frames: int, *, area: bool) -> list[str]:
    """The network at so many pixels per cycle."""
    accelerator = bnn2hw.compile(files.load(MODEL), input=PIXELS, target=TARGET, fps=CLOCK * each / CYCLES)
    x = np.random.default_rng(0).integers(0, 256, (frames, *accelerator.input.shape))
    run, known = accelerator.simulate(x), accelerator.estimate()
    run.check()
    accelerator.simulate(x, stalls=0.3, seed=1).check()
    sizes = [f"{getattr(known.cost, name):,.0f}" for name in ("lut", "ff", "bram")]
    if area:
        design = verilog.render(accelerator.graph, family=families.family("xilinx"))
        with tempfile.TemporaryDirectory(prefix="bnn2hw-") as folder:
            used = synthesize.area(design, families.family("xilinx"), Path(folder))
        made = (used.lut, used.ff, used.bram)
        sizes = [f"{size} ({found:,})" for size, found in zip(sizes, made, strict=True)]
    wide = {n: f["pixels"] for n, f in accelerator.folding().items() if "pixels" in f}
    return [
        f"{run.interval:,} ({known.cycles.interval:,})",
        f"{run.latency:,} ({known.cycles.latency:,})",
        f"{CLOCK / (run.interval or math.inf):,.0f}",
        *sizes,
        ", ".join(f"{name} {pixels}" for name, pixels in wide.items()) or "1",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=20, help="simulated")
    parser.add_argument("--area", action="store_true", help="with Yosys, in brackets")
    options = parser.parse_args()
    print(f"| {' | '.join(HEAD)} |", f"| {' | '.join(['---'] * len(HEAD))} |", sep="\n", flush=True)
    for each in (1, 2, 4):
        print(f"| {' | '.join(row(each, options.frames, area=options.area))} |", flush=True)


if __name__ == "__main__":
    main()
