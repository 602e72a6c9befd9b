"""The command that synthesizes a design."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnn2hw.cli import options as shared
from bnn2hw.cli.options import ModelOptions
from bnn2hw.cli.progress import say, spinner
from bnn2hw.errors import Bnn2hwError, DoesNotFitError
from bnn2hw.progress import Progress

ATTEMPTS = 3
"""Number of plans that are tried for a model without a rate."""

ROUNDING = 1e-3
"""Share by which a clock of a PLL may miss the one that was planned for."""

if TYPE_CHECKING:
    from bnn2hw.accelerator import Accelerator
    from bnn2hw.ir import Cycles
    from bnn2hw.synthesis.usage import Usage


@click.command()
@shared.model_argument
@shared.path("-o", "--out", default=Path("synth"), help="Folder to write into.")
@click.option(
    "--seeds", type=click.IntRange(1), default=1, help="Number of placements to try; the fastest is kept."
)
@click.option(
    "--clock", type=click.FloatRange(1), help="Clock of the accelerator in MHz. Default: the board's."
)
@click.option("--baud", type=click.IntRange(300), help="Bits per second on the board's serial line.")
@shared.scheduler
@shared.workers
@shared.model_options
@shared.as_json
def synth(
    model: Path,
    out: Path,
    seeds: int,
    clock: float | None,
    baud: int | None,
    scheduler: str | None,
    workers: int | None,
    options: ModelOptions,
    as_json: bool,
) -> None:
    """Synthesize a design to a bitstream or an area.

    MODEL is a model file, or a folder that 'bnn2hw compile' wrote. With --board, the bitstream
    connects the accelerator to the serial line of the board, for 'bnn2hw predict'. For AMD devices
    the result is an area, because only the vendor's tool places and routes them.
    """
    from bnn2hw.cli.report import keep
    from bnn2hw.deploy import bitstream
    from bnn2hw.report.records import Measured

    bitstream.claim(out)
    board = options.board
    with spinner(as_json) as progress:
        accelerator, used = _synthesized(
            model,
            options,
            progress,
            clock_mhz=clock,
            folder=out,
            seeds=seeds,
            baud=baud,
            scheduler=scheduler,
            workers=workers,
        )
    _warn_of_rate(accelerator, used, board)
    if model.is_dir():
        keep(
            model, accelerator, measured=Measured.of(used, board or options.target or accelerator.device.name)
        )
    if as_json:
        click.echo(json.dumps({"name": accelerator.name, "board": board, **used.facts}, indent=1))
    else:
        _print(accelerator, used, board, out)


def _synthesized(
    model: Path, options: ModelOptions, progress: Progress, *, clock_mhz: float | None, **how: Any
) -> tuple[Accelerator, Usage]:
    """Synthesize a model or a build folder.

    A model that was planned without a rate is planned again, for fewer frames per second, if its
    design is too large after all.
    """
    free = not (model.is_dir() or options.fps or options.folding or options.latency)
    for attempt in range(ATTEMPTS):
        asked = options if model.is_dir() else _at_clock(options, clock_mhz)
        accelerator = shared.accelerator(model, asked, progress, allowed=("target", "board"))
        target = options.target if model.is_dir() else None
        try:
            return accelerator, accelerator.synthesize(
                board=options.board, target=target, clock_mhz=clock_mhz, progress=progress, **how
            )
        except DoesNotFitError as error:
            if not free or error.fps is None or attempt == ATTEMPTS - 1:
                raise
            options = replace(options, fps=error.fps)
            progress(f"planning again for {error.fps:,.0f} frames/s: the first design does not fit")
    raise Bnn2hwError("no attempt was made")


def _at_clock(options: ModelOptions, clock: float | None) -> ModelOptions:
    """Return options whose rate at the clock of the board is what is asked for at another clock."""
    from bnn2hw.targets import boards

    if not (options.board and options.fps and clock):
        return options
    return replace(options, fps=options.fps * boards.board(options.board).clock_mhz / clock)


def _warn_of_rate(accelerator: Accelerator, used: Usage, board: str | None) -> None:
    """Warn if the design misses the rate that it was compiled for, because its clock is slower here."""
    asked = float(accelerator.options.get("fps", 0))
    clock = usable_clock(used)
    if not clock:
        return
    reached = clock * 1e6 / accelerator.estimate().cycles.interval
    if reached < asked * (1 - ROUNDING):
        way_out = f"compile with --board {board}" if board else "compile for more"
        click.echo(
            f"warning: compiled for {asked:,.0f} frames/s at {accelerator.device.clock_mhz:g} MHz, the design takes "
            f"{reached:,.0f} at {clock:.5g} MHz; {way_out}",
            err=True,
        )


def usable_clock(used: Usage) -> float | None:
    """Return the clock in MHz that a design can run at: the one asked for, if it was reached; None if it is unknown."""
    return min(used.clock_mhz, used.fmax_mhz) if used.clock_mhz and used.fmax_mhz else None


def outcome(used: Usage, cycles: Cycles) -> Iterator[str]:
    """Yield lines on the clock, the device and the speed.

    Args:
        used: Result of the synthesis.
        cycles: Cycles of the design.
    """
    clock = usable_clock(used)
    if clock is None:
        yield "area only: the vendor's tool places and routes this family"
        return
    clocks = ", ".join(f"seed {seed} {mhz:.1f}" for seed, mhz in used.seeds.items())
    yield f"clock: {used.fmax_mhz:.1f} MHz reached of {used.clock_mhz:g} asked for ({clocks})"
    yield f"device: {', '.join(f'{name} {n:,} of {most:,}' for name, (n, most) in used.placed.items())}"
    yield (
        f"at {clock:.5g} MHz the accelerator takes {clock * 1e6 / cycles.interval:,.0f} frames/s "
        f"and answers after {cycles.latency / clock:,.1f} µs"
    )


def _print(accelerator: Accelerator, used: Usage, board: str | None, out: Path) -> None:
    """Print the result of a synthesis."""
    from bnn2hw.synthesis import usage
    from bnn2hw.tables import terminal_width, wrapped
    from bnn2hw.targets import boards

    width = terminal_width()
    say(usage.table(used).fitted(width), nl=False)
    say(wrapped(outcome(used, accelerator.estimate().cycles), width))
    if used.bitstream:
        say(f"bitstream: {used.bitstream} ({used.bitstream.stat().st_size:,} bytes)")
    if board:
        program = boards.board(board).wiring.program
        say(f"program it with: {program} {out / (used.bitstream or out).name}")
        say(f"then: bnn2hw predict {out} --port PORT --images FILE")
