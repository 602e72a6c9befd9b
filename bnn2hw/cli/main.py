"""The command line: the nouns and verbs of the Python interface."""

from __future__ import annotations

import json
import os
import sys
import tomllib
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

import bnn2hw
from bnn2hw.backends import BACKENDS
from bnn2hw.cli import board as board_commands
from bnn2hw.cli import image_files
from bnn2hw.cli.progress import spinner
from bnn2hw.cli.simulate import simulate
from bnn2hw.errors import Bnn2hwError, InputError, MismatchError
from bnn2hw.folding.pareto import Point
from bnn2hw.ops.base.channels import Meaning
from bnn2hw.progress import Progress
from bnn2hw.targets import boards

CALIBRATION_IMAGES = 512
"""Images of a calibration file that are looked at."""


class _Group(click.Group):
    """Turns errors of ours into a message and exit status 2, a mismatch into 1."""

    def invoke(self, ctx: click.Context) -> Any:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        warnings.filterwarnings("default", category=DeprecationWarning, module=r"bnn2hw\.cli")
        try:
            return super().invoke(ctx)
        except Bnn2hwError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(1 if isinstance(error, MismatchError) else 2)


class _Numbers(click.ParamType[Meaning]):
    """A number, or a fraction of two such as 1/127.5; or several with commas, one for each channel."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Meaning:
        if isinstance(value, int | float):
            return float(value)
        try:
            numbers = tuple(_number(part) for part in str(value).split(","))
        except (ValueError, ZeroDivisionError, IndexError):
            self.fail(f"'{value}' is no number", param, ctx)
        return numbers if len(numbers) > 1 else numbers[0]


def _number(text: str) -> float:
    parts = [Fraction(p) for p in text.split("/")]
    return float(parts[0] / parts[1] if len(parts) == 2 else Fraction(text))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bnn2hw.__version__, prog_name="bnn2hw")
def main() -> None:
    """From a binarized neural network in Keras to a verified FPGA accelerator, bit for bit."""


def _model_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        [
            click.option("--target", help="Device to plan for, such as ecp5-85k."),
            click.option("--fps", type=_Numbers(), help="Frames per second to reach at the target's clock."),
            click.option(
                "--folding",
                type=click.Path(path_type=Path),
                help="PE and SIMD, or the style, by layer: a TOML or JSON file.",
            ),
            click.option("--input", "dtype", help="What arrives on the wire: uint8, int4, bit, bipolar, …"),
            click.option(
                "--scale",
                type=_Numbers(),
                default=1.0,
                help="Real value of one step of the input, such as 1/127.5; with commas, of each channel.",
            ),
            click.option(
                "--offset", type=_Numbers(), default=0.0, help="Real value of an input of 0, likewise."
            ),
            click.option(
                "--output", help="What the design gives out: class, scores, or top3 for the best three."
            ),
            click.option(
                "--backend", type=click.Choice([*BACKENDS]), default="verilog", help="What is generated."
            ),
            click.option(
                "--calibration",
                type=click.Path(path_type=Path),
                help="Images (.npy or .npz) on which the ranges of real-valued streams are seen.",
            ),
            click.option(
                "--bits", type=int, help="Of what must be rounded: real-valued kernels and streams."
            ),
            click.option(
                "--loadable", is_flag=True, help="Let weights and thresholds be replaced at run time."
            ),
            click.option("--loadable-layer", multiple=True, help="The same for this layer; may be repeated."),
            click.option("--json", "as_json", is_flag=True, help="Print JSON for machines."),
        ]
    ):
        command = option(command)
    return command


def _compile(
    model: Path,
    progress: Progress,
    *,
    target: str | None,
    fps: float | None,
    folding: Path | None,
    dtype: str | None,
    scale: Meaning,
    offset: Meaning,
    output: Any,
    backend: str,
    calibration: Path | None,
    bits: int | None,
    loadable: bool,
    loadable_layer: tuple[str, ...],
) -> bnn2hw.Accelerator:
    if dtype is None and (scale, offset) != (1.0, 0.0):
        raise InputError(
            "--scale and --offset say what --input means; give --input too, such as --input uint8"
        )
    return bnn2hw.compile(
        model,
        input=bnn2hw.Input(dtype, scale, offset) if dtype else None,
        target=target,
        fps=fps,
        folding=_read_folding(folding) if folding else None,
        output=output,
        backend=backend,
        bits=bits,
        calibration=image_files.read(calibration, (), CALIBRATION_IMAGES)[0] if calibration else None,
        loadable=loadable or loadable_layer,
        progress=progress,
    )


def _read_folding(path: Path) -> dict[str, dict[str, int | str]]:
    try:
        data = tomllib.loads(path.read_text()) if path.suffix == ".toml" else json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"the folding file '{path}' cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"the folding file '{path}' is neither TOML nor JSON: {error}") from error
    if not isinstance(data, dict) or not all(isinstance(v, dict) for v in data.values()):
        raise InputError(
            f'the folding file \'{path}\' must hold a table by layer, such as {{"conv": {{"pe": 4, "simd": 8}}}}'
        )
    return data


def _facts(accelerator: bnn2hw.Accelerator) -> dict[str, Any]:
    """What --json prints of an accelerator."""
    estimate = accelerator.estimate()
    cost = estimate.cost
    return {
        "name": accelerator.name,
        "device": accelerator.device.name,
        "clock_mhz": accelerator.device.clock_mhz,
        "interval": estimate.cycles.interval,
        "latency": estimate.cycles.latency,
        "fps": estimate.fps,
        "cost": {"lut": round(cost.lut), "ff": round(cost.ff), "bram": cost.bram, "dsp": cost.dsp},
        "use": estimate.use,
        "uncalibrated": list(estimate.uncalibrated),
        "folding": accelerator.folding(),
        "fidelity": {layer: {"kind": f.kind, "why": f.why} for layer, f in accelerator.fidelity.items()},
    }


def _show(accelerator: bnn2hw.Accelerator, as_json: bool) -> None:
    click.echo(json.dumps(_facts(accelerator), indent=1) if as_json else str(accelerator))


@main.command("compile")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("build"), help="Folder to write into."
)
@_model_options
def compile_command(model: Path, out: Path, as_json: bool, **options: Any) -> None:
    """Compile MODEL (a .keras or .h5 file) and write RTL or HLS sources, weights and a report."""
    with spinner(as_json) as progress:
        accelerator = _compile(model, progress, **options)
        progress("writing")
        accelerator.write(out)
    _show(accelerator, as_json)
    if not as_json:
        sources = BACKENDS[accelerator.backend]
        click.echo(f"written to {out}: {sources}/, report.txt, graph.json, manifest.json")


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@_model_options
def estimate(model: Path, as_json: bool, **options: Any) -> None:
    """Cycles and predicted resources of MODEL: a file, or a folder that compile wrote."""
    with spinner(as_json) as progress:
        accelerator = bnn2hw.load(model) if model.is_dir() else _compile(model, progress, **options)
    _show(accelerator, as_json)


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--ratio", type=float, default=1.1, help="At least by how much each is faster than the one before."
)
@_model_options
def pareto(model: Path, ratio: float, as_json: bool, **options: Any) -> None:
    """What rate costs what: the cheapest foldings of MODEL, from the slowest to the fastest that fits the target.

    MODEL is a file, or a folder that compile wrote.
    """
    with spinner(as_json) as progress:
        accelerator = bnn2hw.load(model) if model.is_dir() else _compile(model, progress, **options)
        progress("searching all foldings")
        front = bnn2hw.pareto(accelerator, ratio)
    click.echo(json.dumps([_point(p) for p in front], indent=1) if as_json else str(front))


def _point(point: Point) -> dict[str, Any]:
    cost = point.cost
    used = {"lut": round(cost.lut), "ff": round(cost.ff), "bram": cost.bram, "dsp": cost.dsp}
    return {**point.__dict__, "cost": used}


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@board_commands.options
@_model_options
def synth(
    model: Path,
    out: Path,
    board: str | None,
    seeds: int,
    clock: float | None,
    baud: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Take MODEL, a file or a folder that compile wrote, to a bitstream; of Xilinx devices, to an area.

    With --board the accelerator stands behind the board's serial line, ready for 'bnn2hw predict'.
    """
    target = options["target"]
    if board and not model.is_dir():
        there = boards.board(board)
        options["target"] = target or there.device.name
        if options["fps"]:  # asked for at the board's clock, and planned at the device's
            options["fps"] *= there.device.clock_mhz / (clock or there.clock_mhz)
    with spinner(as_json) as progress:
        accelerator = bnn2hw.load(model) if model.is_dir() else _compile(model, progress, **options)
        used = accelerator.synthesize(
            out,
            board=board,
            target=None if board else target,
            seeds=seeds,
            clock_mhz=clock,
            baud=baud,
            progress=progress,
        )
    board_commands.report(accelerator, used, board, out, as_json)


main.add_command(simulate)
main.add_command(board_commands.boards)
main.add_command(board_commands.predict)
main.add_command(board_commands.image)
main.add_command(board_commands.load_command)


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--no-macs", is_flag=True, help="Leave out multiply-accumulate operations.")
def summary(model: Path, no_macs: bool) -> None:
    """Weights, memory and operations of MODEL by precision, before any hardware."""
    from bnn2hw import nn
    from bnn2hw.importers.keras import files

    nn.models.summary(files.load(model), include_macs=not no_macs)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def doctor(as_json: bool) -> None:
    """What is installed, and what each missing piece would enable."""
    from bnn2hw.cli import doctor as doctors

    findings = doctors.examine()
    if as_json:
        click.echo(json.dumps([f.__dict__ for f in findings], indent=1))
    else:
        for f in findings:
            mark = "ok     " if f.found else "missing"
            click.echo(f"{mark}  {f.name:<25}{f.found or f.remedy:<44}  {f.enables}")
    sys.exit(0 if all(f.found or not f.needed for f in findings) else 1)


if __name__ == "__main__":
    main()
