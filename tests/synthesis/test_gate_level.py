"""Mapped netlists against golden: what ECP5, 7 series and UltraScale+ are programmed with computes what was simulated."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw import nn
from bnn2hw.backends.design import Design, Port
from bnn2hw.errors import InputError, MismatchError
from bnn2hw.simulation import simulate
from bnn2hw.simulation.run import Run
from bnn2hw.synthesis import gate_level
from bnn2hw.targets import families
from tests.support import networks as net

pytestmark = pytest.mark.usefixtures("yosys")

WIRE = bnn2hw.Input("uint8")
SIGNS = bnn2hw.Input("bipolar")
DEVICES = {"ecp5": "ecp5-25k", "xilinx": "xc7z020", "ultrascale": "xczu5ev"}


Mapped = Callable[[str], tuple[bnn2hw.Accelerator, Design]]


def eight_bits(filters: int, size: int) -> keras.layers.Layer:
    """A convolution that multiplies."""
    kernel = nn.quantizers.DoReFa(8, mode="weights")
    return nn.layers.QuantConv2D(filters, size, kernel_quantizer=kernel, use_bias=False)


def small() -> keras.Model:
    return net.chain(
        (6, 6, 2), eight_bits(4, 2), net.norm(), net.conv(12, 2), net.norm(), keras.layers.Flatten(), net.dense(40, name="fc")
    )  # fmt: skip


def large() -> keras.Model:
    """Branches, products of two streams, memories that are written, and all widths of block RAMs."""
    image = keras.Input((24, 24, 3), name="image")
    x = net.conv(32, strides=2)(net.norm()(eight_bits(16, 3)(image)))
    gate = keras.layers.Dense(32, activation="sigmoid")(keras.layers.GlobalAveragePooling2D()(x))
    x = keras.layers.Multiply()([x, keras.layers.Reshape((1, 1, 32))(gate)])
    x = keras.layers.Flatten()(net.norm()(net.conv(32)(x)))
    return net.shake(keras.Model(image, net.dense(10)(net.norm()(net.dense(32, name="fc")(x)))))


def compiled(model: keras.Model, family: str, **options: object) -> bnn2hw.Accelerator:
    return bnn2hw.compile(model, input=WIRE, target=DEVICES[family], **options)


def run(netlist: Design, accelerator: bnn2hw.Accelerator, frames: int) -> Run:
    x = np.random.default_rng(0).choice(WIRE.ints.values(), (frames, *accelerator.input.shape))
    cycles = accelerator.estimate().cycles
    return simulate.simulate(netlist, accelerator.graph, x, cycles, stalls=0.2, seed=1)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    """Returns the small network for a family, and its netlist."""

    @cache
    def made(family: str) -> tuple[bnn2hw.Accelerator, Design]:
        accelerator = compiled(small(), family, fps=30_000)
        folder = tmp_path_factory.mktemp(family)
        return accelerator, gate_level.of(accelerator.design, families.family(family), folder)

    return made


def used(netlist: Design) -> set[str]:
    return set(re.findall(r"^  ([A-Z]\w*) ", netlist.files["netlist.sv"], re.MULTILINE))


@pytest.mark.parametrize(
    ("family", "cells"),
    [
        ("ecp5", {"DP16KD", "MULT18X18D", "TRELLIS_FF", "CCU2C", "LUT4", "TRELLIS_DPR16X4"}),
        # By default, test_lut_roms.py simulates a netlist of this family.
        pytest.param("xilinx", {"RAMB18E1", "DSP48E1", "FDRE", "CARRY4", "LUT6"}, marks=pytest.mark.soak),
        pytest.param("ultrascale", {"RAMB18E2", "DSP48E2", "FDRE", "CARRY8", "LUT6"}, marks=pytest.mark.soak),
    ],
)
def test_a_netlist_with_blocks_is_exact(family: str, cells: set[str], mapped: Mapped) -> None:
    accelerator, netlist = mapped(family)

    exact = run(netlist, accelerator, 6)

    assert cells <= used(netlist)
    exact.check()
    assert len(exact.mismatches) == 2


# By default, test_forms.py proves the sums of a block, with its model, for both families.
@pytest.mark.soak
@pytest.mark.parametrize("family", ["xilinx", "ultrascale"])
def test_a_netlist_with_accumulators_in_dsp_blocks_is_exact(family: str, tmp_path: Path) -> None:
    """Four sums of a block, and the registers that Yosys may move into it."""
    accelerator = with_dsp_sums(family)
    netlist = gate_level.of(accelerator.design, families.family(family), tmp_path)

    exact = run_signs(netlist, accelerator)

    assert netlist.files["netlist.sv"].count('.USE_SIMD("FOUR12")') == accelerator.estimate().cost.dsp == 2
    exact.check()


def test_sources_with_accumulators_in_dsp_blocks_simulate_with_their_cells() -> None:
    accelerator = with_dsp_sums("ultrascale")

    run_signs(accelerator.design, accelerator, cells=True).check()


def with_dsp_sums(family: str) -> bnn2hw.Accelerator:
    """Return a unit with four sums in each of its DSP blocks."""
    model = net.chain((57,), net.dense(10, name="fc", input_quantizer=None))
    hand = {"fc": {"pe": 5, "simd": 19, "accumulators": "dsp"}}
    return bnn2hw.compile(model, input=SIGNS, target=DEVICES[family], folding=hand)


def run_signs(design: Design, accelerator: bnn2hw.Accelerator, *, cells: bool = False) -> Run:
    x = np.random.default_rng(0).choice(SIGNS.ints.values(), (20, 57))
    cycles = accelerator.estimate().cycles
    return simulate.simulate(design, accelerator.graph, x, cycles, stalls=0.2, seed=1, cells=cells)


def test_a_bit_of_a_block_ram_that_is_wrong_is_found(mapped: Mapped) -> None:
    accelerator, netlist = mapped("ecp5")
    text = netlist.files["netlist.sv"]
    wrong = re.sub(r"(\.INITVAL_00\(320'h)(\w+)", lambda m: f"{m[1]}{int(m[2], 16) ^ 1:080x}", text)
    assert wrong != text
    netlist = replace(netlist, files={**netlist.files, "netlist.sv": wrong})

    with pytest.raises(MismatchError):
        run(netlist, accelerator, 2).check()


def test_the_sign_fills_the_port_of_a_netlist(tmp_path: Path) -> None:
    """A port of one signed value per beat is extended to whole bytes; zeros there are no less wrong than other bits."""
    kernel = nn.quantizers.DoReFa(3, mode="weights")
    model = net.chain((6,), nn.layers.QuantDense(3, kernel_quantizer=kernel, use_bias=False, name="fc"))
    accelerator = bnn2hw.compile(model, input=WIRE, target="ice40-up5k", folding={"fc": {"pe": 1, "simd": 1}})
    (port,) = Port.of(accelerator.design.outputs)
    assert port.extends
    assert port.axis_bits - port.stream.bits == 2
    netlist = gate_level.of(accelerator.design, families.family("ice40"), tmp_path)
    text = netlist.files["netlist.sv"]
    zeros = re.sub(r"(assign m_axis_tdata\[15\] =) [^;]+;", r"\1 1'b0;", text)
    assert zeros != text

    run(netlist, accelerator, 8).check()

    with pytest.raises(MismatchError, match="the padding of a beat"):
        run(replace(netlist, files={**netlist.files, "netlist.sv": zeros}), accelerator, 8).check()


def test_words_narrower_than_a_memory_start_with_their_contents(tmp_path: Path) -> None:
    """Yosys leaves the bits of a cell that no word has unknown; the others are known in simulation, too."""
    model = net.chain(
        (57,), net.dense(12, name="fc", input_quantizer=None), net.norm(), net.dense(4, name="out")
    )
    hand = {"fc": {"pe": 1, "simd": 19}, "fc.threshold": {"pe": 1}, "out": {"pe": 1, "simd": 1}}
    accelerator = bnn2hw.compile(model, input=SIGNS, target="xczu5ev", folding=hand, loadable=["fc"])
    netlist = gate_level.of(accelerator.design, families.family("ultrascale"), tmp_path)

    run_signs(netlist, accelerator).check()

    partly_known = re.compile(r"'[bh](?:[0-9a-f]+x|x+[0-9a-f])")
    assert partly_known.search((tmp_path / "netlist.v").read_text())
    assert not partly_known.search(netlist.files["netlist.sv"])


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("family", "cells"),
    [
        ("ecp5", {"DP16KD", "MULT18X18D"}),
        ("xilinx", {"RAMB18E1", "RAMB36E1", "DSP48E1"}),
        ("ultrascale", {"RAMB18E2", "RAMB36E2", "DSP48E2", "CARRY8", "RAM32M16", "RAM64M8", "RAM512X1S"}),
    ],
)
def test_a_large_netlist_is_exact(family: str, cells: set[str], tmp_path: Path) -> None:
    accelerator = compiled(large(), family, fps=3000, loadable=["fc"])
    netlist = gate_level.of(accelerator.design, families.family(family), tmp_path)

    exact = run(netlist, accelerator, 2)

    assert cells <= used(netlist)
    exact.check()


def test_a_family_without_models_is_refused(tmp_path: Path) -> None:
    design = Design("", {}, (), (), ())

    with pytest.raises(
        InputError,
        match=r"no models of all cells of the family 'gowin'; .* for ecp5, ice40, ultrascale, xilinx$",
    ):
        gate_level.of(design, families.family("gowin"), tmp_path)
