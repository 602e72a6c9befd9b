"""The shipped MNIST network on all 10,000 test images: golden against Keras, Verilator against golden.

    python benchmarks/mnist.py [--data mnist.npz] [--frames 1000]

Prints the tables that stand in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import bnn2hw
from bnn2hw.importers.keras.files import load

MODEL = Path(__file__).parent.parent / "examples" / "mnist.keras"
BATCH = 500


def images(path: Path | None) -> tuple[np.ndarray, np.ndarray]:
    if path is None:
        _, (x, y) = keras.datasets.mnist.load_data()
    else:
        with np.load(path) as data:
            x, y = data["x_test"], data["y_test"]
    return x[..., None], y


def machine() -> str:
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def rate(fn, x: np.ndarray) -> tuple[np.ndarray, float]:
    """Results and images per second, after a warm-up batch."""
    fn(x[:BATCH])
    start = time.perf_counter()
    parts = [fn(x[i : i + BATCH]) for i in range(0, len(x), BATCH)]
    return np.concatenate(parts), len(x) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="an .npz in the format of keras.datasets.mnist")
    parser.add_argument("--frames", type=int, default=1000, help="images for Verilator")
    options = parser.parse_args()
    x, y = images(options.data)
    model = load(MODEL)
    accelerator = bnn2hw.compile(model, input=bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0))
    print(f"machine: {machine()}, Keras {keras.__version__}\n")

    ours, our_rate = rate(accelerator.golden, x)
    predicted, keras_rate = rate(lambda b: model.predict((b / 127.5 - 1).astype(np.float32), verbose=0), x)
    theirs = predicted.argmax(1)
    print(f"classes of golden equal to Keras's predict: {np.sum(ours == theirs):,} of {len(x):,}")
    print(f"accuracy: golden {np.mean(ours == y):.2%}, Keras {np.mean(theirs == y):.2%}")
    print(f"images/s in batches of {BATCH}: golden {our_rate:,.0f}, Keras predict {keras_rate:,.0f}, ")
    print(f"ratio {our_rate / keras_rate:.2f}\n")

    print("| edge | values compared with its Keras layer | different |\n| --- | ---: | ---: |")
    totals: dict[str, list[int]] = {}
    for i in range(0, len(x), BATCH):
        for d in accelerator.deviation(x[i : i + BATCH]):
            total = totals.setdefault(d.edge, [0, 0])
            total[0] += d.values
            total[1] += d.different
    for layer, (values, different) in totals.items():
        print(f"| {layer} | {values:,} | {different:,} |")
    print(
        "\nfidelity: "
        + ", ".join(sorted({f"{f.kind} ({f.why})" for f in accelerator.fidelity.values()}))
        + "\n"
    )

    print(
        "| run | frames | cycles | streams | exact | interval (predicted) | latency (predicted) | seconds |"
    )
    print("| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: |")
    accelerator.simulate(x[:1])  # so that the times below are of simulation alone
    for name, stalls in (("smooth", 0.0), ("stalled", 0.25)):
        start = time.perf_counter()
        run = accelerator.simulate(x[: options.frames], stalls=stalls)
        seconds = time.perf_counter() - start
        print(
            f"| {name} | {options.frames:,} | {run.cycles:,} | {len(run.mismatches)} | {run.exact} | "
            f"{run.interval:,} ({run.predicted.interval:,}) | "
            f"{run.latency:,} ({run.predicted.latency:,}) | {seconds:.0f} |"
        )


if __name__ == "__main__":
    main()
