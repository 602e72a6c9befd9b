"""Compare a design with the executor of the format that its model came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from bnn2hw import golden
from bnn2hw.agreement import Reference
from bnn2hw.deviation import ROUNDING
from bnn2hw.ir import Array, Graph, View
from bnn2hw.lower.hardware import Lowered
from bnn2hw.ops.real import Refold, Reshape


@dataclass(frozen=True)
class OutputComparison:
    """The comparison of an output of a design with that of the executor.

    Attributes:
        name: Output of the design.
        decisions: True if the best classes were compared, since the design has no scores or others.
        equal: Number of values, or of frames with the same best classes, that are equal. Values are equal if they
            differ by no more than float32 rounding of the largest one.
        count: Number of those that were compared.
        largest: Largest difference in the model's own unit; 0 for decisions.
        size: Mean absolute value, in the same unit; 0 for decisions.
    """

    name: str
    decisions: bool
    equal: int
    count: int
    largest: float = 0.0
    size: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """The comparison of a design with another executor while its model is compiled.

    Attributes:
        executor: What computed the model, in words, with its versions.
        versions: Versions by package.
        lacking: Reason why it is not the executor of the model's own format; empty if it is.
        frames: Number of frames.
        outputs: The outputs.
    """

    executor: str
    versions: Mapping[str, str]
    lacking: str
    frames: int
    outputs: tuple[OutputComparison, ...]

    def plain(self) -> dict[str, Any]:
        """Return the comparison as data that JSON can hold."""
        return {**asdict(self), "outputs": [asdict(each) for each in self.outputs]}

    @classmethod
    def of(cls, data: Mapping[str, Any] | None) -> Self | None:
        """Return what `plain` wrote; None for None."""
        if data is None:
            return None
        return cls(**{**data, "outputs": tuple(OutputComparison(**each) for each in data["outputs"])})


def compare(real: Graph, lowered: Lowered, reference: Reference, frames: Mapping[str, Array]) -> Comparison:
    """Compare a model in hardware form with the executor of its format.

    Args:
        real: The model in real form.
        lowered: The model in hardware form.
        reference: What the executor computed for the same frames.
        frames: Integers on the wires by input.
    """
    ours, types = golden.run(lowered.graph, frames), lowered.graph.types
    pairs = zip(lowered.graph.outputs, reference.outputs.items(), strict=False)
    outputs = tuple(
        _values(name, types[name].real(ours[name]), theirs)
        if _carries(lowered, name) in _same(real, end) and theirs.size == ours[name].size
        else _decisions(name, ours[name], theirs, types[name].shape)
        for name, (end, theirs) in pairs
    )
    return Comparison(
        reference.executor, reference.versions, reference.lacking, golden.frames(frames), outputs
    )


def _same(real: Graph, name: str) -> list[str]:
    """A node and those in front of it that have the same values in the same order."""
    found = [name]
    while isinstance(real[found[-1]].op, Reshape | Refold):
        found.append(real[found[-1]].inputs[0])
    return found


def _carries(lowered: Lowered, name: str) -> str | None:
    """The node of the real form whose values an edge of the hardware form has, seen through changes of shape."""
    while name not in lowered.matches and isinstance(lowered.graph[name].op, View):
        [name] = lowered.graph[name].inputs
    return lowered.matches.get(name)


def _values(name: str, ours: Array, theirs: Array) -> OutputComparison:
    wanted = np.nan_to_num(theirs.reshape(ours.shape).astype(np.float64))
    off = np.abs(ours - wanted)
    equal = off <= ROUNDING * np.abs(wanted).max(initial=0.0)
    return OutputComparison(
        name, False, int(equal.sum()), off.size, float(off.max()), float(np.abs(wanted).mean())
    )


def _decisions(name: str, ours: Array, theirs: Array, shape: tuple[int, ...]) -> OutputComparison:
    """Compare the best classes, where either side has scores or indices of classes."""
    scores = theirs.dtype.kind == "f"
    same = scores and theirs.size == ours.size and shape[-1:] != (1,)
    count = 1 if same else shape[-1] if shape else 1
    found = _best(ours, ours.shape, 1) if same else ours
    wanted = _best(theirs, (*ours.shape[:-1], -1), count) if scores else theirs
    equal = np.all(found.reshape(len(ours), -1) == wanted.reshape(len(ours), -1), axis=1)
    return OutputComparison(name, True, int(equal.sum()), len(ours))


def _best(scores: Array, shape: tuple[int, ...], count: int) -> Array:
    """The indices of the best classes along the last axis, the best one first."""
    order: Array = np.argsort(-scores.reshape(shape).astype(np.float64), axis=-1, kind="stable")
    return order[..., :count]
