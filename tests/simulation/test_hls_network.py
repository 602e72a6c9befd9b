"""The HLS backend: its scripts, its pragmas, and a whole network."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw.cli.main import main
from bnn2hw.errors import InputError
from bnn2hw.ir import Cycles
from tests.support import EXAMPLES
from tests.support import networks as net

NO_CLOCK = Cycles(0, 0)
PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)


PRAGMAS = {
    "interface": {"mode": {"axis", "ap_ctrl_none"}, "port": None},
    "dataflow": {},
    "pipeline": {"II": {"1"}, "rewind": set()},
    "unroll": {},
    "inline": {},
    "array_partition": {"variable": None, "type": {"complete"}, "dim": {"2"}},
    "array_reshape": {"variable": None, "type": {"complete"}, "dim": {"2"}},
    "bind_storage": {"variable": None, "type": {"rom_np", "ram_s2p"}, "impl": {"bram", "lutram"}},
}
"""Directives and options as UG1399 names them, as far as they are used here; None stands for a name in the code."""


def test_pragmas_are_known_and_speak_of_what_is_there(network: bnn2hw.Accelerator) -> None:
    seen = set()
    for name, text in network.design.files.items():
        for directive, rest in re.findall(r"#pragma HLS (\w+)(.*)", text):
            seen.add(directive)
            for option in rest.split():
                key, _, value = option.partition("=")
                allowed = PRAGMAS[directive][key]
                assert value in allowed if allowed else bool(value) == (allowed is None), (name, option)
                if allowed is None:
                    assert value == "return" or re.search(rf"\b{value}[\[;,)]", text), (name, option)

    assert seen == set(PRAGMAS)


def test_every_loop_is_labelled(network: bnn2hw.Accelerator) -> None:
    """The tool's reports name loops by their labels."""
    loops = 0
    for name, text in network.design.files.items():
        lines = text.splitlines()
        for before, line in pairwise(lines):
            if re.match(r"\s*(for|while) \(", line) and name.startswith("bnn2hw_") and "common" not in name:
                assert re.match(r"\s*\w+:$", before), (name, line)
                loops += 1

    assert loops > 20


# ---- the tutorial network


@cache
def tutorial() -> bnn2hw.Accelerator:
    return bnn2hw.compile(EXAMPLES / "mnist.keras", input=PIXELS, backend="hls", target="xc7z020")


@pytest.fixture
def network() -> bnn2hw.Accelerator:
    return tutorial()


@cache
def digits() -> np.ndarray:
    with np.load(EXAMPLES / "mnist_sample.npz") as data:
        return data["x"]


@pytest.mark.parametrize("stalls", [0.0, 0.3])
def test_the_tutorial_network_is_exact_on_every_stream(network: bnn2hw.Accelerator, stalls: float) -> None:
    run = network.simulate(digits()[:4], stalls=stalls, seed=2)

    run.check()
    assert len(run.mismatches) == len(network.design.streams)
    assert np.array_equal(run.outputs.reshape(-1), network.golden(digits()[:4]))


def test_the_tutorial_network_emulated(network: bnn2hw.Accelerator) -> None:
    assert np.array_equal(network.emulate(digits()), network.golden(digits()))


def test_written_and_read_back(network: bnn2hw.Accelerator, tmp_path: Path) -> None:
    network.write(tmp_path / "out")
    loaded = bnn2hw.load(tmp_path / "out")

    assert sorted(p.name for p in (tmp_path / "out" / "hls").iterdir()) == sorted(network.design.files)
    assert not (tmp_path / "out" / "rtl").exists()
    assert loaded.design == network.design
    assert np.array_equal(loaded.emulate(digits()[:3]), network.golden(digits()[:3]))
    assert "nothing was calibrated on HLS results" in str(loaded)


def test_the_command_line(tmp_path: Path) -> None:
    net.tutorial_like().save(tmp_path / "m.keras")
    wire = ["--input", "uint8", "--scale", "1/127.5", "--offset", "-1"]
    out = str(tmp_path / "out")

    compiled = CliRunner().invoke(
        main, ["compile", str(tmp_path / "m.keras"), *wire, "--backend", "hls", "-o", out]
    )
    simulated = CliRunner().invoke(main, ["simulate", out, "--frames", "2"])

    assert compiled.exit_code == 0, compiled.output
    assert f"written to {out}: hls/, report.html, report.txt" in compiled.output
    assert simulated.exit_code == 0, simulated.output
    streams = len(bnn2hw.load(out).design.streams)
    assert f"smooth: 2 random frames, no clock, {streams} streams bit-exact" in simulated.output
    assert "interval: not measured, predicted" in simulated.output


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(InputError, match=r"^unknown backend 'vhdl'; known backends: verilog, hls, native$"):
        bnn2hw.compile(EXAMPLES / "mnist.keras", input=PIXELS, backend="vhdl")
