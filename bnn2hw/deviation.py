"""Measure on data how far the hardware is from the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bnn2hw import golden, tables
from bnn2hw.errors import Problem, UnsupportedError
from bnn2hw.ir import Array, Graph, Tensor
from bnn2hw.tables import Table

if TYPE_CHECKING:  # needed to measure, not to show what was measured
    from bnn2hw.error_bounds import Bound
    from bnn2hw.lower.hardware import Lowered
    from bnn2hw.lower.precision import Precision

DECISIONS = 256
"""Largest number of integers of an edge whose values are decisions of a quantizer."""

ROUNDING = 1e-5
"""Share of a value by which float32 may round it."""

USUAL_BITS = 6
"""Rounding that the hardware form states is believed up to this many bits above the last granted bit."""

HALF = 0.51
"""Share of a step of an edge's integers by which rounding to them may move a value."""

MOST_BITS = 16
"""Granted bits beyond which values are not expected to be finer."""

UNUSUAL = 0.05
"""Share of the values of an edge that may be off by more than granted bits usually explain."""

AT_ONCE = 2**26
"""Values on all edges that are computed at once; about a gigabyte."""


@dataclass(frozen=True)
class Deviation:
    """The difference between an edge of the hardware and the model's own layers.

    It includes what earlier layers rounded.

    Attributes:
        edge: Edge of the hardware form.
        different: Number of values that differ by more than half a step of the edge's integers. If
            these integers are decisions of a quantizer, these decisions changed.
        values: Number of values that were compared.
        largest: Largest difference, in the model's own unit.
        mean: Mean difference, in the same unit.
        size: Mean absolute value in the model, in the same unit.
        frames: Number of frames that were compared.
        changed: Number of these frames in which any decision of the network changed.
        steady: Largest difference in the other frames, in the model's own unit.
        bound: Largest possible difference in the other frames, in the model's own unit; None if it is
            not known.
        beyond: Number of values that differ by more than their bound, in frames in which no decision on
            the edges before changed. A changed decision counts too, unless the bound of its input
            reaches the threshold. If it is not 0, the hardware form is wrong.
        unusual: Number of values that differ, in the same frames, by more than rounding to the granted
            bits usually explains, whatever the hardware form states as its rounding.
    """

    edge: str
    different: int
    values: int
    largest: float
    mean: float
    size: float
    frames: int = 0
    changed: int = 0
    steady: float = 0.0
    bound: float | None = None
    beyond: int = 0
    unusual: int = 0

    @property
    def too_often(self) -> bool:
        """True if more values are off than granted bits explain."""
        expected = UNUSUAL * self.values
        return self.unusual > expected + 4 * math.sqrt(expected) + 1

    @property
    def share(self) -> float:
        """The mean difference as a share of the mean size; 0 if nothing differs."""
        return self.mean / self.size if self.size else float(self.mean > 0)


class Deviations(list[Deviation]):
    """The deviation of each edge, in the order of the graph. Printing it gives a table."""

    @property
    def last(self) -> Deviation:
        """The deviation of the last edge."""
        return self[-1]

    def __repr__(self) -> str:
        if not self:
            return "<Deviations: no edge was compared>"
        return f"<Deviations of {len(self)} edges on {self.last.frames} frames, the last one by {_share(self.last)}>"

    def __str__(self) -> str:
        width = tables.terminal_width()
        return self.table().fitted(width) + tables.wrapped([self._changed()], width)

    def _repr_html_(self) -> str:
        return f"{self.table()._repr_html_()}<p>{self._changed()}</p>"

    def table(self) -> Table:
        """Return a row for each edge."""
        title = f"deviation from the model on {self.last.frames if self else 0} frames"
        rows: list[tuple[str, ...]] = [
            (
                d.edge,
                _share(d),
                f"{d.mean:.2g}",
                f"{d.largest:.2g}",
                "" if d.bound is None else f"{d.bound:.2g}",
                f"{d.different:,} of {d.values:,}",
            )
            for d in self
        ]
        return Table(title, ("layer",), COLUMNS, rows, brief=BRIEF, drops=("values apart", "largest bound"))

    def _changed(self) -> str:
        if not self or not self.last.changed:
            return "no decision of the network changed"
        return (
            f"decisions changed in {self.last.changed} of {self.last.frames} frames; in the others the last layer "
            f"is off by at most {self.last.steady:.2g}"
        )


COLUMNS = ("of the mean size", "mean", "largest", "largest bound", "values apart")
"""Figures of the table."""

BRIEF = {"of the mean size": "relative", "largest bound": "bound", "values apart": "apart"}


def _share(d: Deviation) -> str:
    return f"{d.share:.2%}" if d.share >= 1e-4 else f"{d.share:.0e}" if d.share else "0"


def measure(
    real: Graph,
    lowered: Lowered,
    streamed: Graph,
    arrays: Mapping[str, Array],
    precision: Precision | None = None,
) -> Deviations:
    """Compare a design with the model that it was made from, a few frames at a time.

    Args:
        real: The model as the importer read it, before any pass.
        lowered: The model in hardware form.
        streamed: The design: `lowered` after all further passes.
        arrays: Integers by input, of shape (frames, *input shape).
        precision: The granted bits; None if what the hardware form states as its rounding is not doubted.

    Returns:
        A deviation for each edge in hardware form that carries the values of an edge of `real`.
    """
    size = sum(tensor.size for graph in (real, streamed) for tensor in graph.types.values())
    step = max(1, AT_ONCE // size)
    parts = [
        _measure(real, lowered, streamed, {n: a[i : i + step] for n, a in arrays.items()}, precision)
        for i in range(0, golden.frames(arrays), step)
    ]
    return Deviations(_joined(edge) for edge in zip(*parts, strict=True))


def checked(real: Graph, lowered: Lowered, arrays: Mapping[str, Array], precision: Precision) -> Deviations:
    """Measure a lowered model as `measure` does, and refuse it if its values are too far from the model's.

    Raises:
        UnsupportedError: They are.
    """
    found = measure(real, lowered, lowered.graph, arrays, precision)
    _check(found, lowered.graph)
    return found


def _check(found: Iterable[Deviation], graph: Graph) -> None:
    """Refuse a design that is farther from the model than its rounding explains.

    Args:
        found: The deviations of its edges.
        graph: The model in hardware form.

    Raises:
        UnsupportedError: Values are beyond their bound, or more of them are off than the granted bits
            explain. Only the first edge is named: the error shows in all edges after it.
    """
    first = next((edge for edge in found if edge.beyond or edge.too_often), None)
    if first is None:
        return
    problem = Problem(
        graph[first.edge].layer,
        f"its integers differ from the layer by up to {first.steady:.2g} in {first.beyond} of {first.values:,} values, "
        f"and rounding explains {first.bound or 0:.2g} at most"
        if first.beyond
        else f"its integers differ from the layer by up to {first.largest:.2g}, and {first.unusual:,} of "
        f"{first.values:,} values by more than rounding to its bits explains",
        "layers that the integers follow within the stated bound",
        "give it other bits= or write it in other layers, and please report the model as a fault of bnn2hw",
    )
    raise UnsupportedError([problem])


def _measure(
    real: Graph,
    lowered: Lowered,
    streamed: Graph,
    arrays: Mapping[str, Array],
    precision: Precision | None,
) -> list[Deviation]:
    """Do what `measure` does, with all frames at once."""
    from bnn2hw import error_bounds

    types = lowered.graph.types
    ours = _values(lowered.graph, streamed, arrays)
    theirs = golden.run(real, {n: types[n].real(a).astype(np.float32) for n, a in arrays.items()})
    pairs = {
        edge: _Pair(edge, types[edge], ours[edge], theirs[node].astype(np.float64))
        for edge in types
        if (node := lowered.matches.get(edge)) is not None
    }
    held = _held(lowered, pairs)
    bounds = error_bounds.bounds(real, theirs, error_bounds.Rounding(lowered.own, held))
    usual = None if precision is None else _usual(lowered, precision)
    likely = (
        bounds if usual is None else error_bounds.bounds(real, theirs, error_bounds.Rounding(usual, held))
    )
    so_far, compared = np.zeros(golden.frames(arrays), bool), []
    for edge, pair in pairs.items():
        node = lowered.matches[edge]
        compared.append(_compared(pair, bounds[node], likely[node], so_far))
        so_far = so_far | pair.changed
    return [with_steady(so_far) for with_steady in compared]


def _usual(lowered: Lowered, precision: Precision) -> dict[str, Array] | None:
    """The rounding by node, limited to what bits and steps explain; None if it is not beyond that anywhere."""
    limits: dict[str, float] = {}
    for edge, node in lowered.matches.items():
        tensor = lowered.graph.types.get(edge)
        if tensor is None:
            continue
        step = float(np.abs(np.asarray(tensor.scale)).max())
        bits = precision.least(lowered.graph[edge].layer, MOST_BITS)
        span = step * (tensor.ints.hi - tensor.ints.lo)
        # Scores of which only the order matters are rounded to few steps.
        limits[node] = max(limits.get(node, 0.0), span * 2.0 ** (USUAL_BITS - bits), HALF * step)
    limited = {node: np.minimum(own, limits.get(node, np.inf)) for node, own in lowered.own.items()}
    return limited if any(np.any(limited[node] < own) for node, own in lowered.own.items()) else None


def _held(lowered: Lowered, pairs: Mapping[str, _Pair]) -> dict[str, Array]:
    """Bounds of decisions that do not change, by node whose values are decisions on all edges."""
    continuous = {lowered.matches[edge] for edge, pair in pairs.items() if not pair.decides}
    held: dict[str, Array] = {}
    for edge, pair in pairs.items():
        node = lowered.matches[edge]
        if node not in continuous:  # several edges may carry it in steps of their own
            held[node] = np.maximum(held.get(node, 0.0), pair.nearest)
    return held


def _joined(parts: Sequence[Deviation]) -> Deviation:
    """Return the deviation of an edge over several parts of the frames."""
    values, bounds = [part.values for part in parts], [part.bound for part in parts]
    return Deviation(
        parts[0].edge,
        sum(part.different for part in parts),
        sum(values),
        max(part.largest for part in parts),
        float(np.average([part.mean for part in parts], weights=values)),
        float(np.average([part.size for part in parts], weights=values)),
        sum(part.frames for part in parts),
        sum(part.changed for part in parts),
        max(part.steady for part in parts),
        None if None in bounds else max(b for b in bounds if b is not None),
        sum(part.beyond for part in parts),
        sum(part.unusual for part in parts),
    )


def _values(lowered: Graph, streamed: Graph, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The values on each edge of the hardware form, from the design if it has that edge."""
    design = golden.run(streamed, arrays)
    values: dict[str, Array] = {}
    for node in lowered:
        same = streamed.types.get(node.name) == lowered.types[node.name]
        values[node.name] = design[node.name] if same else node.op.golden(*(values[i] for i in node.inputs))
    return values


@dataclass(frozen=True)
class _Pair:
    """The values of an edge in hardware form and in the model.

    Attributes:
        edge: Name of the edge.
        tensor: Its type.
        ours: Its integers, of shape (frames, *shape).
        theirs: The real values of the model, of shape (frames, *its shape).
    """

    edge: str
    tensor: Tensor
    ours: Array
    theirs: Array

    @property
    def decides(self) -> bool:
        """True if the integers are so few that each stands for a decision."""
        return self.tensor.ints.count <= DECISIONS

    @cached_property
    def off(self) -> Array:
        """The differences in the model's own unit; 0 where the model has no finite value."""
        return self._from(self.tensor.real(self.ours).reshape(self.theirs.shape))

    @cached_property
    def slack(self) -> Array:
        """Differences that float32 rounding explains."""
        found: Array = ROUNDING * np.abs(np.nan_to_num(self.theirs, posinf=0.0, neginf=0.0))
        return found

    @cached_property
    def different(self) -> Array:
        """True where values differ by more than half a step, and by more than float32 rounding."""
        half = np.abs(np.asarray(self.tensor.scale)) / 2
        half = np.broadcast_to(half, self.tensor.shape).reshape(self.theirs.shape[1:])
        found: Array = self.off > half + self.slack
        return found

    @property
    def changed(self) -> Array:
        """True for frames in which a decision on this edge changed."""
        found: Array = (self.different & self.decides).reshape(len(self.theirs), -1).max(1)
        return found

    @property
    def nearest(self) -> Array:
        """Distance of the model's values from the nearest integers, by frame and channel."""
        from bnn2hw import error_bounds

        scale, offset = (
            np.broadcast_to(np.asarray(v, np.float64), self.tensor.shape).reshape(self.theirs.shape[1:])
            for v in (self.tensor.scale, self.tensor.offset)
        )
        near = np.rint((np.nan_to_num(self.theirs, posinf=0.0, neginf=0.0) - offset) / scale)
        return error_bounds.by_channel(self._from(near * scale + offset) + 2 * self.slack)

    def _from(self, values: Array) -> Array:
        finite = np.isfinite(self.theirs)
        off: Array = np.abs(values - np.where(finite, self.theirs, 0.0))
        return np.where(finite, off, 0.0)


def _compared(pair: _Pair, bound: Bound, likely: Bound, before: Array) -> Callable[[Array], Deviation]:
    """Compare an edge.

    Args:
        pair: Its values.
        bound: Their bounds.
        likely: Their bounds if the hardware rounds no more than granted bits explain.
        before: Frames in which decisions on the edges before changed.

    Returns:
        A function that takes the frames in which any decision changed, and returns the deviation.
    """
    off, theirs = pair.off, pair.theirs
    size = float(np.abs(theirs[np.isfinite(theirs)]).mean()) if np.isfinite(theirs).any() else 0.0
    beyond, unusual = (
        int((off > each.free.reshape(len(off), *(1,) * (off.ndim - 2), off.shape[-1]))[~before].sum())
        for each in (bound, likely)
    )
    figures = int(pair.different.sum()), off.size, float(off.max()), float(off.mean()), size, len(off)

    def with_steady(changed: Array) -> Deviation:
        steady, most = (float(v[~changed].max(initial=0.0)) for v in (off, bound.held))
        known = most if np.isfinite(most) else None
        return Deviation(pair.edge, *figures, int(changed.sum()), steady, known, beyond, unusual)

    return with_steady
