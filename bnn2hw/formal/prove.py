"""Prove the properties of an op alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bnn2hw.errors import ToolError
from bnn2hw.formal import engine, traces
from bnn2hw.formal.engine import Model
from bnn2hw.formal.harness import NAME, Harness

PROPERTIES: Mapping[str, str] = {
    "steady": "a beat that is offered stays, with its data and its last, until it is taken",
    "last": "last is high on the last beat of each frame and on no other",
    "order": "no beat is offered before its frame begins at an input",
    "value": "each beat of any frame carries the values that the frame means, whatever lies before and behind it",
    "offers": "while all inputs offer, an output beat is offered within the bound of cycles",
    "accepts": "while all inputs offer and the sink is ready, an input beat is taken within the bound",
    "drains": "while the sink is ready, frames leave within the bound per beat without further input",
    "errors": "frame_error stays low while last is right at the inputs",
}
"""The properties of a stream op, in words."""

REACHED = "reached"
"""A property that must be false: the last beat of a marked frame is never taken."""

NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Proof:
    """The result for a property.

    Attributes:
        name: One of `PROPERTIES`.
        kind: `engine.PROVED`, `engine.REFUTED`, `engine.BOUNDED` or `NOT_TRIED`.
        cycles: Bound, or cycles of the counterexample; 0 if there is none.
        seconds: Processor time that it took.
        reason: The reason why it was not tried.
        trace: A counterexample as a table of the cycles.
    """

    name: str
    kind: str
    cycles: int = 0
    seconds: float = 0.0
    reason: str = ""
    trace: str = ""

    @property
    def brief(self) -> str:
        """The result in one or two words."""
        return f"to {self.cycles}" if self.kind == engine.BOUNDED else self.kind

    def __str__(self) -> str:
        if self.kind == NOT_TRIED:
            return f"{NOT_TRIED}: {self.reason}"
        if self.kind == engine.PROVED:
            return self.kind
        return (
            f"{self.kind} to {self.cycles}"
            if self.kind == engine.BOUNDED
            else f"{self.kind} in {self.cycles}"
        )


def prove(
    harness: Harness, *, seconds: int = 60, properties: Iterable[str] = tuple(PROPERTIES)
) -> list[Proof]:
    """Prove properties of an op alone.

    Args:
        harness: The op in its environment.
        seconds: Limit of the processor time of the search for a proof of each property. As much again may give a
            bound.
        properties: Names of the properties.

    Raises:
        MissingToolError: Yosys or ABC is not installed.
        ToolError: A tool failed, or no frame can leave the op.
    """
    with tempfile.TemporaryDirectory(prefix="bnn2hw-") as folder:
        model = Model.of(harness.files, NAME, Path(folder))
        if not _is_reached(model, harness, seconds):
            reason = (
                f"{harness.op.kind}: no frame that passes was found in {seconds} seconds of processor time"
            )
            return [Proof(name, NOT_TRIED, reason=reason) for name in properties]
        return [_proof(model, harness, name, seconds) for name in properties]


def _is_reached(model: Model, harness: Harness, seconds: int) -> bool:
    """Show by an example that a marked frame comes to its end. Return false if none was found in time.

    Raises:
        ToolError: It never does.
    """
    verdict = model.decide(f"bad_{REACHED}", seconds)
    if verdict.kind == engine.PROVED:
        raise ToolError(f"no frame of {harness.op.kind} leaves its harness, so proofs would be empty")
    return verdict.kind == engine.REFUTED


def _proof(model: Model, harness: Harness, name: str, seconds: int) -> Proof:
    if name == "value" and not harness.function:
        return Proof(name, NOT_TRIED, reason="the frames are too large")
    verdict = model.decide(f"bad_{name}", seconds)
    trace = ""
    if verdict.kind == engine.REFUTED:
        trace = traces.table(harness, model.counterexample(f"bad_{name}", verdict.cycles))
    return Proof(name, verdict.kind, verdict.cycles, verdict.seconds, trace=trace)


def refuted(proofs: Sequence[Proof]) -> list[Proof]:
    """Return the proofs of properties that do not hold."""
    return [p for p in proofs if p.kind == engine.REFUTED]
