"""Train two small networks of the zoo on Fashion-MNIST and write their learning curves.

python examples/fashion.py --epochs 4 --out fashion.csv
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from numpy.typing import NDArray

import bnn2hw.nn as nn

HERE = Path(__file__).parent
Split = tuple[NDArray[np.uint8], NDArray[np.uint8]]
NETWORKS = {
    "BiRealNet": lambda: nn.zoo.BiRealNet(input_shape=(28, 28, 1), num_classes=10, width=0.125),
    "QuickNetSmall": lambda: nn.zoo.QuickNetSmall(input_shape=(28, 28, 1), num_classes=10, width=0.5),
}
FIELDS = ("network", "epoch", "accuracy", "val_accuracy", "loss", "val_loss")


def load_images(path: Path | None) -> tuple[Split, Split]:
    """Return training and test images with labels, from Keras's download or from a file in its format."""
    if path is None:
        return keras.datasets.fashion_mnist.load_data()
    with np.load(path) as data:
        return (data["x_train"], data["y_train"]), (data["x_test"], data["y_test"])


def normalize(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pixels between -1 and 1, with a channel axis."""
    return (images.reshape(-1, 28, 28, 1) / 127.5 - 1).astype("float32")


def curve(name: str, train: Split, test: Split, epochs: int) -> list[dict[str, object]]:
    """Train one network and return one row of figures per epoch."""
    model = NETWORKS[name]()
    nn.models.summary(model)
    steps = epochs * -(-len(train[0]) // 128)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.005, steps)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = model.fit(
        normalize(train[0]),
        train[1],
        batch_size=128,
        epochs=epochs,
        validation_data=(normalize(test[0]), test[1]),
    ).history
    return [
        {
            "network": name,
            "epoch": epoch + 1,
            **{field: f"{history[field][epoch]:.4f}" for field in FIELDS[2:]},
        }
        for epoch in range(epochs)
    ]


def main() -> None:
    """Train each network and write the curves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=4, help="number of passes over the training images")
    parser.add_argument("--seed", type=int, default=1, help="seed of the weights and of the order of images")
    parser.add_argument("--out", type=Path, default=HERE / "fashion.csv", help="file for the curves")
    parser.add_argument("--data", type=Path, help="a local fashion_mnist.npz, instead of Keras's download")
    args = parser.parse_args()

    train, test = load_images(args.data)
    rows = []
    for name in NETWORKS:
        keras.utils.set_random_seed(args.seed)
        rows += curve(name, train, test, args.epochs)
    with args.out.open("w", newline="", encoding="utf8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
