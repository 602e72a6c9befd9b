"""Yosys turns a harness into an and-inverter graph, and ABC decides its properties.

The exit status of these programs proves nothing. A verdict on a property is read from the text that ABC prints.
Text without a verdict is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bnn2hw import tools
from bnn2hw.backends.design import Design
from bnn2hw.errors import ToolError
from bnn2hw.synthesis.synthesize import run_yosys
from bnn2hw.tools import Ended

PASSES = (
    "hierarchy -check -top {top}",
    "proc; flatten; memory_collect; memory_map",
    # What is undefined is chosen anew in each cycle, and registers begin free. Both must be said before any
    # optimization, which may choose such values as it likes; indices out of range become undefined later.
    "setundef -anyseq; async2sync; formalff -clk2ff -ff2anyinit",
    "opt -full; setundef -anyseq; techmap; setundef -anyseq",
    "opt -fast; dffunmap; aigmap; opt_clean; setundef -anyseq",
    "write_aiger -ascii -zinit -symbols {top}.aag",
    "write_aiger -zinit -symbols {top}.aig",
)

PROVED, REFUTED, BOUNDED = "proved", "refuted", "bounded"


@dataclass(frozen=True)
class Verdict:
    """The findings on a property.

    Attributes:
        kind: `PROVED` for all inputs and any number of cycles, `REFUTED` by a counterexample, or `BOUNDED`: no
            counterexample within some cycles.
        cycles: Cycles of the counterexample, or the bound; 0 if it is proved.
        seconds: Processor time that the decision took.
    """

    kind: str
    cycles: int
    seconds: float


@dataclass(frozen=True)
class Model:
    """An and-inverter graph on disk.

    Attributes:
        folder: Its folder.
        top: Stem of its files.
        outputs: Numbers of its outputs by name.
    """

    folder: Path
    top: str
    outputs: Mapping[str, int]

    @classmethod
    def of(cls, files: Mapping[str, str], top: str, folder: Path) -> Model:
        """Make the graph of a module.

        Args:
            files: Sources and memories by name.
            top: The module.
            folder: Takes all files.

        Raises:
            MissingToolError: Yosys or ABC is not installed.
            ToolError: Yosys failed.
        """
        tools.abc()
        passes = [line.format(top=top) for line in PASSES]
        run_yosys(Design(top, files, (), (), ()), folder, passes, f"{top}.aig")
        graph = Graph.read(folder / f"{top}.aag")
        return cls(folder, top, {name: i for i, (_, name) in enumerate(graph.outputs)})

    def decide(self, name: str, seconds: int) -> Verdict:
        """Decide whether an output can become 1.

        Args:
            name: The output.
            seconds: Limit of the processor time of the search for a proof. As much again may give a bound.

        Raises:
            ToolError: There is no such output, or ABC ended without a verdict.
        """
        if name not in self.outputs:
            raise ToolError(f"the model of {self.top} has no property {name}")
        found = self._abc(name, "scorr", "print_stats", "pdr", seconds=seconds)
        said, used = found.text, found.seconds
        if re.search(r"lat = +0 ", said):
            kind, cycles = (PROVED, 0) if self._is_never(name) else (REFUTED, 1)
        elif "Property proved." in said:
            kind, cycles = PROVED, 0
        elif _refuted(said):
            kind, cycles = REFUTED, _refuted(said)
        elif found.ended:
            raise ToolError(f"ABC gave no verdict on {name} of {self.top}:\n{said[-2000:]}")
        else:
            bound = self._abc(name, "bmc3 -v", seconds=seconds)
            kind, cycles, used = *self._bounded(name, bound), used + bound.seconds
        return Verdict(kind, cycles, used)

    def _is_never(self, name: str) -> bool:
        """Return True if an output that does not depend on registers is always 0, False if it is ever 1."""
        said = self._abc(name, "scorr", "sat").text
        verdicts = re.findall(r"^(UN)?SATISFIABLE ", said, re.MULTILINE)
        if len(verdicts) != 1:
            raise ToolError(f"ABC gave no verdict on {name} of {self.top}:\n{said[-2000:]}")
        return bool(verdicts[0])

    def _bounded(self, name: str, found: Ended) -> tuple[str, int]:
        """Return the verdict of a search for a counterexample that tells each cycle it has searched."""
        if _refuted(found.text):
            return REFUTED, _refuted(found.text)
        searched = re.findall(r"^ *(\d+) [+-] : Var", found.text, re.MULTILINE)
        if found.ended or not searched:
            raise ToolError(f"ABC gave no bound for {name} of {self.top}:\n{found.text[-2000:]}")
        return BOUNDED, int(searched[-1]) + 1

    def _abc(self, name: str, *commands: str, seconds: int = 0) -> Ended:
        """Run commands of ABC on the cone of an output, without a limit of time if it is 0."""
        cone = f"cone -a -O {self.outputs[name]}"
        script = "; ".join((f"read_aiger {self.top}.aig", cone, *commands))
        found = tools.run_limited([*tools.abc().start, "-c", script], self.folder, seconds)
        if "Error" in found.text or "Cannot" in found.text:
            raise ToolError(f"ABC cannot decide {name} of {self.top}:\n{found.text[-2000:]}")
        return replace(found, text=re.sub(r"\x1b\[[0-9;]*m", "", found.text))

    def counterexample(self, name: str, cycles: int) -> list[dict[str, int]]:
        """Return the outputs of the model in each cycle of a counterexample.

        Args:
            name: The property that is refuted.
            cycles: Cycles of some counterexample; the one that is returned is no longer.

        Raises:
            ToolError: There is no counterexample of so few cycles, or it does not refute the property.
        """
        made = self.folder / "trace.txt"
        made.unlink(missing_ok=True)
        self._abc(name, f"bmc3 -F {cycles}", f"write_cex -a {made.name}")
        if not made.is_file():
            raise ToolError(f"ABC found no counterexample of {cycles} cycles for {name} of {self.top}")
        rows = [line for line in made.read_text().splitlines() if set(line) <= {"0", "1"} and line]
        values = Graph.read(self.folder / f"{self.top}.aag").run(rows[1:])
        if not values or not values[-1].get(name):
            raise ToolError(f"the counterexample of ABC does not refute {name} of {self.top}")
        return values


def _refuted(said: str) -> int:
    """Return the cycles of the counterexample that ABC found; 0 if it found none."""
    found = re.search(r"was asserted in frame (\d+)", said)
    return int(found[1]) + 1 if found else 0


@dataclass(frozen=True)
class Graph:
    """An and-inverter graph, to be run.

    Attributes:
        inputs: Literals of the inputs.
        latches: Literals of the registers, each with that of its next value. All are 0 at first.
        outputs: Literal and name of each output bit.
        ands: Literals of the gates, each with those of both operands, in order.
    """

    inputs: tuple[int, ...]
    latches: tuple[tuple[int, int], ...]
    outputs: tuple[tuple[int, str], ...]
    ands: tuple[tuple[int, int, int], ...]

    @classmethod
    def read(cls, path: Path) -> Graph:
        """Read a graph in the text form of AIGER."""
        lines = path.read_text().splitlines()
        _, _, *counts = lines[0].split()
        inputs, latches, outputs, ands = map(int, counts[:4])
        rows = [tuple(map(int, line.split())) for line in lines[1 : 1 + inputs + latches + outputs + ands]]
        names = dict(re.findall(r"^o(\d+) (\S+)", "\n".join(lines), re.MULTILINE))
        after = inputs + latches
        ends = rows[after : after + outputs]
        return cls(
            tuple(row[0] for row in rows[:inputs]),
            tuple((row[0], row[1]) for row in rows[inputs:after]),
            tuple((row[0], names.get(str(i), "")) for i, row in enumerate(ends)),
            tuple((row[0], row[1], row[2]) for row in sorted(rows[after + outputs :])),
        )

    def run(self, rows: Sequence[str]) -> list[dict[str, int]]:
        """Return the outputs in each cycle.

        Args:
            rows: The input bits of each cycle.
        """
        state = {latch: 0 for latch, _ in self.latches}
        found = []
        for row in rows:
            values = {0: 0, **state, **dict(zip(self.inputs, map(int, row), strict=True))}
            for gate, a, b in self.ands:
                values[gate] = _bit(values, a) & _bit(values, b)
            found.append(self._words(values))
            state = {latch: _bit(values, after) for latch, after in self.latches}
        return found

    def _words(self, values: Mapping[int, int]) -> dict[str, int]:
        words: dict[str, int] = {}
        for literal, name in self.outputs:
            stem, _, index = name.rstrip("]").partition("[")
            words[stem] = words.get(stem, 0) | _bit(values, literal) << int(index or 0)
        return words


def _bit(values: Mapping[int, int], literal: int) -> int:
    return values[literal & ~1] ^ (literal & 1)
