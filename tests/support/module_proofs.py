"""Proofs of modules that are no op: the loader, the checksum, the serial line, and resynchronization."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bnn2hw.backends import verilog
from bnn2hw.backends.text import Printer
from bnn2hw.formal.engine import Model, Verdict

HARNESSES = Path(__file__).parent.parent / "formal" / "modules"
NAME = "harness"
REACHED = "bad_reached"
"""A property that must be false: an example shows that the harness lets things happen."""


@dataclass(frozen=True)
class Subject:
    """Modules in the environment of a proof.

    Attributes:
        harness: Stem of the harness's file.
        parameters: Its parameters.
        modules: Names of modules of designs, without the prefix bnn2hw_.
        shell: Names of modules of the serial shell.
    """

    harness: str
    parameters: Mapping[str, int] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    shell: tuple[str, ...] = ()

    @property
    def files(self) -> dict[str, str]:
        """The sources, by the name of the file."""
        text = (HARNESSES / f"{self.harness}.sv").read_text()
        for name, value in self.parameters.items():
            text, count = re.subn(rf"(parameter int {name} =) \d+", rf"\1 {value}", text)
            if count != 1:
                raise KeyError(name)
        own = {f"bnn2hw_{m}.sv": verilog.module(m) for m in self.modules}
        shell = {f"bnn2hw_{m}.sv": Printer("shell").file(f"{m}.sv") for m in self.shell}
        return {**own, **shell, f"{NAME}.sv": text}

    @property
    def properties(self) -> list[str]:
        """Names of its properties."""
        return [p for p in dict.fromkeys(re.findall(r"bad_\w+", self.files[f"{NAME}.sv"])) if p != REACHED]


SUBJECTS: dict[str, Subject] = {
    "loader, 2 words of 2 slices": Subject("loader", {"WORDS": 2, "SLICES": 2}, ("loader",)),
    "loader, 3 words of 1 slice": Subject("loader", {"WORDS": 3, "SLICES": 1}, ("loader",)),
    "loader, 1 word of 3 slices": Subject("loader", {"WORDS": 1, "SLICES": 3}, ("loader",)),
    "crc32": Subject("crc32", {}, (), ("crc32",)),
    "uart_tx to uart_rx, 4 cycles per bit": Subject("uart", {"DIVISOR": 4}, (), ("uart_tx", "uart_rx")),
    "resync_input, 1 beat": Subject("resync_input", {"BEATS": 1}, ("resync_input", "last_beat")),
    "resync_input, 3 beats": Subject("resync_input", {"BEATS": 3}, ("resync_input", "last_beat")),
    "resync_output, 2 beats": Subject(
        "resync_output", {"BEATS": 2, "INPUTS": 1}, ("resync_output", "fifo", "last_beat")
    ),
    "resync_output, 2 inputs": Subject(
        "resync_output", {"BEATS": 1, "INPUTS": 2}, ("resync_output", "fifo", "last_beat")
    ),
}
"""The proofs by name."""


def decide(
    subject: Subject,
    seconds: int,
    files: Mapping[str, str] | None = None,
    properties: Sequence[str] = (),
) -> dict[str, Verdict]:
    """Decide properties of a subject.

    Args:
        subject: The modules.
        seconds: Limit of the processor time of each search.
        files: Other texts of some of its sources.
        properties: Names of the properties. Default: all, and `REACHED`, which a counterexample must refute.

    Returns:
        The verdict by property.
    """
    with tempfile.TemporaryDirectory(prefix="bnn2hw-") as folder:
        model = Model.of({**subject.files, **(files or {})}, NAME, Path(folder))
        return {name: model.decide(name, seconds) for name in properties or (*subject.properties, REACHED)}
