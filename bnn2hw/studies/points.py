"""Compile one point of a study, and say what it costs and how good it is."""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bnn2hw.errors import DoesNotFitError, FoldingError, InputError, TimingError, UnsupportedError
from bnn2hw.ir import Array
from bnn2hw.studies import space
from bnn2hw.studies.space import Setting, Task

if TYPE_CHECKING:
    from bnn2hw.accelerator import Accelerator

Value = str | int | float | None
Row = dict[str, Value]

REFUSALS = (FoldingError, UnsupportedError, InputError)
"""Errors that say that a point cannot be, rather than that something broke."""


@dataclass
class Evaluator:
    """Compiles points; each process keeps what points of equal bits have in common.

    Attributes:
        setting: What all points have in common.
        x: Images on which deviation and accuracy are measured; None for none.
        labels: One class per image; None for none.
    """

    setting: Setting
    x: Array | None = None
    labels: Array | None = None
    _quality: dict[int | None, Row] = field(default_factory=dict, repr=False)
    _seen: bool = field(default=False, repr=False)

    @property
    def data(self) -> str:
        """The hash of images and labels."""
        made = hashlib.sha256()
        for array in (self.x, self.labels):
            made.update(b"" if array is None else str((array.shape, array.dtype)).encode() + array.tobytes())
        return made.hexdigest()

    def __call__(self, task: Task) -> Row:
        """Compile a point, and return its row: how it was made, its figures, or the reason why it cannot be.

        Raises:
            InputError: This machine has no such model, or another one under its name.
        """
        self._look()
        row: Row = {
            "target": task.target,
            "bits": task.bits,
            "style": task.style,
            "asked_fps": task.fps,
            "model": self.setting.content,
            "settings": self.setting.facts(task.target),
            "key": task.key(self.setting, self.data),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it does not fit is in the row
            try:
                made = space.compiled(self.setting, task)
            except REFUSALS as error:
                return {**row, "state": "refused", "reason": " ".join(str(error).split())}
        return {**row, **_figures(made), **self._measured(made, task.bits)}

    def _look(self) -> None:
        """Look for the model and the files of devices on this machine, once.

        Raises:
            InputError: One is not there, or is another one.
        """
        if self._seen:
            return
        if self.setting.found() != self.setting.content:
            raise InputError(
                f"'{self.setting.model}' on {platform.node()} is another model than where the study was started"
            )
        self.setting.check_devices()
        self._seen = True

    def _measured(self, made: Accelerator, bits: int | None) -> Row:
        """Deviation and accuracy, which depend on the bits alone."""
        if bits not in self._quality:
            self._quality[bits] = self._quality_of(made)
        return self._quality[bits]

    def _quality_of(self, made: Accelerator) -> Row:
        found = list(made.measured.values()) if self.x is None else made.deviation(self.x)
        row: Row = {"deviation": found[-1].share if found else None}
        if self.x is not None and self.labels is not None:
            row["accuracy"] = made.evaluate(self.x, self.labels)
        return row

    def synthesized(self, row: Row) -> Row:
        """Synthesize a point, and return its row with what was measured.

        Raises:
            MissingToolError: A tool is not installed.
            ToolError: A tool failed.
        """
        made = again(self.setting, row)
        try:
            with tempfile.TemporaryDirectory(prefix="bnn2hw-") as folder:
                used = made.synthesize(Path(folder) / "synth")
        except (DoesNotFitError, TimingError) as error:
            return {**row, "synth_reason": " ".join(str(error).split())}
        cells = {f"synth_{name}": getattr(used, name) for name in ("lut", "ff", "bram", "dsp")}
        return {**row, **cells, "synth_mhz": used.fmax_mhz}


def again(setting: Setting, row: Row) -> Accelerator:
    """Compile the design of a row once more.

    Args:
        setting: What all points have in common.
        row: The row, of a point that was not refused.

    Raises:
        InputError: The file of its device says something else than it did.
        Bnn2hwError: An error of `bnn2hw.compile`.
    """
    setting.check_devices()
    bits = row.get("bits")
    task = Task(str(row["target"]), None if bits is None else int(bits), str(row["style"]), 0.0)
    return space.compiled(setting, task, json.loads(str(row["folding"])))


def _figures(made: Accelerator) -> Row:
    """Return what the models of cycles and costs say of a design."""
    estimate = made.estimate()
    use = {name: share for name, share in estimate.use.items() if np.isfinite(share)}
    return {
        "state": "fits" if estimate.fits else "too large",
        "fps": estimate.fps,
        "interval": estimate.cycles.interval,
        "latency_us": estimate.latency_us,
        "pixels": max((int(f.get("pixels", 1)) for f in made.folding().values()), default=1),
        **{name: round(float(getattr(estimate.cost, name))) for name in ("lut", "ff", "bram", "dsp")},
        "use": max(use.values(), default=0.0),
        "folding": json.dumps(made.folding()),
    }
