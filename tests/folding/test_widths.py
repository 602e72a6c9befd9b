"""No beat is so wide that simulators refuse it: at most 4,096 bits inside a design and 8,192 at its ports."""

from __future__ import annotations

import numpy as np
import pytest

from bnn2hw.dataflow import connect
from bnn2hw.errors import FoldingError
from bnn2hw.folding import search, unroll, widths
from bnn2hw.folding.options import TOO_WIDE, stream_cost
from bnn2hw.ir import BIPOLAR, Beats, Graph, Ints, Node, StreamOp, Tensor, hardware_nodes
from bnn2hw.ops import Mac, Pool, SlidingWindow, Source, Threshold, Xnor
from bnn2hw.targets import devices

DEVICE = devices.device("ecp5-85k")


def first_layer(size: int, kernel: int, filters: int, bits: int = 8) -> Graph:
    """A convolution on an RGB image, its signs and a pooling."""
    rng = np.random.default_rng(0)
    weights = rng.choice(np.array([-1, 1], np.int8), (kernel * kernel * 3, filters))
    x = Node("x", Source(Tensor((size, size, 3), Ints(0, 2**bits - 1))))
    nodes = [
        x,
        Node("window", SlidingWindow((kernel, kernel)), ("x",)),
        Node("conv", Mac(weights), ("window",)),
    ]
    nodes += [Node("sign", Threshold(rng.integers(0, 999, (filters, 1))), ("conv",))]
    nodes += [Node("pool", Pool(np.zeros(filters, bool)), ("sign",))]
    return Graph(tuple(nodes), ("pool",))


def widest(graph: Graph) -> tuple[int, int]:
    """The bits of the widest beat inside a folded graph, with converters, and at its ports."""
    streamed = connect.connect(graph)
    ports = {n.name for n in streamed.sources} | {streamed.wire(n) for n in streamed.outputs}
    bits: dict[bool, list[int]] = {False: [0], True: [0]}
    for node in streamed:
        if isinstance(node.op, StreamOp):
            given = node.op.beats(*streamed.inputs_of(node))[1]
            bits[node.name in ports].append(given.lanes * streamed.types[node.name].ints.bits)
    return max(bits[False]), max(bits[True])


def test_the_default_folding_of_a_first_layer_has_no_wide_beats() -> None:
    """The windows and converters of 46 windows in a row (1, 2, 23 or 46 per beat) take less than their layer."""
    folded = search.for_device(first_layer(48, 3, 16), DEVICE)

    inside, ports = widest(folded)
    assert inside <= widths.MOST_INSIDE
    assert ports <= widths.MOST_AT_PORTS
    streamed = connect.connect(folded)
    lut = {n.name: op.cost(DEVICE.family, *streamed.inputs_of(n)).lut for n, op in hardware_nodes(streamed)}
    assert sum(lut.values()) - lut["conv"] < lut["conv"]


def test_common_multiples_of_beats_are_not_wide() -> None:
    """Beats of 64 and 81 values of 8 bits would meet in one of 41,472 bits."""
    have, want = Beats(64), Beats(81)

    assert stream_cost(DEVICE.family, 8, have, want, True)[0] == TOO_WIDE
    assert stream_cost(DEVICE.family, 8, Beats(27), Beats(64), True)[0] == TOO_WIDE
    assert stream_cost(DEVICE.family, 8, Beats(8), Beats(9), True)[0] < 2000


def test_an_unrolled_layer_with_too_many_inputs_is_refused_by_name() -> None:
    rng = np.random.default_rng(0)
    source = Node("x", Source(Tensor((8200,), BIPOLAR)))
    dense = Node("dense", Xnor(rng.choice(np.array([-1, 1], np.int8), (8200, 4))), ("x",))

    with pytest.raises(
        FoldingError, match=r"layer 'dense' cannot be unrolled: .* beat of 8,200 bits, and at most 4,096"
    ):
        unroll.apply(Graph((source, dense), ("dense",)), {"dense": {"style": "unrolled"}}, DEVICE)


def test_a_folding_by_hand_with_a_wide_beat_is_refused_by_name() -> None:
    graph = first_layer(48, 3, 16)

    with pytest.raises(FoldingError, match=r"layer 'window' has a beat of 9,936 bits, and at most 4,096"):
        search.chosen(graph, DEVICE, by_hand={"window": {"pixels": 24}})
