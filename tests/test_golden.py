"""Golden computes the outputs of a graph, wherever they lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2hw import golden
from tests.support import mlp, random_frames


def test_outputs_that_others_read_are_kept() -> None:
    graph = replace(mlp(6, 4, 3), outputs=("fc0", "fc1"))
    x = golden.check(graph, random_frames(graph, 5))
    every = golden.run(graph, dict(x))

    found = golden.outputs(graph, dict(x))

    assert set(found) == {"fc0", "fc1"} < set(every)
    for name in found:
        assert np.array_equal(found[name], every[name])
