"""Compile the shipped MNIST network, simulate real test images in Verilator, and compare every stream.

python examples/demo.py [--frames 200] [--out build/mnist]
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from rich.console import Console

import bnn2hw

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=200, help="number of images to simulate, at most 200")
    parser.add_argument(
        "--out", type=Path, default=Path("build/mnist"), help="folder for the generated design"
    )
    options = parser.parse_args()
    started = time.perf_counter()
    with np.load(HERE / "mnist_sample.npz") as sample:
        images, labels = sample["x"][: options.frames], sample["y"][: options.frames]

    with Console(stderr=True).status("compiling …") as status:
        accelerator = bnn2hw.compile(
            HERE / "mnist.keras",
            input=bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0),
            target="ecp5-85k",
            fps=15_000,
        )
        accelerator.write(options.out)
    print(accelerator, end="\n\n")

    runs = {}
    with Console(stderr=True).status("simulating …") as status:
        for name, stalls in (("without stalls", 0.0), ("with random stalls", 0.25)):
            runs[name] = accelerator.simulate(
                images, stalls=stalls, progress=lambda text, name=name: status.update(f"{text}, {name} …")
            )
    for name, run in runs.items():
        verdict = "bit-exact" if run.exact else "NOT EXACT"
        print(f"{len(images)} MNIST test images {name}: all {len(run.mismatches)} streams {verdict}")
    smooth = runs["without stalls"]
    print(f"interval: measured {smooth.interval:,} cycles, predicted {smooth.predicted.interval:,}")
    print(f"latency:  measured {smooth.latency:,} cycles, predicted {smooth.predicted.latency:,}")
    print(f"accuracy of the hardware on these images: {np.mean(smooth.outputs.reshape(-1) == labels):.2%}")
    print(
        f"written to {options.out}: rtl/ (SystemVerilog and weights), report.txt, graph.json, manifest.json"
    )
    print(f"done in {time.perf_counter() - started:.0f} s")
    for run in runs.values():
        run.check()


if __name__ == "__main__":
    main()
