"""Networks on boards: accuracy, size, clock, frames per second and latency, from real runs of all tools.

python benchmarks/boards.py --data mnist.npz [--folder build/boards] [--images 1000]

Accuracy is golden's on the whole test set; frames per second and latency are the cycles that Verilator measured at the
clock that the board was placed and routed for. What a folder holds already is not synthesized again.
The last lines are from a simulated board: images through its serial line, by the real driver.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import records
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


def cells_of(case: Case, x: NDArray[np.uint8], y: NDArray[np.uint8], folder: Path) -> dict[str, str]:
    """Build for a board; the cells of a row."""
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
    return dict(zip(HEAD, cells, strict=True))


def through_the_line(x: NDArray[np.uint8], y: NDArray[np.uint8], damage: Damage) -> str:
    """The results of the driver at a simulated board, in words."""
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


HEAD = [
    "board",
    "network",
    "accuracy",
    "LUT",
    "FF",
    "BRAM",
    "MHz",
    "MHz reached",
    "frames/s",
    "latency ms",
    "minutes",
]
RECORD = "boards"
DATA = Path(os.environ.get("BNN2HW_DATA", "")) / "mnist.npz"
FOLDER = Path("build/boards")
"""The folder of syntheses; finished ones are not repeated."""


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    digest = records.sources(
        "templates/verilog", "templates/shell", "templates/boards", "bnn2hw/folding", "bnn2hw/ops"
    )
    return {"boards": {f"{boards.board(c.board).title} {c.network}": digest for c in CASES}}


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Synthesize, simulate and classify; return the cells of a row and the versions of the tools."""
    case = next(c for c in CASES if row == f"{boards.board(c.board).title} {c.network}")
    with np.load(DATA) as data:
        x, y = data["x_test"][..., None], data["y_test"]
    return cells_of(case, x, y, FOLDER), {**records.yosys(), **records.versions("verilator")}


def main() -> None:
    """Send 1,000 images to a simulated board, over a clean line and over a bad one."""
    with np.load(DATA) as data:
        x, y = data["x_test"][:1000, ..., None], data["y_test"][:1000]
    print("clean line:", through_the_line(x, y, Damage()), flush=True)
    damage = Damage(flip_in=20, flip_out=200, drop_in=20, drop_out=200, noise_in=20)
    print("bad line:", through_the_line(x, y, damage))


if __name__ == "__main__":
    main()
