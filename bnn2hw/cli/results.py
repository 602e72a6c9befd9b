"""The commands that compute results of images: by native code on this machine, or by a board."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnn2hw import deprecation
from bnn2hw.cli import options as shared
from bnn2hw.cli.progress import note, spinner
from bnn2hw.errors import InputError

if TYPE_CHECKING:
    from bnn2hw.accelerator import Accelerator
    from bnn2hw.golden import Batch
    from bnn2hw.ir import Array
    from bnn2hw.progress import Progress

images_option = shared.path(
    "--images", required=True, help="Images (x, or by name of input) and perhaps labels (y): .npy or .npz."
)
frames_option = click.option("--frames", type=click.IntRange(1), help="Number of images. Default: all.")


@dataclass(frozen=True)
class _Results:
    """Results of images.

    Attributes:
        results: Classes or scores, by name if there are several outputs.
        line: Statistics of the serial line; None for results of this machine.
    """

    results: Batch
    line: dict[str, Any] | None = None


@click.command()
@shared.folder_argument
@click.argument("old_port", metavar="", required=False)
@click.option("--port", help="Serial port of a board that computes the results.")
@click.option("--virtual", is_flag=True, help="Let a simulated board compute the results, byte by byte.")
@images_option
@frames_option
@shared.as_json
def predict(
    folder: Path,
    old_port: str | None,
    port: str | None,
    virtual: bool,
    images: Path,
    frames: int | None,
    as_json: bool,
) -> None:
    """Print what a model predicts for images.

    FOLDER is a folder that 'bnn2hw compile' wrote; native code on this machine computes the results,
    which are those of the hardware. With --port a board computes them: it runs the bitstream in
    FOLDER, which 'bnn2hw synth --board' wrote. With --virtual, the design of a folder that 'bnn2hw
    compile' wrote runs in Verilator, in the shell of a board, and the images travel to it over a
    serial line as they do to a board: no bitstream and no board are needed.
    """
    from bnn2hw import golden
    from bnn2hw.cli import image_files

    if old_port:
        if port:
            raise InputError("give the port of the board once, with --port")
        deprecation.warn(
            "'bnn2hw predict FOLDER PORT' is now '--port PORT'; the old form works for one more version"
        )
    board = port or old_port
    if board and virtual:
        raise InputError("a simulated board has its own port; give --virtual or --port, not both")
    with spinner(as_json) as progress:
        progress("computing")
        if board:
            x, labels = image_files.read(images, frames)
            found = _by_board(folder, board, x)
        else:
            accelerator = _loaded(folder, virtual=virtual)
            x, labels = image_files.read(images, frames, accelerator.inputs)
            by_board = _by_virtual_board(accelerator, x, progress) if virtual else None
            found = by_board or _Results(accelerator.predict(x))
    accuracy = _accuracy(found.results, labels)
    if as_json:
        facts = {"results": _plain(found.results), "accuracy": accuracy}
        click.echo(json.dumps({**facts, "line": found.line} if found.line else facts))
        return
    _print(found.results)
    if accuracy is not None:
        note(f"accuracy on these {golden.frames(x)} images: {accuracy:.2%}")
    if found.line and found.line["recoveries"]:
        note(f"the line was resynchronized {found.line['recoveries']} times")


def _by_board(folder: Path, port: str, x: Batch) -> _Results:
    from bnn2hw.deploy import host

    if isinstance(x, Mapping):
        raise InputError(f"a board takes one array, and {len(x)} are given; name the images x")
    with host.SerialBoard(port, folder) as device:
        return _Results(device.predict(x), vars(device.statistics))


def _by_virtual_board(accelerator: Accelerator, x: Batch, progress: Progress) -> _Results:
    from bnn2hw import golden
    from bnn2hw.deploy.simulated_board import VirtualBoard

    with VirtualBoard(accelerator, progress=progress) as board:
        progress(f"sending {golden.frames(x)} images to the simulated board")
        return _by_board(board.folder, board.port, x)


def _loaded(folder: Path, *, virtual: bool) -> Accelerator:
    """Load the design of a build folder.

    Raises:
        InputError: It is no build folder.
    """
    import bnn2hw

    way = "--virtual needs no bitstream" if virtual else "give the port of the board with --port"
    _refuse_bitstream(folder, way)
    return bnn2hw.load(folder)


def _refuse_bitstream(folder: Path, why: str) -> None:
    """Refuse the folder of a synthesis where a build folder is needed.

    Raises:
        InputError: It holds a bitstream.
    """
    from bnn2hw.deploy import link

    if (folder / link.FILE).is_file():
        raise InputError(
            f"'{folder}' holds a bitstream; {why}, or name the folder that 'bnn2hw compile' wrote"
        )


def _accuracy(results: Batch, labels: Array | None) -> float | None:
    """Return the share of right classes, if the only output is a class and there are labels.

    Raises:
        InputError: Labels are no classes.
    """
    import numpy as np

    from bnn2hw.results import correct

    if labels is None or not isinstance(results, np.ndarray) or results.ndim != 1:
        return None
    return correct(results, labels) / len(results) if results.dtype.kind in "iu" else None


def _plain(results: Batch) -> Any:
    """Return results as JSON can hold them."""
    import numpy as np

    return (
        results.tolist() if isinstance(results, np.ndarray) else {n: a.tolist() for n, a in results.items()}
    )


def _print(results: Batch) -> None:
    """Print one line per image, with the name before each output if there are several."""
    import numpy as np

    if isinstance(results, np.ndarray):
        for result in results:
            click.echo(" ".join(map(str, np.ravel(result))))
        return
    for each in zip(*results.values(), strict=True):
        parts = (f"{name}: {' '.join(map(str, np.ravel(v)))}" for name, v in zip(results, each, strict=True))
        click.echo("; ".join(parts))


@click.command()
@shared.folder_argument
@images_option
@frames_option
@shared.path(
    "--model", "original", help="The model file that FOLDER was compiled from: prints its accuracy, too."
)
@shared.path("--calibration", help="The images that FOLDER was compiled with, for --model.")
@shared.imports
@shared.as_json
def evaluate(
    folder: Path,
    images: Path,
    frames: int | None,
    original: Path | None,
    calibration: Path | None,
    imports: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print the accuracy on labeled images.

    FOLDER is a folder that 'bnn2hw compile' wrote. Native code on this machine computes the classes,
    which are those of the hardware. With --model, the layers of the model compute the same images.
    """
    import bnn2hw
    from bnn2hw import golden
    from bnn2hw.cli import image_files, own_code

    if original is None:
        shared.refuse({"calibration", "imports"}, "it belongs to --model; give the model file, too")
    accelerator = bnn2hw.load(folder)
    x, labels = image_files.read(images, frames, accelerator.inputs)
    if labels is None:
        raise InputError(
            f"'{images}' holds no labels; give an .npz file with an array {' or '.join(image_files.LABELS)}"
        )
    with spinner(as_json) as progress:
        found = {"accuracy": accelerator.evaluate(x, labels, progress=progress)}
        if original:
            found["model"] = accelerator.evaluate_model(
                x,
                labels,
                original,
                calibration=image_files.calibration(calibration),
                custom_objects=own_code.objects(imports) or None,
                progress=progress,
            )
    if as_json:
        click.echo(json.dumps({"frames": golden.frames(x), **found}))
        return
    click.echo(f"accuracy on these {golden.frames(x)} images: {found['accuracy']:.2%}")
    if original:
        click.echo(f"accuracy of the model on them: {found['model']:.2%}")
