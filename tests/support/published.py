"""Networks that others trained and published, as Keras models of quantized layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from bnn2hw import nn


def model(path: Path, first: Any = "ste_sign") -> keras.Sequential:
    """A chain of binary dense layers whose BatchNorms cut where the file's thresholds do.

    Args:
        path: an .npz with `layer{i}_weights` (in, out), `layer{i}_thresholds` (out, 1), and `layer{i}_gamma_sign` where
            some neurons fire when their dot product is at most the threshold.
        first: input quantizer of the first layer.
    """
    data = np.load(path)
    count = sum(name.endswith("_weights") for name in data)
    network = keras.Sequential(
        [keras.Input((data["layer0_weights"].shape[0],))], name=path.stem.split("_")[0]
    )
    for i in range(count):
        weights = data[f"layer{i}_weights"].astype(np.float32)
        quantizer = first if i == 0 else "ste_sign"
        dense = nn.layers.QuantDense(
            weights.shape[1],
            input_quantizer=quantizer,
            kernel_quantizer="ste_sign",
            kernel_constraint="weight_clip",
            use_bias=False,
        )
        network.add(dense)
        dense.set_weights([weights])
        if i < count - 1:
            _add_norm(network, data, i)
    return network


def _add_norm(network: keras.Sequential, data: Any, i: int) -> None:
    """BatchNorm that is positive exactly where the neuron fires; dot products are integers, so half a step decides."""
    thresholds = data[f"layer{i}_thresholds"][:, 0].astype(np.float32)
    gamma = data.get(f"layer{i}_gamma_sign", np.ones_like(thresholds)).astype(np.float32)
    norm = keras.layers.BatchNormalization()
    network.add(norm)
    norm.set_weights([gamma, np.zeros_like(gamma), thresholds - 0.5 * gamma, np.ones_like(gamma)])
