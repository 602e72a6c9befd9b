"""Inference on this machine: native code, golden and the C++ emulator beside TensorFlow, in one run per network.

    python benchmarks/figures.py speed

All run in one thread; figures are images per second of processor time, which other programs on the machine disturb
less than the clock on the wall. The speed-up by all threads is that of the clock on the wall. The tutorial network
classifies the MNIST test images if the folder $BNN2HW_DATA holds mnist.npz, and random images otherwise; the others
classify random images. A row is refused unless native code equals golden.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import records
import tensorflow as tf

import bnn2hw
from bnn2hw.dataflow.insert import remove_fifos
from bnn2hw.native import library
from bnn2hw.nn import zoo

DATA = Path(os.environ.get("BNN2HW_DATA", ""))
PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)
BATCH = 256
REPEATS = 5

FLAGS = {
    "avx512popcnt": "avx512_bitalg",
    "avx512vnni": "avx512_vnni",
    "avx512": "avx512bw",
    "avx2": "avx2",
    "plain": "fpu",
}
"""By instruction set, the fastest first, the flag of a processor that has it."""


@dataclass(frozen=True)
class Network:
    """A network, what arrives on its wire, and how many images are timed with each executor."""

    make: Callable[[], keras.Model]
    wire: bnn2hw.Input
    images: int
    emulated: bool = True


def tutorial() -> keras.Model:
    from networks import model

    return model("tutorial")


def lfc() -> keras.Model:
    from networks import model

    return model("lfc")


def cnv() -> keras.Model:
    from networks import model

    return model("cnv")


NETWORKS = {
    "tutorial, 28×28": Network(tutorial, PIXELS, 2048),
    "LFC, 784": Network(lfc, bnn2hw.Input("bipolar"), 2048),
    "CNV, 32×32×3": Network(cnv, PIXELS, 256),
    "QuickNetSmall, 224×224×3": Network(zoo.QuickNetSmall, PIXELS, 16, emulated=False),
    "BinaryResNetE18, 224×224×3": Network(zoo.BinaryResNetE18, PIXELS, 16, emulated=False),
}

RECORD = "speed"


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    digest = records.sources(
        "bnn2hw/native", "sim/native", "templates/native", "bnn2hw/golden.py", "bnn2hw/results.py"
    )
    return {"inference": dict.fromkeys(NETWORKS, digest)}


@dataclass(frozen=True)
class Work:
    """Something that is timed.

    Attributes:
        run: Does it once.
        images: Images that it computes.
        clock: Processor time, or the time on the wall for work of several threads.
    """

    run: Callable[[], Any]
    images: int
    clock: Callable[[], float] = time.process_time


def in_turns(works: dict[str, Work]) -> dict[str, float]:
    """Return images per second by name: the best of a few turns, in each of which every work runs once.

    Other programs on the machine then disturb all of them alike.
    """
    for work in works.values():
        work.run()
    seconds = dict.fromkeys(works, float("inf"))
    for _ in range(REPEATS):
        for name, work in works.items():
            start = work.clock()
            work.run()
            seconds[name] = min(seconds[name], work.clock() - start)
    return {name: work.images / max(seconds[name], 1e-9) for name, work in works.items()}


def real(network: Network, x: np.ndarray) -> np.ndarray:
    """The images as the model sees them."""
    return (x * np.asarray(network.wire.scale) + np.asarray(network.wire.offset)).astype(np.float32)


def data(row: str, accelerator: bnn2hw.Accelerator, count: int) -> np.ndarray:
    """The images that are classified, as integers on the wire."""
    if row.startswith("tutorial") and (DATA / "mnist.npz").is_file():
        with np.load(DATA / "mnist.npz") as arrays:
            return arrays["x_test"][:count, ..., None]
    values = accelerator.input.ints.values()
    x = np.random.default_rng(0).choice(values, (count, *accelerator.input.shape))
    return x.astype(np.uint8 if values.min() >= 0 else np.int8)


def instructions() -> str:
    """The fastest instruction set of native code that this processor runs."""
    flags = Path("/proc/cpuinfo").read_text().split()
    return next(name for name, flag in FLAGS.items() if flag in flags)


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Run a network with every executor; return the cells of a row and the versions of the tools."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    network = NETWORKS[row]
    model = network.make()
    if network.emulated:
        accelerator = bnn2hw.compile(model, input=network.wire, target="xcu250")
    else:
        accelerator = bnn2hw.compile(model, input=network.wire, backend="native")
    graph = remove_fifos(accelerator.graph)
    native = library.network(graph, "speed")
    x = data(row, accelerator, network.images)
    [found] = native.run(x, threads=1).values()
    expected = np.asarray(accelerator.golden(x))
    if not np.array_equal(found.reshape(expected.shape), expected):
        raise SystemExit(f"{row}: native code differs from golden")
    function = tf.function(lambda batch: model(batch, training=False))
    floats = real(network, x)
    parts = [tf.constant(floats[i : i + BATCH]) for i in range(0, len(x), BATCH)]
    one = tf.constant(floats[:1])
    few = x[: max(1, len(x) // 8)]
    works = {
        "tf.function, 256": Work(lambda: [function(part) for part in parts], len(x)),
        "predict": Work(lambda: model.predict(floats, batch_size=BATCH, verbose=0), len(x)),
        "native": Work(lambda: native.run(x, threads=1), len(x)),
        "native, AVX2 only": Work(lambda: native.run(x, threads=1, version="avx2"), len(x)),
        "one image: tf.function": Work(lambda: [function(one) for _ in range(20)], 20),
        "one image: native": Work(lambda: [native.run(x[:1], threads=1) for _ in range(50)], 50),
        "1 thread": Work(lambda: native.run(x, threads=1), len(x), time.perf_counter),
        "all threads": Work(lambda: native.run(x), len(x), time.perf_counter),
        "golden": Work(lambda: accelerator.golden(few), len(few)),
    }
    if network.emulated:
        works["emulate"] = Work(lambda: accelerator.emulate(few), len(few))
    speed = in_turns(works)
    fastest = max(speed["tf.function, 256"], speed["predict"])
    cells = {
        "network": row,
        **{name: f"{speed[name]:,.0f}" for name in ("tf.function, 256", "predict", "golden")},
        "emulate": f"{speed['emulate']:,.0f}" if network.emulated else "–",
        "native": f"{speed['native']:,.0f}",
        "native / TensorFlow's best": f"**{speed['native'] / fastest:.1f}**",
        "native, AVX2 only": f"{speed['native, AVX2 only']:,.0f}",
        "AVX2 / TensorFlow's best": f"{speed['native, AVX2 only'] / fastest:.1f}",
        "all threads / one": f"{speed['all threads'] / speed['1 thread']:.1f}",
        "one image: tf.function": f"{speed['one image: tf.function']:,.0f}",
        "one image: native": f"{speed['one image: native']:,.0f}",
        "one image: ratio": f"{speed['one image: native'] / speed['one image: tf.function']:.1f}",
        "instructions": instructions(),
    }
    return cells, records.versions("tensorflow-cpu", "keras", "numpy")
