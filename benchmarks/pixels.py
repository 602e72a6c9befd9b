"""The MNIST tutorial network at one pixel per cycle and at several: cycles and size.

    python benchmarks/pixels.py [--area] [--frames 20]

Cycles are counted by Verilator, and every stream is compared with golden, with random stalls and without. Resources are
predicted; with --area those that Yosys makes for 7 series stand beside them.
"""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import records

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

RECORD = "pixels"
FRAMES = 20


def compiled(each: int) -> bnn2hw.Accelerator:
    """Compile the network for so many pixels per cycle."""
    return bnn2hw.compile(files.load(MODEL), input=PIXELS, target=TARGET, fps=CLOCK * each / CYCLES)


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    return {"pixels": {str(n): records.hardware(compiled(n).design, records.yosys()) for n in (1, 2, 4)}}


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Simulate and synthesize; return the cells of a row and the versions of the tools."""
    accelerator = compiled(int(row))
    x = np.random.default_rng(0).integers(0, 256, (FRAMES, *accelerator.input.shape))
    run, known = accelerator.simulate(x), accelerator.estimate()
    run.check()
    accelerator.simulate(x, stalls=0.3, seed=1).check()
    design = verilog.render(accelerator.graph, family=families.family("xilinx"))
    with tempfile.TemporaryDirectory(prefix="bnn2hw-") as folder:
        used = synthesize.area(design, families.family("xilinx"), Path(folder))
    wide = {n: f["pixels"] for n, f in accelerator.folding().items() if "pixels" in f}
    cells = {
        "pixels per cycle": row,
        "cycles per frame (predicted)": f"{run.interval:,} ({known.cycles.interval:,})",
        "latency (predicted)": f"{run.latency:,} ({known.cycles.latency:,})",
        "frames/s": f"{CLOCK / (run.interval or math.inf):,.0f}",
        "LUT": f"{known.cost.lut:,.0f} ({used.lut:,})",
        "FF": f"{known.cost.ff:,.0f} ({used.ff:,})",
        "BRAM18": f"{known.cost.bram:,.0f} ({used.bram:,})",
        "pixels per beat": ", ".join(f"{name} {pixels}" for name, pixels in wide.items()) or "1",
    }
    return cells, records.yosys()
