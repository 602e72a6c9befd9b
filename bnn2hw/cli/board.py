"""The commands of the command line that have to do with boards and bitstreams."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

import bnn2hw
from bnn2hw.backends import loading
from bnn2hw.cli import image_files
from bnn2hw.errors import InputError
from bnn2hw.synthesis import usage
from bnn2hw.synthesis.usage import Usage
from bnn2hw.targets import boards as known


def options(command: Callable[..., None]) -> Callable[..., None]:
    """What synthesis takes beside a model."""
    for option in (
        click.option("--baud", type=click.IntRange(300), help="Of the board's serial line."),
        click.option("--clock", type=click.FloatRange(1), help="MHz to run at, or to place and route for."),
        click.option(
            "--seeds", type=click.IntRange(1), default=1, help="Placements to try; the fastest is taken."
        ),
        click.option("--board", help="Board to make a bitstream for; see 'bnn2hw boards'."),
        click.option(
            "-o",
            "--out",
            type=click.Path(path_type=Path),
            default=Path("synth"),
            help="Folder to write into.",
        ),
    ):
        command = option(command)
    return command


def report(accelerator: bnn2hw.Accelerator, used: Usage, board: str | None, out: Path, as_json: bool) -> None:
    """Print what synthesis gave."""
    if as_json:
        click.echo(json.dumps({"name": accelerator.name, "board": board, **used.facts}, indent=1))
        return
    click.echo(usage.table(used))
    if used.fmax_mhz is None or used.clock_mhz is None:
        click.echo("area only: place and route for this family is its vendor's")
        return
    clocks = ", ".join(f"seed {seed} {mhz:.1f}" for seed, mhz in used.seeds.items())
    click.echo(f"clock: {used.fmax_mhz:.1f} MHz reached of {used.clock_mhz:g} asked for ({clocks})")
    click.echo(f"device: {', '.join(f'{name} {n:,} of {most:,}' for name, (n, most) in used.placed.items())}")
    cycles = accelerator.estimate().cycles
    click.echo(
        f"at {used.clock_mhz:g} MHz the accelerator takes {used.clock_mhz * 1e6 / cycles.interval:,.0f} frames/s "
        f"and answers after {cycles.latency / used.clock_mhz:,.0f} µs"
    )
    if used.bitstream:
        click.echo(f"bitstream: {used.bitstream} ({used.bitstream.stat().st_size:,} bytes)")
    if board:
        click.echo(
            f"program it with: {known.board(board).wiring.program} {out / (used.bitstream or out).name}"
        )
        click.echo(f"then: bnn2hw predict {out} PORT --images FILE")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def boards(as_json: bool) -> None:
    """List the boards, and what bnn2hw can do with each."""
    rows = [_facts(b) for b in known.known().values()]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for r in rows:
        click.echo(
            f"{r['name']:<12} {r['title']:<34} {r['device']:<11} {r['lut']:>7,} LUT {r['bram']:>4} BRAM  "
            f"{r['clock_mhz']:>3g} MHz  {'; '.join(r['uses'])}"
        )


def _facts(board: known.Board) -> dict[str, Any]:
    """Return what the list of boards says of one."""
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
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("port")
@click.option(
    "--images", type=click.Path(path_type=Path), required=True, help="An .npy or .npz file with images."
)
@click.option("--frames", type=click.IntRange(1), help="How many of them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def predict(folder: Path, port: str, images: Path, frames: int | None, as_json: bool) -> None:
    """Send images to the board on PORT, which was programmed with the bitstream in FOLDER."""
    from bnn2hw.deploy import host

    shape = tuple(host.read_link(folder)["input"]["shape"])
    x, labels = image_files.read(images, shape, frames)
    with host.Device(port, folder) as device:
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


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("image.bin"), help="File to write."
)
def image(folder: Path, model: Path, out: Path) -> None:
    """What to send to the hardware in FOLDER, compiled with --loadable, so that it computes MODEL.

    MODEL has the architecture of the one that was compiled. The file holds words of 32 bits, the lowest byte first.
    """
    made = bnn2hw.load(folder).reload(model).image()
    try:
        out.write_bytes(made.astype("<u4").tobytes())
    except OSError as error:
        raise InputError(f"'{out}' cannot be written: {error.strerror}") from error
    click.echo(f"image {loading.numbered(made)[1]:08x}: {len(made):,} words, written to {out}")


@click.command("load")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("port")
@click.argument("image_file", metavar="IMAGE", type=click.Path(path_type=Path))
def load_command(folder: Path, port: str, image_file: Path) -> None:
    """Replace the weights of the board on PORT by those in IMAGE, which 'bnn2hw image' wrote.

    The board was programmed with the bitstream in FOLDER.
    """
    from bnn2hw.deploy import host

    try:
        raw = image_file.read_bytes()
    except OSError as error:
        raise InputError(f"the image '{image_file}' cannot be read: {error.strerror}") from error
    if not raw or len(raw) % 4:
        raise InputError(f"'{image_file}' is no image: it has {len(raw)} bytes, expected words of 4 bytes")
    with host.Device(port, folder) as device:
        device.load(np.frombuffer(raw, "<u4"))
    click.echo(f"the board computes image {device.image:08x}")
