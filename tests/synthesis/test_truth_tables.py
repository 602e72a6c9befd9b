"""Truth tables of trained neurons take fewer small LUTs than any functions, and the cost model knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bnn2hw.ir import BIPOLAR, Array, Tensor
from bnn2hw.ops import Lut
from bnn2hw.synthesis import synthesize
from bnn2hw.targets import families
from tests.support import ops

NEURONS, INPUTS = 24, 6


def neurons(rng: np.random.Generator) -> Array:
    """Signs of weighted sums of six signs."""
    signs = 2.0 * (np.arange(64)[:, None] >> np.arange(INPUTS) & 1) - 1
    return np.where(signs @ rng.normal(size=(INPUTS, NEURONS)) >= 0, 1, -1).T


def anything(rng: np.random.Generator) -> Array:
    return rng.choice([-1, 1], (NEURONS, 64))


@pytest.mark.usefixtures("yosys")
@pytest.mark.parametrize("made", [neurons, anything])
def test_small_luts_are_predicted_by_the_functions(
    made: Callable[[np.random.Generator], Array], tmp_path: Path
) -> None:
    rng, family = np.random.default_rng(8), families.family("ecp5")
    wires = np.stack([rng.choice(40, INPUTS, replace=False) for _ in range(NEURONS)])
    op, x = Lut(wires, made(rng), BIPOLAR, BIPOLAR), Tensor((40,), BIPOLAR)

    used = synthesize.area(ops.render(op, (x,), family), family, tmp_path, only="bnn2hw_lut_y")

    assert op.cost(family, x).lut == pytest.approx(used.lut, rel=0.15)


def test_neurons_take_less_than_half_of_the_tables_of_any_function() -> None:
    rng = np.random.default_rng(8)
    wires = np.stack([rng.choice(40, INPUTS, replace=False) for _ in range(NEURONS)])
    costs = [
        Lut(wires, tables(rng), BIPOLAR, BIPOLAR).cost(families.family("ecp5"), Tensor((40,), BIPOLAR)).lut
        for tables in (neurons, anything)
    ]

    assert costs[0] < costs[1] / 2
