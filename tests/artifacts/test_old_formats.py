"""Build folders of earlier formats load, and are written again in the format of today."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import bnn2hw
from bnn2hw.folders import MANIFEST
from bnn2hw.ops import HARDWARE_OPS

FORMAT_1 = Path(__file__).with_name("format_1.tar.xz")
"""A network of 4×4 pixels with nearly every op, as version 0.1.0 wrote it before ops were renamed."""

CLASSES = "1101101021110000000111000010210012222000"
"""Its answers for 40 random images, from the same version."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with tarfile.open(FORMAT_1) as packed:
        packed.extractall(tmp_path / "old", filter="data")
    return tmp_path / "old"


def test_a_folder_of_format_1_loads_under_todays_names(folder: Path, tmp_path: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    loaded = bnn2hw.load(folder)
    again = bnn2hw.load(loaded.write(tmp_path / "new"))
    x = np.random.default_rng(0).integers(0, 16, (40, 4, 4, 2))

    kinds = Counter(type(n.op).__name__ for n in loaded.graph)
    assert manifest["format"] == 1
    assert {"SlidingWindow", "ParallelWindow", "WidthConverter", "Interpolation"} <= set(kinds)
    assert kinds["WidthConverter"] == 4
    assert "".join(map(str, loaded.golden(x).reshape(-1))) == CLASSES
    assert loaded.estimate().cycles.interval == manifest["cycles"]["interval"]
    assert loaded.estimate().cycles.latency == manifest["cycles"]["latency"]
    assert json.loads((tmp_path / "new" / MANIFEST).read_text())["format"] == 2
    assert np.array_equal(again.golden(x), loaded.golden(x))


def test_ops_that_move_values_have_lanes_and_those_that_compute_have_simd() -> None:
    named = {op.__name__: {f.name for f in fields(op)} & {"pe", "simd", "lanes"} for op in HARDWARE_OPS}

    assert {n for n, knobs in named.items() if "simd" in knobs} == {"Xnor", "Mac"}
    assert all(knobs in ({"lanes"}, {"pe"}, {"pe", "simd"}, set()) for knobs in named.values())
