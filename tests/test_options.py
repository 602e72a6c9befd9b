"""Options and arguments of a wrong kind: every public call refuses them with an error of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw.deploy import bitstream
from bnn2hw.errors import Bnn2hwError, InputError, ToolError
from tests.support import networks as net

SIGNS = bnn2hw.Input("bipolar")
X = np.ones((3, 6), np.int64)

ODD = (
    "text",
    "",
    5,
    -1,
    0,
    2.5,
    float("nan"),
    True,
    [],
    ["a"],
    {},
    {"a": 1},
    {5: {}},
    object(),
    ...,
    b"b",
)
"""Values of many kinds. Some of them are right for some options."""

COMPILE = (
    "input",
    "target",
    "fps",
    "folding",
    "latency",
    "output",
    "backend",
    "bits",
    "calibration",
    "loadable",
    "custom_objects",
    "progress",
)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return net.chain((6,), net.dense(4, name="first"), net.norm(), net.dense(2, name="last"), name="m")


@pytest.fixture(scope="module")
def accelerator(model: keras.Model) -> bnn2hw.Accelerator:
    return bnn2hw.compile(model, input=SIGNS)


def calls(acc: bnn2hw.Accelerator, folder: Path) -> Iterator[tuple[str, Callable[[Any], object]]]:
    """The public calls of one argument."""
    yield "integers", acc.integers
    yield "golden", acc.golden
    yield "predict", acc.predict
    yield "evaluate", acc.evaluate
    yield "labels", lambda v: acc.evaluate(X, v)
    yield "values", acc.values
    yield "layers", lambda v: acc.values(X, v)
    yield "deviation", acc.deviation
    yield "simulate", acc.simulate
    yield "stalls", lambda v: acc.simulate(X[:0], stalls=v)
    yield "reloads", lambda v: acc.simulate(X[:0], reloads=v)
    yield "load", bnn2hw.load
    yield "pareto", lambda v: bnn2hw.pareto(acc, v)
    yield "scale", lambda v: bnn2hw.Input("uint8", scale=v)
    yield "offset", lambda v: bnn2hw.Input("uint8", offset=v)
    yield "dtype", bnn2hw.Input
    yield "reload", acc.reload
    for name in ("board", "target"):
        yield name, lambda v, name=name: acc.synthesize(folder, **{name: v})
    for name in ("seeds", "clock_mhz", "baud"):
        yield name, lambda v, name=name: acc.synthesize(folder, board="icebreaker", **{name: v})


@pytest.mark.parametrize("option", COMPILE)
@pytest.mark.parametrize("value", ODD, ids=lambda v: repr(v)[:20])
def test_odd_options_of_compile(model: keras.Model, option: str, value: object) -> None:
    with contextlib.suppress(Bnn2hwError):
        bnn2hw.compile(model, **{"input": SIGNS, option: value})


def test_odd_arguments_of_every_other_call(
    accelerator: bnn2hw.Accelerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tools(*_: object, **__: object) -> None:
        raise ToolError("options are checked before a tool runs")

    monkeypatch.setattr(bitstream.synthesize, "synthesize", tools)
    refused, raw = [], []
    for name, call in calls(accelerator, tmp_path / "out"):
        for value in ODD:
            try:
                call(value)
            except Bnn2hwError as error:
                refused += [name] * (not isinstance(error, ToolError))
            except Exception as error:
                raw.append(f"{name}: {value!r} raises {error!r}")
    assert not raw
    assert set(refused) == {name for name, _ in calls(accelerator, tmp_path)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"input": "uint8"},
            "input must be a bnn2hw.Input such as bnn2hw.Input('uint8', scale=1/255), not 'uint8'",
        ),
        ({"fps": "fast"}, "fps must be a positive number, not 'fast'"),
        ({"latency": "soon"}, "latency must be a number of cycles, or 'least', not 'soon'"),
        ({"latency": 99.5}, "latency must be a positive whole number, not 99.5"),
        ({"folding": {"first": 2}}, "folding['first'] must be a mapping such as {'pe': 4, 'simd': 8}, not 2"),
        ({"folding": []}, "folding must be a mapping such as {'conv': {'pe': 4}}, not []"),
        ({"folding": 2}, "folding must be a mapping such as {'conv': {'pe': 4}}, not 2"),
        ({"bits": {"nosuch": 8}}, "bits names a layer 'nosuch', which the model does not have; layers: "),
        ({"bits": "8"}, "bits must be a whole number, not '8'"),
        ({"bits": {"first": 8.5}}, "bits['first'] must be a whole number, not 8.5"),
        ({"bits": True}, "bits must be a whole number, not True"),
        ({"loadable": 5}, "loadable must be True, False or a list of layers, not 5; layers: "),
        ({"target": 5}, "unknown target 5; known targets: "),
        ({"output": ""}, "unknown output ''; use 'class', 'scores' or 'top3' for the three best classes"),
        (
            {"calibration": np.ones((2, 5))},
            "the calibration data cannot be used: the input has shape (2, 5), ",
        ),
        (
            {"calibration": X[:0]},
            "the calibration data cannot be used: there are no frames: the input holds none",
        ),
    ],
)
def test_messages(model: keras.Model, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        bnn2hw.compile(model, **{"input": SIGNS, **options})

    assert str(caught.value).startswith(message)


def test_dtypes_are_names() -> None:
    with pytest.raises(InputError, match=r"unknown input dtype <class 'numpy.uint8'>; use uint1 … uint16"):
        bnn2hw.Input(np.uint8)
    with pytest.raises(
        InputError, match="must be a number or one number for each channel, not scale='1/255'"
    ):
        bnn2hw.Input("uint8", scale="1/255")


@pytest.mark.parametrize(
    "call", ["integers", "golden", "predict", "values", "deviation", "simulate", "evaluate"]
)
@pytest.mark.parametrize(
    "x", [X[:0], np.zeros((0, 5)), [], iter(())], ids=["none", "shape", "list", "iterator"]
)
def test_no_frames(accelerator: bnn2hw.Accelerator, call: str, x: Any) -> None:
    labels = (np.zeros(0, int),) if call == "evaluate" and hasattr(x, "shape") else ()

    with pytest.raises(InputError):
        getattr(accelerator, call)(x, *labels)


def test_grey_images_may_come_without_their_channel(tmp_path: Path) -> None:
    model = net.chain((5, 5, 1), net.conv(2, input_quantizer=None), keras.layers.Flatten(), net.dense(3))
    x = np.random.default_rng(0).integers(0, 256, (4, 5, 5, 1))
    pixels = bnn2hw.Input("uint8", scale=1 / 255)
    acc = bnn2hw.compile(model, input=pixels, calibration=x[..., 0])
    whole = bnn2hw.compile(model, input=pixels, calibration=x)
    as_floats = bnn2hw.compile(model, input=pixels, calibration=x / 255)

    for call in (acc.integers, acc.golden, acc.predict, lambda f: acc.simulate(f).outputs):
        assert np.array_equal(call(x[..., 0]), call(x))
    assert acc.deviation(x[..., 0]) == acc.deviation(x)
    assert whole.measured == acc.measured == as_floats.measured
    assert [n.name for n in whole.graph] == [n.name for n in acc.graph]


def test_a_report_tells_an_op_from_what_came_before_it() -> None:
    model = net.chain((6,), keras.layers.Dense(4, name="real"), keras.layers.ReLU(name="act"), net.dense(3))
    x = np.random.default_rng(0).integers(0, 256, (20, 6))
    pixels = bnn2hw.Input("uint8", scale=1 / 255)
    measured = str(bnn2hw.compile(model, input=pixels, calibration=x, bits=4)).splitlines()

    head = [cell.strip() for cell in measured[2].split("┃")]
    rows = [[cell.strip() for cell in line.split("│")] for line in measured if line.startswith("│")]
    op, deviation = head.index("this op"), head.index("deviation up to here")
    assert "rounded" in {row[op] for row in rows}
    assert any("e-" in row[deviation] for row in rows)
    assert all(cell in ("exact", "rounded", "") for cell in (row[op] for row in rows))


def test_seeds_are_a_number_or_a_list() -> None:
    assert list(bitstream.seed_numbers(3)) == [1, 2, 3]
    assert list(bitstream.seed_numbers([7, 9])) == [7, 9]
    with pytest.raises(InputError, match="seeds must be a positive whole number, not 0"):
        bitstream.seed_numbers(0)
