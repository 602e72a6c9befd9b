"""The HTML report in a real browser: no error, no request, no sideways scrolling on a phone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

import bnn2hw
from tests.support import networks as net

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (390, 800, 1440)


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
    text = made.report(report, front=bnn2hw.pareto(made, 4) if blocks == 2 else ())

    for width in WIDTHS:
        for scheme in ("light", "dark"):
            assert not faults(browser, report, width, scheme)
    assert len(text) < 100_000 * blocks + 1_000_000


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
    page.click("label[for=dark]")
    if page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(20, 23, 26)":
        found.append("the page does not turn dark")
    context.close()
    return found
