"""Take the pictures of reports that the pages show. They need a headless Chromium.

python docs/screenshots.py
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from playwright.sync_api import sync_playwright

import bnn2hw

ROOT = Path(__file__).parent.parent
PICTURES = Path(__file__).parent / "pictures"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def report(folder: Path) -> Path:
    """Compile and simulate the shipped network, and write its report with the front."""
    accelerator = bnn2hw.compile(
        ROOT / "examples" / "mnist.keras",
        input=bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1),
        target="ecp5-85k",
        fps=15_000,
    )
    images = np.load(ROOT / "examples" / "mnist_sample.npz")["x"][:20]
    runs = [accelerator.simulate(images, stalls=stalls) for stalls in (0.0, 0.25)]
    page = folder / "report.html"
    accelerator.report(page, runs=runs, front=bnn2hw.pareto(accelerator))
    return page


def main() -> None:
    """Write the pictures: the first screen of the report, light and dark."""
    browser = next(path for name in BROWSERS if (path := shutil.which(name)))
    PICTURES.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder, sync_playwright() as play:
        page = report(Path(folder))
        chromium = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            view = chromium.new_page(
                viewport={"width": 1240, "height": 860}, device_scale_factor=1.5, color_scheme=scheme
            )
            view.goto(page.as_uri())
            view.screenshot(path=PICTURES / f"report-{scheme}.png")
        chromium.close()


if __name__ == "__main__":
    main()
