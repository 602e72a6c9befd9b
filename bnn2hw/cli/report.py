"""The command that writes the report of a design again, from the results that other commands keep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnn2hw.cli import options as shared
from bnn2hw.cli.progress import say, spinner
from bnn2hw.errors import StorageError

if TYPE_CHECKING:
    from bnn2hw.accelerator import Accelerator


@click.command()
@shared.folder_argument
@shared.path("-o", "--out", help="File to write. Default: report.html in the folder.")
@click.option("--front", is_flag=True, help="Search the cheapest folding for each rate, and show them.")
@shared.as_json
def report(folder: Path, out: Path | None, front: bool, as_json: bool) -> None:
    """Write the HTML report of a design.

    FOLDER is a folder that 'bnn2hw compile' wrote. The report shows the simulations and the synthesis
    that 'bnn2hw simulate' and 'bnn2hw synth' kept in it.
    """
    import bnn2hw
    from bnn2hw import folders
    from bnn2hw.artifacts import records, write
    from bnn2hw.report import page

    if out:
        page.claim(out)
    accelerator = bnn2hw.load(folder)
    accelerator.need_hardware("a report")
    with spinner(as_json) as progress:
        points = bnn2hw.pareto(accelerator, progress=progress) if front else None
        progress("drawing")
        if front or not out:
            records.keep(folder, accelerator, front=points)
        if out:
            folders.write_text(out, page.page(records.collect(folder, accelerator)))
    written = out or folder / write.REPORT
    if as_json:
        click.echo(json.dumps({"file": str(written)}))
    else:
        say(f"written to {written}")


def keep(folder: Path, accelerator: Accelerator, **results: Any) -> None:
    """Keep results in a build folder, or warn if it cannot be written or holds another design by now.

    Args:
        folder: The build folder.
        accelerator: The design in it.
        **results: See `artifacts.records.keep`.
    """
    from bnn2hw.artifacts import records

    try:
        records.keep(folder, accelerator, **results)
    except (StorageError, records.OtherDesignError) as error:
        click.echo(f"warning: the report does not show this: {error}", err=True)
