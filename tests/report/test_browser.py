"""The HTML report in a real browser: no error, no request, no sideways scrolling on a phone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw.simulation.harness import Measured
from bnn2hw.simulation.run import Run
from bnn2hw.studies import table
from bnn2hw.studies.points import Row
from bnn2hw.studies.study import Study
from bnn2hw.synthesis.usage import Cells, Usage
from tests.support import networks as net

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (390, 800, 1440)

PICTURE_RULES = """() => {
  const found = [], shown = (e) => e.checkVisibility() && e.getClientRects().length;
  for (const svg of [...document.querySelectorAll("svg")].filter(shown)) {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].filter((t) => t.textContent.trim() && shown(t));
    const boxes = texts.map((t) => t.getBoundingClientRect());
    texts.forEach((text, i) => {
      const a = boxes[i], words = text.textContent;
      for (let j = 0; j < i; j++) {
        const b = boxes[j];
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 1 && down > 3) found.push(`${texts[j].textContent} over ${words}`);
      }
      if (a.left < frame.left - 1 || a.right > frame.right + 1) found.push(`out of its drawing: ${words}`);
    });
  }
  for (const table of [...document.querySelectorAll("table")].filter(shown)) {
    const room = table.parentElement.clientWidth;
    if (table.scrollWidth > room + 1) found.push(`table too wide: ${table.scrollWidth} of ${room}`);
  }
  return found;
}"""
"""Complaints about a page: texts of a drawing that meet or leave it, and tables wider than their place."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver = pytest.importorskip("playwright.sync_api")
    if found is None:
        message = f"no browser: none of {', '.join(BROWSERS)} is installed"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    with driver.sync_playwright() as play:
        started = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


def residual(blocks: int) -> keras.Model:
    x = image = keras.Input((4, 4, 4), name="image")
    for i in range(blocks):
        y = net.conv(4, padding="same", pad_values=1.0, name=f"a_rather_long_name_of_block_{i}")(x)
        x = keras.layers.Add(name=f"add_{i}")([net.norm(name=f"norm_{i}")(y), x])
    return net.shake(keras.Model(image, x, name="residual"))


@pytest.mark.parametrize("blocks", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_the_report_opens_at_every_width(browser: Any, tmp_path: Path, blocks: int) -> None:
    made = bnn2hw.compile(residual(blocks), input=bnn2hw.Input("bipolar"), fps=1000)
    report = tmp_path / "report.html"
    front = bnn2hw.pareto(made, 4) if blocks == 2 else ()
    text = made.report(report, front=front, runs=[run_of(made)], usage=usage_of(made))

    assert not clipped_in_print(browser, report)
    for width in WIDTHS:
        assert not faults(browser, report, width, "light")
    assert not faults(browser, report, WIDTHS[0], "dark")
    assert len(text) < 100_000 * blocks + 1_000_000


def test_measured_resources_of_an_exact_network_fit_every_width(browser: Any, tmp_path: Path) -> None:
    model = net.chain(
        (12, 12, 1),
        net.conv(8, input_quantizer=None, name="quant_conv2d"),
        keras.layers.MaxPooling2D(2, name="max_pooling2d"),
        net.norm(name="norm"),
        net.conv(16, name="quant_conv2d_1"),
        net.norm(name="norm_1"),
        keras.layers.Flatten(name="flatten"),
        net.dense(10, name="quant_dense"),
    )
    made = bnn2hw.compile(model, input=bnn2hw.Input("uint8"), fps=1000)
    report = tmp_path / "report.html"
    small = Cells(9_218, 9_953, 1_234, 140, 0)
    usages = (usage_of(made), Usage(**vars(small), cells={}, layers={n.name: small for n in made.graph}))

    for usage in usages:
        made.report(report, runs=[run_of(made)], usage=usage)
        assert not clipped_in_print(browser, report)
        for width in WIDTHS:
            assert not faults(browser, report, width, "light")


def test_the_page_of_a_study_fits_every_width(browser: Any, tmp_path: Path) -> None:
    figures = dict.fromkeys(("lut", "ff", "synth_lut", "synth_ff"), 83_640) | {"bram": 208, "dsp": 156}
    known: Row = {"target": "ice40-up5k", "style": "folded", "latency_us": 123_456.7, "use": 0.5, **figures}
    empty: Row = dict.fromkeys(table.COLUMNS)
    rows = [
        {**empty, **known, "point": i, "fps": 1e5 + i, "state": "fits", "front": 1, "deviation": 1e-5}
        for i in range(3)
    ]
    made = Study(tuple(rows), ("fps", "lut"), tmp_path / "s.csv").page()

    for width in WIDTHS:
        page = browser.new_page(viewport={"width": width, "height": 844})
        page.goto(made.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert not [told for told in page.evaluate(PICTURE_RULES) if "table" in told]


def test_a_page_in_which_texts_collide_and_tables_are_cut_is_told(browser: Any, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text(COLLIDING, encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(report.as_uri())

    told = page.evaluate(PICTURE_RULES)

    assert [t.split(":")[0] for t in told] == ["one over two", "out of its drawing", "table too wide"]


COLLIDING = """<svg width="80" height="40" style="overflow: visible">
<text x="0" y="20">one</text><text x="4" y="22">two</text><text x="70" y="36">outside</text></svg>
<div style="overflow-x: auto"><table style="width: 500px"><tr><td>wide</td></tr></table></div>"""


def run_of(made: bnn2hw.Accelerator) -> Run:
    """A run with the figures that a simulation would have."""
    cycles = made.estimate().cycles
    streams = {s.name: None for s in made.design.streams}
    ends = tuple(cycles.latency + cycles.interval * i for i in range(5))
    measured = Measured((0,), (cycles.latency,), (ends,), cycles=123_456_789, seconds=1.0, overhead=0.1)
    return Run(np.zeros((5, 1)), streams, cycles, stalled=False, measured=measured)


def usage_of(made: bnn2hw.Accelerator) -> Usage:
    """A synthesis with the figures of a large device."""
    layers = {node.name: Cells(31_218, 25_953, 1_234, 1_404, 120) for node in made.graph}
    return Usage(1_728_000, 1_234_567, 98_765, 5_376, 12_288, {}, layers)


PRINTED = 1024
"""Pixels of CSS between the margins of A4 landscape."""


def clipped_in_print(browser: Any, report: Path) -> list[str]:
    """The complaints of a browser about the printed page."""
    page = browser.new_page(viewport={"width": PRINTED, "height": 700})
    page.emulate_media(media="print")
    page.goto(report.as_uri())
    wide = page.evaluate("document.documentElement.scrollWidth")
    found = [f"{wide} pixels wide"] if wide > PRINTED else []
    found += [told for told in page.evaluate(PICTURE_RULES) if "table" in told]
    page.close()
    return found


def faults(browser: Any, report: Path, width: int, scheme: str) -> list[str]:
    """The complaints of a browser, at both levels of detail."""
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, offline=True)
    page, found = context.new_page(), []
    page.on("console", lambda message: found.append(message.text))
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("request", lambda r: r.url.startswith("file:") or found.append(r.url))
    page.goto(report.as_uri())
    for level in ("lay", "ops"):
        page.click(f"label[for={level}]")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        found += [f"{level} is {wide} pixels too wide"] if wide > 0 else []
        found += [f"{level}: {told}" for told in page.evaluate(PICTURE_RULES)]
    page.click("label[for=dark]")
    if page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(20, 23, 26)":
        found.append("the page does not turn dark")
    context.close()
    return found
