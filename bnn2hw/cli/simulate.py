"""The command that simulates a design and compares it with golden."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnn2hw.cli import options as shared
from bnn2hw.cli.progress import say, spinner
from bnn2hw.tables import counted

if TYPE_CHECKING:
    from bnn2hw.accelerator import Accelerator
    from bnn2hw.golden import Batch
    from bnn2hw.ir import Array
    from bnn2hw.simulation.run import Run

RANDOM_FRAMES = 16
"""Number of random frames that are simulated if no images are given."""


@click.command()
@shared.folder_argument
@shared.path(
    "--images", help="Images (x) and perhaps labels (y): an .npy or .npz file. Default: random frames."
)
@shared.frames(RANDOM_FRAMES)
@shared.stalls(0.25)
@shared.seed
@click.option(
    "--cells",
    is_flag=True,
    help="Simulate the sources as they are, without faster forms of some modules; takes several times as long.",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes that share the frames. Each starts with an empty design.",
)
@shared.scheduler
@shared.path(
    "--trace",
    help="File for the waveforms of the run without stalls: .vcd, or .fst; lists of signals for GTKWave (.gtkw) "
    "and Surfer (.sucl) are written next to it.",
)
@shared.as_json
def simulate(
    folder: Path,
    images: Path | None,
    frames: int | None,
    stalls: float,
    seed: int,
    cells: bool,
    processes: int,
    scheduler: str | None,
    trace: Path | None,
    as_json: bool,
) -> None:
    """Simulate a design and compare every stream.

    FOLDER is a folder that 'bnn2hw compile' wrote. Its design runs twice, without and with stalls.
    Every stream is compared with golden, the exact integer model of the network; the exit status is
    1 if one differs. Verilog runs in Verilator. HLS C++ is compiled and runs as it is. Native C++
    is compiled, checks itself with its recorded frames, and computes the images once.
    """
    import bnn2hw
    from bnn2hw import golden
    from bnn2hw.simulation import waves

    if trace:
        waves.check(trace)
    accelerator = bnn2hw.load(folder)
    _warn_of_other_sources(folder, accelerator)
    x, labels = images_of(images, accelerator, frames, seed)
    shares = {"smooth": 0.0, "stalled": stalls}
    if accelerator.is_native:
        own = {"stalls", "cells", "processes", "scheduler", "trace"}
        shared.refuse(own, "native code has no streams, no cells, no clock and one process")
        shares = {"native": 0.0}
    runs = {}
    with spinner(as_json) as progress:
        for name, share in shares.items():
            traced = None if share else trace
            runs[name] = accelerator.simulate(
                x,
                stalls=share,
                seed=seed,
                cells=cells,
                processes=processes,
                scheduler=scheduler,
                trace=traced,
                progress=progress,
            )
    count = golden.frames(x)
    accuracy = _accuracy(accelerator, next(iter(runs.values())), labels)
    report = {name: _facts(run) for name, run in runs.items()}
    _keep(folder, accelerator, list(runs.values()), images, seed)
    kind = "real" if images else "random"
    if as_json:
        click.echo(json.dumps({"frames": count, "images": kind, "accuracy": accuracy, **report}, indent=1))
    else:
        _print(report, count, kind, accuracy)
        if trace:
            gtkw, sucl = waves.lists(trace)
            say(
                f"waveforms: {trace}; open them with 'gtkwave {gtkw}' or 'surfer --command-file {sucl} {trace}'"
            )
    for run in runs.values():
        run.check()


def _keep(folder: Path, accelerator: Accelerator, runs: list[Run], images: Path | None, seed: int) -> None:
    """Keep the runs for the report."""
    from bnn2hw.artifacts import made_from
    from bnn2hw.cli.report import keep
    from bnn2hw.report.records import Simulation

    name = made_from.shown(images) if images else ""
    data = f"frames of {images.name}" if images else f"random frames of seed {seed}"
    keep(folder, accelerator, runs=[Simulation.of(run, data, name) for run in runs])


def _warn_of_other_sources(folder: Path, accelerator: Accelerator) -> None:
    """Warn if another version of bnn2hw wrote the sources, because the graph is rendered again."""
    from bnn2hw.artifacts import build_folder, write

    changed = build_folder.changed_sources(folder, write.sources(accelerator))
    if changed:
        click.echo(
            f"warning: this version of bnn2hw renders the graph in '{folder}' to other sources than those in the "
            f"folder ({counted(len(changed), 'file')}, such as {changed[0]}), and simulates its own; to replace those "
            f"in the folder, run bnn2hw.load('{folder}').write('{folder}') in Python",
            err=True,
        )


def _accuracy(accelerator: Accelerator, run: Run, labels: Array | None) -> float | None:
    """Return the share of correct classes, if the output is a class and there are labels.

    Raises:
        InputError: Labels are no classes.
    """
    import numpy as np

    from bnn2hw.results import correct, gives_a_class

    if labels is None or not gives_a_class(accelerator):
        return None
    found = np.asarray(run.outputs).reshape(-1)
    return correct(found, labels) / len(found)


def _facts(run: Run) -> dict[str, Any]:
    """Return what --json prints of a run."""
    facts = {
        "exact": run.exact,
        "streams": len(run.mismatches),
        "mismatches": [str(m) for m in run.mismatches.values() if m],
    }
    if run.predicted is None:
        return facts
    return {
        **facts,
        "interval": run.interval,
        "latency": run.latency,
        "startup": run.startup,
        "predicted": asdict(run.predicted),
        "cycles": run.cycles,
    }


def _print(report: dict[str, dict[str, Any]], frames: int, kind: str, accuracy: float | None) -> None:
    """Print both runs as text."""
    for name, run in report.items():
        verdict = "bit-exact" if run["exact"] else "NOT EXACT"
        cycles = "no clock" if run.get("cycles") is None else counted(run["cycles"], "cycle")
        compared = f"{counted(frames, f'{kind} frame')}, {cycles}, {counted(run['streams'], 'stream')}"
        say(f"{name}: {compared} {verdict}")
        for mismatch in run["mismatches"]:
            say(f"  {mismatch}")
    smooth = next(iter(report.values()))
    if "predicted" in smooth:
        for line in (*_cycles(smooth), *_startup(smooth, frames)):
            say(line)
    if accuracy is not None:
        say(f"accuracy of the hardware on these frames: {accuracy:.2%}")


def _cycles(smooth: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each figure that was predicted."""
    for figure in ("interval", "latency"):
        measured = (
            "not measured" if smooth[figure] is None else f"measured {counted(smooth[figure], 'cycle')}"
        )
        yield f"{figure}: {measured}, predicted {smooth['predicted'][figure]:,}"


def _startup(smooth: dict[str, Any], frames: int) -> Iterator[str]:
    """Yield lines on the first frames, if these are not as far apart as all others."""
    measured, predicted = smooth["startup"], smooth["predicted"]["startup"]
    if smooth["interval"] is None or not (measured or predicted):
        return
    words = "not computed" if predicted is None else _apart(predicted)
    yield f"start-up: measured {_apart(measured)}, predicted {words}"
    if predicted and frames <= len(predicted) + 1:
        yield f"send more than {len(predicted) + 1} frames to measure the interval behind the start-up"


def _apart(intervals: Sequence[int]) -> str:
    return ", ".join(f"{cycles:,}" for cycles in intervals) or "none"


def images_of(
    path: Path | None, accelerator: Accelerator, frames: int | None, seed: int
) -> tuple[Batch, Array | None]:
    """Read images and labels from a file, or make random frames."""
    import numpy as np

    from bnn2hw import golden
    from bnn2hw.cli import image_files

    if path:
        return image_files.read(path, frames, accelerator.inputs)
    rng, count, types = np.random.default_rng(seed), frames or RANDOM_FRAMES, accelerator.graph.types
    names = accelerator.inputs
    x = {n: rng.choice(types[n].ints.values(), (count, *types[n].shape)) for n in names}
    return accelerator.from_streams(golden.batch(x), names), None
