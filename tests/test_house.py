"""The structure of the source tree: rooms, floors, import circles, sizes, and who knows whom."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import house
from tests.support.house import Tree

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Tree(ROOT, "bnn2hw")
TESTS = Tree(ROOT, "tests")

FLOORS = tuple(
    map(
        frozenset,
        (
            {"deprecation", "errors", "progress", "version"},
            {"exchange", "frameworks"},
            {
                "checks",
                "compile_cache",
                "data_files",
                "folders",
                "nn",
                "tables",
                "targets",
                "tools",
                "untrusted",
            },
            {"ir", "workers"},
            {"ops"},
            {"estimate", "golden", "importers"},
            {"lower", "native"},
            {"error_bounds"},
            {"agreement", "backends", "dataflow", "deviation", "inputs"},
            {"comparison"},
            {"compiled", "folding", "simulation", "synthesis"},
            {"formal"},
            {"deploy", "pipeline", "report", "results"},
            {"artifacts", "origins", "reload"},
            {"computed"},
            {"accelerator"},
            {"compiler"},
            {"studies"},
            {"", "host"},
            {"cli"},
            {"__main__"},
        ),
    )
)
"""Rooms by floor, the lowest first: a module imports from its own room and from lower floors."""


def test_no_import_circles() -> None:
    assert not house.circles(PACKAGE)
    assert not house.circles(TESTS)


def test_imports_run_downward() -> None:
    assert not house.upward_imports(PACKAGE, FLOORS)


def test_the_table_of_rooms_is_complete_and_in_the_order_of_imports() -> None:
    *rows, last, outside = house.rows_of((ROOT / "ARCHITECTURE.md").read_text().partition("| room |")[2])

    assert not house.upward_imports(PACKAGE, [*rows, frozenset({""}), last], level=True)
    assert all((ROOT / name).is_dir() for name in outside)


def test_the_training_side_stands_apart() -> None:
    assert not house.imports_of(PACKAGE, "nn", allowed=frozenset({"bnn2hw.version", "bnn2hw.frameworks"}))


def test_file_sizes() -> None:
    assert not house.large_files(PACKAGE)
    assert not house.large_files(TESTS)


def test_manners() -> None:
    assert not house.bad_manners(PACKAGE)


def test_tests_go_through_public_names() -> None:
    assert not house.looks_into_privates(TESTS, "bnn2hw")


def test_docstrings_name_a_thing_or_begin_with_a_verb() -> None:
    assert not house.odd_docstrings(PACKAGE)
    assert not house.odd_docstrings(TESTS)


def test_a_family_is_known_by_its_record_alone() -> None:
    records = (ROOT / "bnn2hw/targets/data/families").glob("*.toml")
    families = frozenset(record.stem for record in records) - {"generic"}
    allowed = frozenset({"bnn2hw.targets.devices", "bnn2hw.simulation.hls_csim"})  # DEFAULT, $XILINX_HLS

    assert not house.named(PACKAGE, families, allowed)


def test_ops_know_no_backend_and_backends_no_op() -> None:
    from bnn2hw.ops import HARDWARE_OPS

    ops = {op.__name__ for op in HARDWARE_OPS}
    for module, tree in PACKAGE.parsed.items():
        if PACKAGE.room(module) == "backends":
            names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            assert not names & ops, module
        if PACKAGE.room(module) == "ops":
            assert "verilog" not in PACKAGE.files[module].read_text().lower(), module


def broken(folder: Path, **files: str) -> Tree:
    """A package of two rooms, `low` and `high`, with some files replaced."""
    whole = {"__init__": "", "low": "", "high/__init__": "", "high/a": "from pkg import low\n", **files}
    for name, text in whole.items():
        path = folder / "pkg" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree(folder, "pkg")


def floors_of(tree: Tree) -> list[str]:
    return house.upward_imports(tree, (frozenset({"", "low"}), frozenset({"high"})))


def peeping(tree: Tree) -> list[str]:
    return house.looks_into_privates(tree, "bnn2hw")


HINT = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pkg.high import a\n"
BROKEN: dict[str, tuple[Callable[[Tree], list[str]], dict[str, str], str]] = {
    "a circle": (house.circles, {"low": "from pkg.high.a import x\n"}, "import circle"),
    "a circle for type checkers": (house.circles, {"low": HINT}, "import circle"),
    "a circle in a function": (house.circles, {"low": "def f():\n    import pkg.high.a\n"}, "import circle"),
    "a circle of three": (
        house.circles,
        {"low": "import pkg.high.b\n", "high/b": "from pkg.high import a\n"},
        "import circle",
    ),
    "an import upward": (
        floors_of,
        {"low": "from pkg.high import b\n", "high/b": ""},
        "not on a lower floor",
    ),
    "a room without a floor": (floors_of, {"new": ""}, "room 'new' has no floor"),
    "a large file": (house.large_files, {"low": "x = 1\n" * 401}, "401 lines"),
    "an assertion": (house.bad_manners, {"low": "assert True\n"}, "pkg.low:1"),
    "a bare exception": (house.bad_manners, {"low": "raise Exception('no')\n"}, "pkg.low:1"),
    "a family in code": (
        lambda tree: house.named(tree, frozenset({"ecp5"})),
        {"low": 'NAME = "ecp5"\n'},
        "pkg.low:1 names ecp5",
    ),
    "a test of a private": (peeping, {"low": "from bnn2hw import a\na._b()\n"}, "the private _b"),
    "a test that takes a private": (peeping, {"low": "from bnn2hw.a import _b\n"}, "the private _b"),
    "a test that replaces a private": (
        peeping,
        {"low": "def f(m, a):\n    m.setattr(a, '_b', 1)\n"},
        "the private _b",
    ),
    "a question as a docstring": (house.odd_docstrings, {"low": '"""Where it is."""\n'}, "Where it is"),
}


@pytest.mark.parametrize(("check", "files", "fault"), BROKEN.values(), ids=BROKEN)
def test_each_check_fails_on_a_broken_tree(
    check: Callable[[Tree], list[str]], files: dict[str, str], fault: str, tmp_path: Path
) -> None:
    assert not check(broken(tmp_path / "whole"))

    [found] = check(broken(tmp_path / "broken", **files))

    assert fault in found
