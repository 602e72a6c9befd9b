"""Designs whose FIFOs, laid out when the folding stands, are more than the device holds."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
from keras import Model, layers

import bnn2hw
from bnn2hw.report import text
from bnn2hw.targets import devices
from bnn2hw.targets.records import DATA
from tests.support import networks as net

BYTES = bnn2hw.Input("uint8", scale=1 / 255)


def gated() -> Model:
    """A whole feature map waits for the gate that is computed from it."""
    x = layers.Input((12, 12, 2), name="image")
    y = net.conv(8, 3, input_quantizer=None, name="features")(x)
    gate = layers.GlobalAveragePooling2D()(y)
    gate = layers.Activation("sigmoid")(layers.Dense(8, name="gate")(gate))
    y = layers.Multiply()([y, layers.Reshape((1, 1, 8))(gate)])
    y = net.conv(4, 3, name="after")(y)
    return net.shake(Model(x, net.dense(3, name="scores")(layers.Flatten()(y))))


def holding(folder: Path, blocks: int) -> Path:
    """The file of a device with so many block RAMs, named "small"."""
    large = (DATA / "devices" / "ecp5-85k.toml").read_text()
    path = folder / "small.toml"
    path.write_text(re.sub(r"^bram = \d+", f"bram = {blocks}", large, flags=re.MULTILINE))
    assert devices.device(path).bram == blocks
    return path


def test_the_fastest_that_fits_fits_with_its_fifos(tmp_path: Path) -> None:
    model = gated()
    slow = bnn2hw.compile(model, input=BYTES, target="ecp5-85k", fps=1500).estimate()
    fast = bnn2hw.compile(model, input=BYTES, target="ecp5-85k").estimate()
    assert slow.cost.bram < fast.cost.bram

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        made = bnn2hw.compile(model, input=BYTES, target=holding(tmp_path, int(slow.cost.bram)))

    assert made.estimate().fits
    assert fast.cycles.interval < made.estimate().cycles.interval <= slow.cycles.interval


def test_a_rate_whose_fifos_do_not_fit_is_said(tmp_path: Path) -> None:
    model = gated()
    slow = bnn2hw.compile(model, input=BYTES, target="ecp5-85k", fps=1500)
    few = int(slow.estimate().cost.bram) - 1

    with pytest.warns(
        UserWarning, match=r"the design does not fit: it needs 1\d\d% of the BRAMs of small; ask for"
    ) as found:
        made = bnn2hw.compile(model, input=BYTES, target=holding(tmp_path, few), fps=1500)

    assert len([w for w in found if "does not fit" in str(w.message)]) == 1
    assert not made.estimate().fits
    assert any(line.startswith("the design does not fit: it needs") for line in text.summary(made))
