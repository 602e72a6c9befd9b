"""Images per second of the emulator, beside golden, Keras and Verilator, on the shipped MNIST network in one run.

    python benchmarks/emulator.py [--data mnist.npz] [--frames 10000] [--verilated 500]

Prints the table that stands in benchmarks/emulator.md. All run on the same images, one after the other; each is
warmed up first (which compiles the emulator and the Verilated model), and their classes must agree.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from mnist import BATCH, MODEL, images, machine

import bnn2hw
from bnn2hw.importers.keras.files import load

PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1)


def timed(classify: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Classes, images per second and images per second of processor time, after a warm-up on a few images.

    Processor time counts all threads and child processes; on a busy machine it says more.
    """
    classify(x[:20])
    start, used = time.perf_counter(), sum(os.times()[:4])
    classes = classify(x)
    return classes, len(x) / (time.perf_counter() - start), len(x) / (sum(os.times()[:4]) - used)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="an .npz in the format of keras.datasets.mnist")
    parser.add_argument("--frames", type=int, default=10_000, help="images for emulator, golden and Keras")
    parser.add_argument("--verilated", type=int, default=500, help="images for the Verilated model")
    options = parser.parse_args()

    x, y = images(options.data)
    x, y = x[: options.frames], y[: options.frames]
    model = load(MODEL)
    accelerator = bnn2hw.compile(model, input=PIXELS)

    def by_golden(batch: np.ndarray) -> np.ndarray:
        return np.concatenate([accelerator.golden(batch[i : i + BATCH]) for i in range(0, len(batch), BATCH)])

    def by_keras(batch: np.ndarray) -> np.ndarray:
        return model.predict(batch / np.float32(127.5) - 1, batch_size=BATCH, verbose=0).argmax(-1)

    def by_verilator(batch: np.ndarray) -> np.ndarray:
        run = accelerator.simulate(batch)
        run.check()
        return np.asarray(run.outputs).reshape(-1)

    rows: list[tuple[str, Callable[[np.ndarray], Any], np.ndarray]] = [
        ("emulator, one thread", accelerator.emulate, x),
        ("golden (NumPy)", by_golden, x),
        (f"Keras {keras.__version__} predict, batches of {BATCH}", by_keras, x),
        ("Verilated model, every stream compared", by_verilator, x[: options.verilated]),
    ]
    results = [(name, len(part), *timed(classify, part)) for name, classify, part in rows]

    print(f"\n{machine()}; {accelerator.estimate().cycles.interval:,} cycles per frame\n")
    print("| what | images | images/s | images per processor second | accuracy |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, count, classes, speed, per_cpu in results:
        accuracy = np.mean(classes == y[:count])
        print(f"| {name} | {count:,} | {speed:,.0f} | {per_cpu:,.0f} | {accuracy:.2%} |")
    ours = results[0][2]
    exact = [np.array_equal(ours[:count], c) for name, count, c, *_ in results if "Keras" not in name]
    if not all(exact):
        sys.exit("emulator, golden and Verilated model disagree")


if __name__ == "__main__":
    main()
