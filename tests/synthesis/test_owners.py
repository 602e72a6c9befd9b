"""The layers that the cells of a netlist belong to."""

from __future__ import annotations

from typing import Any

from bnn2hw.synthesis.owners import owners


def cell(output: int, *inputs: int) -> dict[str, Any]:
    return {
        "port_directions": {"A": "input", "Z": "output"},
        "connections": {"A": list(inputs), "Z": [output]},
    }


MODULE = {
    "cells": {
        "$register": cell(3, 2),
        "$in front of it": cell(2, 1),
        "$checksum": cell(1, 5),
        "$in front of the checksum": cell(5, 6),
        "shell.accelerator.u_y.sum": cell(7, 3),
        "$nameless": cell(8, 1),
    },
    "netnames": {
        "shell.crc": {"bits": [1, "0"]},
        "shell.accelerator.y_data": {"bits": [3]},
        "shell.result": {"bits": [3, 7]},
        "$auto": {"bits": [5], "hide_name": 1},
    },
}


def test_the_shell_of_a_board_belongs_to_no_layer() -> None:
    found = owners(MODULE, MODULE["cells"], {"y": "the layer"})

    assert found == dict.fromkeys(("$register", "$in front of it", "shell.accelerator.u_y.sum"), "the layer")
