"""The commands that read a model: compile, estimate, pareto."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnn2hw.cli import options as shared
from bnn2hw.cli.options import ModelOptions
from bnn2hw.cli.progress import QUIET, say, spinner, volume
from bnn2hw.errors import InputError

if TYPE_CHECKING:
    from bnn2hw.accelerator import Accelerator
    from bnn2hw.folding.pareto import Point
    from bnn2hw.report.facts import LayerFacts


@click.command("compile")
@shared.model_argument
@shared.path("-o", "--out", default=Path("build"), help="Folder to write into.")
@shared.path("--from", "study", help="Study from which one point is compiled, with its options.")
@click.option("--point", type=click.IntRange(0), help="Number of the point of --from.")
@shared.model_options
@shared.as_json
def compile_command(
    model: Path, out: Path, study: Path | None, point: int | None, options: ModelOptions, as_json: bool
) -> None:
    """Compile a model to sources, weights and a report.

    MODEL is a .keras, .h5 or .onnx file. Nothing is simulated: 'bnn2hw simulate' compares the design with
    golden.
    """
    from bnn2hw import folders
    from bnn2hw.backends import FOLDERS

    if (study is None) is not (point is None):
        raise InputError("--from and --point belong together: a study, and the number of one of its points")
    if study:
        shared.refuse(
            {f.name for f in fields(ModelOptions)} - {"imports"}, "the point of the study has its own options"
        )
    folders.claim(out)
    with spinner(as_json) as progress:
        accelerator = (
            _of_study(model, study, point, options) if study else shared.compiled(model, options, progress)
        )
        progress("writing")
        accelerator.write(out)
        if study:
            _keep_study(out, accelerator, study, point or 0)
    if as_json or volume() != QUIET:
        _show(accelerator, as_json)
    if not as_json:
        sources = FOLDERS[accelerator.backend]
        report = "" if accelerator.is_native else "report.html, "
        say(f"written to {out}: {sources}/, {report}report.txt, graph.json, manifest.json")


def _of_study(model: Path, study: Path, point: int | None, options: ModelOptions) -> Accelerator:
    """Compile a point of a study."""
    from bnn2hw.cli import own_code
    from bnn2hw.studies import study as studies

    return studies.build(model, study, point or 0, own_code.objects(options.imports) or None)


def _keep_study(folder: Path, accelerator: Accelerator, study: Path, point: int) -> None:
    """Keep the other designs of a study for the report of this one."""
    from bnn2hw.artifacts import records
    from bnn2hw.studies import study as studies
    from bnn2hw.studies import table

    records.keep(folder, accelerator, explored=studies.surroundings(table.read(study), study, point))


@click.command()
@shared.model_argument
@shared.model_options
@shared.as_json
def estimate(model: Path, options: ModelOptions, as_json: bool) -> None:
    """Print exact cycles and predicted resources.

    MODEL is a model file, or a folder that 'bnn2hw compile' wrote.
    """
    with spinner(as_json) as progress:
        accelerator = shared.accelerator(model, options, progress)
    accelerator.need_hardware("an estimate")
    _show(accelerator, as_json)


def _show(accelerator: Accelerator, as_json: bool) -> None:
    click.echo(json.dumps(_facts(accelerator), indent=1) if as_json else str(accelerator))


def _facts(accelerator: Accelerator) -> dict[str, Any]:
    """Return what --json prints of an accelerator."""
    fidelity = {layer: {"kind": f.kind, "why": f.why} for layer, f in accelerator.fidelity.items()}
    compared = accelerator.compared and accelerator.compared.plain()
    if accelerator.is_native:
        return {
            "name": accelerator.name,
            "backend": accelerator.backend,
            "fidelity": fidelity,
            "compared": compared,
        }
    from bnn2hw.report.facts import collect

    estimate = accelerator.estimate()
    cost = estimate.cost
    return {
        "name": accelerator.name,
        "backend": accelerator.backend,
        "device": accelerator.device.name,
        "clock_mhz": accelerator.device.clock_mhz,
        "interval": estimate.cycles.interval,
        "latency": estimate.cycles.latency,
        "startup": estimate.cycles.startup,
        "fps": estimate.fps,
        "cost": {"lut": round(cost.lut), "ff": round(cost.ff), "bram": cost.bram, "dsp": cost.dsp},
        "use": estimate.use,
        "uncalibrated": list(estimate.uncalibrated),
        "layers": [_layer(layer) for layer in collect(accelerator).working],
        "folding": accelerator.folding(),
        "fidelity": fidelity,
        "compared": compared,
    }


def _layer(layer: LayerFacts) -> dict[str, Any]:
    """Return what --json prints of a layer."""
    cost = layer.cost
    return {
        "name": layer.name,
        "ops": list(layer.kinds),
        "shape": list(layer.last.tensor.shape),
        "values": str(layer.last.tensor.ints),
        "fidelity": "rounded" if layer.rounded else "exact",
        "deviation": layer.deviation,
        "pe": layer.main.pe,
        "simd": layer.main.simd,
        "cycles": layer.slowest.cycles,
        "occupancy": layer.slowest.occupancy,
        "cost": {"lut": round(cost.lut), "ff": round(cost.ff), "bram": cost.bram, "dsp": cost.dsp},
    }


@click.command()
@shared.model_argument
@click.option(
    "--ratio", type=float, default=1.1, help="Smallest factor between the rates of two rows of the list."
)
@shared.model_options
@shared.as_json
def pareto(model: Path, ratio: float, options: ModelOptions, as_json: bool) -> None:
    """List the cheapest folding for each rate.

    The list goes from the slowest folding to the fastest one that fits the device. MODEL is a model
    file, or a folder that 'bnn2hw compile' wrote.
    """
    import bnn2hw

    if not model.is_dir():
        shared.refuse({"fps"}, "the list has all rates; 'bnn2hw estimate --fps' gives the folding for one")
        shared.refuse({"latency"}, "'bnn2hw estimate --latency' gives the cheapest folding in this time")
        shared.refuse({"backend"}, "costs are those of the Verilog sources; leave it out")
        _refuse_knobs(options)
    with spinner(as_json) as progress:
        accelerator = shared.accelerator(model, options, progress)
        front = bnn2hw.pareto(accelerator, ratio, progress)
    click.echo(json.dumps([_point(p) for p in front], indent=1) if as_json else str(front))


def _refuse_knobs(options: ModelOptions) -> None:
    """Refuse a folding by hand, other than a style, where all foldings are listed.

    Raises:
        InputError: The file of --folding sets a layer's PE, SIMD, lanes or pixels, or cannot be read.
    """
    for layer, knobs in shared.read_folding(options.folding).items() if options.folding else ():
        fixed = [knob for knob in knobs if knob != "style"]
        if fixed:
            raise InputError(
                f"--folding sets {', '.join(fixed)} of layer '{layer}', but the list goes over all foldings; "
                "only a style has an effect here"
            )


def _point(point: Point) -> dict[str, Any]:
    """Return what --json prints of a point of the front."""
    cost = point.cost
    used = {"lut": round(cost.lut), "ff": round(cost.ff), "bram": cost.bram, "dsp": cost.dsp}
    return {**point.__dict__, "cost": used}
