"""Check which of the programs and packages that bnn2hw can use are installed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import click

from bnn2hw.cli import options as shared
from bnn2hw.errors import MissingToolError

if TYPE_CHECKING:
    from bnn2hw.tools import Tool


@dataclass(frozen=True)
class Finding:
    """A program or package.

    Attributes:
        name: Name of it.
        found: Command or distribution, with its version; None if it is missing.
        enables: What bnn2hw does with it.
        remedy: How to install it, if it is missing.
        needed: Whether `compile` and `simulate` need it.
    """

    name: str
    found: str | None
    enables: str
    remedy: str
    needed: bool


@click.command()
@shared.as_json
def doctor(as_json: bool) -> None:
    """Check which programs and packages are installed.

    The list shows what each of them enables. The exit status is 3 if something is missing that
    'compile' or 'simulate' needs.
    """
    findings = examine()
    if as_json:
        click.echo(json.dumps([f.__dict__ for f in findings], indent=1))
    else:
        _print(findings)
    sys.exit(0 if all(f.found or not f.needed for f in findings) else 3)


def _print(findings: list[Finding]) -> None:
    """Print what was found, and how to install the rest."""
    from bnn2hw.tables import INDENT, Table, terminal_width, wrapped

    table = Table("programs and packages", ("name", "", "found", "for"), (), drops=("for", "found"))
    for f in findings:
        table.add(f.name, "ok" if f.found else "missing", (f.found or "").rpartition("/")[2], f.enables)
    width = terminal_width()
    click.echo(table.fitted(width), nl=False)
    for f in findings:
        if not f.found:
            click.echo(wrapped([f"{f.name} is missing, for {f.enables}:"], width))
            click.echo(f"{INDENT}{f.remedy}")


def examine() -> list[Finding]:
    """Look for every program and package that bnn2hw can use."""
    from bnn2hw import tools
    from bnn2hw.targets import families

    with_router = [(f.name, f.router) for f in families.known().values() if f.router]
    routers = [
        (f"nextpnr-{r.architecture}", partial(tools.nextpnr, r.architecture), f"place and route, {family}")
        for family, r in with_router
    ]
    packers = [
        (r.packer, partial(tools.packer, r.packer, r.packer_package), f"bitstreams, {family}")
        for family, r in with_router
    ]
    return [
        _package("keras", "reading models"),
        _backend(),
        _tool("verilator", tools.verilator, "simulation, simulated boards"),
        _tool("C++ compiler", tools.cxx, "simulation, simulated boards"),
        _tool("yosys", tools.yosys, "synthesis: area of every family, netlists", needed=False),
        *(_tool(name, find, enables, needed=False) for name, find, enables in [*routers, *packers]),
        _package("serial", "talking to a board", "pyserial", needed=False),
        _program("openFPGALoader", "programming most boards", "see trabucayre.github.io/openFPGALoader"),
        _program("iceprog", "programming iCE40 boards", "part of Project IceStorm"),
    ]


def _program(name: str, enables: str, remedy: str) -> Finding:
    """Look for a program that bnn2hw does not start, but whose command line it prints."""
    import shutil

    return Finding(name, shutil.which(name), enables, remedy, needed=False)


def _package(name: str, enables: str, distribution: str | None = None, *, needed: bool = True) -> Finding:
    """Look for a Python package, which may be installed by a distribution of another name."""
    import importlib.util
    from importlib import metadata

    found = None
    if importlib.util.find_spec(name):
        for candidate in (name, distribution or name):
            try:
                found = f"{candidate} {metadata.version(candidate)}"
                break
            except metadata.PackageNotFoundError:
                continue
    return Finding(name, found, enables, f"pip install {distribution or name}", needed)


def _backend() -> Finding:
    """Look for the package on which Keras runs."""
    from bnn2hw import frameworks

    frameworks.choose_backend()
    name = frameworks.backend()
    return _package(name, "running Keras", "tensorflow-cpu" if name == "tensorflow" else None)


def _tool(name: str, find: Callable[[], Tool], enables: str, *, needed: bool = True) -> Finding:
    """Look for a program that bnn2hw starts."""
    try:
        tool = find()
    except MissingToolError as error:
        return Finding(name, None, enables, str(error).split("; ", 1)[-1], needed)
    command = f"py{name}" if tool.command == sys.executable else tool.command
    return Finding(name, f"{command} {tool.release}".strip(), enables, "", needed)
