"""Helpers of several test modules."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from bnn2hw import golden
from bnn2hw.dataflow.alone import alone
from bnn2hw.estimate import cycles
from bnn2hw.golden import Batch
from bnn2hw.ir import BIPOLAR, Array, Cycles, Graph, HardwareOp, Ints, Node, Tensor
from bnn2hw.ops import Source, Threshold, Xnor

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
EXAMPLES = ROOT / "examples"


def cycles_alone(op: HardwareOp, *x: Tensor) -> Cycles:
    """Cycles of an op, or of an op and its converters where it needs some."""
    graph = alone(op, *x)
    whole = graph.outputs == ("y",) and "x.ragged" not in graph.types
    return op.cycles(*x) if whole else Cycles(op.interval(*x), cycles.latency(graph))


def mlp(*widths: int) -> Graph:
    """Dense layers with a threshold after each but the last."""
    rng = np.random.default_rng(0)
    nodes = [Node("x", Source(Tensor((widths[0],), BIPOLAR)))]
    for i, (mw, mh) in enumerate(itertools.pairwise(widths)):
        nodes.append(
            Node(f"fc{i}", Xnor(rng.choice(np.array([-1, 1], np.int8), (mw, mh))), (nodes[-1].name,))
        )
        if i < len(widths) - 2:
            cuts = rng.choice(Ints(-mw, mw, 2).values(), (mh, 1))
            nodes.append(Node(f"sign{i}", Threshold(cuts), (f"fc{i}",)))
    return Graph(tuple(nodes), (nodes[-1].name,))


def random_values(tensor: Tensor, count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).choice(tensor.ints.values(), (count, *tensor.shape))


def random_frames(graph: Graph, count: int, seed: int = 0) -> Batch:
    """Independent random values for each input of a graph."""
    sources = [n.name for n in graph if isinstance(n.op, Source)]
    return golden.batch(
        {name: random_values(graph.types[name], count, seed + i) for i, name in enumerate(sources)}
    )


def shared(name: str) -> Path:
    """A file of real data that lies beside the checkout on some machines."""
    if not (SHARED / name).exists():
        pytest.skip(f"needs {name}, which is not on this machine")
    return SHARED / name
