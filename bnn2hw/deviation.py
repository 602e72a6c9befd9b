"""How far the hardware is from Keras on real data, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bnn2hw import golden
from bnn2hw.ir import Array, Graph
from bnn2hw.lower.hardware import Lowered


@dataclass(frozen=True)
class Deviation:
    """How an edge of the hardware differed from Keras; what earlier layers rounded is in it.

    Attributes:
        layer: the edge.
        different: values that are off by more than half a step of the edge's integers, changed decisions where these
            are those of a quantizer.
        values: how many were compared.
        largest: difference, in the model's own unit.
        mean: likewise.
        size: mean absolute value in Keras, beside which these stand.
    """

    layer: str
    different: int
    values: int
    largest: float
    mean: float
    size: float

    @property
    def share(self) -> float:
        """Mean difference over mean size; 0 where nothing differs."""
        return self.mean / self.size if self.size else float(self.mean > 0)


def measure(real: Graph, lowered: Lowered, arrays: Mapping[str, Array]) -> list[Deviation]:
    """Compare a hardware form with the real form that it was made from.

    Args:
        real: the real form.
        lowered: the hardware form and how its edges relate to those of the real form.
        arrays: by input, integers of shape (batch, *shape).
    """
    types = lowered.graph.types
    ours = golden.run(lowered.graph, arrays)
    theirs = golden.run(real, {n: types[n].real(a).astype(np.float32) for n, a in arrays.items()})
    found = []
    for edge, node in lowered.matches.items():
        if edge not in ours:
            continue
        keras = theirs[node].astype(np.float64)
        off = np.abs(types[edge].real(ours[edge]).reshape(keras.shape) - keras)
        half = np.asarray(types[edge].scale) / 2
        if half.size > 1 and half.size != keras.shape[-1]:
            half = np.tile(half, keras.shape[-1] // half.size)
        different = int((off > np.abs(half) + 1e-5 * np.abs(keras)).sum())
        found.append(
            Deviation(
                edge, different, off.size, float(off.max()), float(off.mean()), float(np.abs(keras).mean())
            )
        )
    return found
