"""What this machine has of what bnn2hw can use."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata

from bnn2hw import tools
from bnn2hw.errors import MissingToolError
from bnn2hw.targets import families


@dataclass(frozen=True)
class Finding:
    """One piece: what was found of it, what it enables, and how to get it where it is missing."""

    name: str
    found: str | None
    enables: str
    remedy: str
    needed: bool


def examine() -> list[Finding]:
    """Look for everything that bnn2hw drives."""
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
        _package("tensorflow", "running Keras", "tensorflow-cpu"),
        _tool("verilator", tools.verilator, "simulation, simulated boards"),
        _tool("C++ compiler", tools.cxx, "simulation, simulated boards"),
        _tool("yosys", tools.yosys, "synthesis: area of every family, netlists", needed=False),
        *(_tool(name, find, enables, needed=False) for name, find, enables in [*routers, *packers]),
        _package("serial", "talking to a board", "pyserial", needed=False),
        _program("openFPGALoader", "programming most boards", "see trabucayre.github.io/openFPGALoader"),
        _program("iceprog", "programming iCE40 boards", "part of Project IceStorm"),
    ]


def _program(name: str, enables: str, remedy: str) -> Finding:
    """A program that bnn2hw does not start, but whose command line it prints."""
    return Finding(name, shutil.which(name), enables, remedy, needed=False)


def _package(name: str, enables: str, distribution: str | None = None, *, needed: bool = True) -> Finding:
    found = None
    if importlib.util.find_spec(name):
        for candidate in (name, distribution or name):
            try:
                found = f"{candidate} {metadata.version(candidate)}"
                break
            except metadata.PackageNotFoundError:
                continue
    return Finding(name, found, enables, f"pip install {distribution or name}", needed)


def _tool(name: str, find: Callable[[], tools.Tool], enables: str, *, needed: bool = True) -> Finding:
    try:
        tool = find()
    except MissingToolError as error:
        return Finding(name, None, enables, str(error).split("; ", 1)[-1], needed)
    return Finding(name, f"{tool.command} {tool.release}".strip(), enables, "", needed)
