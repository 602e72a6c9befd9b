"""Plan a design for a board: at its clock, with room for its shell, and no faster than its line."""

from __future__ import annotations

from dataclasses import replace

from bnn2hw.deploy.serial_shell import buffer_bytes
from bnn2hw.ir import Graph
from bnn2hw.targets.boards import Board
from bnn2hw.targets.devices import Device

SHELL_LUT, SHELL_FF = 600, 350
"""LUTs and flip-flops of the serial shell, rounded up from 440 to 510 and 240 to 310 in syntheses."""

MARGIN = 0.9
"""Share of the rest of the device that a plan may use, since predictions are a few per cent off."""

BITS_PER_BYTE = 10
"""Bits on the serial line for one byte: a start bit, eight bits of data, a stop bit."""

AHEAD = 2
"""Ratio of the planned rate to that of the line, so that computing adds little to the time of an image."""


def device(board: Board) -> Device:
    """Return the device of a board at the clock of the board."""
    return replace(board.device, clock_mhz=board.clock_mhz)


def room(board: Board, graph: Graph) -> Device:
    """Return the part of a board's device that is left for a design by the shell.

    Args:
        board: The board.
        graph: Graph in hardware form, whose images the shell keeps.
    """
    whole = device(board)
    if board.serial is None:
        return whole
    deepest, narrow = whole.family.bram_shapes[0]
    blocks = -(-8 * buffer_bytes(_image_bytes(graph)) // (deepest * narrow)) + 1
    return replace(
        whole,
        lut=max(int((whole.lut - SHELL_LUT) * MARGIN), 1),
        ff=max(int((whole.ff - SHELL_FF) * MARGIN), 1),
        bram=max(whole.bram - blocks, 0),
    )


def line_rate(board: Board, graph: Graph) -> float | None:
    """Return the frames per second that a design behind the board's serial line is worth, if there is a line.

    Args:
        board: The board.
        graph: Graph in hardware form.
    """
    if board.serial is None:
        return None
    return AHEAD * board.serial.baud / BITS_PER_BYTE / _image_bytes(graph)


def _image_bytes(graph: Graph) -> int:
    """Return the fewest bytes that carry one image of the first input."""
    tensor = graph.types[graph.sources[0].name]
    return max(-(-tensor.size * tensor.ints.bits // 8), 1)
