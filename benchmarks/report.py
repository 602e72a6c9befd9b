"""Size of the HTML report, and the seconds that it takes, for networks from eight layers to hundreds.

    python benchmarks/figures.py report

Networks have random weights, but for the tutorial network. Seconds are of processor time, with the import of the
libraries that draw. The pages stay in the folder build/reports.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import records

import bnn2hw

HERE = Path(__file__).parent
RECORD = "report"

NETWORKS = ("tutorial", "BinaryDenseNet45")
"""The tutorial network, and one of ImageNet size."""

DEVICE = "xcu250"


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    digest = records.sources("bnn2hw/report", "templates/report", "bnn2hw/estimate/timeline.py")
    return {"pages": dict.fromkeys(NETWORKS, digest)}


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the cells of a row and the versions of the tools; each network has a process of its own."""
    command = [sys.executable, __file__, row]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    before, seconds, size, ops = told.split()
    cells = {
        "network": row,
        "ops": f"{int(ops):,}",
        "sources and cycles, s": f"{float(before):.1f}",
        "report, s": f"{float(seconds):.1f}",
        "report, MB": f"{int(size) / 1e6:.2f}",
    }
    return cells, records.versions("keras", "pygraphviz", "vl-convert-python")


def designed(name: str) -> bnn2hw.Accelerator:
    """Compile a network."""
    if name == "tutorial":
        pixels = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1)
        return bnn2hw.compile(HERE.parent / "examples" / "mnist.keras", input=pixels, fps=15_000)
    import keras

    from bnn2hw.nn import zoo

    keras.utils.set_random_seed(1)
    model = getattr(zoo, name)()
    return bnn2hw.compile(model, input=bnn2hw.Input("uint8", scale=1 / 255), target=DEVICE, fps=250)


def main() -> None:
    """Print the seconds before the report and of it, its bytes, and the ops of the network."""
    from bnn2hw.ir import hardware_nodes

    accelerator = designed(sys.argv[1])
    pages = HERE.parent / "build" / "reports"
    pages.mkdir(parents=True, exist_ok=True)
    began = time.process_time()
    _ = accelerator.design, accelerator.estimate()
    before = time.process_time() - began
    began = time.process_time()
    text = accelerator.report(pages / f"{sys.argv[1]}.html")
    seconds = time.process_time() - began
    print(before, seconds, len(text.encode()), sum(1 for _ in hardware_nodes(accelerator.graph)))


if __name__ == "__main__":
    main()
