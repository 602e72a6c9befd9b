"""The table of a study as a file: CSV, or Parquet."""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bnn2hw import exchange, folders
from bnn2hw.errors import InputError, MissingToolError, storing, unreadable
from bnn2hw.studies.points import Row, Value

WORDS = ("target", "style", "state", "reason", "synth_reason", "folding", "settings", "model", "key")
WHOLE = (
    "point",
    "bits",
    "interval",
    "pixels",
    "lut",
    "ff",
    "bram",
    "dsp",
    "synth_lut",
    "synth_ff",
    "synth_bram",
    "synth_dsp",
)
COLUMNS = (
    *(
        "point",
        "target",
        "bits",
        "style",
        "asked_fps",
        "state",
        "reason",
        "fps",
        "interval",
        "latency_us",
        "pixels",
    ),
    *("lut", "ff", "bram", "dsp", "use", "deviation", "accuracy"),
    *("synth_lut", "synth_ff", "synth_bram", "synth_dsp", "synth_mhz", "synth_reason"),
    *("within_limits", "front", "folding", "settings", "model", "key"),
)
"""Columns, in their order. Those that are neither words nor whole numbers are real numbers, or 0 and 1."""

CSV, PARQUET = ".csv", ".parquet"


def check(path: Path) -> None:
    """Check that a table can be written, before the work.

    Raises:
        InputError: The file is of another kind, or holds something else than a study.
        MissingToolError: Parquet files need a package that is missing.
        StorageError: It cannot be written.
    """
    if path.suffix not in (CSV, PARQUET):
        raise InputError(f"a study is written to a .csv or .parquet file, not to '{path}'")
    if path.suffix == PARQUET:
        _pyarrow()
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    for file in {path, journal(path)}:
        folders.claim_file(file)
        if file.exists() and file.stat().st_size:
            read(file)


def journal(path: Path) -> Path:
    """Return the file that takes each point as soon as it is finished: the table itself, if it is a CSV."""
    return path if path.suffix == CSV else path.with_suffix(".partial.csv")


def append(path: Path, row: Row) -> None:
    """Add a finished point to a journal.

    Raises:
        StorageError: It cannot be written.
    """
    line = io.StringIO(newline="")
    writer = csv.DictWriter(line, COLUMNS)
    with storing(path), path.open("ab") as file:
        if not file.tell():
            writer.writeheader()
        writer.writerow(row)
        file.write(line.getvalue().encode())  # in one piece, so that no other process writes in between


def write(path: Path, rows: Sequence[Row]) -> None:
    """Replace a table by all rows.

    Raises:
        StorageError: It cannot be written.
    """
    with storing(path), exchange.draft(path) as fresh:
        _write(fresh, path.suffix, rows)
    if path.suffix == PARQUET:
        journal(path).unlink(missing_ok=True)


def _write(path: Path, suffix: str, rows: Sequence[Row]) -> None:
    if suffix == PARQUET:
        columns = {name: [row.get(name) for row in rows] for name in COLUMNS}
        _pyarrow("parquet").write_table(_pyarrow().table(columns), path)
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> list[Row]:
    """Read the table of a study, or a journal; a last line that was cut off is left out.

    Raises:
        InputError: The file does not exist, or holds no study.
        StorageError: It cannot be read.
    """
    try:
        if path.suffix == PARQUET:
            return _known(path, _pyarrow("parquet").read_table(path).to_pylist())
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        return _known(path, csv.DictReader(line for line in lines if line.endswith("\n")))
    except OSError as error:
        raise unreadable(f"the study '{path}'", error) from error
    except (csv.Error, ValueError) as error:
        raise InputError(f"'{path}' holds no study of bnn2hw: {error}") from error


def _known(path: Path, rows: Iterable[dict[str, Any]]) -> list[Row]:
    """Return rows with their types.

    Raises:
        InputError: Columns are missing.
    """
    found = list(rows)
    if any(set(COLUMNS) - set(row) for row in found):
        raise InputError(f"'{path}' holds no study of bnn2hw: columns are missing")
    whole = [
        row for row in found if row["key"] not in ("", None, "key")
    ]  # two processes may both begin a file
    return [{name: _value(name, row[name]) for name in COLUMNS} for row in whole]


def _value(name: str, value: Any) -> Value:
    if value in ("", None):
        return None
    return str(value) if name in WORDS else int(value) if name in WHOLE else float(value)


def _pyarrow(part: str = "") -> Any:
    """Import pyarrow, or a module of it.

    Raises:
        MissingToolError: It is not installed.
    """
    try:
        return importlib.import_module(f"pyarrow.{part}" if part else "pyarrow")
    except ImportError as error:
        raise MissingToolError(
            "Parquet files need pyarrow: pip install pyarrow, or name a .csv file"
        ) from error
