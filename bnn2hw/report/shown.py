"""The text and the report of a compiled model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bnn2hw import checks, folders, tables
from bnn2hw.compiled import CompiledModel

if TYPE_CHECKING:
    from bnn2hw.folding.pareto import Point
    from bnn2hw.report.records import Explored
    from bnn2hw.simulation.run import Run
    from bnn2hw.synthesis.usage import Usage


@dataclass(frozen=True, repr=False)
class ShownModel(CompiledModel):
    """A compiled model that people can look at."""

    def report(
        self,
        path: str | Path | None = None,
        *,
        front: Iterable[Point] = (),
        runs: Sequence[Run] = (),
        usage: Usage | None = None,
        explored: Explored | None = None,
    ) -> str:
        """Show the design as one HTML page that loads nothing: graph, bottleneck, layers, timeline.

        Args:
            path: File to write. Default: none.
            front: Rates against resources, as `bnn2hw.pareto` finds them.
            runs: Simulations of this design.
            usage: Result of its synthesis, shown next to the prediction.
            explored: The study that it is a point of, as `Study.explored` returns it.

        Returns:
            The page. It is the same, byte for byte, for the same model, options, version and results.

        Raises:
            InputError: `path` is a folder or a file that is no report, or the model is native code.
            MissingToolError: A library that draws is not installed.
            StorageError: The file cannot be written.
        """
        from bnn2hw.report import facts, page, records

        if path is not None:
            checks.path("path", path)
            page.claim(Path(path))
        shown = [records.Simulation.of(run) for run in runs]
        measured = records.Measured.of(usage, self.device.name) if usage else None
        text = page.page(facts.collect(self, front, shown, measured, explored=explored))
        if path is not None:
            folders.write_text(Path(path), text)
        return text

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{self.name}' on {self.device.name}, {self.backend}>"

    def __str__(self) -> str:
        from bnn2hw.report import text

        return text.text(self, tables.terminal_width())

    def _repr_html_(self) -> str:
        from bnn2hw.report import notebook

        return notebook.accelerator(self)
