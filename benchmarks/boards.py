"""Networks on boards: accuracy, size, clock, frames per second and latency, from real runs of all tools.

python benchmarks/boards.py --data mnist.npz [--folder build/boards] [--images 1000]

Accuracy is golden's on the whole test set; frames per second and latency are the cycles that Verilator measured at the
clock that the board was placed and routed for. What a folder holds already is not synthesized again.
The last lines are from a simulated board: images through its serial line, by the real driver.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray

import bnn2hw
from bnn2hw.deploy.host import SerialBoard
from bnn2hw.deploy.simulated_board import Damage, VirtualBoard
from bnn2hw.targets import boards

ROOT = Path(__file__).parent.parent
PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)
FRAMES = 20
"""Images whose interval and latency are measured."""


@dataclass(frozen=True)
class Case:
    """A network on a board, for a rate at the clock planned for its device."""

    board: str
    network: str
    fps: float


CASES = (
    Case("icebreaker", "mnist_small", 300),
    Case("tangnano9k", "mnist_small", 277.8),
    Case("tangnano20k", "mnist_small", 1111),
    Case("ulx3s", "mnist", 4000),
)


def row(case: Case, x: NDArray[np.uint8], y: NDArray[np.uint8], folder: Path) -> str:
    """A line of the table."""
    board = boards.board(case.board)
    accelerator = bnn2hw.compile(
        ROOT / "examples" / f"{case.network}.keras", input=PIXELS, target=board.device.name, fps=case.fps
    )
    place = folder / case.board
    done = place / "usage.json"
    if not done.is_file() or json.loads(done.read_text())["state"] != "done":
        accelerator.synthesize(place, board=case.board, progress=print)
    used = json.loads(done.read_text())
    right = np.mean(np.concatenate([accelerator.golden(x[i : i + 500]) for i in range(0, len(x), 500)]) == y)
    run = accelerator.simulate(x[:FRAMES])
    run.check()
    clock = used["clock_mhz"]
    minutes = sum(used["seconds"].values()) / 60
    cells = (
        board.title,
        case.network,
        f"{right:.2%}",
        f"{used['lut']:,} of {board.device.lut:,}",
        f"{used['ff']:,}",
        f"{used['bram']} of {board.device.bram}",
        f"{clock:g}",
        f"{used['fmax_mhz']:.1f}",
        f"{clock * 1e6 / run.interval:,.0f}",
        f"{run.latency / clock / 1000:.2f}",
        f"{minutes:.1f}",
    )
    return "| " + " | ".join(cells) + " |"


def through_the_line(x: NDArray[np.uint8], y: NDArray[np.uint8], damage: Damage) -> str:
    """What the driver made of a simulated board, in words."""
    accelerator = bnn2hw.compile(ROOT / "examples" / "mnist_small.keras", input=PIXELS, fps=3000)
    expected = accelerator.golden(x)
    with (
        VirtualBoard(accelerator, damage=damage) as board,
        SerialBoard(board.port, board.folder, timeout=1) as device,
    ):
        started = time.perf_counter()
        classes = device.predict(x)
        seconds = time.perf_counter() - started
    seen = device.statistics
    return (
        f"{len(x):,} images: {np.sum(classes == expected):,} as golden says, {np.mean(classes == y):.2%} right; "
        f"{seen.sent:,} sent, {seen.recoveries} recoveries, {sum(seen.refused.values())} frames refused by the board, "
        f"{seen.broken} damaged replies; {seconds:.0f} s"
    )


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="mnist.npz in Keras's format")
    parser.add_argument("--folder", type=Path, default=Path("build/boards"), help="where syntheses go")
    parser.add_argument("--images", type=int, default=1000, help="to send through the line")
    parser.add_argument("--only", help="one board")
    options = parser.parse_args()
    with np.load(options.data) as data:
        x, y = data["x_test"][..., None], data["y_test"]
    heads = "board,network,accuracy,LUT,FF,BRAM,MHz,MHz reached,frames/s,latency ms,minutes"
    print("| " + " | ".join(heads.split(",")) + " |")
    print("| --- | --- |" + " ---: |" * 9)
    for case in CASES:
        if options.only in (None, case.board):
            print(row(case, x, y, options.folder), flush=True)
    if options.only is None:
        some = slice(options.images)
        print("\nclean line:", through_the_line(x[some], y[some], Damage()), flush=True)
        damage = Damage(flip_in=20, flip_out=200, drop_in=20, drop_out=200, noise_in=20)
        print("bad line:", through_the_line(x[some], y[some], damage))


if __name__ == "__main__":
    main()
