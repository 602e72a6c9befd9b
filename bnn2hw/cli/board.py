"""The command that lists the boards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from bnn2hw.cli import options as shared

if TYPE_CHECKING:
    from bnn2hw.targets.boards import Board


@click.command()
@shared.as_json
def boards(as_json: bool) -> None:
    """List the boards and their uses."""
    from bnn2hw import tables
    from bnn2hw.targets import boards

    rows = [_facts(b) for b in boards.known().values()]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    left, right = ("board", "full name", "device", "gives"), ("LUT", "BRAM", "MHz")
    table = tables.Table("boards", left, right, drops=("full name", "BRAM", "gives"))
    for r in rows:
        words = (r["name"], r["title"], r["device"], "; ".join(r["uses"]))
        table.add(*words, f"{r['lut']:,}", str(r["bram"]), f"{r['clock_mhz']:g}")
    click.echo(table.fitted(tables.terminal_width()), nl=False)


def _facts(board: Board) -> dict[str, Any]:
    """Return what --json prints of a board."""
    serial = board.serial
    return {
        "name": board.name,
        "title": board.title,
        "uses": list(board.uses),
        "device": board.device.name,
        "oscillator_mhz": serial.oscillator_mhz if serial else None,
        "clock_mhz": board.clock_mhz,
        "baud": serial.baud if serial else None,
        "lut": board.device.lut,
        "bram": board.device.bram,
        "memory": board.memory,
        "program": serial.program if serial else None,
    }
