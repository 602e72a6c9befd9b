"""A study: many designs of one model, their costs, and the front of those that no other beats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bnn2hw import checks, folders
from bnn2hw.errors import InputError
from bnn2hw.progress import Progress, silent
from bnn2hw.report.records import Alternative, Explored
from bnn2hw.studies import front, page, picture, space, table
from bnn2hw.studies.picture import Picture
from bnn2hw.studies.points import Evaluator, Row, again
from bnn2hw.studies.space import FOLDED, Axes, Setting, Task
from bnn2hw.tables import Table, counted, terminal_width, wrapped
from bnn2hw.targets import devices
from bnn2hw.workers import Pool

if TYPE_CHECKING:
    from bnn2hw.accelerator import Accelerator
    from bnn2hw.ir import Array
    from bnn2hw.ops.source import Input

NO_FRONT = "no point fits within the limits"

SHOWN = ("point", "target", "bits", "style", "fps", "lut", "ff", "bram", "dsp", "deviation", "accuracy")


@dataclass(frozen=True)
class Study:
    """Designs of one model. Printing it shows its front.

    Attributes:
        rows: A row for each point, with the columns of `table.COLUMNS`, in the order of their numbers.
        objectives: Figures that the front trades.
        path: File with the table.
    """

    rows: tuple[Row, ...]
    objectives: tuple[str, ...]
    path: Path

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def front(self) -> tuple[Row, ...]:
        """The points within the limits that no other one beats in all objectives, each design once."""
        return tuple(row for row in self.rows if row["front"])

    def __repr__(self) -> str:
        return f"<Study of {len(self)} points, {len(self.front)} on the front of {' and '.join(self.objectives)}>"

    def __str__(self) -> str:
        width = terminal_width()
        table = self._table().fitted(width) if self.front else f"{wrapped([NO_FRONT], width)}\n"
        return table + wrapped([self._below()], width)

    def _repr_html_(self) -> str:
        table = self._table()._repr_html_() if self.front else f"<p>{NO_FRONT}</p>"
        return f"{self.plot()._repr_html_()}{table}<p>{escape(self._below())}</p>"

    def plot(self) -> Picture:
        """Draw the points in the plane of the first two objectives, or of the rate and the LUTs.

        Raises:
            MissingToolError: The library that draws is not installed.
        """
        return Picture(picture.draw(self.rows, self.objectives))

    def page(self, path: str | Path | None = None) -> Path:
        """Write the study as an HTML page that loads nothing.

        Args:
            path: The file. Default: next to the table.

        Returns:
            The path of the file.

        Raises:
            InputError: The file is there, and no page of a study.
            StorageError: It cannot be written.
            MissingToolError: The library that draws is not installed.
        """
        out = page.beside(self.path) if path is None else Path(path)
        page.check(out)
        folders.write_text(out, page.of(self.rows, self.objectives, self.path))
        return out

    def explored(self, point: int) -> Explored:
        """Return what the report of a point shows of the study: `accelerator.report(explored=...)`.

        Args:
            point: Number of the point.

        Raises:
            InputError: There is no such point.
        """
        return surroundings(self.rows, self.path, point)

    def _table(self) -> Table:
        names = [n for n in SHOWN if any(row.get(n) is not None for row in self.front)]
        left = [n for n in names if n in ("target", "bits", "style")]
        right = [n for n in names if n not in left]
        words, figures = ([page.HEADS.get(name, name) for name in side] for side in (left, right))
        title = f"front of {' and '.join(self.objectives)}"
        made = Table(title, words, figures, drops=("FF", "DSP", "BRAM", "style"))
        for row in self.front:
            made.add(*(page.cell(row[n], n) for n in (*left, *right)))
        return made

    def _below(self) -> str:
        states = [row["state"] for row in self.rows]
        parts = [f"{states.count(state)} {words}" for state, words in page.STATES.items() if state in states]
        return f"{counted(len(self), 'point')}: {', '.join(parts)}; {self.path} has all of them"


def explore(
    model: str | Path,
    out: str | Path = "study.csv",
    *,
    input: Input | None = None,  # noqa: A002
    output: str | None = None,
    targets: Sequence[str | Path] = (devices.DEFAULT,),
    fps: Sequence[float] = (),
    pixels: Sequence[float] = (),
    ratio: float = 2.0,
    bits: Sequence[int | None] = (None,),
    styles: Sequence[str] = (FOLDED,),
    images: Array | None = None,
    labels: Array | None = None,
    objectives: Sequence[str] = ("fps", "lut"),
    limits: Mapping[str, float] | None = None,
    synthesize: int = 0,
    scheduler: str | None = None,
    workers: int | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Study:
    """Compile a model in many ways, and find those that no other one beats.

    Each finished point is kept in the table at once: a study that is interrupted continues where it stopped when it
    is started again with the same table.

    Args:
        model: Path of the model file.
        out: Table to write, .csv or .parquet.
        input: As in `bnn2hw.compile`, and so is `output`.
        output: Output of the design.
        targets: Names of devices, or paths of TOML files that describe them.
        fps: Rates. Without these and `pixels`, those of the Pareto front on each device.
        pixels: More rates, as the number of pixels that enter in each cycle: 0.5, 1, 2.
        ratio: Factor from one rate of the front to the next.
        bits: Bits of what must be rounded; None is the default.
        styles: "folded", "unrolled" for all layers that can be, or names of layers with + between.
        images: Inputs as in `Accelerator.integers`, on which the deviation is measured. Default: the random
            frames of the compilation, if neither an objective nor a limit needs it.
        labels: One class per image; then the accuracy is measured too.
        objectives: Figures that the front trades: fps, accuracy, lut, ff, bram, dsp, use, latency_us, deviation.
        limits: max_lut, min_fps, max_latency_us, max_deviation and min_accuracy of the points that may be on the front.
        synthesize: Number of points of the front to synthesize, spread over it.
        scheduler: "local" for workers of Dask on this machine, or the address of a scheduler. Default: this process.
        workers: Number of local workers. Default: one per core.
        custom_objects: As in `bnn2hw.compile`. Workers do not take them.
        progress: Called with the name of each step.

    Raises:
        InputError: An option makes no sense, or `out` holds something else.
        Bnn2hwError: The model cannot be compiled at all, or a tool failed.
    """
    checks.path("model", model)
    checks.path("out", out)
    front.check(objectives, limits or {})
    front.check_measured({*objectives, *(front.LIMITS[name][0] for name in limits or {})}, images, labels)
    pool = Pool(scheduler, workers)
    pool.check()
    if custom_objects:
        checks.mapping("custom_objects", custom_objects, "{'my_sign': my_sign}")
    if custom_objects and scheduler is not None:
        raise InputError(
            "workers have no code of your own, so custom objects have no effect; leave out scheduler"
        )
    path, names = Path(out), tuple(str(target) for target in targets)
    setting = Setting(str(model), input, output, custom_objects or {}, space.own_devices(names))
    table.check(path)
    page.check(page.beside(path))
    axes = Axes(names, tuple(fps), tuple(pixels), tuple(bits), tuple(styles), ratio)
    run = _Run(path, Evaluator(setting, _array(images), _array(labels)), pool, progress)
    rows = front.judged(run.compiled(space.tasks(setting, axes, progress)), objectives, limits or {})
    run.synthesize(rows, synthesize)
    table.write(path, rows)
    progress("drawing")
    study = Study(
        tuple({name: row.get(name) for name in table.COLUMNS} for row in rows), tuple(objectives), path
    )
    study.page()
    return study


@dataclass(frozen=True)
class _Run:
    """The computation of the points of a study. A journal keeps each finished point at once."""

    path: Path
    evaluate: Evaluator
    pool: Pool
    progress: Progress

    def compiled(self, tasks: Sequence[Task]) -> list[Row]:
        """Return the rows of all points, of which those of an earlier run are not computed again.

        Raises:
            InputError: The earlier run studied another model.
        """
        known, journal = self._known(), table.journal(self.path)
        if known or journal.exists():
            table.write(journal, list(known.values()))  # without a last line that was cut off
        setting, data = self.evaluate.setting, self.evaluate.data
        keys = [task.key(setting, data) for task in tasks]
        missing = [task for task, key in zip(tasks, keys, strict=True) if key not in known]
        for row in self.pool.results(self.evaluate, missing):
            known[str(row["key"])] = row
            table.append(journal, row)
            self.progress(f"{sum(key in known for key in keys)} of {len(tasks)} points")
        return [known[key] | {"point": number} for number, key in enumerate(keys)]

    def _known(self) -> dict[str, Row]:
        """Return the finished points of an earlier run by their keys."""
        files = [file for file in {self.path, table.journal(self.path)} if file.exists()]
        return {str(row["key"]): row for file in files for row in _kept(file, self.evaluate.setting)}

    def synthesize(self, rows: list[Row], count: int) -> None:
        """Synthesize some points of the front, and put what was measured into their rows."""
        chosen = spread([row for row in rows if row["front"]], count)
        waiting = [row for row in chosen if row.get("synth_lut") is None and not row.get("synth_reason")]
        for done, row in enumerate(self.pool.results(self.evaluate.synthesized, waiting), 1):
            rows[int(row["point"])] = row  # type: ignore[arg-type]
            table.append(table.journal(self.path), row)
            self.progress(f"{done} of {len(waiting)} points synthesized")


def _array(given: Any) -> Array | None:
    return None if given is None else np.asarray(given)


def _kept(file: Path, setting: Setting) -> list[Row]:
    """Return the finished points of an earlier run.

    Raises:
        InputError: They are those of another model.
    """
    rows = table.read(file) if file.stat().st_size else []
    if any(row["model"] != setting.content for row in rows):
        raise InputError(
            f"'{file}' is a study of another model than '{setting.model}'; name another file, or delete it"
        )
    return rows


def spread(front: Sequence[Row], count: int) -> list[Row]:
    """Return some points of the front, as evenly spread as they can be."""
    if count >= len(front):
        return list(front)
    return [front[round(i)] for i in np.linspace(0, len(front) - 1, count)] if count else []


def surroundings(rows: Sequence[Row], path: Path, point: int) -> Explored:
    """Return the designs of a study for the device of a point.

    Args:
        rows: All points.
        path: File with the table.
        point: Number of the point.

    Raises:
        InputError: There is no such point.
    """
    target = _row(rows, path, point)["target"]
    same = [row for row in rows if row["target"] == target and row["state"] == "fits"]
    designs = tuple(
        Alternative(
            point=int(row["point"] or 0),
            style=str(row["style"]),
            fps=float(row["fps"] or 0),
            **{name: int(row[name] or 0) for name in ("lut", "bram", "dsp")},
            used=None if row["synth_lut"] is None else int(row["synth_lut"]),
            front=bool(row["front"]),
        )
        for row in same
    )
    return Explored(path.name, point, designs, len(rows))


def _row(rows: Sequence[Row], path: str | Path, point: int) -> Row:
    """Return the row of a point.

    Raises:
        InputError: There is none.
    """
    for row in rows:
        if row["point"] == point:
            return row
    raise InputError(f"'{path}' has no point {point}; its points are 0 to {len(rows) - 1}")


def build(
    model: str | Path, study: str | Path, point: int, custom_objects: Mapping[str, Any] | None = None
) -> Accelerator:
    """Compile one point of a study.

    Args:
        model: Path of the model file that was explored.
        study: Table of the study.
        point: Number of the point.
        custom_objects: As in `explore`.

    Raises:
        InputError: The study is one of another model or device, or has no such point, or the point was refused.
        Bnn2hwError: An error of `bnn2hw.compile`.
    """
    rows = table.read(Path(study))
    row = _row(rows, study, point)
    setting = Setting.of(str(model), str(row["target"]), str(row["settings"]), custom_objects)
    if row["model"] != setting.content:
        raise InputError(
            f"'{study}' is a study of another model than '{model}'; give the model that was explored"
        )
    if row["state"] == "refused":
        raise InputError(f"point {point} of '{study}' was refused: {row['reason']}")
    return again(setting, row)
