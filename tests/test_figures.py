"""Figures know their age: a row is stale when what it depends on changes, and pages are printed from records."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests.support import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def modules() -> Iterator[tuple[ModuleType, ModuleType]]:
    """The modules `records` and `figures`, which are scripts and no part of the package."""
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("records"), importlib.import_module("figures")
    sys.path.remove(str(BENCHMARKS))


def test_rows_grow_stale_and_are_measured_anew(
    modules: tuple[ModuleType, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, figures = modules
    monkeypatch.setattr(records, "HERE", tmp_path)
    monkeypatch.setattr(records, "ROOT", tmp_path)
    states: Iterator[int] = itertools.count()
    monkeypatch.setattr(figures, "state", lambda: str(next(states)))
    (tmp_path / "toy.md").write_text("# Toy\n\n<!-- table toy.sizes -->\nold\n<!-- end -->\n")
    digests = {"small": "1", "large": "2"}
    measured: list[str] = []

    def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
        measured.append(row)
        return {"name": row, "LUT": "7"}, {"yosys": "0.70"}

    toy = SimpleNamespace(RECORD="toy", current=lambda: {"sizes": digests}, measure=measure)
    monkeypatch.setattr(figures, "load", lambda name: toy)
    records.Record.read("toy").write_page()
    assert "No row of this table is measured yet." in (tmp_path / "toy.md").read_text()

    assert figures.check(["toy"]) == 2
    figures.measure(["toy"])
    assert measured == ["small", "large"]
    assert figures.check(["toy"]) == 0
    digests["large"] = "3"
    assert figures.check(["toy"]) == 1
    figures.measure(["toy"])
    assert measured == ["small", "large", "large"]

    row = records.Record.read("toy").rows("sizes")["large"]
    assert row["depends"] == "3"
    assert row["versions"] == {"yosys": "0.70"}
    assert {"date", "machine", "cells"} <= set(row)
    assert f"| small | 7 | {row['date']} |" in (tmp_path / "toy.md").read_text()


def test_hashes_of_unchanged_sources_are_kept(
    modules: tuple[ModuleType, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, figures = modules
    monkeypatch.setattr(records, "ROOT", tmp_path)
    monkeypatch.setattr(figures, "SOURCES", ("templates/*",))
    (tmp_path / "templates").mkdir()
    template = tmp_path / "templates" / "a.sv.j2"
    rendered: list[str] = []

    def current() -> dict[str, dict[str, str]]:
        rendered.append(template.read_text())
        return {"sizes": {"small": rendered[-1]}}

    toy = SimpleNamespace(RECORD="toy", current=current)
    for text in ("one", "one", "two", "two"):
        template.write_text(text)
        assert figures.today(toy) == {"sizes": {"small": text}}

    assert rendered == ["one", "two"]


def test_comments_do_not_make_figures_stale(modules: tuple[ModuleType, ModuleType]) -> None:
    records, _ = modules

    plain = records.without_comments("module a;\n  assign x = 1;\nendmodule\n")

    assert (
        records.without_comments(
            "// head\n\nmodule a;  // why\n  /* two\n lines */\n  assign x = 1;\nendmodule\n"
        )
        == plain
    )


def test_docstrings_do_not_make_figures_stale(
    modules: tuple[ModuleType, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, _ = modules
    monkeypatch.setattr(records, "ROOT", tmp_path)
    told = '"""What\nit is."""\n\nLIMIT = 3  # "#" starts a comment\n"""The limit."""\n\n\ndef f():\n    """Say."""\n    return "# x"\n'

    def digest(text: str) -> str:
        (tmp_path / "a.py").write_text(text)
        return records.sources("a.py")

    assert digest(told) == digest('LIMIT = 3\ndef f():\n    return "# x"\n')
    assert digest(told) != digest(told.replace("# x", "# y"))


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in BENCHMARKS.glob("*.md") if "<!-- table " in p.read_text())
)
def test_pages_are_printed_from_their_records(
    name: str, modules: tuple[ModuleType, ModuleType], tmp_path: Path
) -> None:
    records, _ = modules
    page = BENCHMARKS / f"{name}.md"
    (tmp_path / page.name).write_text(page.read_text())

    records.Record.read(name).write_page(tmp_path / page.name)

    assert (tmp_path / page.name).read_text() == page.read_text()
