"""Neurons of few inputs become truth tables, which are what the layers themselves return."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw import golden, nn
from bnn2hw.errors import UnsupportedError
from bnn2hw.ir import Graph, Ints, Node, Tensor
from bnn2hw.lower.unread_tables import without_unread_tables
from bnn2hw.ops import Lut, Source
from tests.support import networks as net

SIGNS = bnn2hw.Input("bipolar")


def masked(units: int, fan_in: int, name: str, **kwargs: Any) -> keras.layers.Layer:
    return nn.layers.MaskedDense(units, fan_in, kernel_initializer="random_normal", name=name, **kwargs)


def network(*layers: keras.layers.Layer | None, inputs: int = 24, seed: int = 3) -> keras.Model:
    """A chain of layers with weights at random, of which masked ones are thin."""
    model = net.chain((inputs,), *layers, seed=seed)
    for layer in model.layers:
        if isinstance(layer, nn.layers.MaskedDense):
            layer.thin(layer.fan_in)
            layer.apply_mask()
    return model


def sign() -> keras.layers.Layer:
    return keras.layers.Activation("ste_sign")


def two_layers() -> keras.Model:
    return network(
        masked(20, 6, "one", use_bias=True),
        keras.layers.BatchNormalization(),
        sign(),
        masked(30, 5, "two"),
        keras.layers.Activation("tanh"),
        keras.layers.BatchNormalization(),
        sign(),
        nn.layers.GroupSum(3, name="sums"),
    )


def tables(accelerator: bnn2hw.Accelerator) -> dict[str, Lut]:
    return {n.layer: n.op for n in accelerator.graph if isinstance(n.op, Lut)}


def test_the_tables_are_the_layers() -> None:
    model = two_layers()
    accelerator = bnn2hw.compile(model, input=SIGNS)
    frames = np.random.default_rng(1).choice([-1, 1], (300, 24))

    scores = accelerator.dequantize(accelerator.golden(frames))

    assert [op.wires.shape for op in tables(accelerator).values()] == [(20, 6), (30, 5)]
    np.testing.assert_allclose(scores, net.said(model, frames), atol=1e-4)
    assert accelerator.fidelity["one"].kind == accelerator.fidelity["two"].kind == "exact"


def test_tables_that_nothing_reads_are_left_out() -> None:
    """A weight that outweighs the others of its neuron leaves nothing to them."""
    model = network(
        masked(40, 3, "one"), sign(), masked(6, 4, "two", use_bias=False), sign(), net.dense(2), inputs=30
    )
    kernel = np.array(model.get_layer("two").kernel)
    kernel[np.abs(kernel) < np.abs(kernel).max(0)] *= 1e-3
    model.get_layer("two").kernel.assign(kernel)
    frames = np.random.default_rng(5).choice([-1, 1], (200, 30))

    accelerator = bnn2hw.compile(model, input=SIGNS, output="scores")
    made = tables(accelerator)

    read = {lane for function in made["two"].functions for lane in function.lanes}
    assert len(read) == len(made["one"].wires) <= 6
    np.testing.assert_array_equal(accelerator.predict(frames), net.said(model, frames))
    assert all(d.different == 0 for d in accelerator.deviation(frames))
    assert accelerator.deviation(frames)[0].values > 200 * 6, "the layer is compared as it was lowered"
    accelerator.simulate(frames[:30], stalls=0.3, seed=4).check()


def test_what_is_free_of_a_table_that_is_left_out_is_not_read() -> None:
    """Codes that do not occur may have any entry: an input that is left out is not read at all."""
    domain = Ints(1, 3)
    rng = np.random.default_rng(6)
    first = Lut(rng.integers(0, 9, (7, 2)), rng.choice(domain.values(), (7, 16)), domain, domain)
    entries = rng.choice(domain.values(), (3, 4))[
        :, np.repeat(np.arange(4), 4)
    ]  # the upper input alone counts
    last = Lut(np.array([[0, 1], [6, 3], [-1, 4]]), entries, domain, domain)
    nodes = (
        Node("x", Source(Tensor((9,), domain)), (), "x"),
        Node("first", first, ("x",), "first"),
        Node("last", last, ("first",), "last"),
    )
    graph = Graph(nodes, ("last",))
    x = {"x": rng.choice(domain.values(), (50, 9))}

    trimmed = without_unread_tables(graph)

    assert trimmed["first"].op.wires.tolist() == first.wires[[1, 3, 4]].tolist()
    np.testing.assert_array_equal(golden.run(trimmed, x)["last"], golden.run(graph, x)["last"])


def test_hardware_with_tables_equals_golden() -> None:
    accelerator = bnn2hw.compile(two_layers(), input=SIGNS, target="xc7z045")
    frames = np.random.default_rng(2).choice([-1, 1], (40, 24))

    accelerator.simulate(frames, stalls=0.3, seed=4).check()


@pytest.mark.parametrize("kept", [6, 9])
def test_zeros_of_any_kernel_are_seen(kept: int) -> None:
    dense = keras.layers.Dense(8, use_bias=False, name="one")
    model = network(dense, sign(), net.dense(2))
    dense.kernel.assign(np.asarray(dense.kernel) * (np.arange(24) < kept)[:, None])

    assert bool(tables(bnn2hw.compile(model, input=SIGNS))) == (kept == 6)


def test_inputs_of_two_bits_count_as_two() -> None:
    two = bnn2hw.Input("uint2")
    three, four = (network(masked(8, n, "one"), sign(), net.dense(2)) for n in (4, 5))

    assert tables(bnn2hw.compile(three, input=two))["one"].tables.shape == (8, 256)
    assert not tables(bnn2hw.compile(four, input=two))


def test_neurons_with_a_function_of_their_own() -> None:
    model = network(
        nn.layers.Thermometer([40.0, 128.0], name="bits"),
        nn.layers.GatheredDense(36, 6, hidden=4, name="one"),
        sign(),
        nn.layers.GroupSum(4, name="sums"),
        inputs=10,
    )
    accelerator = bnn2hw.compile(model, input=bnn2hw.Input("uint8"))
    frames = np.random.default_rng(3).integers(0, 256, (200, 10))

    scores = accelerator.dequantize(accelerator.golden(frames))

    assert set(tables(accelerator)) == {"bits", "one"}
    np.testing.assert_allclose(scores, net.said(model, frames.astype(np.float32)), atol=1e-4)


def test_signs_of_other_inputs_count_alone() -> None:
    layer = nn.layers.GatheredDense(12, 3, hidden=2, signs=True, name="one")
    accelerator = bnn2hw.compile(model := network(layer, sign(), net.dense(2)), input=bnn2hw.Input("uint2"))
    frames = np.random.default_rng(4).integers(0, 4, (200, 24))

    scores = accelerator.dequantize(accelerator.golden(frames))

    np.testing.assert_allclose(scores, net.said(model, frames.astype(np.float32)), atol=1e-4)
    assert np.array_equal(accelerator.golden(np.minimum(frames, 1)), accelerator.golden(frames))


def test_too_many_bits_are_refused_by_name() -> None:
    model = network(nn.layers.GatheredDense(4, 3, name="one"), sign(), net.dense(2))

    with pytest.raises(UnsupportedError, match=r"'one'.*neurons of 3 inputs of 8 bits, 24 in all"):
        bnn2hw.compile(model, input=bnn2hw.Input("uint8"))


def spoiled(change: str) -> keras.Model:
    model = network(masked(4, 3, "one"), sign(), net.dense(2))
    layer = model.get_layer("one")
    mask = np.array(layer.mask)
    if change == "half":
        mask[0, 0] = 0.5
    elif change == "more":
        mask[:4, 1] = 1
    else:
        layer.kernel.assign(np.ones_like(mask))
    layer.mask.assign(mask)
    return model


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("half", "a mask with the value 0.5"),
        ("more", "where fan_in=3 and 24 inputs are there"),
        ("kernel", "84 weights other than 0 where its mask is 0"),
    ],
)
def test_masks_that_do_not_fit_are_refused_by_name(change: str, found: str) -> None:
    with pytest.raises(UnsupportedError, match=f"'one'.*{found}"):
        bnn2hw.compile(spoiled(change), input=SIGNS)


def test_an_encoder_of_a_whole_image_takes_a_frame_in_a_beat() -> None:
    model = network(
        nn.layers.Thermometer([128.0], name="bits"), masked(8, 6, "one"), sign(), net.dense(2), inputs=784
    )

    taken = {
        n.name: n.op.interval(*graph.inputs_of(n))
        for graph in [bnn2hw.compile(model, input=bnn2hw.Input("uint8")).graph]
        for n in graph
        if isinstance(n.op, Lut)
    }

    assert list(taken.values()) == [1, 1]


def test_vectors_that_are_too_wide_for_a_beat_are_folded_as_before() -> None:
    model = network(masked(4, 3, "one"), sign(), net.dense(2), inputs=5000)

    assert not tables(bnn2hw.compile(model, input=SIGNS))
