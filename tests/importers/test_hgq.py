"""Files of HGQ2 are read without the package, and compute what HGQ2 computed, bit for bit."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.saving.object_registration import GLOBAL_CUSTOM_NAMES

import bnn2hw
from bnn2hw.errors import InputError, UnsupportedError
from bnn2hw.importers.keras.files import load
from bnn2hw.nn.hgq_objects import INSTEAD, LAYERS
from bnn2hw.nn.hgq_quantizers import FixedPoint, Quantizer
from tests.importers.hgq_cases import SIXTEENTHS, conf, hgq_layers, layer, shaken
from tests.support import networks as net
from tests.support import shared

JETS = "foreign/hgq2_jets_mlp.keras"
CASES = {case.id: case for case in hgq_layers()}


def test_quantizers_compute_the_vectors_of_the_package() -> None:
    data = np.load(shared("foreign/ops/hgq2_fixed.npz"))
    cases = json.loads(shared("foreign/ops/hgq2_fixed.json").read_text())
    wrong = []
    for case in cases:
        bits = (np.full(1, case[name], np.float32) for name in "kif")
        fixed = FixedPoint(*bits, case["round"], case["overflow"])
        if not np.array_equal(np.asarray(fixed(data["x"])), data[case["key"]]):
            wrong.append(case)

    assert len(cases) >= 200
    assert wrong == []


def test_the_jets_file_computes_what_the_package_computed() -> None:
    data = np.load(shared("foreign/hgq2_jets_mlp.io.npz"))
    model = load(shared(JETS))
    accelerator = bnn2hw.compile(shared(JETS))
    spec = accelerator.input_specs
    on_the_wire = np.rint(np.asarray(model.get_layer("d0").iq(data["x"])) / spec.scale).astype(int)

    scores = accelerator.dequantize(accelerator.golden(on_the_wire))

    assert spec == bnn2hw.Input("int9", scale=1 / 8)
    assert np.array_equal(scores, data["y"])
    assert np.array_equal(net.said(model, data["x"]), data["y"])
    assert {f.kind for f in accelerator.fidelity.values()} == {"exact"}
    for name in ("d0", "d1", "d2"):
        kernel, bias = model.get_layer(name).weights_used()
        assert np.array_equal(np.asarray(kernel), data[f"qw/{name}/qkernel"])
        assert np.array_equal(np.asarray(bias), data[f"qw/{name}/qbias"])


def test_every_stream_of_the_jets_file_equals_golden_in_simulation() -> None:
    accelerator = bnn2hw.compile(shared(JETS))
    integers = np.random.default_rng(0).integers(-256, 256, (32, 16))

    accelerator.simulate(integers, stalls=0.3).check()


@pytest.mark.parametrize("name", CASES)
def test_each_layer_computes_what_its_model_computes(name: str) -> None:
    case = CASES[name]
    model = case.build()
    accelerator = bnn2hw.compile(model, input=SIXTEENTHS)
    frames = np.random.default_rng(0).integers(-256, 256, (64, *model.input_shape[1:]))

    scores = accelerator.dequantize(accelerator.golden(frames))

    expected = net.said(model, frames.astype(np.float32) / 16)
    assert np.array_equal(scores, expected)
    assert {f.kind for f in accelerator.fidelity.values()} == {"exact"}


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_saved_model_is_read_again(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, cls in LAYERS.items():
        monkeypatch.setitem(GLOBAL_CUSTOM_NAMES, cls, f"hgq>{name}")  # as HGQ2 registers its own
    inputs = keras.Input((6,))
    dense = {"weights": True, "activation": "relu", "enable_ebops": True}
    hidden = layer("QBatchNormDense", "a", units=4, enable_oq=True, oq_conf=conf(), **dense)(inputs)
    other = layer("QDense", "b", units=4, **dense)(inputs)
    joined = layer("QAdd", "c", iq_conf=None, iq_confs=[conf(), conf("kbi", "SAT")])([hidden, other])
    model = shaken(keras.Model(inputs, Quantizer(conf(), name="d")(joined)))
    frames = np.random.default_rng(0).normal(0, 2, (8, 6)).astype(np.float32)
    model.save(tmp_path / f"m.{suffix}")

    again = load(tmp_path / f"m.{suffix}")

    assert np.array_equal(net.said(again, frames), net.said(model, frames))


REFUSED: dict[str, Any] = {
    "a quantizer of type 'float' is not supported: use 'kif' or 'kbi'": conf("float"),
    "overflow_mode='WRAP_SM' is not supported: use one of WRAP, SAT, SAT_SYM": conf(overflow="WRAP_SM"),
    "round_mode='LUCK' is not supported: use one of RND, ": conf(rounding="LUCK"),
    "a quantizer with magic=3 is not supported: leave magic out": conf(magic=3),
    "a bw_mapper of its own is not supported: use homogeneous_axis": conf(bw_mapper={"class_name": "Own"}),
}


@pytest.mark.parametrize("words", REFUSED)
def test_quantizers_that_cannot_be_read_are_refused_with_their_layer(words: str) -> None:
    with pytest.raises(ValueError, match="layer 'it', a QDense of HGQ2: ") as caught:
        layer("QDense", weights=True, units=2, iq_conf=REFUSED[words])

    assert words in str(caught.value)


@pytest.mark.parametrize("kind", ["QSoftmax", "QDenseT", "QMultiHeadAttention", "QGRU"])
def test_layers_that_are_not_read_are_refused_with_the_way_out(kind: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="a")])
    model.save(tmp_path / "m.keras")
    _renamed(tmp_path / "m.keras", kind)

    with pytest.raises(InputError) as caught:
        load(tmp_path / "m.keras")

    assert f"layer 'a' is a {kind} of HGQ2, which is not supported; use {INSTEAD[kind]}" in str(caught.value)


def _renamed(path: Path, kind: str) -> None:
    """Call the dense layer of an archive by a class of HGQ2."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    described = json.loads(parts["config.json"])
    described["config"]["layers"][-1].update(
        module="hgq.layers", class_name=kind, registered_name=f"hgq>{kind}"
    )
    parts["config.json"] = json.dumps(described).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)


def test_a_sum_over_other_axes_is_refused() -> None:
    inputs = keras.Input((3, 4, 2))
    model = shaken(keras.Model(inputs, layer("QSum", axes=[2])(inputs)))

    with pytest.raises(UnsupportedError, match="sums over all positions or over the last axes"):
        bnn2hw.compile(model, input=SIXTEENTHS)
