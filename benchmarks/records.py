"""Records of figures: JSON files that know how old each row of a table is, and the tables printed from them.

A record belongs to one benchmark and holds its tables. A row has its cells as they are printed, the day, the machine,
the versions of the tools, and a hash of everything that the figures depend on. A row is stale when that hash is another
one today. Pages (Markdown) hold each table between two comments; `write_page` prints it anew from the record.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import re
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bnn2hw import tools
from bnn2hw.backends.design import Design

HERE = Path(__file__).parent
ROOT = HERE.parent

NOT_MEASURED = "No row of this table is measured yet."
"""What a page says where a record has nothing."""

UNKNOWN = "unknown"
"""The hash of rows that were measured before rows had one: they are stale."""


def processor() -> str:
    """Return what the machine calls its processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine()
    )


def machine() -> str:
    """Return the processor and the number of cores."""
    return f"{processor()}, {os.cpu_count()} cores"


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of packages."""
    return {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in packages}}


def yosys() -> dict[str, str]:
    """Return the version of Yosys."""
    return {"yosys": tools.yosys().release}


def without_comments(text: str) -> str:
    """Return a Verilog or C++ text without its comments and empty lines."""
    bare = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    return "\n".join(line.rstrip() for line in bare.splitlines() if line.strip())


def code_of(text: str) -> str:
    """Return a Python text without its comments, docstrings and empty lines."""
    lines = text.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column] + "\n"
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            lines[node.lineno - 1 : node.end_lineno] = ["\n"] * ((node.end_lineno or 0) - node.lineno + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


SIMULATOR = ("sim/design.cpp", "sim/harness.cpp", "sim/harness.hpp", "sim/hls")
"""What simulations of hardware and of its C++ sources are compiled with."""

C_LIKE = (".cpp", ".hpp", ".h", ".sv.j2", ".cpp.j2", ".hpp.j2", ".h.j2")
"""Ends of the names of files whose comments are those of Verilog and C++."""


def _code(path: Path) -> str:
    """Return a file without what no figure depends on."""
    text = path.read_text()
    if path.suffix == ".py":
        return code_of(text)
    return without_comments(text) if path.name.endswith(C_LIKE) else text


def hash_of(*parts: object) -> str:
    """Return a short hash of data that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def hardware(design: Design, *more: object) -> str:
    """Return the hash of a figure of hardware: of the rendered files without comments, and what more it depends on."""
    files = {name: without_comments(text) for name, text in design.files.items()}
    return hash_of(sorted(files.items()), *more)


def sources(*paths: str, more: Sequence[object] = ()) -> str:
    """Return the hash of a figure of speed: of all files under some paths of the repository, without their comments."""
    found = [
        p for path in paths for p in ([ROOT / path] if (ROOT / path).is_file() else (ROOT / path).rglob("*"))
    ]
    texts = {
        str(p.relative_to(ROOT)): _code(p) for p in found if p.suffix in (".py", ".j2", ".cpp", ".hpp", ".h")
    }
    return hash_of(sorted(texts.items()), *more)


@dataclass
class Record:
    """The figures of one benchmark.

    Attributes:
        name: Name of the benchmark; the file is `<name>.json`.
        tables: By table its columns and rows.
    """

    name: str
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The record's file."""
        return HERE / f"{self.name}.json"

    @staticmethod
    def read(name: str) -> Record:
        """Read a record; an empty one if there is none yet."""
        record = Record(name)
        if record.path.exists():
            record.tables = json.loads(record.path.read_text())["tables"]
        return record

    def save(self) -> None:
        """Write the file."""
        self.path.write_text(json.dumps({"tables": self.tables}, indent=1, ensure_ascii=False) + "\n")

    def rows(self, table: str) -> dict[str, dict[str, Any]]:
        """Return the rows of a table by key."""
        found: dict[str, dict[str, Any]] = self.tables.get(table, {}).get("rows", {})
        return found

    def add(
        self, table: str, key: str, cells: Mapping[str, str], depends: str, tool_versions: Mapping[str, str]
    ) -> None:
        """Put a measured row in its place and save the record.

        Args:
            table: Name of the table.
            key: Name of the row.
            cells: Text by column, in the order of the columns.
            depends: Hash of what the figures depend on.
            tool_versions: Versions of the tools that took part.
        """
        here = self.tables.setdefault(table, {"columns": list(cells), "rows": {}})
        here["columns"] = list(cells)
        here["rows"][key] = {
            "cells": dict(cells),
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine(),
            "versions": dict(tool_versions),
            "depends": depends,
        }
        self.save()

    def markdown(self, table: str, keys: Iterable[str] | None = None) -> str:
        """Print a table, with a last column that says when a row was measured."""
        columns, rows = self.tables[table]["columns"], self.rows(table)
        lines = [f"| {' | '.join((*columns, 'measured'))} |", "| --- |" + " ---: |" * len(columns)]
        for key in keys or rows:
            cells = [rows[key]["cells"].get(c, "–") for c in columns]
            lines.append(f"| {' | '.join((*cells, rows[key]['date']))} |")
        return "\n".join(lines)

    def write_page(self, page: Path | None = None) -> None:
        """Print the tables of a page from the record, between the comments that name them."""
        page = page or self.path.with_suffix(".md")
        named = re.compile(rf"(<!-- table {self.name}\.(.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
        page.write_text(named.sub(lambda m: f"{m[1]}{self._printed(m[2])}\n{m[3]}", page.read_text()))

    def _printed(self, table: str) -> str:
        return self.markdown(table) if self.rows(table) else NOT_MEASURED
