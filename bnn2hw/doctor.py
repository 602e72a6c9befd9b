"""What this machine has of what bnn2hw can use."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

from bnn2hw import tools
from bnn2hw.errors import MissingToolError


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
    return [
        _package("keras", "reading models"),
        _package("tensorflow", "running Keras", "tensorflow-cpu"),
        _tool("verilator", tools.verilator, "simulation"),
        _tool("C++ compiler", tools.cxx, "simulation"),
    ]


def _package(name: str, enables: str, distribution: str | None = None) -> Finding:
    found = None
    if importlib.util.find_spec(name):
        for candidate in (name, distribution or name):
            try:
                found = f"{candidate} {metadata.version(candidate)}"
                break
            except metadata.PackageNotFoundError:
                continue
    return Finding(name, found, enables, f"pip install {distribution or name}", needed=True)


def _tool(name: str, find: Callable[[], tools.Tool], enables: str) -> Finding:
    try:
        tool = find()
    except MissingToolError as error:
        return Finding(name, None, enables, str(error).split("; ", 1)[-1], needed=True)
    return Finding(name, f"{tool.command} {tool.release}", enables, "", needed=True)
