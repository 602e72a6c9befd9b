"""Layers of HGQ2 as files describe them, with random bits, and their rows of docs/coverage.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

import bnn2hw
from bnn2hw.nn.hgq_objects import LAYERS
from tests.importers.case import IMAGE, ROW, Case

SIXTEENTHS = bnn2hw.Input("int9", scale=1 / 16)
AT = "Layers of HGQ2, from files"


def conf(kind: str = "kif", overflow: str = "WRAP", rounding: str = "RND", **options: Any) -> dict[str, Any]:
    """Return the description of a quantizer."""
    own = {
        "q_type": kind,
        "overflow_mode": overflow,
        "round_mode": rounding,
        "homogeneous_axis": [0],
        **options,
    }
    return {"class_name": "QuantizerConfig", "config": own, "registered_name": "hgq>QuantizerConfig"}


def layer(kind: str, name: str = "it", *, weights: bool = False, **config: Any) -> Any:
    """Return a layer of HGQ2 as it is read from a file.

    Args:
        kind: Class of the layer.
        name: Name of the layer.
        weights: True if it has a kernel.
        config: Arguments; those of its quantizers may be left out.
    """
    sat = conf("kbi", "SAT_SYM", homogeneous_axis=[], is_weight=True)
    own = {"kq_conf": sat, "bq_conf": sat} if weights else {}
    config = {"iq_conf": conf(), "enable_iq": True, **own, **config}
    return LAYERS[kind].from_config({"name": name, **config})


def shaken(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give a model random bits and weights; one of eight elements has no bits."""
    rng = np.random.default_rng(seed)
    for part in model._flatten_layers():
        for weight in part._trainable_variables + part._non_trainable_variables:
            shape, name = tuple(weight.shape), weight.name
            empty = np.zeros(shape) if min(shape, default=1) < 0 else rng.random(shape) < 1 / 8
            values = {
                "k": rng.integers(0, 2, shape),
                "i": rng.integers(-1, 3, shape),
                "f": np.where(empty, -4, rng.integers(0, 4, shape)),
                "b": np.where(empty, 0, rng.integers(1, 6, shape)),
                "moving_variance": rng.uniform(0.5, 2, shape),
                "ebops": np.zeros(shape),
            }
            weight.assign(values.get(name, rng.normal(0, 1, shape)))
    return model


def _case(shape: tuple[int, ...], it: Any, option: str, **options: Any) -> Case:
    """A model with one layer, read by the scores."""

    def build() -> keras.Model:
        inputs = keras.Input(shape, name="image")
        return shaken(keras.Model(inputs, it(inputs)))

    return Case(AT, type(it).__name__, option, build, {"input": SIXTEENTHS, **options})


def _join(kind: str) -> Case:
    def build() -> keras.Model:
        inputs = keras.Input((6,), name="image")
        sides = [layer("QDense", name, weights=True, units=4)(inputs) for name in ("left", "right")]
        joined = layer(kind, iq_conf=None, iq_confs=conf())(sides)
        return shaken(keras.Model(inputs, joined))

    return Case(AT, kind, "", build, {"input": SIXTEENTHS})


def hgq_layers() -> Iterator[Case]:
    for overflow in ("WRAP", "SAT", "SAT_SYM"):
        for rounding in ("RND", "TRN", "RND_CONV"):
            own = LAYERS["Quantizer"]({**conf("kif", overflow, rounding)}, name="it")
            yield _case((6,), own, f"{overflow}, {rounding}")
    yield _case((6,), LAYERS["Quantizer"](conf("kbi", "SAT", "RND_ZERO"), name="it"), "SAT, RND_ZERO")
    yield _case((6,), layer("QDense", weights=True, units=3), "bits by element")
    yield _case((6,), layer("QDense", weights=True, units=3, activation="relu"), "activation='relu'")
    yield _case(
        (6,), layer("QDense", weights=True, units=3, enable_oq=True, oq_conf=conf()), "enable_oq=True"
    )
    yield _case((6,), layer("QBatchNormDense", weights=True, units=3), "")
    yield _case((6,), layer("QBatchNormalization", weights=True), "")
    yield _case(ROW, layer("QConv1D", weights=True, filters=3, kernel_size=2), "")
    for padding in ("valid", "same"):
        it = layer("QConv2D", weights=True, filters=3, kernel_size=2, padding=padding)
        yield _case(IMAGE, it, f"padding='{padding}'")
    by_channel = conf(homogeneous_axis=None, heterogeneous_axis=[-1])
    it = layer("QConv2D", weights=True, filters=3, kernel_size=2, iq_conf=by_channel)
    yield _case(IMAGE, it, "bits of the input by channel")
    einsum = {"equation": "abc,cd->abd", "output_shape": [8, 3], "bias_axes": "d"}
    yield _case(ROW, layer("QEinsumDense", weights=True, **einsum), "equation='abc,cd->abd'")
    yield _case(ROW, layer("QEinsumDenseBatchnorm", weights=True, **einsum), "equation='abc,cd->abd'")
    yield _case(IMAGE, layer("QMaxPooling2D", pool_size=2), "")
    yield _case(IMAGE, layer("QAveragePooling2D", pool_size=2), "")
    yield _case((4, 4, 3), layer("QGlobalAveragePooling2D"), "")
    yield _case(ROW, layer("QSum", axes=[1]), "axes=1")
    yield _case(ROW, layer("QMeanPow2", axes=[-1]), "axes=-1")
    yield _case((6,), layer("QUnaryFunctionLUT", activation="tanh", enable_oq=True, oq_conf=conf()), "tanh")
    for kind in ("QAdd", "QSubtract", "QMultiply", "QMaximum", "QMinimum", "QAveragePow2"):
        yield _join(kind)
