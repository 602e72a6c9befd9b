"""Modules that are printed as several side by side, since a word of one would be too wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bnn2hw.backends.design import Stream
from bnn2hw.backends.text import Printer
from bnn2hw.backends.verilog_top import LOADABLE, PATH, literal, memory_file
from bnn2hw.ir import HardwareOp, Memory, Part, Tensor


@dataclass(frozen=True)
class Unit:
    """A part as its template prints it.

    Attributes:
        params: Parameters, as Verilog literals.
        reads: Highest and lowest bit of the input that it takes.
        writes: Highest and lowest bit of the output that it makes.
        first: True if no unit before it makes the same bits. Results for the same bits are added.
    """

    params: Mapping[str, int | str]
    reads: tuple[int, int]
    writes: tuple[int, int]
    first: bool


def module(
    printer: Printer, name: str, op: HardwareOp, x: Sequence[Tensor], stream: Stream, parts: Sequence[Part]
) -> str:
    """Return the text of a module that holds the parts of an op.

    Args:
        printer: Prints it.
        name: The module, without the prefix bnn2hw_.
        op: The op.
        x: Types of its inputs.
        stream: Stream that it writes.
        parts: Its parts.
    """
    taken, given = (lanes // op.copies for lanes in op.stream_lanes(*x))
    bits = x[0].ints.bits, op.infer(*x).ints.bits
    units: list[Unit] = []
    for number, part in enumerate(parts):
        files = {p: f'"{memory_file(stream, p, number)}"' for p in part.memories}
        params = {**{n: literal(v) for n, v in part.params.items()}, **files, PATH: PATH}
        writes = _bits(part.writes, bits[1])
        first = all(unit.writes != writes for unit in units)
        units.append(Unit(params, _bits(part.reads or (0, taken), bits[0]), writes, first))
    facts: dict[str, object] = {
        "module": name,
        "unit": f"{LOADABLE if op.writable else ''}{op.module}",
        "units": units,
    }
    facts["adds"] = not all(unit.first for unit in units)
    widths = {"in_bits": taken * bits[0], "out_bits": given * bits[1]}
    return printer.file(f"{name}.sv", "parts.sv.j2", loadable=op.writable, **facts, **widths)


def _bits(lanes: tuple[int, int], bits: int) -> tuple[int, int]:
    return lanes[1] * bits - 1, lanes[0] * bits


def memories(stream: Stream, parts: Sequence[Part]) -> dict[str, Memory]:
    """Return the memories of parts by their files.

    Args:
        stream: Stream that the op writes.
        parts: Its parts.
    """
    return {memory_file(stream, p, n): m for n, part in enumerate(parts) for p, m in part.memories.items()}
