"""The scripts for Vivado, run in tclsh with commands that note how they are called."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnn2hw import tools
from bnn2hw.backends.design import Port
from bnn2hw.deploy import amd
from tests.support.amd import GRAPHS, made, write

STUBS = r"""
proc note {name words} { puts stderr [join [concat [list $name] [regsub -all {\s+} $words { }]] \x1f] }
foreach name {create_project set_msg_config update_ip_catalog create_bd_design apply_bd_automation assign_bd_address set_property
              validate_bd_design save_bd_design connect_bd_intf_net connect_bd_net launch_runs wait_on_run
              update_compile_order ipx::package_project ipx::associate_bus_interfaces ipx::create_xgui_files
              ipx::update_checksums ipx::check_integrity ipx::save_core} {
  namespace eval ipx {}
  proc $name args "note $name \$args"
}
foreach name {create_bd_cell get_bd_cells get_bd_pins get_bd_intf_pins get_files add_files get_runs} {
  proc $name args "note $name \$args; lindex \$args end"
}
foreach name {current_project current_fileset ipx::current_core} { proc $name args "return $name" }
proc make_wrapper args { note make_wrapper $args; return wrapper.v }
proc get_board_parts args { note get_board_parts $args; return $::BOARD_PARTS }
proc get_property {name of} {
  note get_property [list $name $of]
  return [dict get [list PROGRESS $::PROGRESS STATS.WNS $::WNS DIRECTORY $::RUN] $name]
}
"""
"""Vivado's commands, which only note that they were called."""


def tcl(
    script: Path, *argv: str, parts: str = "", wns: float = 0.3, progress: str = "100%"
) -> list[list[str]]:
    """The calls that a script makes, as words."""
    if not shutil.which("tclsh"):
        pytest.skip("needs tclsh, which is not on this machine")
    board = script.parent / (argv[0] if argv else "pynq-z2")
    handoff = board / "bnn2hw.gen/sources_1/bd/system/hw_handoff"
    handoff.mkdir(parents=True, exist_ok=True)
    (handoff / "system.hwh").write_text("described")
    (board / "system_wrapper.bit").write_text("bits")
    facts = {"BOARD_PARTS": parts, "PROGRESS": progress, "WNS": wns, "RUN": board}
    lines = [f"set {k} {{{v}}}" for k, v in facts.items()] + [STUBS, f"set argv {{{' '.join(argv)}}}"]
    trial = script.parent / "try.tcl"
    trial.write_text(
        "\n".join([*lines, f"if {{[catch {{source {script}}} said]}} {{ note FAILED [list $said] }}"])
    )
    log = tools.run(["sh", "-c", f"tclsh {trial} 2>&1 >/dev/null"], script.parent, "tclsh")
    return [line.split("\x1f") for line in log.splitlines()]


PINS = {
    "axi_dma": {"S_AXI_LITE", "s_axi_lite_aclk", "axi_resetn"},
    "axis_dwidth_converter": {"S_AXIS", "M_AXIS", "aclk", "aresetn"},
    "axi_gpio": {"S_AXI", "s_axi_aclk", "s_axi_aresetn", "gpio_io_i"},
    "smartconnect": {"aclk", "aresetn"},
    "proc_sys_reset": {"slowest_sync_clk", "ext_reset_in", "peripheral_aresetn"},
    "processing_system7": {
        "M_AXI_GP0",
        "S_AXI_HP0",
        "M_AXI_GP0_ACLK",
        "S_AXI_HP0_ACLK",
        "FCLK_CLK0",
        "FCLK_RESET0_N",
    },
    "zynq_ultra_ps_e": {
        "M_AXI_HPM0_FPD",
        "S_AXI_HP0_FPD",
        "maxihpm0_fpd_aclk",
        "saxihp0_fpd_aclk",
        "pl_clk0",
        "pl_resetn0",
    },
}
"""Pins of each IP that public block designs connect. `Drawn.needed` adds those of DMAs and interconnects."""


class Drawn:
    """The block design that the calls draw."""

    def __init__(self, calls: list[list[str]]) -> None:
        self.cells = {
            c[-1]: c[4].split(":")[-1] if "xilinx" in c[4] else c[4]
            for c in calls
            if c[0] == "create_bd_cell"
        }
        self.settings: dict[str, dict[str, str]] = {name: {} for name in self.cells}
        for call in calls:
            if call[:2] == ["set_property", "-dict"]:
                words = call[2].split()
                self.settings[call[3]].update(zip(words[::2], words[1::2], strict=True))
        self.wires = [tuple(c[1:]) for c in calls if c[0] == "connect_bd_net"]
        self.streams = [tuple(c[1:]) for c in calls if c[0] == "connect_bd_intf_net"]
        self.ends = Counter([w[1] for w in self.wires] + list({w[0] for w in self.wires}))
        self.ends.update(e for s in self.streams for e in s)

    def setting(self, cell: str, name: str) -> int:
        return int(self.settings[cell][f"CONFIG.{name}"])

    def needed(self, cell: str) -> set[str]:
        """Return the pins of a cell that must be connected."""
        kind = self.cells[cell]
        pins = set(PINS[kind])
        if kind == "smartconnect":
            for side, setting in (("S", "NUM_SI"), ("M", "NUM_MI")):
                pins |= {f"{side}{i:02d}_AXI" for i in range(self.setting(cell, setting))}
        if kind == "axi_dma" and self.setting(cell, "c_include_mm2s"):
            pins |= {"M_AXIS_MM2S", "M_AXI_MM2S", "m_axi_mm2s_aclk"}
        if kind == "axi_dma" and self.setting(cell, "c_include_s2mm"):
            pins |= {"S_AXIS_S2MM", "M_AXI_S2MM", "m_axi_s2mm_aclk"}
        return pins


@pytest.mark.parametrize("board", ["pynq-z2", "kv260"])
@pytest.mark.parametrize(
    "name", ["bytes", "rgb", "odd", "word", "one", "two results", "add", "xnor", "loadable"]
)
def test_block_design(name: str, board: str, tmp_path: Path) -> None:
    _, design, files = made(name)

    calls = tcl(write(files, tmp_path) / "project.tcl", board)

    assert "FAILED" not in {c[0] for c in calls}, calls[-1]
    drawn = Drawn(calls)
    accelerator = drawn.cells.pop("accelerator")
    assert accelerator == "bnn2hw:accelerators:my_net_2:1.0"
    expected = {f"{cell}/{pin}" for cell in drawn.cells for pin in drawn.needed(cell)}
    inputs, outputs = Port.of(design.inputs), Port.of(design.outputs)
    buses = [f"s_axis{p.suffix}" for p in inputs] + [f"m_axis{p.suffix}" for p in outputs]
    buses += ["s_axi"] if design.load else []
    expected |= {f"accelerator/{p}" for p in [*buses, "aclk", "aresetn", "frame_error"]}
    assert set(drawn.ends) == expected
    assert set(drawn.ends.values()) == {1}
    clocks = {b for a, b in drawn.wires if a.endswith(("FCLK_CLK0", "pl_clk0"))}
    assert clocks == {e for e in expected if e.lower().endswith(("aclk", "sync_clk"))}
    resets = {b for a, b in drawn.wires if a == "resets/peripheral_aresetn"}
    assert resets == {e for e in expected if e.endswith("resetn") and not e.startswith("resets/")}


@pytest.mark.parametrize("name", GRAPHS)
def test_stream_widths_meet(name: str, tmp_path: Path) -> None:
    """Each stream is as wide at both ends, and no frame leaves a word of a converter half full."""
    _, design, files = made(name)
    drawn = Drawn(tcl(write(files, tmp_path) / "project.tcl"))
    there = dict(drawn.streams)
    back = {b: a for a, b in drawn.streams}

    for i, port in enumerate(Port.of(design.inputs)):
        width = drawn.setting(f"dma_{i}", "c_m_axis_mm2s_tdata_width") // 8
        end = f"accelerator/s_axis{port.suffix}"
        reached = there[f"dma_{i}/M_AXIS_MM2S"]
        _meets(
            drawn,
            reached,
            there.get(reached.replace("S_AXIS", "M_AXIS")),
            end,
            (width, port.stream.bytes),
            port,
        )
    for i, port in enumerate(Port.of(design.outputs)):
        end = f"accelerator/m_axis{port.suffix}"
        reached = back[f"dma_{i}/S_AXIS_S2MM"]
        width = port.stream.bytes
        if reached != end:
            width = drawn.setting(reached.split("/")[0], "M_TDATA_NUM_BYTES")
        _meets(
            drawn,
            reached,
            back.get(reached.replace("M_AXIS", "S_AXIS")),
            end,
            (port.stream.bytes, width),
            port,
        )


def _meets(
    drawn: Drawn, reached: str, beyond: str | None, end: str, widths: tuple[int, int], port: Port
) -> None:
    if reached == end:
        assert widths[0] == widths[1]
        assert widths[0] in amd.DMA_BYTES
        return
    cell = reached.split("/")[0]
    assert beyond == end
    assert drawn.cells[cell] == "axis_dwidth_converter"
    assert tuple(drawn.setting(cell, f"{side}_TDATA_NUM_BYTES") for side in "SM") == widths
    inside = int(np.lcm(*widths))
    assert inside <= 512
    assert port.stream.bytes * port.beats % inside == 0
    assert set(widths) & set(amd.DMA_BYTES)


@pytest.mark.parametrize(
    ("board", "part"), [("pynq-z2", "xc7z020clg400-1"), ("kv260", "xck26-sfvc784-2LV-c")]
)
@pytest.mark.parametrize("files_there", [True, False])
def test_project(
    board: str, part: str, files_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLOCK_MHZ", raising=False)
    script = write(made("bytes")[2], tmp_path) / "project.tcl"

    calls = tcl(script, board, parts="maker:board:part0:1.0 other" if files_there else "")

    assert ["create_project", "-force", "bnn2hw", str(script.parent / board), "-part", part] in calls
    assert ["set_property", "IP_REPO_PATHS", str(script.parent / "ip"), "current_project"] in calls
    assert (
        ["set_property", "BOARD_PART", "maker:board:part0:1.0", "current_project"] in calls
    ) == files_there
    [automation] = [c for c in calls if c[0] == "apply_bd_automation"]
    assert automation[4].endswith(f"apply_board_preset {int(files_there)}")
    clock = {
        "pynq-z2": "CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ",
        "kv260": "CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ",
    }
    assert Drawn(calls).settings["ps"][clock[board]] == {"pynq-z2": "100.0", "kv260": "200.0"}[board]
    assert (script.parent / board / "accelerator.bit").read_text() == "bits"
    assert (script.parent / board / "accelerator.hwh").read_text() == "described"


def test_project_of_a_repackaged_ip_at_another_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOCK_MHZ", "42")
    script = write(made("bytes")[2], tmp_path) / "project.tcl"
    (script.parent / "packaged").mkdir()
    (script.parent / "packaged" / "component.xml").touch()

    calls = tcl(script, "pynq-z2", "project")

    assert ["set_property", "IP_REPO_PATHS", str(script.parent / "packaged"), "current_project"] in calls
    assert Drawn(calls).settings["ps"]["CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ"] == "42"
    assert "launch_runs" not in {c[0] for c in calls}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (
            {"argv": ["zybo"]},
            f"unknown board 'zybo'; known boards: {', '.join(b.name for b in amd.vivado_boards())}",
        ),
        ({"progress": "40%"}, "no bitstream: see the logs of synth_1 and impl_1"),
        (
            {"wns": -1.5},
            "the clock of 100.0 MHz is not reached (slack -1.5 ns); set CLOCK_MHZ to a lower clock",
        ),
    ],
)
def test_project_fails_aloud(
    how: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLOCK_MHZ", raising=False)
    script = write(made("bytes")[2], tmp_path) / "project.tcl"

    calls = tcl(script, *how.pop("argv", []), **how)

    assert calls[-1] == ["FAILED", said]
    assert not list(script.parent.glob("*/accelerator.bit"))


@pytest.mark.parametrize("name", ["bytes", "xnor", "two results", "loadable"])
def test_packaging(name: str, tmp_path: Path) -> None:
    _, design, files = made(name)

    calls = tcl(write(files, tmp_path) / "package_ip.tcl")

    assert [c[0] for c in calls[-4:]] == [
        "ipx::create_xgui_files",
        "ipx::update_checksums",
        "ipx::check_integrity",
        "ipx::save_core",
    ]
    added = {Path(f).name for c in calls if c[0] == "add_files" for f in c[-1].split()}
    assert added == {Path(n).name for n in files if n.startswith("amd/ip/rtl/")}
    top = "bnn2hw_axi" if design.load else "bnn2hw_top"
    assert ["set_property", "TOP", top, "current_fileset"] in calls
    buses = {c[2] for c in calls if c[0].startswith("ipx::associate") and c[1] == "-busif"}
    expected = {f"s_axis{p.suffix}" for p in Port.of(design.inputs)}
    expected |= {f"m_axis{p.suffix}" for p in Port.of(design.outputs)}
    assert buses == expected | ({"s_axi"} if design.load else set())
