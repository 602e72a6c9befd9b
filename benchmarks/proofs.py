"""Proofs of small instances of all ops, and that forms of families are equal to the portable ones.

make prove                              prove all, print the table and write record and page
python benchmarks/figures.py proofs     prove anew what is stale
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import records  # noqa: E402

from bnn2hw import tools  # noqa: E402
from bnn2hw.formal import SECONDS, engine  # noqa: E402
from bnn2hw.formal import prove as formal  # noqa: E402
from bnn2hw.formal.harness import Harness  # noqa: E402
from bnn2hw.formal.instances import Instance, instances  # noqa: E402
from bnn2hw.targets.families import Family  # noqa: E402
from tests.support import forms, module_proofs, ops  # noqa: E402

RECORD = "proofs"

WORKERS = 2
"""Ops at the same time."""


def _hash(instance: Instance) -> str:
    op, x = instance
    harness = Harness.of(op, *x)
    own = {name: records.without_comments(text) for name, text in harness.files.items()}
    return records.hash_of(sorted(own.items()), SECONDS, engine.PASSES)


def _forms() -> dict[str, tuple[str, Family]]:
    """Return the modules with the families that have forms of them, by the name of the row."""
    return {
        f"{module}, {family.name}": (module, family)
        for module in forms.PARAMETERS
        for family in ops.WITH_FORMS
        if module in ops.forms_of(family)
    }


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    pairs = {
        row: records.hash_of(
            *map(records.without_comments, (forms.text(module), forms.text(module, family))),
            forms.PARAMETERS[module],
        )
        for row, (module, family) in _forms().items()
    }
    modules = {
        row: records.hash_of(
            {name: records.without_comments(text) for name, text in subject.files.items()},
            SECONDS,
            engine.PASSES,
        )
        for row, subject in module_proofs.SUBJECTS.items()
    }
    return {
        "ops": {name: _hash(instance) for name, instance in instances().items()},
        "modules": modules,
        "forms": pairs,
    }


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the cells of a row and the versions of the tools."""
    return {"ops": _of_op, "modules": _of_module, "forms": _of_form}[table](row)


def _of_module(row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Decide the properties of a module that is no op."""
    found = module_proofs.decide(module_proofs.SUBJECTS[row], SECONDS)
    if found.pop(module_proofs.REACHED).kind != engine.REFUTED:
        raise SystemExit(f"{row}: nothing happens in the harness, so proofs would be empty")
    said = [
        f"{name.removeprefix('bad_')}: {verdict.kind}{f' to {verdict.cycles}' * (verdict.cycles > 0)}"
        for name, verdict in found.items()
    ]
    seconds = sum(verdict.seconds for verdict in found.values())
    return {"module": row, "properties": ", ".join(said), "seconds": f"{seconds:.0f}"}, versions()


def _of_form(row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Prove that both forms of a module are equal; an error says where they are not."""
    module, family = _forms()[row]
    texts = {"portable": forms.text(module), "own": forms.text(module, family)}
    started = sum(os.times()[:4])
    with tempfile.TemporaryDirectory() as folder:
        forms.prove(module, family, texts, Path(folder) / "proof")
    seconds = sum(os.times()[:4]) - started
    count = len(forms.PARAMETERS[module])
    cells = {
        "form": row,
        "choices of parameters": str(count),
        "equal in all cycles": "proved",
        "seconds": f"{seconds:.0f}",
    }
    return cells, records.yosys()


def _of_op(row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Prove the properties of an instance of an op."""
    op, x = instances()[row]
    proofs = formal.prove(Harness.of(op, *x), seconds=SECONDS)
    cells = {"op": row, **{p.name: str(p) for p in proofs}}
    return {**cells, "seconds": f"{sum(p.seconds for p in proofs):.0f}"}, versions()


def versions() -> dict[str, str]:
    """Return the versions of the tools that decide."""
    return {**records.yosys(), "abc": tools.abc().release}


def _rows() -> Iterator[tuple[str, str, dict[str, str], dict[str, str]]]:
    """Prove all, and yield table, row, cells and versions of each in order."""
    names = [(table, row) for table, rows in current().items() for row in rows]
    with ThreadPoolExecutor(WORKERS) as pool:
        for (table, row), found in zip(names, pool.map(lambda name: measure(*name), names), strict=True):
            yield table, row, *found


def main() -> int:
    """Prove all, print a line each, and write the record and its page; return the number of refuted properties."""
    record, digests, refuted = records.Record.read(RECORD), current(), 0
    for table, row, cells, tool_versions in _rows():
        print(", ".join(f"{column}: {cell}" for column, cell in cells.items()), flush=True)
        record.add(table, row, cells, digests[table][row], tool_versions)
        refuted += sum("refuted" in cell for cell in cells.values())
    record.write_page()
    return refuted


if __name__ == "__main__":
    sys.exit(main() > 0)
