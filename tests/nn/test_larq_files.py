"""Files that Larq wrote load, compute what Larq computed, and cannot smuggle code in."""

import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import bnn2hw.nn as nn
from bnn2hw.nn.models import load_larq

LARQ = Path(__file__).parents[3] / "shared" / "data" / "larq"
NAME = "mnist_tutorial_e12"


@pytest.fixture
def written_by_larq():
    if not LARQ.exists():
        pytest.skip(f"files that Larq wrote are not at {LARQ}")
    return LARQ


@pytest.mark.parametrize("suffix", ["latent.h5", "latent.keras", "quantized.h5"])
def test_reproduces_the_outputs_of_larq(written_by_larq, suffix):
    model = load_larq(written_by_larq / f"{NAME}.{suffix}")
    with np.load(written_by_larq / f"{NAME}.io.npz") as io:
        for x, y in (("x", "y"), ("x_rand", "y_rand")):
            outputs = model.predict(io[x], verbose=0)
            np.testing.assert_allclose(outputs, io[y], atol=1e-6, rtol=0)
            np.testing.assert_array_equal(outputs.argmax(-1), io[y].argmax(-1))
    assert not model.compiled


def test_summary_is_the_text_of_larq(written_by_larq, capsys):
    nn.models.summary(load_larq(written_by_larq / f"{NAME}.latent.h5"))

    assert capsys.readouterr().out == (written_by_larq / f"{NAME}.summary.txt").read_text(encoding="utf8")


def test_latent_and_quantized_file_differ_only_in_latent_values(written_by_larq):
    latent, quantized = (load_larq(written_by_larq / f"{NAME}.{kind}.h5") for kind in ("latent", "quantized"))

    with nn.context.quantized_scope(True):
        signs = latent.get_weights()

    for a, b in zip(signs, quantized.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def keras2(layers, **config):
    return {"class_name": "Sequential", "config": {"name": "m", "layers": layers, **config}}


def entry(kind, **config):
    return {"class_name": kind, "config": {"trainable": True, "dtype": "float32", **config}}


DENSE = entry(
    "QuantDense",
    name="d",
    units=2,
    activation="linear",
    use_bias=True,
    batch_input_shape=[None, 3],
    kernel_quantizer={"class_name": "SteSign", "config": {"name": "q", "clip_value": 1.5}},
    kernel_constraint={"class_name": "WeightClip", "config": {"clip_value": 1.5}},
    kernel_initializer={"class_name": "GlorotUniform", "config": {"seed": None}},
)


def write_hdf5(path, description, weights):
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(description)
        for layer, arrays in weights.items():
            group = file.create_group(f"model_weights/{layer}")
            group.attrs["weight_names"] = [f"{layer}/{i}:0" for i in range(len(arrays))]
            for index, array in enumerate(arrays):
                group[f"{layer}/{index}:0"] = array
    return path


def test_quantizer_as_old_keras_described_it(tmp_path):
    kernel = np.array([[0.3, -0.2], [-0.1, 0.5], [2.0, -2.0]], "float32")
    path = write_hdf5(tmp_path / "m.h5", keras2([DENSE]), {"d": [kernel, np.zeros(2, "float32")]})

    model = load_larq(path)

    assert model.layers[0].kernel_quantizer.clip_value == 1.5
    np.testing.assert_array_equal(model.predict(np.ones((1, 3)), verbose=0), [[1, -1]])


def test_functional_model_with_a_residual_and_a_shared_layer(tmp_path):
    description = {
        "class_name": "Functional",
        "config": {
            "name": "f",
            "layers": [
                {
                    **entry("InputLayer", name="x", batch_input_shape=[None, 3]),
                    "name": "x",
                    "inbound_nodes": [],
                },
                {
                    **entry("QuantDense", name="d", units=3, input_quantizer="ste_sign", use_bias=False),
                    "name": "d",
                    "inbound_nodes": [[["x", 0, 0, {}]], [["add", 0, 0, {}]]],
                },
                {
                    **entry("TFOpLambda", name="add", function="__operators__.add"),
                    "name": "add",
                    "inbound_nodes": [["d", 0, 0, {"y": ["x", 0, 0]}]],
                },
            ],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["d", 1, 0]],
        },
    }
    kernel = np.eye(3, dtype="float32") * -5
    model = load_larq(write_hdf5(tmp_path / "m.h5", description, {"d": [kernel]}))

    np.testing.assert_array_equal(model.predict(np.array([[9.0, -2.0, 1.0]]), verbose=0), [[-5, -5, 5]])


def refused(path):
    with pytest.raises(ValueError, match="cannot be loaded") as caught:
        load_larq(path)
    return str(caught.value).splitlines()[1:]


def test_code_and_unknown_layers_are_refused_all_at_once(tmp_path):
    description = keras2(
        [
            DENSE,
            entry("Lambda", name="l", function=["4wEAAAA=", None, None], function_type="lambda"),
            entry("Mystery", name="y"),
            entry("TFOpLambda", name="t", function="io.read_file"),
        ]
    )

    assert refused(write_hdf5(tmp_path / "m.h5", description, {})) == [
        "- 'l' is a Lambda layer: it holds code, which is not executed. Replace it by a layer.",
        "- 'y' is of the class Mystery, which is none of Keras's, Larq's or QKeras's.",
        "- 't' applies the TensorFlow function io.read_file.",
    ]


def test_names_of_modules_in_a_file_are_not_imported(tmp_path):
    module = tmp_path / "evil_module.py"
    module.write_text("raise SystemExit('imported')", encoding="utf8")
    evil = {**entry("Evil", name="e"), "module": "evil_module", "registered_name": "os>system"}

    assert refused(write_hdf5(tmp_path / "m.h5", keras2([evil]), {})) == [
        "- 'e' is of the class Evil, which is none of Keras's, Larq's or QKeras's."
    ]


def test_weights_of_another_shape_are_refused(tmp_path):
    path = write_hdf5(tmp_path / "m.h5", keras2([DENSE]), {"d": [np.zeros((4, 2)), np.zeros(2)]})

    with pytest.raises(
        ValueError,
        match=r"^The file gives the layer 'd' weights of the shapes \[\(4, 2\), \(2,\)\], "
        r"but it has \[\(3, 2\), \(2,\)\]\.$",
    ):
        load_larq(path)


def test_what_is_no_model(tmp_path):
    text, weights, archive = tmp_path / "a.h5", tmp_path / "w.h5", tmp_path / "z.keras"
    text.write_text("hello", encoding="utf8")
    h5py.File(weights, "w").close()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme", "hello")

    for path, message in (
        (text, r"is neither an HDF5 file nor a \.keras archive\.$"),
        (weights, r"holds weights only: it has no `model_config`\. Save the whole model\.$"),
        (archive, r"is no \.keras archive: config\.json or model\.weights\.h5 is missing\.$"),
        (tmp_path, r"is a folder \(a SavedModel\?\)\. Save the model as \.h5 with Larq\.$"),
    ):
        with pytest.raises(ValueError, match=message):
            load_larq(path)
    with pytest.raises(FileNotFoundError, match=r"^There is no file .*nothing\.h5\.$"):
        load_larq(tmp_path / "nothing.h5")


def test_archives_of_keras_3_are_for_keras(tmp_path):
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "m.keras")

    with pytest.raises(ValueError, match=r"was saved by Keras 3\..*: load it with keras\.models\.load_model"):
        load_larq(tmp_path / "m.keras")
