"""Convolutional networks at several pixels per cycle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw.backends import BACKENDS
from bnn2hw.errors import FoldingError
from bnn2hw.estimate import cycles
from bnn2hw.folding import search
from bnn2hw.ir import BIPOLAR, Graph, HardwareOp, Ints, Node, Tensor
from bnn2hw.ops import ParallelWindow, Pool, SlidingWindow, Source, Threshold, Xnor
from bnn2hw.targets import devices
from tests.support import long_runs
from tests.support import networks as net

PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)
SHAPE = (12, 20, 1)
BEATS = 12 * 20
CLOCK = 200e6
FRAMES = 6


def model() -> keras.Model:
    return net.chain(
        SHAPE,
        net.conv(4, input_quantizer=None, name="first"),
        net.norm(),
        keras.layers.MaxPooling2D(2, name="pool"),
        net.conv(6, name="second"),
        net.norm(),
        keras.layers.Flatten(),
        net.dense(5),
        seed=5,
    )


def compiled(period: int, **options: object) -> bnn2hw.Accelerator:
    """The network for so many cycles per frame."""
    return bnn2hw.compile(model(), input=PIXELS, target="xc7z045", fps=CLOCK / (period + 0.5), **options)


def pixels(graph: Graph) -> dict[str, int]:
    """By node that takes several pixels per beat, how many."""
    found = search.of(graph)
    return {name: int(knobs["pixels"]) for name, knobs in found.items() if "pixels" in knobs}


@pytest.mark.parametrize("style", ["folded", "unrolled"])
@pytest.mark.parametrize("each", [2, 4])
def test_several_pixels_per_cycle(each: int, style: str) -> None:
    by_hand = {"second": {"style": style}} if style == "unrolled" else None
    acc = compiled(BEATS // each, folding=by_hand)
    x = np.random.default_rng(0).integers(0, 256, (FRAMES, *SHAPE))
    predicted = acc.estimate().cycles

    smooth = acc.simulate(x)
    stalled = acc.simulate(x, stalls=0.4, seed=1)

    smooth.check()
    stalled.check()
    assert smooth.interval == predicted.interval == BEATS // each
    assert smooth.latency == predicted.latency
    assert np.diff(smooth.frame_ends).tolist() == [predicted.interval] * (FRAMES - 1)
    assert pixels(acc.graph)["first.window"] == each


@pytest.mark.usefixtures("quick_emulator")
@pytest.mark.parametrize("each", long_runs.after(1, [4, 2]))
def test_several_pixels_per_cycle_in_c(each: int) -> None:
    acc = compiled(BEATS // each, backend="hls")
    x = np.random.default_rng(0).integers(0, 256, (FRAMES, *SHAPE))

    acc.simulate(x).check()
    acc.simulate(x, stalls=0.4, seed=1).check()
    assert np.array_equal(acc.emulate(x), acc.golden(x))


@pytest.mark.parametrize("period", [2 * BEATS, BEATS, BEATS - 1, BEATS // 2, BEATS // 4])
def test_several_pixels_only_where_the_rate_asks_for_them(period: int) -> None:
    found = pixels(compiled(period).graph)

    assert bool(found) == (period < BEATS)
    assert all(name.startswith(("first", "pool")) for name in found)


@pytest.mark.parametrize("backend", BACKENDS)
def test_borders_of_two_pixels_per_cycle(backend: str) -> None:
    """Zeros around the image, which the sums leave out, and ones around the signs."""
    model = net.chain(
        (6, 8, 2),
        net.conv(4, padding="same", input_quantizer=None),
        net.norm(),
        net.conv(5, padding="same"),
        net.norm(),
        net.conv(3, padding="same", pad_values=1.0),
        net.norm(),
        keras.layers.Flatten(),
        net.dense(4),
        seed=9,
    )
    period = 8 * 10 // 2
    acc = bnn2hw.compile(model, input=PIXELS, target="xc7z045", fps=CLOCK / (period + 0.5), backend=backend)
    x = np.random.default_rng(0).integers(0, 256, (FRAMES, 6, 8, 2))
    predicted = acc.estimate().cycles

    smooth = acc.simulate(x)

    smooth.check()
    acc.simulate(x, stalls=0.4, seed=1).check()
    assert predicted.interval == period
    assert set(pixels(acc.graph).values()) == {2}
    if backend != "hls":
        assert (smooth.interval, smooth.latency) == (predicted.interval, predicted.latency)


def conv(width: int = 20) -> Graph:
    """A convolution in hardware form."""
    rng = np.random.default_rng(0)
    signs = rng.choice(np.array([-1, 1], np.int8), (18, 4))
    cuts = rng.choice(Ints(-18, 18, 2).values(), (4, 1))
    nodes = (
        Node("x", Source(Tensor((6, width, 2), BIPOLAR))),
        Node("window", SlidingWindow((3, 3)), ("x",)),
        Node("conv", Xnor(signs), ("window",)),
        Node("sign", Threshold(cuts), ("conv",)),
        Node("pool", Pool(np.zeros(4, bool)), ("sign",)),
    )
    return Graph(nodes, ("pool",))


def test_by_hand() -> None:
    graph, device = conv(), devices.device("xc7z045")

    folded = search.chosen(graph, device, by_hand={"conv": {"pixels": 3}})

    assert search.of(folded)["conv"] == {"pe": 4, "simd": 18, "pixels": 3}
    assert cycles.interval(folded) == 4 * 18 // 3
    again = search.for_rate(graph, 1000, device, search.of(folded))
    assert search.of(again) == search.of(folded)


@pytest.mark.parametrize(
    ("by_hand", "message"),
    [
        (
            {"conv": {"pixels": 5}},
            "layer 'conv': pixels=5 does not divide; use one of 1, 2, 3, 4, 6, 8, 9, 12, 18",
        ),
        ({"conv": {"pixels": 2, "pe": 2}}, "layer 'conv': pixels=2, pe=2 do not go together"),
        ({"window": {"pixels": 3}}, "layer 'window': pixels=3 does not divide; use one of 1, 2, 4, 5, 10"),
        ({"pool": {"pixels": 3}}, "layer 'pool': pixels=3 does not divide; use one of 1, 2, 6, 18"),
    ],
)
def test_by_hand_what_does_not_divide(by_hand: dict[str, dict[str, int]], message: str) -> None:
    with pytest.raises(FoldingError, match=message):
        search.for_rate(conv(), 1000, devices.device("xc7z045"), by_hand)


def wrong() -> Iterator[tuple[HardwareOp, Tensor, str]]:
    signs = np.ones((4, 2), np.int8)
    image = Tensor((3, 6, 4), BIPOLAR)
    yield Xnor(signs, pe=2, simd=4, pixels=4), image, "pixels=4 must divide the 18 pixels of a frame"
    yield Xnor(signs, pe=1, simd=4, pixels=2), image, "pixels=2 needs whole pixels"
    yield Xnor(signs, pe=2, simd=4, pixels=2, loadable=True), image, "that are not loadable"
    yield (
        ParallelWindow((3, 3), lanes=108, pixels=2),
        image,
        "must hold whole windows of 36 values; their number must divide the 4 windows",
    )
    yield ParallelWindow((3, 3), lanes=72, pixels=4), image, "pixels=4 must divide the 6 pixels of a row"
    yield (
        ParallelWindow((3, 3), lanes=72, pixels=3),
        image,
        "pixels=3 per beat complete more than the 2 windows of a beat; at most 2 are",
    )
    yield (
        Pool(np.zeros(4, bool), lanes=4, pixels=3),
        image,
        "pixels=3 must .* be a multiple of the window's 2",
    )


@pytest.mark.parametrize(("op", "x", "message"), list(wrong()))
def test_ops_refuse_what_does_not_divide(op: HardwareOp, x: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        op.infer(x)


def test_loadable_layers_take_a_pixel_per_cycle() -> None:
    graph = conv()
    x = graph.inputs_of(graph["conv"])
    loadable = graph.map_ops({"conv": replace(graph["conv"].op, loadable=True)})

    assert search.fastest(graph) < min(o.interval(*x) for o in loadable["conv"].op.foldings(*x)) == 4 * 18
