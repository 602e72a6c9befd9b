"""The front: each point has the figures of its whole design, fits the device, and is not beaten."""

from __future__ import annotations

from dataclasses import replace

import keras
import pytest

import bnn2hw
from bnn2hw.dataflow import insert
from bnn2hw.errors import FoldingError
from bnn2hw.folding import search
from bnn2hw.folding.pareto import ParetoFront
from tests.support import networks as net


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """A network with branches that wait for each other, in FIFOs deeper than 2."""
    x = image = keras.Input((8, 8, 2), name="image")
    for i in range(2):
        y = net.norm(name=f"norm_{i}")(net.conv(4, padding="same", pad_values=1.0, name=f"conv_{i}")(x))
        x = keras.layers.Concatenate(name=f"joined_{i}")([y, x])
    return net.shake(keras.Model(image, x))


@pytest.fixture(scope="module")
def made(model: keras.Model) -> bnn2hw.Accelerator:
    return bnn2hw.compile(model, input=bnn2hw.Input("bipolar"))


@pytest.fixture(scope="module")
def front(made: bnn2hw.Accelerator) -> ParetoFront:
    return bnn2hw.pareto(made, 4)


def test_a_point_has_the_figures_of_its_design(model: keras.Model, front: ParetoFront) -> None:
    assert len(front) > 2
    for point in front:
        built = bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), folding=point.folding).estimate()

        assert (point.interval, point.cost, point.use) == (built.cycles.interval, built.cost, built.use)


def test_no_point_is_beaten(front: ParetoFront) -> None:
    for slow, fast in zip(front, list(front)[1:], strict=False):
        assert any(fast.use[name] > slow.use[name] for name in slow.use)


def on_device_with(made: bnn2hw.Accelerator, luts: float, patch: pytest.MonkeyPatch) -> ParetoFront:
    """The front on a device with fewer LUTs than the search of foldings was told."""
    found = search.pareto(insert.remove_fifos(made.graph), made.device, ratio=4)
    patch.setattr(search, "pareto", lambda *_, **__: found)
    return bnn2hw.pareto(replace(made, device=replace(made.device, lut=int(luts))), 4)


def test_designs_that_do_not_fit_with_their_fifos_are_left_out(
    made: bnn2hw.Accelerator, front: ParetoFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    middle = sorted(p.cost.lut for p in front)[len(front) // 2]

    held = on_device_with(made, middle + 1, monkeypatch)

    assert 0 < len(held) < len(front)
    assert all(p.cost.lut <= middle + 1 for p in held)


def test_a_device_that_holds_no_design_is_refused(
    made: bnn2hw.Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FoldingError, match=r"does not fit with its FIFOs: it needs .* of the LUTs"):
        on_device_with(made, 1, monkeypatch)


def test_each_design_is_told(made: bnn2hw.Accelerator, front: ParetoFront) -> None:
    told: list[str] = []

    bnn2hw.pareto(made, 4, told.append)

    assert told[0] == "searching all foldings"
    assert told[-1] == f"laying out design {len(told) - 1} of {len(told) - 1} designs"
