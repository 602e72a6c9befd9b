"""Training speed of the tutorial's network, beside the same network made of plain Keras layers.

The plain one binarizes its kernels by hand, with TensorFlow's ``custom_gradient`` in the layers'
``call``: the least that anyone would have to write. Both are trained in turns, so that the
machine's moods meet both.

    python benchmarks/training_speed.py --rounds 7
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import records
import tensorflow as tf

import bnn2hw.nn as nn

HERE = Path(__file__).parent
BOUND = 1.15


@tf.custom_gradient
def ste(x):
    """Return the sign, with a straight-through gradient written by hand."""
    return tf.where(x < 0, -1.0, 1.0), lambda dy: tf.where(tf.abs(x) <= 1, dy, tf.zeros_like(dy))


def clip(w):
    """Keep weights within the reach of their gradient."""
    return tf.clip_by_value(w, -1.0, 1.0)


class PlainConv2D(keras.layers.Conv2D):
    """A convolution that binarizes by hand."""

    def __init__(self, *args, binary_input=True):
        super().__init__(*args, use_bias=False, kernel_constraint=clip)
        self.binary_input = binary_input

    def call(self, inputs):
        """Binarize and convolve."""
        inputs = ste(inputs) if self.binary_input else inputs
        return tf.nn.conv2d(inputs, ste(tf.convert_to_tensor(self.kernel)), 1, "VALID")


class PlainDense(keras.layers.Dense):
    """A dense layer that binarizes by hand."""

    def __init__(self, *args):
        super().__init__(*args, use_bias=False, kernel_constraint=clip)

    def call(self, inputs):
        """Binarize and multiply."""
        return tf.matmul(ste(inputs), ste(tf.convert_to_tensor(self.kernel)))


def network(first, convolution, dense):
    """Return the tutorial's network with these layers."""
    norm = keras.layers.BatchNormalization
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            first(32, 3),
            keras.layers.MaxPooling2D(2),
            norm(scale=False),
            convolution(64, 3),
            keras.layers.MaxPooling2D(2),
            norm(scale=False),
            convolution(64, 3),
            norm(scale=False),
            keras.layers.Flatten(),
            dense(64),
            norm(scale=False),
            dense(10),
            norm(scale=False),
            keras.layers.Activation("softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def quantized():
    """Return the network made of quantized layers."""
    weights: dict[str, Any] = {
        "kernel_quantizer": "ste_sign",
        "kernel_constraint": "weight_clip",
        "use_bias": False,
    }
    binary: dict[str, Any] = {"input_quantizer": "ste_sign", **weights}
    return network(
        lambda *a: nn.layers.QuantConv2D(*a, **weights),
        lambda *a: nn.layers.QuantConv2D(*a, **binary),
        lambda *a: nn.layers.QuantDense(*a, **binary),
    )


def plain():
    """Return the network made of plain layers that binarize by hand."""
    return network(lambda *a: PlainConv2D(*a, binary_input=False), PlainConv2D, PlainDense)


def seconds(model, x, y):
    """Return the time of one pass over the images, and the processor time that it took."""
    start = time.perf_counter(), time.process_time()
    model.fit(x, y, batch_size=64, shuffle=False, verbose=0)
    return time.perf_counter() - start[0], time.process_time() - start[1]


def timed(rounds, images):
    """Return the times of both networks, trained in turns."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (images, 28, 28, 1)).astype("float32")
    y = rng.integers(0, 10, images)
    models = {"bnn2hw.nn": quantized(), "plain Keras": plain()}
    for model in models.values():
        seconds(model, x, y)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    for number in range(rounds):
        turn = list(models.items())
        for name, model in turn if number % 2 else reversed(turn):
            times[name].append(seconds(model, x, y))
        print(f"round {number + 1} of {rounds}", flush=True)
    return times


RECORD = "training_speed"
ROUNDS, IMAGES = 8, 3200


def current():
    """Return the hash of today by table and row."""
    digest = records.sources("bnn2hw/nn", "benchmarks/training_speed.py")
    return {"training": {"bnn2hw.nn and plain Keras": digest}}


def measure(table, row):
    """Train both networks in turns; return the cells of the row and the versions of the tools."""
    times = timed(ROUNDS, IMAGES)
    ratios, work = ([a[kind] / b[kind] for a, b in zip(*times.values(), strict=True)] for kind in (0, 1))
    cells = {"layers": row}
    for name, rounds in times.items():
        cells[f"{name}: images/s, median"] = f"{IMAGES / median(wall for wall, _ in rounds):,.0f}"
    cells["time relative to plain layers, median"] = (
        f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    )
    cells["processor time likewise"] = f"{median(work):.3f} ({min(work):.3f} to {max(work):.3f})"
    return cells, records.versions("keras", "tensorflow-cpu")
