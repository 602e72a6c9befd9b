"""Files and objects of Keras 2: what computes the same is read, and every reason of a refusal reaches the user."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw import nn
from bnn2hw.cli.main import main
from bnn2hw.cli.own_code import objects
from bnn2hw.errors import InputError

INT4 = bnn2hw.Input("int4")
RNG = np.random.default_rng(0)
X = RNG.integers(-8, 8, (40, 6))
KERNEL = RNG.uniform(-1, 1, (6, 3)).astype(np.float32)
HEAD = {"units": 3, "use_bias": False, "input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}


def sign(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, 1, -1)


def entry(kind: str, name: str, config: dict[str, Any], inbound: list[Any] | None = None) -> dict[str, Any]:
    return {
        "class_name": kind,
        "name": name,
        "config": {"name": name, **config},
        "inbound_nodes": inbound or [],
    }


def functional(name: str, layers: list[dict[str, Any]], end: list[Any]) -> dict[str, Any]:
    ends = {"input_layers": [[layers[0]["name"], 0, 0]], "output_layers": [end]}
    return {"class_name": "Functional", "config": {"name": name, "layers": layers, **ends}}


def write(path: Path, model: dict[str, Any], weights: dict[str, dict[str, np.ndarray]]) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = "2.12.0", "tensorflow"
        file.attrs["model_config"] = json.dumps(model)
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            own = group.create_group(name)
            own.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in arrays]
            for key, values in arrays.items():
                own[f"{name}/{key}:0"] = values
    return path


def image(name: str = "image") -> dict[str, Any]:
    return entry("InputLayer", name, {"batch_input_shape": [None, 6], "dtype": "float32"})


OPERATORS = {
    "x * 0.5": ("math.multiply", ["image", 0, 0, {"y": 0.5, "name": None}], lambda x: x * 0.5),
    "x + 1": ("__operators__.add", ["image", 0, 0, {"y": 1.0, "name": None}], lambda x: x + 1),
    "1 - x": (
        "math.subtract",
        ["_CONSTANT_VALUE", -1, 1.0, {"y": ["image", 0, 0], "name": None}],
        lambda x: 1 - x,
    ),
    "x / 4": ("math.truediv", ["image", 0, 0, {"y": 4.0, "name": None}], lambda x: x / 4),
    "max(x, 2)": ("math.maximum", ["image", 0, 0, {"y": 2.0, "name": None}], lambda x: np.maximum(x, 2)),
    "a vector": (
        "math.subtract",
        ["image", 0, 0, {"y": [1.0, 2, 3, 4, 5, -6]}],
        lambda x: x - [1, 2, 3, 4, 5, -6],
    ),
    "clip": (
        "clip_by_value",
        ["image", 0, 0, {"clip_value_min": -1.0, "clip_value_max": 2.0}],
        lambda x: x.clip(-1, 2),
    ),
    "tanh": ("math.tanh", ["image", 0, 0, {}], np.tanh),
}


@pytest.mark.parametrize("case", OPERATORS.values(), ids=OPERATORS)
def test_operators_with_numbers(case: tuple[str, list[Any], Any], tmp_path: Path) -> None:
    function, call, expected = case
    layers = [
        image(),
        entry("TFOpLambda", "tf.op", {"function": function}, [call]),
        entry("QuantDense", "head", HEAD, [[["tf.op", 0, 0, {}]]]),
    ]
    path = write(tmp_path / "m.h5", functional("m", layers, ["head", 0, 0]), {"head": {"kernel": KERNEL}})

    accelerator = bnn2hw.compile(path, input=INT4)

    assert np.array_equal(accelerator.golden(X), sign(expected(X)) @ sign(KERNEL))


def test_a_thresholded_relu(tmp_path: Path) -> None:
    layers = [image(), entry("ThresholdedReLU", "it", {"theta": 2.0}, [[["image", 0, 0, {}]]])]
    path = write(tmp_path / "m.h5", functional("m", layers, ["it", 0, 0]), {})

    accelerator = bnn2hw.compile(path, input=INT4)

    assert np.array_equal(accelerator.predict(X), np.where(X > 2, X, 0))


@pytest.mark.parametrize("first", [0, 1])
def test_a_nested_model_with_inputs_of_its_own(first: int, tmp_path: Path) -> None:
    """Keras 2 numbers its calls from 1, since the model called itself when it was built."""
    inner = functional(
        "inner", [image("own"), entry("QuantDense", "head", HEAD, [[["own", 0, 0, {}]]])], ["head", 0, 0]
    )
    layers = [
        image(),
        {**inner, "name": "inner", "inbound_nodes": [[["image", 0, 0, {}]]]},
        entry("Activation", "end", {"activation": "linear"}, [[["inner", first, 0, {}]]]),
    ]
    path = write(tmp_path / "m.h5", functional("m", layers, ["end", 0, 0]), {})

    model = nn.models.load_larq(path)
    model.get_layer("inner").get_layer("head").kernel.assign(KERNEL)

    assert np.array_equal(bnn2hw.compile(model, input=INT4).golden(X), sign(X) @ sign(KERNEL))


FOUR = ("gamma", "beta", "moving_mean", "moving_variance")
NORMS = {
    "BatchNormalization": ({}, FOUR, (6,)),
    "SyncBatchNormalization": ({}, FOUR, (6,)),
    "renorm": ({"renorm": True}, (*FOUR, "renorm_mean", "renorm_stddev", "moving_stddev"), (6,)),
    "virtual_batch_size": ({"virtual_batch_size": 4, "axis": [2]}, FOUR, (1, 1, 6)),
}


@pytest.mark.parametrize("name", NORMS)
def test_variants_of_batch_normalization(name: str, tmp_path: Path) -> None:
    options, names, shape = NORMS[name]
    kind = name if name.endswith("Normalization") else "BatchNormalization"
    weights = {key: np.random.default_rng(1).uniform(0.5, 2, 6).astype(np.float32) for key in names}
    layers = [
        image(),
        entry(kind, "bn", {"axis": [1], "epsilon": 0.001, **options}),
        entry("QuantDense", "head", HEAD),
    ]
    stored = {"bn": {k: v.reshape(shape) for k, v in weights.items()}, "head": {"kernel": KERNEL}}
    path = write(
        tmp_path / "m.h5", {"class_name": "Sequential", "config": {"name": "m", "layers": layers}}, stored
    )
    gamma, beta, mean, variance = (weights[key] for key in FOUR)

    golden = bnn2hw.compile(path, input=INT4).golden(X)

    assert np.array_equal(golden, sign((X - mean) / np.sqrt(variance + 0.001) * gamma + beta) @ sign(KERNEL))


def test_every_reason_reaches_the_user(tmp_path: Path) -> None:
    layers = [
        image(),
        entry("SincConv", "fc1", {"units": 2}),
        entry("Lambda", "code", {}),
        entry("CTC", "ctc", {}),
    ]
    path = write(
        tmp_path / "m.h5", {"class_name": "Sequential", "config": {"name": "m", "layers": layers}}, {}
    )
    expected = (
        "cannot be read as a Keras model: cannot be loaded:\n"
        "- 'fc1' is of the class SincConv, which is none of Keras's, Larq's or QKeras's.\n"
        "- 'code' is a Lambda layer: it holds code, which is not executed. Replace it by a layer.\n"
        "- 'ctc' is of the class CTC, which is none of Keras's, Larq's or QKeras's.\n"
        "Give classes and functions of your own with custom_objects=, or with --import on the command line."
    )

    with pytest.raises(InputError) as caught:
        bnn2hw.compile(path, input=INT4)
    shown = CliRunner().invoke(main, ["compile", str(path), "--input", "int4", "-o", str(tmp_path / "out")])

    assert expected in str(caught.value)
    assert shown.exit_code == 2
    assert all(line in shown.output for line in expected.splitlines())


def test_a_model_object_of_keras_2() -> None:
    class Sequential:
        pass

    Sequential.__module__ = "tf_keras.src.engine.sequential"

    with pytest.raises(InputError, match=r"Keras 2 \(tf_keras\).*save it with model.save\('model.h5'\)"):
        bnn2hw.compile(Sequential())


OWN = """
import keras
import tensorflow as tf

@tf.custom_gradient
def my_sign(x):
    return tf.where(x >= 0.5, 1.0, -1.0), lambda dy: dy
"""


@pytest.fixture
def my_sign() -> Any:
    scope: dict[str, Any] = {}
    exec(OWN, scope)
    return scope["my_sign"]


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("way", ["custom_objects", "registered", "register_keras_custom_object", "--import"])
def test_a_function_with_a_gradient_of_its_own(way: str, suffix: str, my_sign: Any, tmp_path: Path) -> None:
    """Larq's idiom for quantizers: it saves, loads and compiles."""
    known = dict(keras.saving.get_custom_objects())
    if way == "registered":
        my_sign = keras.saving.register_keras_serializable("tests")(my_sign)
    if way == "register_keras_custom_object":
        my_sign = nn.utils.register_keras_custom_object(my_sign)
    layer = nn.layers.QuantDense(**{**HEAD, "input_quantizer": my_sign, "kernel_constraint": "weight_clip"})
    model = keras.Sequential([keras.Input((6,)), layer])
    layer.kernel.assign(KERNEL)
    path = tmp_path / f"m{suffix}"
    model.save(path)
    expected = np.where(X >= 0.5, 1, -1) @ sign(KERNEL)
    if way == "--import":
        (tmp_path / "own.py").write_text(OWN)
        code = ["--import", str(tmp_path / "own.py")]
        done = CliRunner().invoke(
            main, ["compile", str(path), "--input", "int4", "-o", str(tmp_path / "b"), *code]
        )
        assert done.exit_code == 0, done.output
        accelerator = bnn2hw.load(tmp_path / "b")
    else:
        given = {"my_sign": my_sign} if way == "custom_objects" else None
        accelerator = bnn2hw.compile(path, input=INT4, custom_objects=given)
    keras.saving.get_custom_objects().clear()
    keras.saving.get_custom_objects().update(known)

    assert np.array_equal(accelerator.golden(X), expected)


def test_a_module_that_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("1 / 0")

    for name, reason in {
        "nosuch_module": "No module named",
        str(tmp_path / "no.py"): "there is no file",
    }.items():
        with pytest.raises(InputError, match=reason):
            objects([name])
    with pytest.raises(InputError, match="cannot be imported: ZeroDivisionError"):
        objects([str(tmp_path / "wrong.py")])


def test_a_module_that_ends_the_program(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys\nsys.exit(0)")

    with pytest.raises(InputError, match="cannot be imported: SystemExit: 0"):
        objects([str(tmp_path / "script.py")])
    assert "script" not in sys.modules


def test_modules_of_one_name(tmp_path: Path) -> None:
    """A file replaces no module of Python, imported or not; another file of the user's may have its name."""
    for name in ("keras", "wave"):
        before = sys.modules.get(name)
        (tmp_path / f"{name}.py").write_text("x = 1")
        with pytest.raises(
            InputError, match=f"a module of Python is named '{name}' too; give .* another name"
        ):
            objects([str(tmp_path / f"{name}.py")])
        assert sys.modules.get(name) is before
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "twice_named.py").write_text(f"def {folder}(): ...")
        assert list(objects([str(tmp_path / folder / "twice_named.py")])) == [folder]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"axis": [2]}, "layer 'bn': tuple index out of range"),
        ({"foo": 3}, "layer 'bn': Unrecognized keyword arguments passed to BatchNormalization"),
        ({"epsilon": None}, "layer 'bn': float() argument must be a string or a real number"),
    ],
    ids=["axis", "unknown", "none"],
)
@pytest.mark.parametrize("sequential", [False, True], ids=["functional", "sequential"])
def test_an_error_of_keras_names_the_layer(
    tmp_path: Path, config: dict[str, Any], told: str, sequential: bool
) -> None:
    """Keras's own words say what is wrong, and often not where."""
    norm = entry("BatchNormalization", "bn", {"axis": [1], **config}, [[["image", 0, 0, {}]]])
    model = functional("m", [image(), norm], ["bn", 0, 0])
    if sequential:
        model = {"class_name": "Sequential", "config": {"name": "m", "layers": [image(), norm]}}
    path = write(tmp_path / "m.h5", model, {})

    with pytest.raises(InputError) as caught:
        bnn2hw.compile(path, input=INT4)

    assert told in str(caught.value)
