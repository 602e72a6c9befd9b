"""The command that proves the ops of a design."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bnn2hw.cli import options as shared
from bnn2hw.cli.progress import say, spinner
from bnn2hw.formal import SECONDS


@click.command()
@shared.folder_argument
@click.option(
    "--seconds",
    type=click.IntRange(1),
    default=SECONDS,
    show_default=True,
    help="Processor time of the search for a proof of each property; as much again may give a bound.",
)
@shared.as_json
def prove(folder: Path, seconds: int, as_json: bool) -> None:
    """Prove the ops of a design for all inputs.

    FOLDER is a folder that 'bnn2hw compile' wrote. Each op is put alone into an environment that may do anything
    the protocol allows, and Yosys and ABC decide whether its streams keep the protocol, move, and carry the values
    that the op means. Large ops are not tried. The report of the design shows the result. The exit status is 1 if
    something is refuted.
    """
    import bnn2hw
    from bnn2hw.cli.report import keep
    from bnn2hw.tables import terminal_width, wrapped

    accelerator = bnn2hw.load(folder)
    with spinner(as_json) as progress:
        proofs = accelerator.prove(seconds=seconds, progress=progress)
    keep(folder, accelerator, proofs=proofs)
    if as_json:
        click.echo(json.dumps(proofs.plain(), indent=1))
    else:
        say(proofs.table().fitted(terminal_width()), nl=False)
        for reason in proofs.reasons:
            say(wrapped([f"not tried: {reason}"], terminal_width()))
    proofs.check()
