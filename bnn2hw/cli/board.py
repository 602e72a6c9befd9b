"""The commands about boards: the list of them, and predictions by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnn2hw.cli import options as shared

if TYPE_CHECKING:
    from bnn2hw.targets.boards import Board


@click.command()
@shared.as_json
def boards(as_json: bool) -> None:
    """List the boards and their uses."""
    from bnn2hw.targets import boards

    rows = [_facts(b) for b in boards.known().values()]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for r in rows:
        click.echo(
            f"{r['name']:<12} {r['title']:<34} {r['device']:<11} {r['lut']:>7,} LUT {r['bram']:>4} BRAM  "
            f"{r['clock_mhz']:>3g} MHz  {'; '.join(r['uses'])}"
        )


def _facts(board: Board) -> dict[str, Any]:
    """Return what --json prints of a board."""
    serial = board.serial
    return {
        "name": board.name,
        "title": board.title,
        "uses": list(board.uses),
        "device": board.device.name,
        "oscillator_mhz": serial.oscillator_mhz if serial else None,
        "clock_mhz": board.clock_mhz,
        "baud": serial.baud if serial else None,
        "lut": board.device.lut,
        "bram": board.device.bram,
        "memory": board.memory,
        "program": serial.program if serial else None,
    }


@click.command()
@shared.folder_argument
@click.argument("port")
@shared.path("--images", required=True, help="Images to classify: an .npy or .npz file.")
@click.option("--frames", type=click.IntRange(1), help="Number of images to send. Default: all.")
@shared.as_json
def predict(folder: Path, port: str, images: Path, frames: int | None, as_json: bool) -> None:
    """Send images to a board and print its answers.

    The board is connected to the serial line PORT. It runs the bitstream in FOLDER, which 'bnn2hw
    synth --board' wrote.
    """
    import numpy as np

    from bnn2hw.cli import image_files
    from bnn2hw.deploy import host, link

    shape = link.read_link(folder).input.tensor.shape
    x, labels = image_files.read(images, shape, frames)
    with host.SerialBoard(port, folder) as device:
        results = device.predict(x)
    accuracy = None if labels is None else float(np.mean(results == labels))
    if as_json:
        facts = {"results": results.tolist(), "accuracy": accuracy, "line": vars(device.statistics)}
        click.echo(json.dumps(facts))
        return
    for result in results:
        click.echo(" ".join(map(str, np.ravel(result))))
    if accuracy is not None:
        click.echo(f"accuracy on these {len(results)} images: {accuracy:.2%}", err=True)
    if device.statistics.recoveries:
        click.echo(f"the line was brought back into step {device.statistics.recoveries} times", err=True)
