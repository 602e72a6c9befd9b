"""Inference on this machine: native code, golden and the C++ emulator beside TensorFlow, in one run per network.

    python benchmarks/figures.py speed

All run in one thread; figures are images per second of processor time, which other programs on the machine disturb
less than the clock on the wall. The tutorial network classifies the MNIST test images if the folder $BNN2HW_DATA holds
mnist.npz, and random images otherwise; the others classify random images. A row is refused unless native code equals
golden.
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
REPEATS = 3


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


def best(work: Callable[[], Any], images: int) -> float:
    """Return images per second of processor time: the best of a few repeats after a warm-up."""
    work()
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return images / max(min(seconds), 1e-9)


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


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Run a network with every executor; return the cells of a row and the versions of the tools."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    network = NETWORKS[row]
    model = network.make()
    accelerator = bnn2hw.compile(model, input=network.wire, target="xcu250")
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
    graph_speed = best(lambda: [function(part) for part in parts], len(x))
    predict = best(lambda: model.predict(floats, batch_size=BATCH, verbose=0), len(x))
    narrow = best(lambda: native.run(x, threads=1, version="avx2"), len(x))
    full = best(lambda: native.run(x, threads=1), len(x))
    single = best(lambda: [native.run(x[:1], threads=1) for _ in range(50)], 50)
    single_tf = best(lambda: [function(one) for _ in range(20)], 20)
    few = x[: max(1, len(x) // 4)]
    golden = best(lambda: accelerator.golden(few), len(few))
    fastest = max(graph_speed, predict)
    cells = {
        "network": row,
        "tf.function, 256": f"{graph_speed:,.0f}",
        "predict": f"{predict:,.0f}",
        "golden": f"{golden:,.0f}",
        "emulate": f"{best(lambda: accelerator.emulate(few), len(few)):,.0f}" if network.emulated else "–",
        "native": f"{full:,.0f}",
        "native / TensorFlow's best": f"**{full / fastest:.1f}**",
        "native, AVX2 only": f"{narrow:,.0f}",
        "AVX2 / TensorFlow's best": f"{narrow / fastest:.1f}",
        "one image: tf.function": f"{single_tf:,.0f}",
        "one image: native": f"{single:,.0f}",
        "one image: ratio": f"{single / single_tf:.1f}",
    }
    return cells, records.versions("tensorflow-cpu", "keras", "numpy")
