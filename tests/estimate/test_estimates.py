"""The cost models against kept figures of synthesis: how far they may be off is written down in docs/estimates.md."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from types import ModuleType

import numpy as np
import pytest

import bnn2hw
from bnn2hw.estimate import resources
from bnn2hw.ir import BIPOLAR, HardwareOp, Tensor
from bnn2hw.ops import Fifo, Threshold
from bnn2hw.ops.base.costs import block_rams, lutram_cost, ram_cost, rom_cost
from bnn2hw.report import text
from bnn2hw.targets import devices, families
from tests.support import ROOT, alone


@pytest.fixture(scope="module")
def cost() -> Iterator[ModuleType]:
    """The benchmark, which is a script and no part of the package."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield importlib.import_module("cost")
    sys.path.remove(str(ROOT / "benchmarks"))


def test_the_kept_figures_belong_to_the_hardware_of_today(cost: ModuleType) -> None:
    assert cost.stale(cost.load()) == []


@pytest.mark.parametrize("family", [f.name for f in families.known().values() if f.calibration])
def test_luts_are_predicted_within_bounds(cost: ModuleType, family: str) -> None:
    sizeable = [
        r for r in cost.results(cost.load()) if r.family == family and r.measured.lut >= cost.SIZEABLE
    ]
    unseen = cost.unseen_names()

    fitted = np.abs([r.error("lut") for r in sizeable if r.name not in unseen])
    others = np.abs([r.error("lut") for r in sizeable if r.name in unseen])
    assert len(fitted) >= 60
    assert fitted.mean() <= 0.06
    assert fitted.max() <= 0.15
    assert len(others) >= 15
    assert others.mean() <= 0.06
    assert others.max() <= 0.20


def test_the_report_says_how_far_the_models_are_off(cost: ModuleType) -> None:
    found = list(cost.results(cost.load()))

    for family in filter(lambda f: f.calibration, families.known().values()):
        said = (family.calibration.lut_mean, family.calibration.lut_worst)
        new = cost.unseen_names()
        off = np.abs(
            [
                r.error("lut")
                for r in found
                if r.family == family.name and r.name not in new and r.measured.lut >= cost.SIZEABLE
            ]
        )
        assert (off.mean(), off.max()) == pytest.approx(said, abs=0.005)


def test_the_records_name_the_ops_that_were_compared_with_synthesis(cost: ModuleType) -> None:
    found = {(r.family, r.kind) for r in cost.results(cost.load())}

    for family in filter(lambda f: f.calibration, families.known().values()):
        assert set(family.calibration.ops) == {kind for name, kind in found if name == family.name}


def streamed(op: HardwareOp, *x: Tensor) -> bnn2hw.Accelerator:
    device = replace(devices.device("ecp5-25k"), family=UNCOMPARED)
    return bnn2hw.Accelerator("small", alone(op, *x), device, {}, bnn2hw.Input())


UNCOMPARED = replace(
    families.family("ecp5"), calibration=replace(families.family("ecp5").calibration, ops=("fifo",))
)


def test_an_op_without_calibration_says_so() -> None:
    """In the estimate and in the report, and not of ops that were compared."""
    [op, x] = next(iter(Threshold.examples()))
    mixed, compared = streamed(op, *x), streamed(Fifo(), Tensor((4,), BIPOLAR))

    estimate = mixed.estimate()
    assert list(estimate.uncalibrated) == ["threshold"]
    assert 0 < estimate.uncalibrated["threshold"].lut <= estimate.cost.lut
    told = r"these ops were not compared with synthesis for ecp5: threshold \(\d+% of the LUTs\)"
    assert re.search(told, "\n".join(text.summary(mixed)))
    assert compared.estimate().uncalibrated == {}
    assert "were not compared" not in "\n".join(text.summary(compared))


def test_a_family_without_calibration_says_so_of_all_ops() -> None:
    device = replace(devices.device("ecp5-25k"), family=replace(families.family("ecp5"), calibration=None))
    graph = alone(Fifo(), Tensor((4,), BIPOLAR))

    assert set(resources.uncalibrated(graph, device.family)) == {"fifo"}


def test_block_rams_and_dsps_are_predicted_exactly(cost: ModuleType) -> None:
    wrong = [
        (r.family, r.kind, r.name, n)
        for r, n in product(cost.results(cost.load()), ("bram", "dsp"))
        if r.error(n)
    ]

    assert wrong == []


def test_the_documentation_shows_the_errors_of_today(cost: ModuleType) -> None:
    page = (ROOT / "docs" / "estimates.md").read_text()

    assert cost.summary(list(cost.results(cost.load()))) in page
    products = cost.product_table(list(cost.results(cost.load())))
    assert products in (ROOT / "docs" / "hardware.md").read_text()


@pytest.mark.parametrize(
    "family",
    families.known().values(),
    ids=lambda f: f.name,
)
def test_more_words_or_bits_never_cost_less(family: families.Family) -> None:
    for words, bits in product((2, 16, 17, 64, 65, 512, 2048), (1, 4, 36, 256)):
        assert block_rams(family, 2 * words, bits) >= block_rams(family, words, bits)
        assert block_rams(family, words, 2 * bits) >= block_rams(family, words, bits)
        for model in (rom_cost, ram_cost, lutram_cost):
            small, large = model(family, words, bits), model(family, words, 2 * bits)
            assert (large.lut, large.bram) >= (small.lut, small.bram) or large.bram > small.bram
