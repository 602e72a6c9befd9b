"""The command that measures how far a design is from its model."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bnn2hw.cli import options as shared
from bnn2hw.cli.options import ModelOptions
from bnn2hw.cli.progress import spinner
from bnn2hw.cli.results import frames_option, images_option
from bnn2hw.errors import InputError


@click.command()
@shared.model_argument
@images_option
@frames_option
@shared.path("--model", "original", help="The model file that the build folder MODEL was compiled from.")
@shared.model_options
@shared.as_json
def deviation(
    model: Path, images: Path, frames: int | None, original: Path | None, options: ModelOptions, as_json: bool
) -> None:
    """Measure how far a design is from its model.

    MODEL is a model file, or a folder that 'bnn2hw compile' wrote together with the --model that it was
    compiled from. The integers of the design and the layers of the model compute the same images, and
    each layer is compared. Exact layers do not deviate.
    """
    from bnn2hw.cli import image_files, own_code

    if original and not model.is_dir():
        raise InputError(f"--model has no effect: '{model}' is a model itself; leave out --model")
    if not original and model.is_dir():
        raise InputError(
            f"'{model}' holds no model to compare with; give the one it was compiled from with --model"
        )
    x, _ = image_files.read(images, frames)
    with spinner(as_json) as progress:
        made = shared.accelerator(model, options, progress, allowed=("calibration", "imports"))
        found = made.deviation(
            x,
            original,
            calibration=shared.calibration(options) if original else None,
            custom_objects=(own_code.objects(options.imports) or None) if original else None,
            progress=progress,
        )
    click.echo(json.dumps([vars(d) for d in found], indent=1) if as_json else str(found))
