"""The command that runs a design and compares it with golden."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

import bnn2hw
from bnn2hw.cli import image_files
from bnn2hw.cli.progress import spinner


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--images", type=click.Path(path_type=Path), help="An .npy or .npz file with images (x) and labels (y)."
)
@click.option(
    "--frames", type=click.IntRange(1), help="How many of them; without images, how many random frames."
)
@click.option(
    "--stalls", type=click.FloatRange(0, 1, max_open=True), default=0.25, help="Share of stalled cycles."
)
@click.option("--seed", type=int, default=0, help="Of random stalls and frames.")
@click.option(
    "--cells", is_flag=True, help="Simulate every carry cell of the family; much slower to compile."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def simulate(
    folder: Path,
    images: Path | None,
    frames: int | None,
    stalls: float,
    seed: int,
    cells: bool,
    as_json: bool,
) -> None:
    """Run the design in FOLDER, with stalls and without, and compare every stream with golden.

    Verilog runs in Verilator, HLS C++ as it is.
    """
    accelerator = bnn2hw.load(folder)
    x, labels = _images(images, accelerator, frames, seed)
    runs = {}
    with spinner(as_json) as progress:
        for name, share in (("smooth", 0.0), ("stalled", stalls)):
            runs[name] = accelerator.simulate(x, stalls=share, seed=seed, cells=cells, progress=progress)
    report = {name: _run_facts(run) for name, run in runs.items()}
    smooth = runs["smooth"]
    classes = accelerator.output.size == 1 and labels is not None
    accuracy = float(np.mean(np.asarray(smooth.outputs).reshape(-1) == labels)) if classes else None
    kind = "real" if images else "random"
    if as_json:
        click.echo(json.dumps({"frames": len(x), "images": kind, "accuracy": accuracy, **report}, indent=1))
    else:
        _print_runs(report, len(x), kind, accuracy)
    for run in runs.values():
        run.check()


def _run_facts(run: Any) -> dict[str, Any]:
    return {
        "exact": run.exact,
        "streams": len(run.mismatches),
        "mismatches": [str(m) for m in run.mismatches.values() if m],
        "interval": run.interval,
        "latency": run.latency,
        "predicted": {"interval": run.predicted.interval, "latency": run.predicted.latency},
        "cycles": run.cycles,
    }


def _print_runs(report: dict[str, dict[str, Any]], frames: int, kind: str, accuracy: float | None) -> None:
    for name, run in report.items():
        verdict = "bit-exact" if run["exact"] else "NOT EXACT"
        cycles = "no clock" if run["cycles"] is None else f"{run['cycles']:,} cycles"
        click.echo(f"{name}: {frames} {kind} frames, {cycles}, {run['streams']} streams {verdict}")
        for mismatch in run["mismatches"]:
            click.echo(f"  {mismatch}")
    smooth = report["smooth"]
    for figure in ("interval", "latency"):
        measured = "not measured" if smooth[figure] is None else f"measured {smooth[figure]:,} cycles"
        click.echo(f"{figure}: {measured}, predicted {smooth['predicted'][figure]:,}")
    if accuracy is not None:
        click.echo(f"accuracy of the hardware on these frames: {accuracy:.2%}")


def _images(
    path: Path | None, accelerator: bnn2hw.Accelerator, frames: int | None, seed: int
) -> tuple[Any, Any]:
    """Images and labels from a file, or random frames."""
    if path is None:
        values = accelerator.input.ints.values()
        return np.random.default_rng(seed).choice(values, (frames or 16, *accelerator.input.shape)), None
    return image_files.read(path, accelerator.input.shape, frames)
