"""Tables in notebooks, and the layers in JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw.cli.main import main
from bnn2hw.simulation.compare import Mismatch
from bnn2hw.synthesis.usage import Cells, Usage
from tests.support import networks as net


@pytest.fixture(scope="module")
def accelerator() -> bnn2hw.Accelerator:
    model = net.chain((6,), net.dense(4, name="first"), net.norm(name="norm"), net.dense(2, name="last"))
    return bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), fps=1000)


def test_an_accelerator_is_a_table_whose_texts_are_escaped(accelerator: bnn2hw.Accelerator) -> None:
    shown = replace(accelerator, name="<b>&")._repr_html_()

    assert ">first</td>" in shown
    assert "&lt;b&gt;&amp; on ecp5-85k" in shown
    assert "`" not in shown  # marks of text are not those of HTML
    assert "\n" not in repr(accelerator)


def test_a_front_is_a_table(accelerator: bnn2hw.Accelerator) -> None:
    front = bnn2hw.pareto(accelerator, 2)

    assert front._repr_html_().count("<tr>") == len(front) + 1


def results(accelerator: bnn2hw.Accelerator) -> dict[str, object]:
    """The objects that notebooks show, by name."""
    x = np.random.default_rng(0).choice([-1, 1], (3, 6))
    cells = Cells(1_234, 5, 0, 6, 0)
    return {
        "accelerator": accelerator,
        "estimate": accelerator.estimate(),
        "front": bnn2hw.pareto(accelerator, 2),
        "deviation": accelerator.deviation(x),
        "run": accelerator.simulate(x),
        "usage": Usage(**vars(cells), cells={}, layers={"<a>": cells}, fmax_mhz=120.0, clock_mhz=100.0),
    }


def test_each_result_is_one_line_and_a_table(accelerator: bnn2hw.Accelerator) -> None:
    for name, result in results(accelerator).items():
        line, html = repr(result), result._repr_html_()  # type: ignore[attr-defined]

        assert len(line) < 160, name
        assert "\n" not in line, name
        assert line.startswith("<"), name
        assert html.count("<tr>") == html.count("</tr>") > 1, name
        assert "array(" not in line + html, name
        assert "<a>" not in html, name


def test_tables_have_the_figures(accelerator: bnn2hw.Accelerator) -> None:
    shown = results(accelerator)
    interval = accelerator.estimate().cycles.interval

    assert f"<td>{interval:,} cycles</td><td>{interval:,} cycles</td>" in shown["run"]._repr_html_()  # type: ignore[attr-defined]
    assert "3 frames, 5 streams, all exact" in repr(shown["run"])
    assert f"{accelerator.estimate().fps:,.0f} frames/s" in repr(shown["estimate"])
    assert "<td>1,234</td>" in shown["usage"]._repr_html_()  # type: ignore[attr-defined]
    assert repr(shown["usage"]).endswith("120.0 MHz reached of 100>")


def test_a_wrong_stream_is_shown(accelerator: bnn2hw.Accelerator) -> None:
    run = accelerator.simulate(np.ones((1, 6), int))
    wrong = replace(run, mismatches={**run.mismatches, "<x>": Mismatch("<x>", 0, (), 1, 2, 3)})

    assert "1 NOT EXACT" in repr(wrong)
    assert "&lt;x&gt;" in wrong._repr_html_()


def test_json_has_the_layers(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["estimate", str(accelerator.write(tmp_path / "b")), "--json"])

    layers = {layer["name"]: layer for layer in json.loads(done.stdout)["layers"]}
    assert {"first", "last"} <= layers.keys()
    assert max(layer["cycles"] for layer in layers.values()) == accelerator.estimate().cycles.interval
