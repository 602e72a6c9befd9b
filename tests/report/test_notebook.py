"""Tables in notebooks, and the layers in JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw.cli.main import main
from tests.support import networks as net


@pytest.fixture(scope="module")
def accelerator() -> bnn2hw.Accelerator:
    model = net.chain((6,), net.dense(4, name="first"), net.norm(name="norm"), net.dense(2, name="last"))
    return bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), fps=1000)


def test_an_accelerator_is_a_table_whose_texts_are_escaped(accelerator: bnn2hw.Accelerator) -> None:
    shown = replace(accelerator, name="<b>&")._repr_html_()

    assert "<td>first</td>" in shown
    assert "&lt;b&gt;&amp; on ecp5-85k" in shown
    assert "\n" not in repr(accelerator)


def test_a_front_is_a_table(accelerator: bnn2hw.Accelerator) -> None:
    front = bnn2hw.pareto(accelerator, 2)

    assert front._repr_html_().count("<tr>") == len(front) + 1


def test_json_has_the_layers(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["estimate", str(accelerator.write(tmp_path / "b")), "--json"])

    layers = {layer["name"]: layer for layer in json.loads(done.stdout)["layers"]}
    assert {"first", "last"} <= layers.keys()
    assert max(layer["cycles"] for layer in layers.values()) == accelerator.estimate().cycles.interval
