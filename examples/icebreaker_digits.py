"""Make a bitstream for an iCEBreaker from a small network for scikit-learn's 8×8 digits.

    python examples/icebreaker_digits.py [--board tangnano9k] [--out build/icebreaker_digits] [--train]
    python examples/icebreaker_digits.py --port /dev/ttyUSB1    let the programmed board classify the test images

Without --train it uses digits.keras, which --train wrote: 96.7 % of the test images are right.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import bnn2hw
from bnn2hw import nn
from bnn2hw.targets import boards

HERE = Path(__file__).parent
FPS = 20_000


class Digits(NamedTuple):
    """Images of 8×8 pixels from 0 to 16, and their labels."""

    x_train: NDArray[np.uint8]
    x_test: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    y_test: NDArray[np.int64]


def load() -> Digits:
    """Return the digits, with three quarters of the images for training."""
    data = load_digits()
    images = data.images.astype(np.uint8)[..., None]
    return Digits(
        *train_test_split(images, data.target, test_size=0.25, random_state=1, stratify=data.target)
    )


def train(digits: Digits, epochs: int = 60) -> keras.Sequential:
    """Return a trained network: a convolution with pixels as input, and a dense layer with signs as input."""
    keras.utils.set_random_seed(1)
    weights = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
    layers = [
        keras.Input((8, 8, 1)),
        nn.layers.QuantConv2D(16, (3, 3), **weights),
        keras.layers.BatchNormalization(scale=False),
        keras.layers.Flatten(),
        nn.layers.QuantDense(10, input_quantizer="ste_sign", **weights),
    ]
    network = keras.Sequential([*layers, keras.layers.Activation("softmax")], name="digits")
    # Sums of hundreds of signs would saturate the softmax, so it is trained on a sixteenth of them.
    learner = keras.Sequential([*layers, keras.layers.Rescaling(1 / 16), keras.layers.Activation("softmax")])
    rate = keras.optimizers.schedules.CosineDecay(0.01, epochs * -(-len(digits.x_train) // 32))
    learner.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    learner.fit(digits.x_train.astype("float32"), digits.y_train, batch_size=32, epochs=epochs, verbose=0)
    return network


def accelerate(
    network: keras.Sequential | Path, target: str = "ice40-up5k", fps: float = FPS
) -> bnn2hw.Accelerator:
    """Compile the network. A pixel on the wire has five bits."""
    return bnn2hw.compile(network, input=bnn2hw.Input("uint5"), target=target, fps=fps)


def main() -> None:
    """Train, simulate and synthesize, or classify with a board."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--board", default="icebreaker", help="name of a board; see 'bnn2hw boards'")
    parser.add_argument(
        "--out", type=Path, default=Path("build/icebreaker_digits"), help="folder to write into"
    )
    parser.add_argument("--train", action="store_true", help="train again and write digits.keras")
    parser.add_argument("--port", help="serial port of the programmed board")
    options = parser.parse_args()
    digits = load()
    if options.port:
        with bnn2hw.SerialBoard(options.port, options.out) as board:
            classes = board.predict(digits.x_test)
        print(f"the board is right on {np.mean(classes == digits.y_test):.2%} of {len(classes)} images")
        return
    if options.train:
        train(digits).save(HERE / "digits.keras")
    accelerator = accelerate(HERE / "digits.keras", boards.board(options.board).device.name)
    print(accelerator)
    accelerator.simulate(digits.x_test).check()
    right = np.mean(accelerator.golden(digits.x_test) == digits.y_test)
    print(f"bit-exact in Verilator on all {len(digits.x_test)} test images, {right:.2%} of them right")
    used = accelerator.synthesize(options.out, board=options.board, progress=print)
    print(
        f"{used.lut} LUT, {used.ff} FF, {used.bram} BRAM; {used.fmax_mhz:.1f} of {used.clock_mhz:g} MHz reached"
    )
    print(f"bitstream: {used.bitstream}")


if __name__ == "__main__":
    main()
