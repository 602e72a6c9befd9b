"""Compare a model as it was read with the model itself, as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bnn2hw import error_bounds, golden
from bnn2hw.errors import Problem, UnsupportedError
from bnn2hw.importers.imported import Imported, versions
from bnn2hw.ir import Array, Graph

FRAMES = 8
"""Random frames on which a model is compared if there are no calibration data."""

VALUES = 2**25
"""Values on all edges that are computed for the comparison; larger networks get fewer frames."""

ORDERS = 2
"""Float32 sums of two orders may differ by this many times the bound of each."""

DECIDED = 0.25
"""Largest difference of a model in half of its frames, as a share of its largest output, where the
bound says nothing since float32 rounding may tip decisions."""


def random_frames(graph: Graph, real: Graph) -> dict[str, Array]:
    """Return seeded random integers for each input.

    Args:
        graph: The model in hardware form, whose sources say which integers can come.
        real: The model in real form.
    """
    size = sum(tensor.size for tensor in real.types.values())
    count = max(1, min(FRAMES, VALUES // size))
    rng = np.random.default_rng(0)
    frames = {}
    for node in graph.sources:
        tensor = graph.types[node.name]
        steps = rng.integers(0, tensor.ints.count, (count, *tensor.shape))
        frames[node.name] = tensor.ints.lo + tensor.ints.step * steps
    return frames


@dataclass(frozen=True)
class Reference:
    """The outputs of a model on some frames.

    Attributes:
        outputs: By output of the real form, in its order.
        executor: What computed them, in words, with its versions.
        versions: Versions by package.
        lacking: Reason why it is not the executor of the model's own format; empty if it is.
    """

    outputs: Mapping[str, Array]
    executor: str
    versions: Mapping[str, str]
    lacking: str = ""


def check(imported: Imported, inside: Mapping[str, Array], outside: Mapping[str, Array]) -> Reference:
    """Refuse a model that does not compute what its layers compute one by one.

    Args:
        imported: The model in real form.
        inside: Real inputs of that form by source, of shape (frames, *shape).
        outside: The same inputs as the model itself takes them.

    Returns:
        The outputs of the model itself, by the executor of its own format if there is one.

    Raises:
        UnsupportedError: Outputs differ by more than float32 rounding explains.
    """
    values = golden.run(imported.graph, inside)
    own = {name: values[name] for name in imported.graph.outputs}
    if imported.model is not None:
        bounds = error_bounds.bounds(imported.graph, values)
        theirs = imported.model(outside)
        compared = {name: _Compared.of(own[name], y, bounds[name].free) for name, y in theirs.items()}
        _refuse_unexplained(imported, compared, "as a whole")
        own = {**own, **theirs}
    return _by_executor(imported, own, outside)


def _by_executor(imported: Imported, own: dict[str, Array], outside: Mapping[str, Array]) -> Reference:
    """The outputs by the executor of the format; those of the layers if there is none, or it fails."""
    read = Reference(own, imported.executor, versions(imported.packages), imported.lacking)
    if imported.oracle is None:
        return read
    name = imported.oracle.name
    try:
        theirs = imported.oracle.run(outside)
    except Exception as error:  # the executors of other packages raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:MOST]
        return replace(read, lacking=f"{name} cannot compute the model: {reason}")
    scores = {o: y for o, y in theirs.items() if y.dtype.kind == "f"}
    _refuse_other_sizes(imported, own, scores, name)
    # Quantizers of other packages round in orders of their own, which no bound here covers.
    compared = {o: _Compared.of(own[o], y, np.full((len(y), 1), np.inf)) for o, y in scores.items()}
    _refuse_unexplained(imported, compared, f"in {name}")
    return Reference(theirs, name, versions(imported.oracle.packages))


def _refuse_other_sizes(
    imported: Imported, own: Mapping[str, Array], theirs: Mapping[str, Array], where: str
) -> None:
    """Refuse a model whose outputs have other shapes in the executor of its format.

    Raises:
        UnsupportedError: They have.
    """
    problems = [
        Problem(
            imported.graph[o].layer,
            f"an output of {y.shape[1:]} in {where}, which was read as {own[o].shape[1:]}",
            "outputs of whole frames along the first axis",
            "export the file with a batch of 1",
        )
        for o, y in theirs.items()
        if y.size != own[o].size
    ]
    if problems:
        raise UnsupportedError(problems)


MOST = 200
"""Characters of the reason why an executor fails."""


def _refuse_unexplained(imported: Imported, compared: Mapping[str, _Compared], where: str) -> None:
    """Refuse a model whose outputs differ from those of its layers.

    Raises:
        UnsupportedError: They do.
    """
    problems = [
        Problem(
            imported.graph[name].layer,
            f"the model {where} returns other values than its layers return one by one: they differ by "
            f"{each.worst[0]:.2g} of at most {each.largest:.2g}, and float32 rounding explains {each.worst[1]:.2g}",
            "models that call their layers as their graph says",
            "replace nested models that define call() by Sequential or functional ones",
        )
        for name, each in compared.items()
        if not each.explained
    ]
    if problems:
        raise UnsupportedError(problems)


@dataclass(frozen=True)
class _Compared:
    """An output of a model against its layers.

    Attributes:
        off: Differences, of shape (frames, channels).
        most: What float32 rounding explains, of the same shape.
        largest: Largest absolute value of all frames.
    """

    off: Array
    most: Array
    largest: float

    @classmethod
    def of(cls, ours: Array, theirs: Array, bound: Array) -> _Compared:
        """Compare the values of an output; those that are not finite are left out."""
        ours, theirs = (a.astype(np.float64) for a in (ours, theirs.reshape(ours.shape)))
        both = np.isfinite(ours) & np.isfinite(theirs)
        off = np.where(both, np.abs(np.where(both, ours, 0) - np.where(both, theirs, 0)), 0.0)
        largest = float(np.abs(np.where(both, theirs, 0)).max(initial=0.0))
        with np.errstate(over="ignore"):  # the largest float stands for no bound
            allowed = ORDERS * bound
        return cls(error_bounds.by_channel(off), allowed, max(largest, 1e-30))

    @property
    def explained(self) -> bool:
        """True if rounding explains all differences, and half of the frames differ by little."""
        return bool(np.all(self.off <= self.most)) and np.median(self.off.max(1)) <= DECIDED * self.largest

    @property
    def worst(self) -> tuple[float, float]:
        """The difference that is farthest beyond what rounding explains, and what that is."""
        at = np.unravel_index(np.argmax(self.off - self.most), self.off.shape)
        return float(self.off[at]), float(self.most[at])
