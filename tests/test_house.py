"""The house holds: imports run downward only, and the training side stands apart."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support import ROOT

PACKAGE = ROOT / "bnn2hw"
FLOORS = (
    {"errors", "deprecation"},
    {"targets", "ir"},
    {"ops", "golden", "estimate", "backends", "tools"},
    {
        "artifacts",
        "dataflow",
        "folding",
        "deploy",
        "synthesis",
        "simulation",
        "lower",
        "importers",
        "fold",
        "streams",
        "storage",
        "doctor",
        "report",
    }
    | {"deviation"},
    {},
    {""},
    {"cli"},
)
SAME_FLOOR = {("golden", "ops"), ("estimate", "ops"), ("backends", "ops")}
"""Packages of one floor that may use another of it."""

LAZY = {("importers", "nn"), ("cli", "nn"), ("", "accelerator")}
"""Imports inside functions: reading a file needs the layer classes."""


def files() -> list[Path]:
    return [p for p in sorted(PACKAGE.rglob("*.py")) if "nn" not in p.relative_to(PACKAGE).parts[:1]]


def part(path: Path) -> str:
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if name == "__init__" else name


def floor(name: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if name in rooms)


def imports(path: Path, *, lazy: bool) -> set[str]:
    """Parts of the package that a file imports, at its head or inside of functions."""
    tree = ast.parse(path.read_text())
    inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    hints = {
        id(n)
        for i in ast.walk(tree)
        if isinstance(i, ast.If) and "TYPE_CHECKING" in ast.dump(i.test)
        for n in ast.walk(i)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in hints or (id(node) in inside) != lazy:
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "bnn2hw":
            found |= {a.name if floor_known(a.name) else "" for a in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bnn2hw."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {[*a.name.split("."), ""][1] for a in node.names if a.name.split(".")[0] == "bnn2hw"}
    return found


def floor_known(name: str) -> bool:
    return name == "nn" or any(name in rooms for rooms in FLOORS)


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downward(path: Path) -> None:
    here = part(path)

    for there in imports(path, lazy=False) - {here}:
        assert there != "nn", f"{path} imports the training side"
        assert floor(there) < floor(here) or (here, there) in SAME_FLOOR or _peers(here, there), (
            f"{here} imports {there}"
        )
    for there in imports(path, lazy=True) - {here}:
        assert (here, there) in LAZY or floor(there) < floor(here), (
            f"{here} imports {there} inside a function"
        )


def _peers(here: str, there: str) -> bool:
    """Rooms of one floor may use a room that uses none of them back."""
    if floor(here) != floor(there):
        return False
    back = {i for p in files() if part(p) == there for i in imports(p, lazy=False)}
    return here not in back


def test_the_training_side_stands_apart() -> None:
    for path in (PACKAGE / "nn").rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bnn2hw"):
                version = node.module == "bnn2hw" and [a.name for a in node.names] == ["__version__"]
                assert version or (node.module or "").startswith("bnn2hw.nn"), f"{path} imports {node.module}"


def test_every_file_has_a_room() -> None:
    assert {part(p) for p in files()} <= {room for rooms in FLOORS for room in rooms}


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_sizes_and_manners(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)

    assert text.count("\n") <= 400, "split it"
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.Assert)], "raise an error of ours instead"
    assert "raise Exception" not in text


def test_backends_know_no_op_and_ops_no_backend() -> None:
    from bnn2hw.ops import HARDWARE_OPS

    for path in (PACKAGE / "backends").glob("*.py"):
        names = {n.id for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Name)}
        assert not names & {op.__name__ for op in HARDWARE_OPS}, path
    for path in (PACKAGE / "ops").glob("*.py"):
        assert "verilog" not in path.read_text().lower(), path
