"""The command that explores designs of a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bnn2hw.cli import options as shared
from bnn2hw.cli.progress import spinner
from bnn2hw.errors import InputError


@click.command()
@shared.model_argument
@shared.path("-o", "--out", default=Path("study.csv"), help="Table to write: .csv, or .parquet.")
@shared.input_options
@click.option("--output", help="Output of the design: class, scores, or top3.")
@click.option(
    "--target", multiple=True, help="Device, or a TOML file; may be repeated. Default: that of compile."
)
@click.option(
    "--fps",
    type=click.FloatRange(0, min_open=True),
    multiple=True,
    help="Rate; may be repeated. Default: the front's.",
)
@click.option(
    "--pixels",
    type=click.FloatRange(0, min_open=True),
    multiple=True,
    help="Rate as the number of pixels that enter in each cycle; may be repeated.",
)
@click.option(
    "--ratio", type=float, default=2.0, show_default=True, help="Factor between the rates of the front."
)
@click.option(
    "--bits",
    type=int,
    multiple=True,
    help="Bits of kernels and streams that must be rounded; may be repeated.",
)
@click.option(
    "--style", multiple=True, help="folded, unrolled, or layers to unroll with + between; may be repeated."
)
@shared.path("--images", help="Images (x) and perhaps labels (y), for the deviation and the accuracy.")
@click.option("--frames", type=click.IntRange(1), help="Number of images. Default: all.")
@click.option(
    "--objective", multiple=True, help="Figure that the front trades; may be repeated. Default: fps, lut."
)
@click.option("--max-lut", type=float, help="Most LUTs of a point of the front.")
@click.option("--min-fps", type=float, help="Fewest frames per second of a point of the front.")
@click.option("--max-latency-us", type=float, help="Largest latency of a point of the front, in µs.")
@click.option(
    "--max-deviation",
    type=float,
    help="Largest relative deviation of a point of the front, measured on --images.",
)
@click.option(
    "--min-accuracy",
    type=float,
    help="Smallest accuracy of a point of the front, measured on --images with labels.",
)
@click.option(
    "--synth", type=click.IntRange(0), default=0, help="Number of points of the front to synthesize."
)
@shared.scheduler
@shared.workers
@shared.imports
@shared.as_json
def explore(
    model: Path, out: Path, images: Path | None, frames: int | None, as_json: bool, **given: Any
) -> None:
    """Compile a model in many ways, and show the best.

    MODEL is a model file. The table has a row for each point; the front shows those within the limits that no
    other point beats, and a page next to the table draws it. If a study is interrupted, the same command
    continues it. 'bnn2hw compile MODEL --from TABLE --point N' builds a point.
    """
    import bnn2hw
    from bnn2hw.cli import image_files, own_code
    from bnn2hw.studies import front
    from bnn2hw.targets import devices

    if frames and not images:
        raise InputError("--frames has no effect without --images")
    x, labels = image_files.read(images, frames) if images else (None, None)
    if isinstance(x, Mapping):
        raise InputError(f"'{images}' holds {', '.join(x)}; a study measures images x of models of one input")
    limits = {name: given[name] for name in front.LIMITS if given[name] is not None}
    with spinner(as_json) as progress:
        found = bnn2hw.explore(
            model,
            out,
            input=shared.wire(given["dtype"], given["scale"], given["offset"]),
            output=given["output"],
            targets=given["target"] or (devices.DEFAULT,),
            fps=given["fps"],
            pixels=given["pixels"],
            ratio=given["ratio"],
            bits=given["bits"] or (None,),
            styles=given["style"] or ("folded",),
            images=x,
            labels=labels,
            objectives=given["objective"] or ("fps", "lut"),
            limits=limits,
            synthesize=given["synth"],
            scheduler=given["scheduler"],
            workers=given["workers"],
            custom_objects=own_code.objects(given["imports"]) or None,
            progress=progress,
        )
    click.echo(json.dumps(list(found.rows), indent=1) if as_json else str(found))
