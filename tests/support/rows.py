"""Read a netlist of compressors and registers as a sum of lanes: pairs of bits that agree, or single bits.

A pair is a[i] and b[i]. Every cell keeps a sum: what its outputs count is what
its inputs count, a cycle before. So the sum of all outputs is replaced, cell by cell, by that of
the inputs. `WrongSumError` says where this fails.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bnn2hw.backends.design import Design
from bnn2hw.synthesis import synthesize
from tests.support.sums import Bit, WrongSumError


def elaborated(
    module: str, files: Mapping[str, str], parameters: Mapping[int, Mapping[str, int]], folder: Path
) -> dict[int, Any]:
    """Let Yosys elaborate a module with some sets of parameters, by number; its parts stay cells.

    Args:
        module: The module, without the prefix bnn2hw_.
        files: Its sources, and those of its parts.
        parameters: The sets.
        folder: Where Yosys works.
    """
    passes = ["design -save read"]
    for number, chosen in parameters.items():
        given = " ".join(f"-chparam {name} {value}" for name, value in chosen.items())
        passes += [
            "design -load read",
            f"hierarchy -top bnn2hw_{module} {given}",
            "proc; opt_expr; opt_dff; opt_clean",
            f"write_json {number}.json",
        ]
    design = Design(f"bnn2hw_{module}", files, (), (), ())
    synthesize.run_yosys(design, folder, [*passes, "tee -o made.txt log made"], "made.txt")
    return {number: _top(folder / f"{number}.json") for number in parameters}


def _top(path: Path) -> dict[str, Any]:
    """Return the top module of a netlist; its cells have the parameters of their modules."""
    modules = json.loads(path.read_text())["modules"]
    top: dict[str, Any] = next(m for m in modules.values() if int(m["attributes"].get("top", "0"), 2))
    for cell in top["cells"].values():
        if cell["type"] in modules:
            module = modules[cell["type"]]
            cell["parameters"] = module.get("parameter_default_values", {})
            cell["port_directions"] = {n: p["direction"] for n, p in module["ports"].items()}
    return top


Term = tuple[Bit, int]
"""A wire, and the cycles from it to the outputs."""


class Rows:
    """A module of Yosys' JSON with the inputs clk, enable, a and b, and the outputs row_a, row_b and extra.

    Args:
        module: The module.
    """

    outputs: ClassVar[tuple[str, ...]] = ("row_a", "row_b", "extra")

    def __init__(self, module: Mapping[str, Any]) -> None:
        self.ports = {name: tuple(port["bits"]) for name, port in module["ports"].items()}
        self.cells: list[dict[str, Any]] = list(module["cells"].values())
        self.most = len(self.ports.get("lanes", ()))
        self.columns = len(self.ports[self.outputs[0]])

    def lanes(self) -> Counter[tuple[int, int]]:
        """Return how often each lane counts in the outputs, by its number and its delay in cycles."""
        terms: Counter[Term] = Counter()
        for name in self.outputs:
            for column, bit in enumerate(self.ports[name]):
                terms[bit, 0] += 2**column
        found: Counter[tuple[int, int]] = Counter()
        waiting = list(self.cells)
        while waiting:
            ready = [cell for cell in waiting if not self._feeds(cell, waiting)]
            if not ready:
                raise WrongSumError("cells form a loop")
            for cell in ready:
                self._replace(cell, terms, found)
                waiting.remove(cell)
        self._found(terms, found)
        if any(bit != "0" for (bit, _), count in terms.items() if count):
            raise WrongSumError("something else than a sum of lanes is left")
        return found

    def _found(self, terms: Counter[Term], found: Counter[tuple[int, int]]) -> None:
        """Take the terms of single bits that are lanes: there are none."""

    def _feeds(self, cell: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> bool:
        outputs = {bit for _, _, bit in _outputs(cell)}
        return any(
            bit in outputs
            for other in others
            for port, way in other["port_directions"].items()
            if way == "input"
            for bit in other["connections"][port]
        )

    def _replace(
        self, cell: Mapping[str, Any], terms: Counter[Term], found: Counter[tuple[int, int]]
    ) -> None:
        """Replace the outputs of a cell by its inputs."""
        wires, kind = cell["connections"], cell["type"]
        clock, enable = (wires["CLK"], wires["EN"]) if kind == "$dffe" else (wires["clk"], wires["enable"])
        if (tuple(clock), tuple(enable)) != (self.ports["clk"], self.ports["enable"]):
            raise WrongSumError("another clock or enable")
        if kind == "$dffe":
            for q, d in zip(wires["Q"], wires["D"], strict=True):
                for delay, count in _taken(terms, q):
                    terms[d, delay + 1] += count
            return
        if "delay" in kind:
            cycles = int(cell["parameters"]["CYCLES"], 2)
            for q, d in zip(wires["delayed"], wires["word"], strict=True):
                for delay, count in _taken(terms, q):
                    terms[d, delay + cycles] += count
            return
        delay, unit = self._unit(cell, terms)
        if "pair_chain" in kind:
            for a, b in zip(wires["a"], wires["b"], strict=True):
                if (a, b) != ("0", "1"):
                    found[self._lane(a, b), delay + 1] += unit
        elif "sum" in kind:
            for name in ("left", "right", "carry"):
                for place, bit in enumerate(wires[name]):
                    terms[bit, delay + 1] += unit << place
        else:
            ones = int(cell["parameters"]["ONES"], 2)
            for i, bit in enumerate(wires["bits"]):
                terms[bit, delay + 1] += unit if i < ones else 2 * unit

    def _unit(self, cell: Mapping[str, Any], terms: Counter[Term]) -> tuple[int, int]:
        """Return the delay of a cell's outputs, and what the lowest one counts, and take them all."""
        counts = {
            (delay, count // 2**place if count % 2**place == 0 else None)
            for _, place, bit in _outputs(cell)
            for delay, count in _taken(terms, bit)
        }
        if len(counts) != 1:
            raise WrongSumError("outputs of a cell are missing, or have other places")
        (delay, unit) = counts.pop()
        if unit is None:
            raise WrongSumError("an output of a cell has another place")
        whole = 2 ** int(cell["parameters"].get("BITS", "0"), 2)
        if (
            "pair_chain" not in cell["type"]
            and self._most(cell) >= whole
            and (unit * whole) % 2**self.columns
        ):
            raise WrongSumError("a carry is cut off")
        return delay, unit

    def _most(self, cell: Mapping[str, Any]) -> int:
        parameters = cell["parameters"]
        if "sum" in cell["type"]:
            return self.most
        return int(parameters["ONES"], 2) + 2 * int(parameters.get("TWOS", "0"), 2)

    def _lane(self, a: Bit, b: Bit) -> int:
        if a not in self.ports["a"] or b not in self.ports["b"]:
            raise WrongSumError("no bits of a and b are compared")
        if self.ports["a"].index(a) != self.ports["b"].index(b):
            raise WrongSumError("bits of two lanes are compared")
        return self.ports["a"].index(a)


class BitCount(Rows):
    """A module of Yosys' JSON with the inputs clk, enable and lanes, and the output count."""

    outputs: ClassVar[tuple[str, ...]] = ("count",)

    def _found(self, terms: Counter[Term], found: Counter[tuple[int, int]]) -> None:
        """Take the terms of inputs."""
        for lane, bit in enumerate(self.ports["lanes"]):
            for delay, count in _taken(terms, bit):
                found[lane, delay] += count


def _outputs(cell: Mapping[str, Any]) -> Iterator[tuple[str, int, Bit]]:
    """Yield the outputs of a cell with the power of two that each counts."""
    wires = cell["connections"]
    if cell["type"] == "$dffe":
        yield from (("Q", 0, bit) for bit in wires["Q"])
    elif "delay" in cell["type"]:
        yield from (("delayed", 0, bit) for bit in wires["delayed"])
    elif "pair_chain" in cell["type"]:
        yield "odd", 0, wires["odd"][0]
        yield from (("carries", 1, bit) for bit in wires["carries"])
    elif "compressor" not in cell["type"] and "sum" not in cell["type"]:
        raise WrongSumError(f"a cell of kind {cell['type']}")
    else:
        yield from (("sum", place, bit) for place, bit in enumerate(wires["sum"]))


def _taken(terms: Counter[Term], bit: Bit) -> list[tuple[int, int]]:
    """Take the terms of a wire: their delays and what they count."""
    taken = [(delay, count) for (wire, delay), count in terms.items() if wire == bit and count]
    for delay, _ in taken:
        del terms[bit, delay]
    return taken
