"""The program `bnn2hw`: registers all commands, and turns errors and warnings into messages."""

from __future__ import annotations

import errno
import gc
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from bnn2hw.cli import (
    board,
    deviation,
    doctor,
    explore,
    model,
    progress,
    prove,
    report,
    results,
    simulate,
    summary,
    synth,
    verify,
    weights,
    words,
)
from bnn2hw.errors import (
    Bnn2hwError,
    LinkError,
    MismatchError,
    MissingToolError,
    StorageError,
    ToolError,
)
from bnn2hw.version import __version__

MISMATCH, USAGE, MACHINE, INTERRUPTED = 1, 2, 3, 130
"""Exit statuses: a simulation differs from golden; the model or an option is refused; a tool, a
device, a disk or a permission is missing; the user stopped the program. 0 is success."""

SELDOM = (50_000, 20, 20)
"""Thresholds of the search for garbage: TensorFlow is a million objects that stay, and commands end soon."""

OF_MACHINE = (MissingToolError, ToolError, LinkError, StorageError)
"""Errors that come from this machine and not from the model or the options."""


class _Group(click.Group):
    """A group of commands that prints each error of bnn2hw as one message."""

    def invoke(self, ctx: click.Context) -> Any:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        gc.set_threshold(*SELDOM)
        with warnings.catch_warnings():
            warnings.filterwarnings("default", category=DeprecationWarning, module=r"bnn2hw\.cli")
            warnings.showwarning = _printed(warnings.showwarning)
            try:
                return super().invoke(ctx)
            except Bnn2hwError as error:
                _fail(ctx, str(error), _status(error))
            except KeyboardInterrupt:
                _fail(ctx, "interrupted", INTERRUPTED)
            except MemoryError:
                _fail(ctx, "the memory of this machine does not suffice", MACHINE)
            except OSError as error:
                if error.errno == errno.EPIPE:  # the reader of the output has gone, so nobody reads a message
                    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                    ctx.exit(MACHINE)
                where = f"'{error.filename}': " if error.filename else ""
                _fail(ctx, f"{where}{error.strerror or error}", MACHINE)


def _status(error: Bnn2hwError) -> int:
    """Return the exit status for an error of bnn2hw."""
    if isinstance(error, MismatchError):
        return MISMATCH
    return MACHINE if isinstance(error, OF_MACHINE) else USAGE


def _fail(ctx: click.Context, message: str, status: int) -> NoReturn:
    """Print an error and end the program."""
    click.echo(f"error: {words.of_command_line(message)}", err=True)
    ctx.exit(status)


def _printed(otherwise: Callable[..., None]) -> Callable[..., None]:
    """Return a function that prints warnings as messages, without the code that caused them.

    Args:
        otherwise: Shows deprecation warnings of other packages, which are not for users of bnn2hw.
    """

    def show(message: Warning | str, category: type[Warning], filename: str, *rest: Any) -> None:
        if issubclass(category, DeprecationWarning) and Path(filename).parent != Path(__file__).parent:
            otherwise(message, category, filename, *rest)
        else:
            click.echo(f"warning: {message}", err=True)

    return show


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bnn2hw")
def main() -> None:
    """Compile a binarized neural network from Keras to a verified FPGA accelerator."""


for command in (
    model.compile_command,
    simulate.simulate,
    verify.verify,
    prove.prove,
    model.estimate,
    model.pareto,
    explore.explore,
    synth.synth,
    report.report,
    summary.summary,
    board.boards,
    results.predict,
    results.evaluate,
    deviation.deviation,
    weights.weights,
    weights.old_pack,
    weights.old_load,
    doctor.doctor,
):
    main.add_command(progress.with_volume(command))


if __name__ == "__main__":
    main()
