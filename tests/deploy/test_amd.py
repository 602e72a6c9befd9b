"""The files that a build for an AMD device gets, and the builds that get none."""

from __future__ import annotations

from pathlib import Path

import bnn2hw
from bnn2hw.backends import verilog
from bnn2hw.deploy import amd
from bnn2hw.ir import Ints
from bnn2hw.targets import devices, families
from tests.support.amd import GRAPHS, network, wire


def test_written_for_amd_only(tmp_path: Path) -> None:
    acc = network()
    acc.write(tmp_path / "amd")
    bnn2hw.load(tmp_path / "amd").write(tmp_path / "again")
    other = verilog.render(GRAPHS["bytes"])

    names = {p.name for p in (tmp_path / "again" / "amd").iterdir()}
    assert names == {"ip", "package_ip.tcl", "project.tcl", "driver.py"}
    for path in (tmp_path / "amd" / "rtl").iterdir():
        copy = tmp_path / "amd" / "amd" / "ip" / "rtl" / path.name
        assert path.name == "files.f" or copy.read_text() == path.read_text()
    assert amd.files(other, GRAPHS["bytes"], devices.device("ecp5-85k"), "x", bnn2hw.Input()) == {}


def test_beats_wider_than_any_converter_leave_the_ip() -> None:
    graph = wire(Ints(0, 255), (600,), 600)
    design = verilog.render(graph, family=families.family("xilinx"))

    files = amd.files(design, graph, devices.device("xc7z020"), "x", bnn2hw.Input())

    assert {n for n in files if "rtl" not in n} == {
        "amd/ip/component.xml",
        "amd/ip/xgui.tcl",
        "amd/package_ip.tcl",
    }
