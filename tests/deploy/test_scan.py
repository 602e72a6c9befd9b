"""The wrapper that measures a clock: two shift registers reach each bit of a design's ports once."""

from __future__ import annotations

import re
from collections import Counter

import pytest

import bnn2hw
from bnn2hw.backends.text import bare
from bnn2hw.deploy import serial_shell
from bnn2hw.targets import devices
from tests.support import networks as net

CONNECTED = re.compile(r"\.(\w+)\((drive|seen)\[(\d+)(?::(\d+))?\]\)")
DECLARED = re.compile(r"(input|output)\s+logic\s+(?:\[(\d+):0\]\s*)?(\w+)")
OPEN = {"frame_count", "drop_count"}
"""Outputs that are left open, since a counter that nobody reads takes no part in the clock."""


@pytest.mark.parametrize("loadable", [False, True])
def test_each_bit_of_a_port_is_one_bit_of_a_shift_register(loadable: bool) -> None:
    accelerator = bnn2hw.compile(
        net.tutorial_like(), input=bnn2hw.Input("uint8"), fps=1000, loadable=loadable
    )
    design = accelerator.design
    wrapped, _ = serial_shell.scan(design, devices.device("ecp5-85k"))
    text = bare(wrapped.files["bnn2hw_scan.sv"])
    registers = {
        name: int(high) + 1
        for high, names in re.findall(r"logic \[(\d+):0\] ([\w, ]+);", text)
        for name in names.split(", ")
    }
    ports = {
        name: (kind, int(high or 0) + 1)
        for kind, high, name in DECLARED.findall(bare(design.files[f"{design.top}.sv"]))
    }

    reached: Counter[tuple[str, int]] = Counter()
    connected = set()
    for port, register, high, low in CONNECTED.findall(text):
        bits = range(int(low or high), int(high) + 1)
        reached.update((register, bit) for bit in bits)
        connected.add(port)
        assert ports[port] == ("input" if register == "drive" else "output", len(bits))

    every = {(r, bit) for r in ("drive", "seen") for bit in range(registers[r])}
    assert reached == Counter(dict.fromkeys(every, 1))
    assert set(ports) - connected == {"aclk", "status_clear", *OPEN}
