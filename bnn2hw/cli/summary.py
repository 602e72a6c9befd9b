"""The command that counts the weights, the memory and the operations of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnn2hw.cli import options as shared

if TYPE_CHECKING:
    from bnn2hw.nn.models import ModelProfile
    from bnn2hw.tables import Table


@click.command()
@shared.model_argument
@click.option("--no-macs", is_flag=True, help="Leave out multiply-accumulate operations.")
@shared.imports
@shared.as_json
def summary(model: Path, no_macs: bool, imports: tuple[str, ...], as_json: bool) -> None:
    """Print weights, memory and operations of a model.

    MODEL is a .keras or .h5 file. The figures are given by precision; they need no hardware.
    """
    from bnn2hw import frameworks
    from bnn2hw.cli import own_code
    from bnn2hw.tables import terminal_width, wrapped

    if as_json:
        shared.refuse({"no_macs"}, "JSON has all figures; leave out one of the two")
    own = own_code.objects(imports)
    files = frameworks.load("bnn2hw.importers.keras.files")
    with frameworks.load("keras").saving.CustomObjectScope(own):
        read = files.load(model)
    counted: ModelProfile = frameworks.load("bnn2hw.nn.models").profile(read)
    if as_json:
        click.echo(json.dumps(counted.as_dict(), indent=1))
        return
    width = terminal_width()
    totals = (f"{name}: {_cell(value)}" for name, value in counted.generate_summary(not no_macs))
    click.echo(_table(counted, macs=not no_macs).fitted(width) + wrapped(totals, width))


def _table(counted: ModelProfile, *, macs: bool) -> Table:
    """Return a table with a row per layer. Narrow terminals have the figures of low precision.

    Args:
        counted: The profile of the model.
        macs: Whether to count operations.
    """
    from bnn2hw.tables import Table

    bits = counted.unique_param_bidtwidths
    precisions = counted.unique_op_precisions if macs else []
    weights = [f"{b}-bit weights" for b in bits]
    operations = [f"{b}-bit MACs" for b in precisions]
    left, right = ("layer", "output"), ("input bits", *weights, "KiB", *operations)
    drops = ("output", "input bits", *reversed(weights), *reversed(operations[1:]))
    table = Table(counted.name, left, right, drops=drops)
    for layer in counted.layer_profiles:
        precision, _, *figures = layer.row(bits, precisions)[1:]
        table.add(layer.name, _shape(layer.output_shape), str(precision), *map(_cell, figures))
    table.add_section()
    table.add("total", "", "", *map(_cell, counted.row(bits, precisions)[3:]))
    return table


def _shape(shape: Any) -> str:
    """Return the shape of one frame; "several" if there are several outputs, "?" if it is unknown."""
    if isinstance(shape, tuple):
        return "×".join("?" if size < 0 else str(size) for size in shape[1:])
    return "several" if shape else "?"


def _cell(value: str | float | None) -> str:
    """Return the text of a figure; "?" if it is unknown."""
    if value is None:
        return "?"
    if isinstance(value, str):
        return value
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
