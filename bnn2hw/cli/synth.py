"""The command that synthesizes a design."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bnn2hw.cli import options as shared
from bnn2hw.cli.options import ModelOptions
from bnn2hw.cli.progress import spinner
from bnn2hw.errors import InputError

if TYPE_CHECKING:
    from bnn2hw.accelerator import Accelerator
    from bnn2hw.synthesis.usage import Usage


@click.command()
@shared.model_argument
@shared.path("-o", "--out", default=Path("synth"), help="Folder to write into.")
@click.option("--board", help="Board to make a bitstream for; see 'bnn2hw boards'.")
@click.option(
    "--seeds", type=click.IntRange(1), default=1, help="Number of placements to try; the fastest is kept."
)
@click.option(
    "--clock", type=click.FloatRange(1), help="Clock of the accelerator in MHz. Default: the board's."
)
@click.option("--baud", type=click.IntRange(300), help="Bits per second on the board's serial line.")
@shared.model_options
@shared.as_json
def synth(
    model: Path,
    out: Path,
    board: str | None,
    seeds: int,
    clock: float | None,
    baud: int | None,
    options: ModelOptions,
    as_json: bool,
) -> None:
    """Synthesize a design to a bitstream or an area.

    MODEL is a model file, or a folder that 'bnn2hw compile' wrote. With --board, the bitstream
    connects the accelerator to the serial line of the board, for 'bnn2hw predict'. For AMD devices
    the result is an area, because only the vendor's tool places and routes them.
    """
    from bnn2hw import folders
    from bnn2hw.deploy import bitstream

    folders.claim(out, bitstream.FACTS, by="synthesis")
    if board and options.target:
        raise InputError("name a board or a target, not both: a board has its device")
    if board and not model.is_dir():
        options = _for_board(options, board, clock)
    with spinner(as_json) as progress:
        accelerator = shared.accelerator(model, options, progress, allowed=("target",))
        used = accelerator.synthesize(
            out,
            board=board,
            target=options.target if model.is_dir() else None,
            seeds=seeds,
            clock_mhz=clock,
            baud=baud,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps({"name": accelerator.name, "board": board, **used.facts}, indent=1))
    else:
        _print(accelerator, used, board, out)


def _for_board(options: ModelOptions, name: str, clock: float | None) -> ModelOptions:
    """Plan for the device of a board.

    The rate is asked for at the clock of the board, and planned at the clock of the device.
    """
    from bnn2hw.targets import boards

    board = boards.board(name)
    fps = options.fps and options.fps * board.device.clock_mhz / (clock or board.clock_mhz)
    return replace(options, target=options.target or board.device.name, fps=fps)


def _print(accelerator: Accelerator, used: Usage, board: str | None, out: Path) -> None:
    """Print the result of a synthesis."""
    from bnn2hw.synthesis import usage
    from bnn2hw.targets import boards

    click.echo(usage.table(used))
    if used.fmax_mhz is None or used.clock_mhz is None:
        click.echo("area only: the vendor's tool places and routes this family")
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
        program = boards.board(board).wiring.program
        click.echo(f"program it with: {program} {out / (used.bitstream or out).name}")
        click.echo(f"then: bnn2hw predict {out} --port PORT --images FILE")
