"""Make a bitstream for a ULX3S from the shipped MNIST network, or classify test images with a board.

python examples/ulx3s_mnist.py [--board ulx3s] [--small] [--out build/ulx3s_mnist]
python examples/ulx3s_mnist.py --port /dev/ttyUSB0    let the programmed board classify the test images
python examples/ulx3s_mnist.py --simulate             let a simulated board do it, over the same serial line
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import bnn2hw
from bnn2hw.deploy.simulated_board import VirtualBoard
from bnn2hw.targets import boards

HERE = Path(__file__).parent
PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)
FPS = {"mnist": 4000, "mnist_small": 300}
"""Frames per second at the planned clock of the device, faster than a serial line."""


def classify(port: str, folder: Path, count: int) -> None:
    """Send test images over a serial line and print the share of right answers."""
    with np.load(HERE / "mnist_sample.npz") as sample:
        images, labels = sample["x"][:count], sample["y"][:count]
    with bnn2hw.SerialBoard(port, folder) as board:
        started = time.perf_counter()
        classes = board.predict(images)
        seconds = time.perf_counter() - started
    print(
        f"{np.mean(classes == labels):.2%} of {len(images)} images right, {len(images) / seconds:.0f} per second"
    )


def main() -> None:
    """Synthesize the network, or classify test images."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--board", default="ulx3s", help="name of a board; see 'bnn2hw boards'")
    parser.add_argument("--small", action="store_true", help="the network for small devices")
    parser.add_argument("--seeds", type=int, default=1, help="number of placements to try")
    parser.add_argument("--out", type=Path, default=Path("build/ulx3s_mnist"), help="folder to write into")
    parser.add_argument("--port", help="serial port of the programmed board")
    parser.add_argument("--simulate", action="store_true", help="use a simulated board")
    parser.add_argument("--frames", type=int, default=200, help="number of images to classify, at most 200")
    options = parser.parse_args()
    if options.port:
        classify(options.port, options.out, options.frames)
        return
    name = "mnist_small" if options.small else "mnist"
    device = boards.board(options.board).device
    accelerator = bnn2hw.compile(HERE / f"{name}.keras", input=PIXELS, target=device.name, fps=FPS[name])
    print(accelerator)
    if options.simulate:
        with VirtualBoard(accelerator, progress=print) as board:
            classify(board.port, board.folder, options.frames)
        return
    used = accelerator.synthesize(options.out, board=options.board, seeds=options.seeds, progress=print)
    print(
        f"{used.lut} LUT, {used.ff} FF, {used.bram} BRAM; {used.fmax_mhz:.1f} of {used.clock_mhz:g} MHz reached"
    )
    print(f"bitstream: {used.bitstream}")


if __name__ == "__main__":
    main()
