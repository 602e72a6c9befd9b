"""Train a binarized convolutional network on MNIST.

The network is that of Larq's tutorial: three convolutions and two dense layers with weights -1 and 1.
The inputs of the first layer are pixels, the inputs of all other layers are signs.

    python examples/mnist.py --epochs 25 --out mnist.keras
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from numpy.typing import NDArray

import bnn2hw.nn as nn

HERE = Path(__file__).parent
Split = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def build_model() -> keras.Sequential:
    """Return the untrained network, with 93,088 binary weights and 468 parameters of normalization."""
    weights = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
    binary = {"input_quantizer": "ste_sign", **weights}
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            nn.layers.QuantConv2D(32, (3, 3), **weights),
            keras.layers.MaxPooling2D((2, 2)),
            keras.layers.BatchNormalization(scale=False),
            nn.layers.QuantConv2D(64, (3, 3), **binary),
            keras.layers.MaxPooling2D((2, 2)),
            keras.layers.BatchNormalization(scale=False),
            nn.layers.QuantConv2D(64, (3, 3), **binary),
            keras.layers.BatchNormalization(scale=False),
            keras.layers.Flatten(),
            nn.layers.QuantDense(64, **binary),
            keras.layers.BatchNormalization(scale=False),
            nn.layers.QuantDense(10, **binary),
            keras.layers.BatchNormalization(scale=False),
            keras.layers.Activation("softmax"),
        ]
    )


def build_small() -> keras.Sequential:
    """Return an untrained network for small devices: 16,848 binary weights, no normalization of the scores."""
    weights = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
    binary = {"input_quantizer": "ste_sign", **weights}
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            nn.layers.QuantConv2D(16, (3, 3), **weights),
            keras.layers.MaxPooling2D((2, 2)),
            keras.layers.BatchNormalization(scale=False),
            nn.layers.QuantConv2D(32, (3, 3), **binary),
            keras.layers.MaxPooling2D((2, 2)),
            keras.layers.BatchNormalization(scale=False),
            nn.layers.QuantConv2D(32, (3, 3), **binary),
            keras.layers.BatchNormalization(scale=False),
            keras.layers.Flatten(),
            nn.layers.QuantDense(10, **binary),
            keras.layers.Activation("softmax"),
        ],
        name="mnist_small",
    )


NETWORKS = {"tutorial": build_model, "small": build_small}


def load_images(path: Path | None) -> tuple[Split, Split]:
    """Return training and test images with labels, from Keras's download or from a file in its format."""
    if path is None:
        return keras.datasets.mnist.load_data()
    with np.load(path) as data:
        return (data["x_train"], data["y_train"]), (data["x_test"], data["y_test"])


def normalize(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pixels between -1 and 1, with a channel axis: p / 127.5 - 1."""
    return (images.reshape(-1, 28, 28, 1) / 127.5 - 1).astype("float32")


def make_optimizer(name: str, steps: int) -> keras.optimizers.Optimizer:
    """Return Adam with a cosine schedule, or Bop for the kernels and Adam for the rest."""
    adam = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, steps))
    if name == "adam":
        return adam
    bop = nn.optimizers.Bop(threshold=1e-6, gamma=keras.optimizers.schedules.CosineDecay(1e-3, steps, 0.01))
    return nn.optimizers.CaseOptimizer((nn.optimizers.Bop.is_binary_variable, bop), default_optimizer=adam)


def train(
    model: keras.Sequential, x: NDArray[np.float32], y: NDArray[np.uint8], epochs: int, optimizer: str
) -> None:
    """Fit the network in batches of 64.

    Scores without a normalization are sums of hundreds of signs, which saturate the softmax. Such a network
    is therefore trained on a sixteenth of its scores, which have the same order.
    """
    chosen = make_optimizer(optimizer, epochs * -(-len(x) // 64))
    if isinstance(model.layers[-2], nn.layers.QuantDense):
        model = keras.Sequential([*model.layers[:-1], keras.layers.Rescaling(1 / 16), model.layers[-1]])
    model.compile(chosen, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=64, epochs=epochs)


def save(model: keras.Sequential, path: Path) -> None:
    """Write the network without the optimizer's state."""
    bare = keras.Sequential.from_config(model.get_config())
    bare.set_weights(model.get_weights())
    bare.save(path)


def save_sample(path: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8], count: int) -> None:
    """Write the first test images, unchanged, so that the demo needs no download."""
    np.savez_compressed(path, x=images[:count].reshape(-1, 28, 28, 1), y=labels[:count])


def main() -> None:
    """Train, test and save a network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=30, help="number of passes over the training images")
    parser.add_argument(
        "--network", choices=NETWORKS, default="tutorial", help="network to train; small is for small devices"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the weights and of the order of images")
    parser.add_argument(
        "--optimizer", choices=("adam", "bop"), default="adam", help="bop has no latent weights"
    )
    parser.add_argument("--out", type=Path, default=HERE / "mnist.keras", help="file for the network")
    parser.add_argument("--data", type=Path, help="a local mnist.npz, instead of Keras's download")
    parser.add_argument("--sample", type=Path, help="file (.npz) for the first 200 test images")
    args = parser.parse_args()

    keras.utils.set_random_seed(args.seed)
    (x_train, y_train), (x_test, y_test) = load_images(args.data)
    model = NETWORKS[args.network]()
    nn.models.summary(model)
    train(model, normalize(x_train), y_train, args.epochs, args.optimizer)
    accuracy = np.mean(model.predict(normalize(x_test), batch_size=1000).argmax(1) == y_test)
    save(model, args.out)
    if args.sample:
        save_sample(args.sample, x_test, y_test, 200)
    print(f"test accuracy {accuracy:.4f}, saved to {args.out}")


if __name__ == "__main__":
    main()
