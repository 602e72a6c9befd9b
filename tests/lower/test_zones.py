"""Curves over channels of very different ranges: each output is true to its own range."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import KerasTensor, layers

import bnn2hw
from bnn2hw.errors import UnsupportedError
from bnn2hw.ops.interpolation import Interpolation
from bnn2hw.ops.table import Table
from tests.support import long_runs

SIZES = np.array([1e-3, 1e-2, 0.3, 1, 30, 1000], np.float32)
"""Sizes of the channels in front of a curve."""

WIRE = bnn2hw.Input("uint8", scale=1 / 255)


def headed(head: Callable[[KerasTensor], KerasTensor], sizes: np.ndarray = SIZES) -> keras.Model:
    """A dense layer of channels of different sizes, and what follows it."""
    rng = np.random.default_rng(1)
    inputs = keras.Input((20,), name="x")
    dense = layers.Dense(sizes.size, name="dense")
    model = keras.Model(inputs, head(dense(inputs)))
    dense.set_weights(
        [rng.normal(size=(20, sizes.size)) * sizes * 0.1, rng.normal(size=sizes.size) * sizes * 0.1]
    )
    return model


def shares(model: keras.Model, **options: object) -> tuple[bnn2hw.Accelerator, np.ndarray]:
    """The largest error of each score as a share of its own range, without what float32 rounds in numbers near 1."""
    x = np.random.default_rng(2).integers(0, 256, (200, 20))
    accelerator = bnn2hw.compile(model, input=WIRE, output="scores", **options)  # type: ignore[arg-type]
    wanted = model(x.astype(np.float32) / np.float32(255)).numpy().astype(np.float64)
    off = np.abs(accelerator.predict(x).reshape(wanted.shape) - wanted).max(0) - 2.0**-22
    return accelerator, np.maximum(off, 0) / np.maximum(np.ptp(wanted, 0), 1e-30)


def activation(name: str) -> Callable[[KerasTensor], KerasTensor]:
    return lambda x: layers.Activation(name, name=f"{name}_layer")(x)


HEADS: dict[str, Callable[[KerasTensor], KerasTensor]] = {
    **{name: activation(name) for name in ("elu", "gelu", "silu", "mish", "selu", "softplus", "sigmoid")},
    "square": keras.ops.square,
    "x * tanh(x)": lambda x: layers.Multiply()([x, layers.Activation("tanh")(x)]),
    "x + elu(x)": lambda x: layers.Add()([x, layers.Activation("elu")(x)]),
    "x, gelu(x)": lambda x: layers.Concatenate()([x, layers.Activation("gelu")(x)]),
    "elu(elu(x))": lambda x: layers.Activation("elu")(layers.Activation("elu")(x)),
}


@pytest.mark.parametrize("bits", long_runs.after(1, [None, 24]))
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_each_channel_is_true_to_its_own_range(
    head: Callable[[KerasTensor], KerasTensor], bits: int | None
) -> None:
    _, off = shares(headed(head), bits=bits)

    assert off.max() < (2.0**-11 if bits is None else 2.0**-13)  # the kernel has 18 bits by default


def test_few_bits_are_those_of_each_channel() -> None:
    accelerator, off = shares(headed(activation("softsign"), np.array([0.1, 3, 10], np.float32)), bits=8)

    assert any(isinstance(node.op, Table) for node in accelerator.graph)
    assert off.max() < 2.0**-6


def test_a_bend_in_a_small_part_of_a_wide_range_is_followed_by_lines() -> None:
    """Evenly spaced lines over ±6,000 would be too many for a curve that bends between -10 and 0."""
    accelerator, off = shares(headed(activation("elu"), SIZES[-2:] * 10), bits=24)

    assert any(isinstance(node.op, Interpolation) for node in accelerator.graph)
    assert off.max() < 2.0**-15


def test_no_input_leads_to_another_zone() -> None:
    """Integers are rounded in front of the curve, also at the ends of the ranges."""
    accelerator, _ = shares(headed(activation("sigmoid")), bits=24)

    stated = accelerator.fidelity["sigmoid_layer"].why.split("off by at most ")[1].split()[0]
    assert float(stated) < 1e-6


def test_channels_of_like_ranges_share_one_zone() -> None:
    accelerator, _ = shares(headed(activation("gelu"), np.array([1, 2, 0.5], np.float32)))

    assert not [node.name for node in accelerator.graph if ".zones" in node.name]


@pytest.mark.parametrize("sizes", [(0.0, 1e-3, 1), (0.0, 0.0)])
def test_a_constant_channel_needs_no_zone(sizes: tuple[float, ...]) -> None:
    accelerator, off = shares(headed(activation("gelu"), np.array([*sizes, 1000], np.float32)))

    assert accelerator.fidelity["gelu_layer"].kind == "rounded"
    assert np.nan_to_num(off).max() < 2.0**-11


def test_zones_in_hardware() -> None:
    """Values beyond the calibrated range stop at the end of their own zone."""
    model = headed(activation("elu"), SIZES[[1, 4]])
    x = np.random.default_rng(2).integers(0, 256, (60, 20))
    accelerator = bnn2hw.compile(model, input=WIRE, output="scores", calibration=x[:4] // 2, bits=20)
    extreme = np.concatenate([x[:2], np.zeros((1, 20), int), np.full((1, 20), 255)])

    scores = accelerator.predict(extreme)

    assert [node.name for node in accelerator.graph if node.name.endswith(".zones")]
    assert np.abs(scores[:, 0]).max() < 0.05, "another zone"
    assert accelerator.simulate(extreme, stalls=0.3).exact


def test_infinite_scores_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="infinity as the result"):
        shares(headed(activation("exponential")))
