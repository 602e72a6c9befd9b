"""Blocks with branches, depthwise layers and overlapping pools at several pixels per cycle."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw import golden
from bnn2hw.backends import BACKENDS
from bnn2hw.folding import borders, search
from bnn2hw.ir import BIPOLAR, Graph, HardwareOp, Ints, Node, Tensor
from bnn2hw.ops import (
    Depthwise,
    Pad,
    ParallelConcat,
    ParallelDepthwise,
    ParallelMultiply,
    ParallelPool,
    Pool,
    SlidingWindow,
    Source,
)
from bnn2hw.targets import devices
from tests.support import long_runs, random_values
from tests.support import networks as net

PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)
SHAPE = (8, 16, 2)
CLOCK = 200e6
FRAMES = 5
Block = Callable[[keras.KerasTensor], keras.KerasTensor]


def signs(x: keras.KerasTensor, filters: int, kernel: int = 3, **options: object) -> keras.KerasTensor:
    """A binarized convolution with as many pixels as before."""
    x = net.conv(filters, kernel, padding="same", pad_values=1.0, **options)(x)
    return net.norm()(x)


def concatenated(x: keras.KerasTensor) -> keras.KerasTensor:
    """Branches of different widths, side by side."""
    return keras.layers.Concatenate(name="join")([signs(x, 4), signs(x, 2)])


def multiplied(x: keras.KerasTensor) -> keras.KerasTensor:
    """The product of two branches."""
    return keras.layers.Multiply(name="join")([signs(x, 4), signs(x, 4)])


def depthwise(x: keras.KerasTensor, kernel: int = 3, **options: object) -> keras.KerasTensor:
    """A filter of signs for each channel."""
    quantizers = {"input_quantizer": "ste_sign", "depthwise_quantizer": "ste_sign", **options}
    layer = bnn2hw.nn.layers.QuantDepthwiseConv2D(kernel, use_bias=False, name="join", **quantizers)
    return layer(x)


def filtered(x: keras.KerasTensor) -> keras.KerasTensor:
    """A depthwise layer of signs."""
    return depthwise(x, padding="same", pad_values=1.0)


def averaged(x: keras.KerasTensor) -> keras.KerasTensor:
    """Means of windows that overlap."""
    return keras.layers.AveragePooling2D((3, 1), strides=1, name="join")(x)


def pooled(x: keras.KerasTensor) -> keras.KerasTensor:
    """The largest values of windows that overlap, in a border."""
    return keras.layers.MaxPooling2D(3, strides=1, padding="same", name="join")(x)


def halved(x: keras.KerasTensor) -> keras.KerasTensor:
    """The largest values of every second window, in a border of one column."""
    return keras.layers.MaxPooling2D(3, strides=2, padding="same", name="join")(x)


def gated(x: keras.KerasTensor) -> keras.KerasTensor:
    """Channels times factors that depend on the whole image."""
    x = signs(x, 4)
    factors = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    factors = net.norm()(net.dense(4)(factors))
    return keras.layers.Multiply(name="join")([x, keras.layers.Reshape((1, 1, 4))(factors)])


def network(block: Block, kernel: int = 3) -> keras.Model:
    """A model that begins with a convolution and a block, and ends with classes."""
    x = inputs = keras.Input(SHAPE)
    x = signs(x, 4, kernel, input_quantizer=None)
    x = block(x)
    x = net.norm()(x)
    x = net.conv(3)(x)
    x = keras.layers.Flatten()(x)
    return net.shake(keras.Model(inputs, net.dense(4)(x)), seed=3)


def check(acc: bnn2hw.Accelerator, period: int) -> None:
    """Compare the hardware of a period with golden and with the predicted cycles, without stalls and with them."""
    x = np.random.default_rng(0).integers(0, 256, (FRAMES, *SHAPE))
    predicted = acc.estimate().cycles

    smooth = acc.simulate(x)

    smooth.check()
    acc.simulate(x, stalls=0.4, seed=1).check()
    assert smooth.interval == predicted.interval <= period
    assert smooth.latency == predicted.latency
    assert np.diff(smooth.frame_ends)[-1] == predicted.interval


BLOCKS = [concatenated, multiplied, filtered, averaged, pooled, halved, gated]
EACH = [(block, 2) for block in BLOCKS] + [(concatenated, 1), (filtered, 1), (pooled, 1)]


@pytest.mark.parametrize(("block", "each"), EACH, ids=lambda b: getattr(b, "__name__", b))
def test_blocks_of_several_pixels_per_cycle(block: Block, each: int) -> None:
    period = (SHAPE[0] + 2) * (SHAPE[1] + 2) // each
    acc = bnn2hw.compile(network(block), input=PIXELS, target="xc7z045", fps=CLOCK / (period + 0.5))

    check(acc, period)
    found = [
        knobs.get("pixels", 1) for name, knobs in search.of(acc.graph).items() if name.startswith("join")
    ]
    assert max(found) == each


def mixed(kernel: int) -> Block:
    """A depthwise layer next to an overlapping pool, their gate, and a pool with a stride; all windows have equal widths."""

    def block(x: keras.KerasTensor) -> keras.KerasTensor:
        filtered = net.norm()(depthwise(x, kernel, padding="same", pad_values=1.0))
        largest = keras.layers.MaxPooling2D((3, kernel), strides=1, padding="same", name="largest")(x)
        both = signs(keras.layers.Concatenate(name="both")([filtered, largest]), 4, kernel)
        product = keras.layers.Multiply(name="product")([both, x])
        return keras.layers.MaxPooling2D(kernel, strides=2, padding="same", name="smaller")(product)

    return block


@pytest.mark.parametrize("each", long_runs.after(1, [2, 4]))
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_network_of_all_blocks(backend: str, each: int) -> None:
    """Borders have as many columns as a beat has pixels, so that beats fill each row."""
    period = (SHAPE[0] + each) * (SHAPE[1] + each) // each
    model, fps = network(mixed(each + 1), each + 1), CLOCK / (period + 0.5)
    acc = bnn2hw.compile(model, input=PIXELS, target="xc7z045", fps=fps, backend=backend)

    if backend == "hls":
        x = np.random.default_rng(0).integers(0, 256, (FRAMES, *SHAPE))
        acc.simulate(x, stalls=0.4, seed=1).check()
    else:
        check(acc, period)
    for kind in (ParallelConcat, ParallelMultiply, ParallelDepthwise, ParallelPool):
        [*ops] = (node.op for node in acc.graph if isinstance(node.op, kind))
        assert max(op.pixels for op in ops) == each


def test_a_border_is_widened_only_where_the_rate_asks_for_it() -> None:
    """An even row and the one column of its border have no common divisor; one more column is read by no window."""
    image = (Node("x", Source(Tensor((4, 8, 1), BIPOLAR))), Node("border", Pad((0, 1), (0, 1), -1), ("x",)))
    window = Node("window", SlidingWindow((3, 3), (2, 2)), ("border",))
    pool = Node("pool", Pool(np.zeros(1, bool), (3, 3), windowed=True), ("window",))
    graph, device = Graph((*image, window, pool), ("pool",)), devices.device("xc7z045")
    slow, fast = (search.chosen(graph, device, device.clock_mhz * 1e6 / period) for period in (45, 25))

    assert slow.types["border"].shape == (5, 9, 1)
    assert fast.types["border"].shape == (5, 10, 1)
    assert fast.types["pool"] == slow.types["pool"]
    x = random_values(graph.types["x"], 4)
    assert np.array_equal(golden.run(fast, x)["pool"], golden.run(slow, x)["pool"])
    by_hand = search.chosen(graph, device, by_hand={"border": {"pixels": 2}})
    assert search.of(by_hand)["border"]["pixels"] == 2
    assert borders.widened(fast) is fast


def wrong() -> Iterator[tuple[HardwareOp, tuple[Tensor, ...], str]]:
    image, signs = Tensor((4, 6, 2), BIPOLAR), np.ones((4, 2), np.int64)
    windows, minimum = Tensor((3, 8), Ints(0, 3)), np.zeros(2, bool)
    yield ParallelConcat(4, pixels=5), (image, image), "pixels=5 must divide the 24 pixels of a frame"
    yield ParallelConcat(2), (image, image), "lanes=2 must be all 2 and 2 channels"
    yield ParallelMultiply(2, pixels=7), (image, image), "pixels=7 must divide the 24 pixels"
    yield ParallelMultiply(1, pixels=2), (image, image), "lanes=1 must be all 2 channels"
    yield (
        ParallelDepthwise(signs, lanes=4),
        (windows,),
        "lanes=4 must be the 8 values of a window",
    )
    yield ParallelDepthwise(-signs, lanes=2, pixels=2), (windows,), "if all weights are 1"
    yield (
        ParallelDepthwise(signs, lanes=2, pixels=3),
        (windows,),
        "divide the 4 pixels of a window",
    )
    yield (
        ParallelDepthwise(signs, lanes=8, pixels=2),
        (windows,),
        "pixels=2 must divide the 3",
    )
    yield ParallelPool(minimum, (2, 2), True, 8, 2), (windows,), "pixels=2 must divide the 3"
    yield ParallelPool(minimum, (2, 2), False, 8), (image,), "needs windows of 4 pixels with 2 channels"
    yield ParallelPool(minimum, (2, 2), True, 2), (windows,), "lanes=2 must hold"


@pytest.mark.parametrize(("op", "x", "message"), list(wrong()))
def test_ops_refuse_beats_that_are_not_whole(op: HardwareOp, x: tuple[Tensor, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        op.infer(*x)


def test_loadable_layers_take_no_whole_windows() -> None:
    window = Tensor((6, 9 * 4), Ints(0, 3))
    weights = np.arange(36).reshape(9, 4) - 17
    fixed, loadable = Depthwise(weights), Depthwise(weights, loadable=True)

    assert min(op.interval(window) for op in fixed.foldings(window)) == 1
    assert min(op.interval(window) for op in loadable.foldings(window)) == 6 * 9


def test_weights_keep_their_form_in_another_folding() -> None:
    folded = ParallelDepthwise(np.full((9, 4), 2), lanes=36, pixels=2)
    again = Depthwise(np.full((9, 4), 3)).folded_like(folded)

    assert isinstance(again, ParallelDepthwise)
    assert (again.lanes, again.pixels, int(again.weights[0, 0])) == (36, 2, 3)
    loadable = Depthwise(np.full((9, 4), 3), loadable=True).folded_like(
        Depthwise(np.full((9, 4), 2), lanes=2)
    )
    assert isinstance(loadable, Depthwise)
    assert loadable.loadable
