"""Train a network of ternary and 4-bit weights with QKeras on scikit-learn's digits, and save it.

Needs `pip install qkeras-v3 scikit-learn`. The compiler reads the file without QKeras:

    bnn2hw compile digits_qkeras.keras --input uint5 -o build/digits
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
from qkeras import QActivation, QConv2D, QDense
from sklearn.datasets import load_digits

TRAINED = 1347
"""The first images are for training, the other 450 for testing."""


def network() -> keras.Model:
    """Return a network of two convolutions and a dense layer for pixels from 0 to 16."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            QConv2D(8, 3, kernel_quantizer="quantized_bits(4,0,alpha=1)", use_bias=False, name="first"),
            keras.layers.BatchNormalization(name="first_norm"),
            QActivation("quantized_relu(3,2)", name="first_relu"),
            QConv2D(12, 3, strides=2, kernel_quantizer="ternary(alpha=1)", use_bias=False, name="second"),
            keras.layers.BatchNormalization(name="second_norm"),
            QActivation("quantized_relu(3,2)", name="second_relu"),
            keras.layers.Flatten(name="flat"),
            QDense(
                10,
                kernel_quantizer="quantized_bits(4,0,alpha=1)",
                bias_quantizer="quantized_bits(8,3)",
                name="scores",
            ),
        ],
        name="digits_qkeras",
    )


def main(out: Path, epochs: int = 40) -> None:
    """Train, print the accuracy, and save the network."""
    keras.utils.set_random_seed(1)
    data = load_digits()
    images, labels = data.images[..., None], data.target
    model = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.005), loss, metrics=["accuracy"])
    model.fit(images[:TRAINED], labels[:TRAINED], 64, epochs, verbose=0)
    right = model.evaluate(images[TRAINED:], labels[TRAINED:], verbose=0)[1]
    sys.stdout.write(f"{100 * right:.1f} % of the test images\n")
    model.save(out, include_optimizer=False)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "digits_qkeras.keras"))
