"""Train a network of truth tables on MNIST that answers in every clock cycle.

Pixels become bits at one threshold or at several. Each hidden neuron then reads six bits, so it is one truth
table, and a class counts the ones of its group of neurons. Training has two parts. The first one thins masked
dense layers until six inputs per neuron are left. The second one keeps this wiring, gives each neuron a small
function of its own, and shifts the images by up to one pixel. A twentieth of the training images chooses the epoch.

    python examples/mnist_one_cycle.py --out one_cycle.keras
    python examples/mnist_one_cycle.py --load one_cycle.keras --simulate 100
    python examples/mnist_one_cycle.py --dataset fashion --thresholds 64 128 192
    python examples/mnist_one_cycle.py --dataset digits --thresholds 64 128 192 --hidden 400 200
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from numpy.typing import NDArray

import bnn2hw
import bnn2hw.nn as nn

Images = NDArray[np.uint8]
FAN_IN = 6
SHARE = 20
"""A validation image for each of so many training images."""


def hidden(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Return a layer of neurons with a normalization and a sign."""
    return [layer, keras.layers.BatchNormalization(momentum=0.95), keras.layers.Activation("ste_sign")]


def build(
    layers: Sequence[keras.layers.Layer], pixels: int, thresholds: Sequence[float], name: str
) -> keras.Sequential:
    """Return a network of an encoder, hidden layers and one sum per class."""
    inner = [part for layer in layers for part in hidden(layer)]
    head = [nn.layers.GroupSum(10, use_bias=True, name="classes"), keras.layers.Activation("softmax")]
    encoder = nn.layers.Thermometer(thresholds, name="pixels")
    return keras.Sequential([keras.Input((pixels,)), encoder, *inner, *head], name=name)


def fit(model: keras.Sequential, data: Data, epochs: int, rate: float, schedule: bool, shift: bool) -> None:
    """Train a network, and keep the weights of its best epoch on the validation images.

    Args:
        model: The network.
        data: Images and labels.
        epochs: Passes over the training images.
        rate: Learning rate at the start; it falls along a cosine.
        schedule: Thin the masks of the layers while training. Only epochs with thin masks can be the best.
        shift: Shift half of the images by up to a pixel.
    """
    batches = Batches(data, shift)
    decay = keras.optimizers.schedules.CosineDecay(rate, len(batches) * epochs, alpha=0.005)
    # TensorFlow compiles for processors only if it is told so, which saves a third of the time here.
    together = True if keras.backend.backend() == "tensorflow" else "auto"
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(decay), loss, metrics=["accuracy"], jit_compile=together)
    callbacks: list[keras.callbacks.Callback] = [Best(data)]
    if schedule:
        callbacks = [nn.callbacks.FanInSchedule()]
    model.fit(batches, epochs=epochs, steps_per_epoch=len(batches), callbacks=callbacks, verbose=2)


class Data:
    """Images and labels: for training, for the choice of an epoch, and for the final test.

    Attributes:
        side: Rows, and columns, of an image.
        batch: Images of a step of training.
    """

    def __init__(self, images: tuple[Images, Images], labels: tuple[Images, Images]) -> None:
        train, self.test = (x.reshape(len(x), -1) for x in images)
        held = len(train) // SHARE
        self.train, self.validation = train[held:], train[:held]
        self.train_labels, self.validation_labels = labels[0][held:], labels[0][:held]
        self.test_labels = labels[1]
        self.side = math.isqrt(train.shape[1])
        self.batch = min(200, len(train) // 30)

    def only(self, pixels: NDArray[np.intp]) -> Data:
        """Return the same images with some of their pixels."""
        made = copy.copy(self)
        made.train, made.validation = self.train[:, pixels], self.validation[:, pixels]
        return made


class Batches(keras.utils.PyDataset):
    """Batches of training images in a new order in each epoch, optionally shifted."""

    def __init__(self, data: Data, shift: bool) -> None:
        super().__init__()
        self.data, self.shift = data, shift
        self.rng = np.random.default_rng(0)
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self.data.train) // self.data.batch

    def on_epoch_end(self) -> None:
        """Draw the order and the shifts of the next epoch."""
        self.order = self.rng.permutation(len(self.data.train))
        self.images = self.data.train
        if self.shift:
            square = (-1, self.data.side, self.data.side)
            self.images = self.images.copy()
            by = self.rng.integers(-1, 2, (len(self.images), 2))
            by[self.rng.random(len(by)) < 0.5] = 0
            for rows, columns in np.unique(by, axis=0):
                some = np.all(by == (rows, columns), axis=1)
                moved = np.roll(self.images[some].reshape(square), (rows, columns), (1, 2))
                self.images[some] = moved.reshape(len(moved), -1)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], Images]:
        some = self.order[index * self.data.batch : (index + 1) * self.data.batch]
        return self.images[some].astype(np.float32), self.data.train_labels[some]


class Best(keras.callbacks.Callback):
    """Keep the weights of the epoch with the best accuracy on the validation images."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.data, self.best, self.weights = data, 0.0, None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Measure the accuracy."""
        found = accuracy(self.model, self.data.validation, self.data.validation_labels)
        print(f"validation {found:.2%}", flush=True)
        if found >= self.best:
            self.best, self.weights = found, self.model.get_weights()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Return to the best weights."""
        if self.weights is not None:
            self.model.set_weights(self.weights)


def accuracy(model: keras.Model, images: Images, labels: Images) -> float:
    """Return the share of images that a network classifies as labelled."""
    scores = model.predict(images.astype(np.float32), batch_size=2000, verbose=0)
    return float(np.mean(scores.argmax(1) == labels))


def train(
    data: Data,
    sizes: Sequence[int],
    epochs: tuple[int, int],
    seed: int,
    thresholds: Sequence[float] = (128.0,),
) -> keras.Sequential:
    """Train a network in both parts.

    Args:
        data: Images and labels.
        sizes: Neurons of each hidden layer.
        epochs: Epochs of both parts.
        seed: Seed of the weights and of the batches.
        thresholds: Thresholds of each pixel, ascending; one of a power of two is a wire.
    """
    keras.utils.set_random_seed(seed)
    start = keras.initializers.RandomUniform(-0.04, 0.04, seed=seed)
    dense = [
        nn.layers.MaskedDense(n, FAN_IN, use_bias=False, kernel_initializer=start, name=f"mask_{i}")
        for i, n in enumerate(sizes)
    ]
    used = np.flatnonzero((data.train >= thresholds[0]).mean(0) > 0.002)
    model = build(dense, len(used), thresholds, "masked")
    seen = data.only(used)
    fit(model, seen, epochs[0], 5e-3, schedule=True, shift=False)
    print(f"masked: validation {accuracy(model, seen.validation, seen.validation_labels):.2%}", flush=True)
    own = [
        nn.layers.GatheredDense(n, FAN_IN, 6, seed=seed + i, signs=True, name=f"tables_{i}")
        for i, n in enumerate(sizes)
    ]
    pixels = data.side**2
    fine = build(own, pixels, thresholds, "mnist_one_cycle")
    for masked, gathered in zip(dense, own, strict=True):
        gathered.take_over(masked)
    threshold, pixel = np.divmod(keras.ops.convert_to_numpy(own[0].wires), len(used))
    own[0].wires.assign(threshold * pixels + used[pixel])
    for before, after in zip(model.layers, fine.layers, strict=True):
        if not isinstance(after, nn.layers.GatheredDense | nn.layers.Thermometer):
            after.set_weights(before.get_weights())
    fit(fine, data, epochs[1], 3e-3, schedule=False, shift=True)
    return fine


def load_data(path: Path | None, dataset: str = "mnist") -> Data:
    """Return images and labels, from Keras's download, from scikit-learn, or from a file in Keras's format."""
    if path is not None:
        with np.load(path) as data:
            train, labels, test, test_labels = (data[k] for k in ("x_train", "y_train", "x_test", "y_test"))
    elif dataset == "digits":
        return digits()
    else:
        source = {"mnist": keras.datasets.mnist, "fashion": keras.datasets.fashion_mnist}[dataset]
        (train, labels), (test, test_labels) = source.load_data()
    return Data((train, test), (labels, test_labels))


def digits() -> Data:
    """Return the 8×8 digits of scikit-learn; a sixth of them, drawn at random, are for the test."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images = np.minimum(images[order] * 16, 255).astype(np.uint8)
    labels = labels[order].astype(np.uint8)
    return Data((images[300:], images[:300]), (labels[300:], labels[:300]))


def report(model: keras.Sequential, data: Data, simulated: int) -> None:
    """Compile a network, print what it is predicted to cost, and simulate some images."""
    accelerator = bnn2hw.compile(model, input=bnn2hw.Input("uint8"), target="xc7z045", output="class")
    print(accelerator.estimate())
    if simulated:
        run = accelerator.simulate(data.test[:simulated])
        run.check()
        print(f"every stream equal; interval {run.interval}, latency {run.latency} cycles")


def main() -> None:
    """Train, or load a network, and print what it costs and how well it does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[2600, 1300])
    parser.add_argument("--epochs", type=int, nargs=2, default=[14, 36])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dataset", choices=("mnist", "fashion", "digits"), default="mnist")
    parser.add_argument("--data", type=Path, help="npz file of the images; by default Keras's download")
    parser.add_argument(
        "--thresholds", type=float, nargs="+", default=[128.0], help="of each pixel, ascending"
    )
    parser.add_argument("--out", type=Path, help="file of the trained network")
    parser.add_argument("--load", type=Path, help="a trained network, instead of training")
    parser.add_argument("--simulate", type=int, default=0, help="test images to simulate, one per cycle")
    args = parser.parse_args()
    data, start, spent = load_data(args.data, args.dataset), time.time(), time.process_time()
    if args.load:
        model = keras.models.load_model(args.load)
    else:
        model = train(data, args.hidden, tuple(args.epochs), args.seed, args.thresholds)
        taken, busy = (time.time() - start) / 60, (time.process_time() - spent) / 60
        print(f"trained in {taken:.1f} minutes, {busy:.1f} of them of one processor", flush=True)
    if args.out:
        model.save(args.out)
    print(f"test {accuracy(model, data.test, data.test_labels):.2%}")
    report(model, data, args.simulate)


if __name__ == "__main__":
    main()
