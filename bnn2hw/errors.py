"""Every error that bnn2hw raises on purpose.

A message says what was found, where, what is supported, and how to mend it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class Bnn2hwError(Exception):
    """The base of all errors of this package; the command line prints it and exits with 2."""


class InputError(Bnn2hwError):
    """A file, an option or an array that cannot be used as it is."""


class MissingToolError(Bnn2hwError):
    """A program that has to be installed before this step can run."""


class ToolError(Bnn2hwError):
    """A program that ran and failed; the message carries the end of its log."""


class LinkError(Bnn2hwError):
    """A board that does not answer, is not the one expected, or went away."""


class MismatchError(Bnn2hwError):
    """The hardware disagreed with the golden model."""


class FoldingError(Bnn2hwError):
    """A folding that a layer has not, or a rate that no folding reaches."""


class DoesNotFitError(FoldingError):
    """A synthesized design that is larger than the device.

    Attributes:
        over: by resource, what the design needs and what is there.
        note: why it does not fit where that alone does not tell.
    """

    def __init__(
        self, device: str, over: Mapping[str, tuple[int, int]], remedy: str = "", note: str = ""
    ) -> None:
        self.device, self.over, self.note = device, dict(over), note
        needs = " and ".join(f"{need:,} {name} of {there:,}" for name, (need, there) in over.items())
        way_out = remedy or "ask for fewer fps, or choose a larger target"
        super().__init__(f"the design needs {needs} of {device}{note}; {way_out}")

    @property
    def excess(self) -> float:
        """What it needs most of, as a multiple of what is there."""
        return max(need / max(there, 1) for need, there in self.over.values())

    @property
    def what(self) -> set[str]:
        """Kinds of what is short: "bram" among them if block RAMs are."""
        return {"bram" if "RAM" in name or name.startswith("DP") else "logic" for name in self.over}


class TimingError(Bnn2hwError):
    """A clock that place and route did not reach."""


@dataclass(frozen=True)
class Problem:
    """One reason why a model cannot be compiled."""

    layer: str
    found: str
    supported: str
    remedy: str

    def __str__(self) -> str:
        return f"layer '{self.layer}': {self.found}. Supported: {self.supported}. Way out: {self.remedy}."


class UnsupportedError(Bnn2hwError):
    """A model that cannot be compiled exactly, with all its problems at once."""

    def __init__(self, problems: Sequence[Problem], refused: str = "this model cannot be compiled") -> None:
        self.problems = tuple(problems)
        head = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        lines = "\n".join(f"  - {p}" for p in self.problems)
        super().__init__(f"{refused} ({head}):\n{lines}")
