"""The program `bnn2hw`: registers all commands, and turns errors and warnings into messages."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bnn2hw.cli import board, doctor, model, simulate, synth, weights
from bnn2hw.errors import Bnn2hwError, MismatchError
from bnn2hw.version import __version__

MISMATCH, FAILURE = 1, 2
"""Exit statuses after a simulation that differs from golden, and after any other error of ours."""


class _Group(click.Group):
    """A group of commands that prints errors of ours as one message each."""

    def invoke(self, ctx: click.Context) -> Any:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with warnings.catch_warnings():
            warnings.filterwarnings("default", category=DeprecationWarning, module=r"bnn2hw\.cli")
            warnings.showwarning = _printed(warnings.showwarning)
            try:
                return super().invoke(ctx)
            except Bnn2hwError as error:
                click.echo(f"error: {error}", err=True)
                ctx.exit(MISMATCH if isinstance(error, MismatchError) else FAILURE)


def _printed(otherwise: Callable[..., None]) -> Callable[..., None]:
    """Return a function that prints warnings as messages, without the code that caused them.

    Args:
        otherwise: Shows deprecation warnings of other packages, which are not for users of ours.
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
    model.estimate,
    model.pareto,
    synth.synth,
    model.summary,
    board.boards,
    board.predict,
    weights.weights,
    weights.old_pack,
    weights.old_load,
    doctor.doctor,
):
    main.add_command(command)


if __name__ == "__main__":
    main()
