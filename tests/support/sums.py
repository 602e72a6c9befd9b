"""Read a netlist of popcounts, adders and registers as sums of lanes.

A lane is a pair of input bits, a[i] and b[i], and counts 1 if they differ. Whatever such a netlist
computes is a number of lanes at a delay in cycles. `Netlist` finds these for every wire, and raises
`WrongSumError` where something is no such number: a lane that is counted twice, terms of different
delays, a carry that is cut off. What it accepts is therefore correct for every input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Bit = int | str
"""A bit of Yosys' JSON: the number of a wire, or a constant."""


class WrongSumError(Exception):
    """A part of the netlist is no number of lanes."""


@dataclass(frozen=True)
class Count:
    """The number of some lanes that differ.

    Attributes:
        lanes: The lanes.
        delay: Cycles from these lanes to the number.
    """

    lanes: frozenset[int]
    delay: int

    @property
    def bits(self) -> int:
        """Width of the largest number."""
        return len(self.lanes).bit_length()

    def later(self, cycles: int) -> Count:
        """Return the same number some cycles later."""
        return Count(self.lanes, self.delay + cycles)


@dataclass(frozen=True)
class Place:
    """A bit of an input, or of a count.

    Attributes:
        of: Name of the input, or a count.
        index: Number of the bit.
        delay: Cycles from the input, or the count, to the bit.
    """

    of: str | Count
    index: int
    delay: int = 0


def total(counts: Sequence[Count | None], width: int) -> Count | None:
    """Return the count of the lanes of all counts, which must arrive in the same cycle and fit; None if there is none.

    Args:
        counts: Numbers to add; None is 0.
        width: Bits of the sum.
    """
    some = [count for count in counts if count]
    lanes = frozenset[int]().union(*(count.lanes for count in some))
    if len({count.delay for count in some}) > 1:
        raise WrongSumError("terms of different delays are added")
    if len(lanes) != sum(len(count.lanes) for count in some):
        raise WrongSumError("a lane is counted twice")
    if len(lanes) >= 2**width:
        raise WrongSumError(f"{len(lanes)} lanes do not fit into {width} bits")
    return Count(lanes, some[0].delay) if some else None


class Netlist:
    """A module of Yosys' JSON whose inputs are clk, enable, a and b.

    Args:
        module: The module.
    """

    def __init__(self, module: Mapping[str, Any]) -> None:
        self.ports = {name: tuple(port["bits"]) for name, port in module["ports"].items()}
        self.cells: list[dict[str, Any]] = list(module["cells"].values())

    @cached_property
    def _drivers(self) -> dict[Bit, tuple[dict[str, Any], str, int]]:
        """By wire, the cell that drives it, the port and the number of the bit."""
        found = {}
        for cell in self.cells:
            for port, way in cell["port_directions"].items():
                if way == "output":
                    found |= {bit: (cell, port, i) for i, bit in enumerate(cell["connections"][port])}
        return found

    @cached_property
    def _places(self) -> dict[Bit, Place | None]:
        inputs = ("clk", "enable", "a", "b")
        return {bit: Place(name, i) for name in inputs for i, bit in enumerate(self.ports[name])} | {
            "0": None
        }

    def place(self, bit: Bit) -> Place | None:
        """Return what a wire carries; None for the constant 0."""
        if bit not in self._places:
            if bit not in self._drivers:
                raise WrongSumError(f"nothing drives {bit}")
            cell, port, index = self._drivers[bit]
            self._places[bit] = self._made(cell, port, index)
        return self._places[bit]

    def count(self, bits: Sequence[Bit]) -> Count | None:
        """Return the number that some wires carry, lowest bit first; None if it is always 0."""
        places = [self.place(bit) for bit in bits]
        used = [place for place in places if place]
        if not used:
            return None
        whole, delay = used[0].of, used[0].delay
        if isinstance(whole, str):
            raise WrongSumError("a single input bit is added")
        if places[: whole.bits] != [Place(whole, i, delay) for i in range(whole.bits)]:
            raise WrongSumError("bits of a count are missing or out of order")
        if any(places[whole.bits :]):
            raise WrongSumError("a count has more bits than it needs")
        return whole.later(delay)

    def lane(self, a: Bit, b: Bit) -> Count | None:
        """Return the lane whose bits are two wires; None if both are 0."""
        first, second = self.place(a), self.place(b)
        if first is None and second is None:
            return None
        if first is None or second is None or (first.of, second.of) != ("a", "b"):
            raise WrongSumError("no bits of a and b are compared")
        if (first.index, first.delay) != (second.index, second.delay):
            raise WrongSumError(
                f"a[{first.index}] is compared with b[{second.index}], or with one of another cycle"
            )
        return Count(frozenset({first.index}), first.delay)

    def _made(self, cell: dict[str, Any], port: str, index: int) -> Place | None:
        kind, wires = cell["type"], cell["connections"]
        if kind == "$dffe":
            self._clocked(wires["CLK"], wires["EN"])
            held = self.place(wires["D"][index])
            return held and Place(held.of, held.index, held.delay + 1)
        if kind == "$xor":
            made: Count | None = self.lane(wires["A"][index], wires["B"][index])
            return made and Place(made, 0)
        if kind == "$eqx" and wires["B"] == ["1"] and set(wires["A"][1:]) <= {"0"}:
            return self.place(wires["A"][0]) if index == 0 else None
        if kind == "$add":
            made = total([self.count(wires["A"]), self.count(wires["B"])], len(wires["Y"]))
            return _bit(made, index)
        if "adder_row" in kind:
            self._clocked(wires["clk"], wires["enable"])
            return self._adder(wires, index)
        if "adder_chain" in kind:
            self._clocked(wires["clk"], wires["enable"])
            return self._chained(cell["parameters"], wires, index)
        if "popcount3" in kind:
            self._clocked(wires["clk"], wires["enable"])
            lanes = range(index // 2 * 3, index // 2 * 3 + 3)
            made = total([self.lane(wires["a"][i], wires["b"][i]) for i in lanes], 2)
            return _bit(made and made.later(1), index % 2)
        raise WrongSumError(f"a cell of kind {kind}")

    def _adder(self, wires: Mapping[str, Sequence[Bit]], index: int) -> Place | None:
        width = len(wires["sums"]) // len(wires["a"])
        n, bits = index // width, width - 1
        terms = [wires["terms"][(2 * n + k) * bits : (2 * n + k + 1) * bits] for k in (0, 1)]
        made = total([*map(self.count, terms), self.lane(wires["a"][n], wires["b"][n])], width)
        return _bit(made and made.later(1), index % width)

    def _chained(
        self, masks: Mapping[str, str], wires: Mapping[str, Sequence[Bit]], index: int
    ) -> Place | None:
        """Return a bit of the sum of an adder in a chain, which goes from one FIRST to before the next."""
        first, pairs = (masks[name][::-1] for name in ("FIRST", "PAIRS"))
        start = first.rindex("1", 0, index + 1)
        end = first.find("1", index + 1)
        end = len(wires["a"]) if end < 0 else end
        a, b = wires["a"], wires["b"]
        counts = [self.lane(a[start], b[start])]
        if "1" in pairs[start:end]:
            if pairs[start:end] != "01":
                raise WrongSumError("a pair of lanes above the first bit of a sum")
            counts += [self.lane(wires[x][start + 1], wires[y][start + 1]) for x, y in ("ab", "cd")]
        else:
            counts += [self.count(side[start + 1 : end]) for side in (a, b)]
        made = total(counts, end - start)
        return _bit(made and made.later(1), index - start)

    def _clocked(self, clk: Sequence[Bit], enable: Sequence[Bit]) -> None:
        if [self.place(*clk), self.place(*enable)] != [Place("clk", 0), Place("enable", 0)]:
            raise WrongSumError("another clock or enable")

    def delays(self, port: str) -> Iterator[Place | None]:
        """Yield what the bits of an output carry."""
        yield from map(self.place, self.ports[port])


def _bit(count: Count | None, index: int) -> Place | None:
    """Return one bit of a count; None if it is always 0."""
    return Place(count, index) if count and index < count.bits else None
