"""Read a netlist of pair chains, compressors and registers as a sum of lanes that agree.

A lane is a pair of input bits, a[i] and b[i]. Every cell keeps a sum: what its outputs count is what
its inputs count, a cycle before. So the sum of all outputs is replaced, cell by cell, by that of
the inputs. `WrongSumError` says where this fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.support.sums import Bit, WrongSumError

Term = tuple[Bit, int]
"""A wire, and the cycles from it to the outputs."""


class Rows:
    """A module of Yosys' JSON with the inputs clk, enable, a and b.

    Args:
        module: The module.
    """

    def __init__(self, module: Mapping[str, Any]) -> None:
        self.ports = {name: tuple(port["bits"]) for name, port in module["ports"].items()}
        self.cells: list[dict[str, Any]] = list(module["cells"].values())
        self.columns = len(self.ports["row_a"])

    def lanes(self) -> Counter[tuple[int, int]]:
        """Return how often each lane counts in the outputs, by its number and its delay in cycles."""
        terms: Counter[Term] = Counter()
        for name in ("row_a", "row_b", "extra"):
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
        if any(bit != "0" for (bit, _), count in terms.items() if count):
            raise WrongSumError("something else than a sum of lanes is left")
        return found

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
        delay, unit = self._unit(cell, terms)
        if "pair_chain" in kind:
            for a, b in zip(wires["a"], wires["b"], strict=True):
                if (a, b) != ("0", "1"):
                    found[self._lane(a, b), delay + 1] += unit
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
        if "compressor" in cell["type"] and self._most(cell) >= whole and (unit * whole) % 2**self.columns:
            raise WrongSumError("a carry is cut off")
        return delay, unit

    def _most(self, cell: Mapping[str, Any]) -> int:
        parameters = cell["parameters"]
        return int(parameters["ONES"], 2) + 2 * int(parameters["TWOS"], 2)

    def _lane(self, a: Bit, b: Bit) -> int:
        if a not in self.ports["a"] or b not in self.ports["b"]:
            raise WrongSumError("no bits of a and b are compared")
        if self.ports["a"].index(a) != self.ports["b"].index(b):
            raise WrongSumError("bits of two lanes are compared")
        return self.ports["a"].index(a)


def _outputs(cell: Mapping[str, Any]) -> Iterator[tuple[str, int, Bit]]:
    """Yield the outputs of a cell with the power of two that each counts."""
    wires = cell["connections"]
    if cell["type"] == "$dffe":
        yield from (("Q", 0, bit) for bit in wires["Q"])
    elif "pair_chain" in cell["type"]:
        yield "odd", 0, wires["odd"][0]
        yield from (("carries", 1, bit) for bit in wires["carries"])
    elif "compressor" not in cell["type"]:
        raise WrongSumError(f"a cell of kind {cell['type']}")
    else:
        yield from (("sum", place, bit) for place, bit in enumerate(wires["sum"]))


def _taken(terms: Counter[Term], bit: Bit) -> list[tuple[int, int]]:
    """Take the terms of a wire: their delays and what they count."""
    taken = [(delay, count) for (wire, delay), count in terms.items() if wire == bit and count]
    for delay, _ in taken:
        del terms[bit, delay]
    return taken
