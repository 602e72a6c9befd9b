"""Options that several commands share, and the accelerator that they describe."""

from __future__ import annotations

import functools
import json
import tomllib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bnn2hw.errors import InputError, unreadable
from bnn2hw.progress import Progress

if TYPE_CHECKING:
    from bnn2hw.accelerator import Accelerator
    from bnn2hw.folding.by_hand import Folding
    from bnn2hw.golden import Batch
    from bnn2hw.lower.outputs import Output
    from bnn2hw.ops.base.channels import Meaning
    from bnn2hw.ops.source import Input


def path(*declarations: str, **options: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare an option that takes a path."""
    return click.option(*declarations, type=click.Path(path_type=Path), **options)


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")

seed = click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of stalls and random frames."
)


def frames(random: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare the number of images, of which so many are random if no file gives any."""
    told = f"Number of images. Default: all images, or {random} random frames."
    return click.option("--frames", type=click.IntRange(1), help=told)


def stalls(default: float, of: str = "") -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare the share of the cycles in which a run pauses; `of` says what runs."""
    told = f"Share of the cycles in which source and sink pause in the second run{of}."
    kind = click.FloatRange(0, 1, max_open=True)
    return click.option("--stalls", type=kind, default=default, show_default=True, help=told)


scheduler = click.option(
    "--scheduler", help="local for workers of Dask on this machine, or the address of a scheduler."
)
workers = click.option(
    "--workers", type=click.IntRange(1), help="Number of local workers. Default: one per core."
)

imports = click.option(
    "--import",
    "imports",
    metavar="MODULE",
    multiple=True,
    help="Module or .py file with classes and functions of the model's own; may be repeated.",
)

model_argument = click.argument("model", type=click.Path(path_type=Path))
folder_argument = click.argument("folder", type=click.Path(path_type=Path))


def _number(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Read a number, or a fraction such as 1/127.5."""
    return None if value is None else _fraction(value)


def _latency(_: click.Context, __: click.Parameter, value: str | None) -> int | str | None:
    """Read a number of cycles, or a word, which `compile` checks."""
    return int(value) if value and value.isascii() and value.isdecimal() else value


def _numbers(_: click.Context, __: click.Parameter, value: str) -> Meaning:
    """Read a number or a fraction, or several of them with commas between."""
    numbers = tuple(_fraction(part) for part in value.split(","))
    return numbers if len(numbers) > 1 else numbers[0]


def _fraction(text: str) -> float:
    """Read a number or a fraction.

    Raises:
        BadParameter: The text is neither.
    """
    numerator, slash, denominator = text.partition("/")
    try:
        return float(Fraction(numerator) / Fraction(denominator) if slash else Fraction(text))
    except (ValueError, ZeroDivisionError) as error:
        raise click.BadParameter(f"'{text}' is no number") from error


@dataclass(frozen=True)
class ModelOptions:
    """Options of every command that can compile a model; see `bnn2hw.compile`.

    Attributes:
        target: Name of a device, or path of its file.
        board: Name of a board, or path of its file.
        fps: Frames per second to reach.
        folding: File with the folding of some layers.
        latency: Cycles to the first output, or "least".
        dtype: Integers on the wire, as in `bnn2hw.Input`.
        scale: Real value of one step of the input.
        offset: Real value of the input 0.
        output: Output of the design.
        backend: Name of a backend.
        calibration: File with calibration images.
        bits: Bits of everything that must be rounded.
        loadable: Whether the weights of all layers are loadable.
        loadable_layer: Layers whose weights are loadable.
        imports: Modules with classes and functions of the user's own.
    """

    target: str | None
    board: str | None
    fps: float | None
    folding: Path | None
    latency: int | str | None
    dtype: str | None
    scale: Meaning
    offset: Meaning
    output: Output | None
    backend: str
    calibration: Path | None
    bits: int | None
    loadable: bool
    loadable_layer: tuple[str, ...]
    imports: tuple[str, ...]


def _begin(names: Callable[[], Iterable[str]]) -> Callable[..., list[str]]:
    """Return what completes the names of an option on the command line."""
    return lambda _context, _option, text: [name for name in names() if name.startswith(text)]


def _targets() -> Iterable[str]:
    from bnn2hw.targets import devices

    return devices.known()


def _boards() -> Iterable[str]:
    from bnn2hw.targets import boards

    return boards.known()


def _backends() -> Iterable[str]:
    from bnn2hw import backends

    return backends.FOLDERS


INPUT_OPTIONS = (
    click.option(
        "--input", "dtype", help="Integers on the wire: uint1 to uint16, int2 to int16, bit or bipolar."
    ),
    click.option(
        "--scale",
        metavar="NUMBER",
        default="1",
        callback=_numbers,
        help="Real value of one step of the input, for example 1/127.5. With commas: of each channel.",
    ),
    click.option(
        "--offset",
        metavar="NUMBER",
        default="0",
        callback=_numbers,
        help="Real value of the input 0. With commas: of each channel.",
    ),
)

MODEL_OPTIONS = (
    click.option(
        "--target",
        shell_complete=_begin(_targets),
        help="Device to plan for: a name such as ecp5-85k, or a TOML file.",
    ),
    click.option(
        "--board",
        shell_complete=_begin(_boards),
        help="Board to plan for: a name from 'bnn2hw boards', or a TOML file.",
    ),
    click.option(
        "--fps",
        metavar="NUMBER",
        callback=_number,
        help="Frames per second to reach at the device's clock. Default: as many as fit.",
    ),
    path("--folding", help="TOML or JSON file with PE and SIMD, or the style, of some layers."),
    click.option(
        "--latency",
        metavar="CYCLES",
        callback=_latency,
        help="Cycles that the first output may take, or least: as few as fit. Default: any number.",
    ),
    *INPUT_OPTIONS,
    click.option("--output", help="Output of the design: class, scores, or top3 for the three best classes."),
    click.option(
        "--backend",
        default="verilog",
        show_default=True,
        shell_complete=_begin(_backends),
        help="Language of the sources: verilog, hls, or native: C++ for processors.",
    ),
    path("--calibration", help="Images (.npy or .npz) that show the ranges of real-valued streams."),
    click.option("--bits", type=int, help="Bits of kernels and streams that must be rounded."),
    click.option("--loadable", is_flag=True, help="Let weights and thresholds be replaced at run time."),
    click.option("--loadable-layer", multiple=True, help="The same for this layer only; may be repeated."),
    imports,
)


def input_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say what arrives on the wire."""
    for option in reversed(INPUT_OPTIONS):
        command = option(command)
    return command


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `ModelOptions` to a command, which takes them as `options`."""

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        options = ModelOptions(**{f.name: given.pop(f.name) for f in fields(ModelOptions)})
        command(options=options, **given)

    for option in reversed(MODEL_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def accelerator(
    model: Path, options: ModelOptions, progress: Progress, allowed: tuple[str, ...] = ()
) -> Accelerator:
    """Load the accelerator in a build folder, or compile a model file.

    Args:
        model: Path of either.
        options: Options of the compilation.
        progress: Called with the name of each step.
        allowed: Options that a command uses for a build folder too.

    Raises:
        InputError: The options make no sense, or are given for a build folder, which is compiled
            already.
    """
    import bnn2hw

    if model.is_dir():
        _refuse_options(model, allowed)
        return bnn2hw.load(model)
    return compiled(model, options, progress)


def _refuse_options(folder: Path, allowed: tuple[str, ...]) -> None:
    """Refuse options of the compilation for a folder that is compiled already.

    Raises:
        InputError: One was given.
    """
    of_model = {f.name for f in fields(ModelOptions)}
    for name, option in given().items():
        if name in of_model - set(allowed):
            raise InputError(
                f"'{folder}' is compiled already, so {option} has no effect; give {option} to 'bnn2hw compile'"
            )


def given() -> dict[str, str]:
    """Return the options that the user gave to the command that runs, each as it is spelled, by parameter."""
    context = click.get_current_context()
    typed = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    return {
        str(p.name): p.opts[0]
        for p in context.command.params
        if context.get_parameter_source(str(p.name)) in typed
    }


def refuse(without_effect: Collection[str], why: str) -> None:
    """Refuse options that have no effect.

    Args:
        without_effect: Parameters of the command that runs.
        why: Reason and way out, for the message.

    Raises:
        InputError: The user gave one of them.
    """
    for name, option in given().items():
        if name in without_effect:
            raise InputError(f"{option} has no effect: {why}")


def compiled(model: Path, options: ModelOptions, progress: Progress) -> Accelerator:
    """Compile a model file.

    Raises:
        Bnn2hwError: An error of `bnn2hw.compile`, or of a file that an option names.
    """
    import bnn2hw
    from bnn2hw.artifacts import made_from
    from bnn2hw.cli import own_code

    given_input = wire(options.dtype, options.scale, options.offset)
    if options.loadable:
        refuse({"loadable_layer"}, "--loadable makes all layers loadable; leave out one of the two")
    made = bnn2hw.compile(
        model,
        input=given_input,
        target=options.target,
        board=options.board,
        fps=options.fps,
        folding=read_folding(options.folding) if options.folding else None,
        latency=options.latency,
        output=options.output,
        backend=options.backend,
        bits=options.bits,
        calibration=calibration(options),
        loadable=options.loadable or options.loadable_layer,
        custom_objects=own_code.objects(options.imports),
        progress=progress,
    )
    read = {"folding": options.folding, "calibration": options.calibration}
    files = {option: made_from.shown(path) for option, path in read.items() if path}
    code = {"import": " ".join(options.imports)} if options.imports else {}
    return replace(made, made_from={**made.made_from, **files, **code})


def wire(dtype: str | None, scale: Meaning, offset: Meaning) -> Input | None:
    """Return what arrives on the wire, from the options that say so.

    Raises:
        InputError: Its meaning is given, and not its integers.
    """
    import bnn2hw

    if dtype is None and (scale, offset) != (1.0, 0.0):
        raise InputError(
            "--scale and --offset say what --input means; give --input too, such as --input uint8"
        )
    return bnn2hw.Input(dtype, scale, offset) if dtype else None


def calibration(options: ModelOptions) -> Batch | None:
    """Read the images of --calibration.

    Raises:
        Bnn2hwError: An error of `image_files.read`.
    """
    from bnn2hw.cli import image_files

    return image_files.calibration(options.calibration)


def read_folding(path: Path) -> Folding:
    """Read the file of --folding.

    Raises:
        InputError: It cannot be read, or does not hold a table for each layer.
    """
    try:
        data = tomllib.loads(path.read_text()) if path.suffix == ".toml" else json.loads(path.read_text())
    except OSError as error:
        raise unreadable(f"the folding file '{path}'", error) from error
    except ValueError as error:
        raise InputError(f"the folding file '{path}' is neither TOML nor JSON: {error}") from error
    if not isinstance(data, dict) or not all(isinstance(v, dict) for v in data.values()):
        raise InputError(
            f"the folding file '{path}' must hold a table for each layer, "
            'such as {"conv": {"pe": 4, "simd": 8}}'
        )
    return data
