"""The first frames of a network with branches: predicted, measured and told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw import Accelerator, nn
from bnn2hw.cli.main import main
from bnn2hw.estimate import cycles, stepper
from bnn2hw.estimate.cycles import Effort, Pace
from bnn2hw.ir import Cycles
from bnn2hw.ops import Fifo

FRAMES = 7


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    """A convolution that is joined to its own input, so that a FIFO fills beside it."""
    keras.utils.set_random_seed(3)
    layer = {
        "padding": "same",
        "pad_values": 1.0,
        "input_quantizer": "ste_sign",
        "kernel_quantizer": "ste_sign",
    }
    x = keras.Input((12, 12, 4))
    first = nn.layers.QuantConv2D(8, 3, **layer, kernel_constraint="weight_clip", name="first")(x)
    second = nn.layers.QuantConv2D(8, 3, **layer, kernel_constraint="weight_clip", name="second")(first)
    joined = keras.layers.Concatenate(name="joined")([second, first])
    last = nn.layers.QuantConv2D(8, 3, **layer, kernel_constraint="weight_clip", name="last")(joined)
    model = keras.Model(x, keras.layers.GlobalMaxPooling2D(name="pool")(last), name="joined")
    return bnn2hw.compile(model, input=bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1), fps=100e6 / 288)


def test_intervals_before_the_last_one_are_the_startup() -> None:
    assert Pace((10, 25, 45, 60, 75), steady=True).startup == (15, 20)
    assert Pace((10, 25, 40), steady=True).startup == ()
    assert Pace((10,), steady=False).startup == ()
    assert Cycles(15, 9, (16, 20)).between(5) == (16, 20, 15, 15)
    assert Cycles(15, 9, (16, 20)).between(2) == (16,)
    assert Cycles(15, 9).between(2) is None


def test_the_hardware_starts_as_predicted(accelerator: Accelerator) -> None:
    predicted = accelerator.estimate().cycles

    run = accelerator.simulate(np.random.default_rng(0).integers(0, 256, (FRAMES, 12, 12, 4), np.uint8))

    assert predicted.startup == run.startup != ()
    assert run.intervals == predicted.between(FRAMES)


def test_long_steps_are_made_once(
    accelerator: Accelerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNN2HW_CACHE", str(tmp_path))
    monkeypatch.setattr(stepper, "LONG", 1)
    graph = accelerator.graph
    first, more = cycles.pace(graph, 5), cycles.pace(graph, 6)
    assert len(more.ends) >= len(first.ends)

    def stepped() -> None:
        raise AssertionError("stepped again")

    fifo = next(node for node in graph if isinstance(node.op, Fifo))
    deeper = graph.map_ops({fifo.name: replace(fifo.op, depth=fifo.op.depth + 1)})
    monkeypatch.setattr(stepper, "library", stepped)
    assert cycles.pace(graph, 5) == first
    with pytest.raises(AssertionError, match="stepped again"):
        cycles.pace(deeper, 5)
    [*kept] = tmp_path.glob(f"{stepper.KEPT}/*/{stepper.PACE}")
    assert kept
    for path in kept:
        path.write_text("[[1, 2")
    monkeypatch.undo()
    monkeypatch.setenv("BNN2HW_CACHE", str(tmp_path))
    assert cycles.pace(graph, 5) == first, "a damaged entry is made again"


def test_everything_that_tells_cycles_tells_the_startup(accelerator: Accelerator, tmp_path: Path) -> None:
    startup = accelerator.estimate().cycles.startup
    assert startup is not None
    words = ", ".join(map(str, startup))
    accelerator.write(tmp_path / "build")

    told = [
        CliRunner().invoke(main, ["simulate", str(tmp_path / "build"), "--frames", n]) for n in ("7", "2")
    ]
    facts = json.loads(CliRunner().invoke(main, ["estimate", str(tmp_path / "build"), "--json"]).stdout)

    assert f"the first {len(startup) + 1} frames are {words} cycles apart" in str(accelerator)
    assert f"start-up: measured {words}, predicted {words}\n" in told[0].stdout
    assert f"send more than {len(startup) + 1} frames" in told[1].stdout
    assert facts["startup"] == list(startup)
    assert json.loads((tmp_path / "build" / "manifest.json").read_text())["cycles"]["startup"] == list(
        startup
    )
    assert bnn2hw.load(tmp_path / "build").estimate().cycles == accelerator.estimate().cycles


def test_too_much_work_is_left_and_said(accelerator: Accelerator) -> None:
    assert cycles.startup(accelerator.graph, Effort(startup=1000)) is None
