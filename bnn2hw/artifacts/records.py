"""Keep results with a design, for its report: simulations, synthesis, proofs, the front and the study."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bnn2hw import folders
from bnn2hw.artifacts import build_folder
from bnn2hw.artifacts.manifest import Manifest
from bnn2hw.artifacts.write import REPORT
from bnn2hw.compiled import CompiledModel
from bnn2hw.errors import InputError
from bnn2hw.folding.pareto import Point
from bnn2hw.formal.whole import Proofs
from bnn2hw.ir import Cost
from bnn2hw.report import facts, page
from bnn2hw.report.facts import Facts
from bnn2hw.report.records import Explored, Measured, Simulation


class OtherDesignError(InputError):
    """A build folder holds another design than the one that results are of."""


SIMULATION, SYNTHESIS, FRONT, PROOFS = "simulation.json", "synthesis.json", "front.json", "proofs.json"
STUDY = "study.json"


def keep(
    folder: Path,
    accelerator: CompiledModel,
    *,
    runs: Sequence[Simulation] | None = None,
    measured: Measured | None = None,
    front: Iterable[Point] | None = None,
    proofs: Proofs | None = None,
    explored: Explored | None = None,
) -> None:
    """Keep results in the build folder of a design, and make its report again.

    Results of other kinds stay. All go when the folder is written again.

    Args:
        folder: The build folder.
        accelerator: The design in it.
        runs: Its simulations.
        measured: The result of its synthesis.
        front: Points of rate against resources.
        proofs: What is proved of its ops.
        explored: The study that it is a point of.

    Raises:
        OtherDesignError: Another design was written to the folder since this one was read; nothing is kept.
        MissingToolError: A library that draws is not installed.
        StorageError: The folder cannot be written.
    """

    def check() -> None:
        if not build_folder.holds(folder, accelerator.graph, Manifest.of(accelerator)):
            raise OtherDesignError(
                f"another design was written to '{folder}' meanwhile, so it does not keep these results; run again"
            )

    new: dict[str, Any] = {}
    if runs is not None:
        new[SIMULATION] = [run.plain() for run in runs]
    if measured is not None:
        new[SYNTHESIS] = measured.plain()
    if front is not None:
        new[FRONT] = [asdict(point) for point in front]
    if proofs is not None:
        new[PROOFS] = proofs.plain()
    if explored is not None:
        new[STUDY] = explored.plain()
    folders.add(folder, {name: json.dumps(data, indent=1) + "\n" for name, data in new.items()}, check)
    if not accelerator.is_native:
        folders.add(folder, {REPORT: page.page(collect(folder, accelerator))}, check)


def collect(folder: Path, accelerator: CompiledModel) -> Facts:
    """Return the facts about a design, with the results that its build folder keeps.

    Args:
        folder: The build folder.
        accelerator: The design in it.
    """
    measured, proofs, explored = (_read(folder, name) for name in (SYNTHESIS, PROOFS, STUDY))
    return facts.collect(
        accelerator,
        [Point(**{**point, "cost": Cost(**point["cost"])}) for point in _read(folder, FRONT) or ()],
        [Simulation.from_plain(run) for run in _read(folder, SIMULATION) or ()],
        Measured.from_plain(measured) if measured else None,
        Proofs.from_plain(proofs) if proofs else None,
        Explored.from_plain(explored) if explored else None,
    )


def _read(folder: Path, name: str) -> Any:
    """Return the contents of a file of results; None if there is none."""
    path = folder / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
