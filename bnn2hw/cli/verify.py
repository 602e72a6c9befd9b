"""The command that verifies a design op by op."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bnn2hw.cli import options as shared
from bnn2hw.cli.progress import say, spinner

RANDOM_FRAMES = 2
"""Number of random frames if no images are given."""


@click.command()
@shared.folder_argument
@shared.path("--images", help="Images (x): an .npy or .npz file. Default: random frames.")
@shared.frames(RANDOM_FRAMES)
@shared.stalls(0.3, of=" of each op")
@shared.seed
@click.option("--workers", type=click.IntRange(1), help="Ops at the same time. Default: one per processor.")
@shared.as_json
def verify(
    folder: Path,
    images: Path | None,
    frames: int | None,
    stalls: float,
    seed: int,
    workers: int | None,
    as_json: bool,
) -> None:
    """Verify a design op by op.

    FOLDER is a folder that 'bnn2hw compile' wrote. Each op runs alone, without and with stalls, on the values
    that golden computes for its inputs, and the connections of the top level are compared with the graph. Use it
    for networks that are too large for 'bnn2hw simulate'. The exit status is 1 if something differs.
    """
    import bnn2hw
    from bnn2hw.cli.simulate import images_of
    from bnn2hw.tables import terminal_width, wrapped

    accelerator = bnn2hw.load(folder)
    x, _ = images_of(images, accelerator, frames or (None if images else RANDOM_FRAMES), seed)
    with spinner(as_json) as progress:
        found = accelerator.verify(x, stalls=stalls, seed=seed, workers=workers, progress=progress)
    if as_json:
        facts = {
            "exact": found.exact,
            "ops": len(found.ops),
            "frames": found.frames,
            "problems": found.problems,
        }
        click.echo(json.dumps(facts, indent=1))
    else:
        say(wrapped(str(found).split("\n"), terminal_width()))
    found.check()
