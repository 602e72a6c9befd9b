"""Run models of cells of an FPGA alone, side by side, on the same random pins."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bnn2hw.backends import verilog
from bnn2hw.simulation import verilator

Pins = Mapping[str, int]
"""Values of the pins of a cell in a cycle, by name."""

Parameters = Mapping[str, int | str]
"""Parameters of a cell: numbers, texts, and numbers of a stated width such as "8'hff"."""

HARNESS = str(Path(__file__).with_name("ticks.cpp"))


def ran(
    cell: str,
    instances: Sequence[Parameters],
    inputs: Mapping[str, int],
    outputs: Mapping[str, int],
    cycles: Sequence[Pins],
    folder: Path,
    *,
    bits: bool = False,
    single: Sequence[str] = (),
) -> list[list[dict[str, int]]]:
    """Return the outputs of each instance just before the clock of each cycle.

    Args:
        cell: A cell with a model of ours.
        instances: Parameters of each instance.
        inputs: Widths of the pins that are driven, by name. A pin of width 0 is the clock.
        outputs: Widths of the pins that are read, by name.
        cycles: Values of the pins that are driven.
        folder: An empty folder.
        bits: Whether each bit of a pin is a port of its own, as NAME0, NAME1.
        single: Pins that are one port nevertheless.

    Raises:
        AssertionError: The model refuses a parameter, or ended the simulation.
    """
    text = _bench(cell, instances, inputs, outputs, len(cycles), set(inputs) - set(single) if bits else set())
    sources = {"top.sv": text, **verilog.block_models([cell])}
    program = verilator.build("top", sources, HARNESS, header="", strict=False)
    driven = [name for name, width in inputs.items() if width]
    lines = []
    for pins in cycles:
        word, at = 0, 0
        for name in driven:
            word |= (pins[name] & ((1 << inputs[name]) - 1)) << at
            at += inputs[name]
        lines.append(f"{word:x}")
    (folder / "pins.hex").write_text("\n".join([*lines, ""]))
    done = subprocess.run(
        [program, str(len(cycles))], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    return _outputs(done.stdout.splitlines(), len(instances), outputs)


def _bench(
    cell: str,
    instances: Sequence[Parameters],
    inputs: Mapping[str, int],
    outputs: Mapping[str, int],
    cycles: int,
    bits: set[str],
) -> str:
    """Return a module that drives all instances from a file and prints what they answer, a line each."""
    width = sum(inputs.values())
    body = [f"  logic [{max(width, 1) - 1}:0] all[{cycles}], pins;", '  initial $readmemh("pins.hex", all);']
    body += [
        "  int at = 0;",
        "  assign pins = all[at];",
        f"  always @(posedge clk) if (at < {cycles - 1}) at <= at + 1;",
    ]
    drive, prints, at = [], [], 0
    for name, size in inputs.items():
        if not size:
            drive.append(f".{name}(clk)")
            continue
        drive += (
            [f".{name}{i}(pins[{at + i}])" for i in range(size)]
            if name in bits
            else [f".{name}(pins[{at}+:{size}])"]
        )
        at += size
    for number, parameters in enumerate(instances):
        wires, read, shown = [], [], []
        for name, size in outputs.items():
            wires.append(f"  logic [{size - 1}:0] {name}_{number};")
            read += (
                [f".{name}{i}({name}_{number}[{i}])" for i in range(size)]
                if bits
                else [f".{name}({name}_{number})"]
            )
            shown.append(f"{name}_{number}")
        given = ", ".join(f".{k}({_literal(v)})" for k, v in parameters.items())
        body += [*wires, f"  {cell} #({given}) dut{number} ({', '.join([*drive, *read])});"]
        prints.append(f'$display("{" ".join(["%h"] * len(shown))}"{"".join(f", {s}" for s in shown)});')
    body += ["  always @(posedge clk) begin", *prints, "  end"]
    return "\n".join(["module top (input logic clk);", *body, "endmodule", ""])


def _literal(value: int | str) -> str:
    return str(value) if isinstance(value, int) or "'h" in value else f'"{value}"'


def _outputs(lines: Sequence[str], instances: int, outputs: Mapping[str, int]) -> list[list[dict[str, int]]]:
    rows = [dict(zip(outputs, (int(t, 16) for t in line.split()), strict=True)) for line in lines if outputs]
    return [rows[i::instances] for i in range(instances)]


def drawn(rng: random.Random, inputs: Mapping[str, int]) -> dict[str, int]:
    """Return random values of the pins."""
    return {name: rng.getrandbits(width) for name, width in inputs.items() if width}
