"""Compile the shipped MNIST network, simulate real test images in Verilator, and compare every stream.

python examples/demo.py [--frames 200] [--out build/mnist]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import bnn2hw
from bnn2hw.cli.progress import spinner

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

    with spinner(quiet=False) as progress:
        accelerator = bnn2hw.compile(
            HERE / "mnist.keras",
            input=bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0),
            target="ecp5-85k",
            fps=15_000,
            progress=progress,
        )
        accelerator.write(options.out)
    print(accelerator, end="\n\n")

    runs = {}
    with spinner(quiet=False) as progress:
        for name, stalls in (("without stalls", 0.0), ("with random stalls", 0.25)):
            runs[name] = accelerator.simulate(
                images, stalls=stalls, progress=lambda text, name=name: progress(f"{text}, {name}")
            )
    accelerator.report(options.out / "report.html", runs=list(runs.values()))
    for name, run in runs.items():
        verdict = "bit-exact" if run.exact else "NOT EXACT"
        print(f"{len(images)} MNIST test images {name}: all {len(run.mismatches)} streams {verdict}")
    smooth = runs["without stalls"]
    print(f"interval: measured {smooth.interval:,} cycles, predicted {smooth.predicted.interval:,}")
    print(f"latency:  measured {smooth.latency:,} cycles, predicted {smooth.predicted.latency:,}")
    print(f"accuracy of the hardware on these images: {np.mean(smooth.outputs.reshape(-1) == labels):.2%}")
    print(
        f"written to {options.out}: rtl/ (sources, weights), report.html, report.txt, graph.json, manifest.json"
    )
    print(f"done in {time.perf_counter() - started:.0f} s")
    for run in runs.values():
        run.check()


if __name__ == "__main__":
    main()
