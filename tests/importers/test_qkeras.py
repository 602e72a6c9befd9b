"""Files of QKeras are read without the package, and compute what QKeras computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw.errors import InputError, UnsupportedError
from bnn2hw.importers.keras.files import load
from bnn2hw.nn import qkeras_objects
from bnn2hw.nn.qkeras_layers import INSTEAD
from tests.importers.qkeras_cases import layer
from tests.support import networks as net
from tests.support import shared

FILES = {
    "qk3_mlp_bin_tern.keras": 1 / 255,
    "qk3_mlp_bin_tern.h5": 1 / 255,
    "qk3_cnn_qb4.keras": 1 / 256,
    "qk3_cnn_qb4.h5": 1 / 256,
    "qk09_cnn.h5": 1 / 256,
}
"""The real value of a step of a pixel, by file."""


def vectors(file: str) -> Any:
    return np.load(shared(f"foreign/{file.split('.')[0]}.io.npz"))


@pytest.mark.parametrize("package", ["qkeras_v3", "qkeras_09"])
def test_quantizers_compute_the_vectors_of_the_package(package: str) -> None:
    data = np.load(shared(f"foreign/ops/{package}.npz"))
    cases = [c for c in json.loads(shared(f"foreign/ops/{package}.json").read_text()) if "key" in c]
    wrong = []
    for case in cases:
        x, expected = data[case["input"]], data[case["key"]]
        q = np.asarray(qkeras_objects.quantizer(case["quantizer"])(x))  # type: ignore[misc]
        # QKeras returns x + (q - x) in float32 for most quantizers, and q itself for some.
        if not (np.array_equal(x + (q - x), expected) or np.array_equal(q, expected)):
            wrong.append(case["quantizer"])

    assert len(cases) >= 40
    assert wrong == []


@pytest.mark.parametrize("file", FILES)
def test_files_compute_what_the_package_computed(file: str) -> None:
    data = vectors(file)
    model = load(shared(f"foreign/{file}"))
    accelerator = bnn2hw.compile(shared(f"foreign/{file}"), input=bnn2hw.Input("uint8", scale=FILES[file]))

    integers = accelerator.golden(data["x"])

    assert np.abs(net.said(model, data["x"]) - data["y"]).max() < 1e-6
    for key in (k.split("/") for k in data.files if k.startswith("qw/") and not k.endswith("scale")):
        weights = model.get_layer(key[1]).weights_of(key[2], f"{key[2]}_quantizer")
        assert np.allclose(np.asarray(weights), data["/".join(key)], rtol=0, atol=1e-6)
    if integers.ndim == 1:  # the file ends in a softmax: the design returns classes
        assert np.array_equal(integers, data["y"].argmax(1))
    else:
        assert np.allclose(accelerator.dequantize(integers), data["y"], rtol=0, atol=1e-5)


def test_a_saved_layer_is_read_again(tmp_path: Path) -> None:
    inputs = keras.Input((6,))
    quantizers = {"kernel_quantizer": "quantized_bits(4,0)", "bias_quantizer": "quantized_bits(4,1)"}
    hidden = layer("QDense", units=4, activation="hard_tanh", **quantizers)(inputs)
    model = keras.Model(inputs, layer("QActivation", name="relu", activation="quantized_relu(4,2)")(hidden))
    frames = np.random.default_rng(0).normal(0, 1, (5, 6)).astype(np.float32)

    for file in ("m.keras", "m.h5"):
        model.save(tmp_path / file)

        assert np.array_equal(load(tmp_path / file).predict(frames, verbose=0), net.said(model, frames))


def test_a_kernel_without_alpha_has_a_scale_from_its_weights() -> None:
    weights = np.random.default_rng(0).normal(0, 0.1, (36, 6)).astype(np.float32)

    kernel = layer("QDense", units=6, kernel_quantizer="quantized_bits(4,0)").kernel_quantizer
    bias = layer("QDense", units=6, bias_quantizer="quantized_bits(4,0)").bias_quantizer

    auto = qkeras_objects.quantizer("quantized_bits(4,0,1,alpha='auto_po2')")
    assert np.array_equal(np.asarray(kernel(weights)), np.asarray(auto(weights)))  # type: ignore[misc]
    assert np.array_equal(np.asarray(bias(weights)) * 8, np.rint(weights * 8).clip(-8, 7))


REFUSED = {
    "bernoulli()": "samples at inference too: use stochastic_binary",
    "quantized_bits(4,0,qnoise_factor=0.5)": "qnoise_factor=0.5, but only 1.0 is supported",
    "quantized_bits(4,0,alpha='most')": "alpha='most': give None, a number, 'auto' or 'auto_po2'",
    "quantized_bits(4,0,unheard=1)": "arguments that are not known",
    "mystery(3)": "the quantizer mystery is not supported; use one of binary, ",
    "quantized_bits(open('x'))": "not the call of a quantizer with constants",
}


@pytest.mark.parametrize("text", REFUSED)
def test_quantizers_that_cannot_be_read_are_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="layer 'it', a QActivation: ") as caught:
        layer("QActivation", activation=text)

    assert REFUSED[text] in str(caught.value)


def test_an_activation_scaled_by_its_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="scales by the values of each batch"):
        layer("QActivation", activation="quantized_bits(4,0,alpha='auto')")


def write(path: Path, kind: str, version: str, config: dict[str, Any]) -> Path:
    """Write a file with one layer that stands behind an input."""
    prefix = "qkeras>" if version.startswith("3") else ""
    shape = "batch_shape" if prefix else "batch_input_shape"
    entries = [
        {"class_name": "InputLayer", "config": {shape: [None, 6], "name": "x", "dtype": "float32"}},
        {"class_name": f"{prefix}{kind}", "config": {"name": "a", **config}},
    ]
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = version, "tensorflow"
        file.attrs["model_config"] = json.dumps(
            {"class_name": "Sequential", "config": {"name": "m", "layers": entries}}
        )
        group = file.create_group("model_weights")
        group.attrs["layer_names"], group.attrs["keras_version"] = [], version
    return path


@pytest.mark.parametrize("version", ["2.15.0", "3.15.1"])
def test_layers_that_are_not_read_are_refused_with_the_way_out(version: str, tmp_path: Path) -> None:
    for kind in ("QAdaptiveActivation", "QDenseBatchnorm", "QLSTM"):
        with pytest.raises(InputError) as caught:
            load(write(tmp_path / f"{kind}.h5", kind, version, {}))

        assert f"layer 'a' is a {kind} of QKeras, which is not supported; use {INSTEAD[kind]}" in str(
            caught.value
        )


@pytest.mark.parametrize("version", ["2.15.0", "3.15.1"])
def test_a_quantizer_in_a_file_is_refused_with_its_layer(version: str, tmp_path: Path) -> None:
    described = {"class_name": "bernoulli", "config": {"alpha": None}}

    with pytest.raises(InputError, match="layer 'a', a QActivation: the quantizer bernoulli"):
        load(write(tmp_path / "m.h5", "QActivation", version, {"activation": described}))


COMPOSITES = ("QConv2DBatchnorm", "QDepthwiseConv2DBatchnorm", "QSeparableConv2D", "QConv2DTranspose")


@pytest.mark.parametrize("kind", [*COMPOSITES, "QAveragePooling2D", "QGlobalAveragePooling2D"])
def test_layers_that_are_several_in_one_compute_what_their_model_computes(kind: str) -> None:
    bits = "quantized_bits(4,0,alpha=1)"
    options: dict[str, Any] = {"activation": "quantized_relu(4,2)"}
    if kind in COMPOSITES:
        options |= {"kernel_size": 2, "bias_quantizer": bits, "use_bias": True}
        names = {"QDepthwiseConv2DBatchnorm": ("depthwise",), "QSeparableConv2D": ("depthwise", "pointwise")}
        options |= {f"{n}_quantizer": bits for n in names.get(kind, ("kernel",))}
        options |= {} if "Depthwise" in kind else {"filters": 3}
    else:
        options |= {
            "average_quantizer": "quantized_bits(8,0)",
            **({"pool_size": 2} if "Global" not in kind else {}),
        }
    inputs = keras.Input((6, 6, 2))
    model = keras.Model(inputs, layer(kind, **options)(inputs))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "iteration" not in weight.name:
            weight.assign(rng.uniform(0.5, 2, weight.shape) * (1 if "variance" in weight.name else 0.3))
    frames = rng.integers(0, 256, (8, 6, 6, 2))

    accelerator = bnn2hw.compile(model, input=bnn2hw.Input("uint8", scale=1 / 256))

    expected = net.said(model, frames.astype(np.float32) / 256)
    assert np.array_equal(accelerator.dequantize(accelerator.golden(frames)), expected)


def test_variances_inside_composite_layers_have_roots() -> None:
    bits = "quantized_bits(4,0,alpha=1)"
    inputs = keras.Input((6, 6, 2))
    folded = layer("QConv2DBatchnorm", filters=3, kernel_size=2, kernel_quantizer=bits, bias_quantizer=bits)
    model = keras.Model(inputs, folded(inputs))
    folded.batchnorm.moving_variance.assign([1, -1, 1])

    with pytest.raises(UnsupportedError, match="layer 'it': the variance -1 in channel 1"):
        bnn2hw.compile(model, input=bnn2hw.Input("uint8", scale=1 / 256))


# By default, golden is compared with the package above, and the jets file of HGQ is simulated.
@pytest.mark.soak
@pytest.mark.parametrize("file", FILES)
def test_every_stream_of_a_file_equals_golden_in_simulation(file: str) -> None:
    frames = (vectors(file)["x"][:32] / FILES[file]).round().astype(int)
    accelerator = bnn2hw.compile(shared(f"foreign/{file}"), input=bnn2hw.Input("uint8", scale=FILES[file]))

    accelerator.simulate(frames, stalls=0.3).check()
