"""Integer expressions whose text is SystemVerilog, with the smallest and largest value of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bnn2hw.ops.base.channels import signed_bits


@dataclass(frozen=True, eq=False)
class Term:
    """An expression over the values of a frame.

    Attributes:
        text: SystemVerilog of a signed expression, with {0}, {1} and so on in the places of `parts`.
        parts: Operands.
        lo: Smallest value.
        hi: Largest value.
    """

    text: str
    parts: tuple[Term, ...]
    lo: int
    hi: int

    @property
    def bits(self) -> int:
        """Bits that hold all values, in two's complement."""
        return max(signed_bits(self.lo, self.hi), 2)

    def __add__(self, other: Value) -> Value:
        if isinstance(other, int) and other == 0:
            return self
        b = _term(other)
        return Term("{0} + {1}", (self, b), self.lo + b.lo, self.hi + b.hi)

    __radd__ = __add__

    def __mul__(self, other: Value) -> Value:
        if isinstance(other, int) and other in (0, 1):
            return self if other else 0
        b = _term(other)
        ends = [p * q for p in (self.lo, self.hi) for q in (b.lo, b.hi)]
        return Term("{0} * {1}", (self, b), min(ends), max(ends))

    __rmul__ = __mul__

    def __neg__(self) -> Value:
        return self * -1

    def __sub__(self, other: Value) -> Value:
        return self + -other

    def __rsub__(self, other: Value) -> Value:
        return -self + other

    def __rshift__(self, bits: int) -> Value:
        return Term(f"{{0}} >>> {bits}", (self,), self.lo >> bits, self.hi >> bits)


Value: TypeAlias = "Term | int"
"""A value of a frame: an expression, or a number when a meaning is evaluated."""


def _term(value: Value) -> Term:
    return value if isinstance(value, Term) else Term(_literal(value), (), value, value)


def _literal(value: int) -> str:
    bits = signed_bits(value, value)
    return f"{bits}'sd{value}" if value >= 0 else f"$signed({bits}'h{value % 2**bits:x})"


def reaches(value: Value, level: Value) -> Value:
    """Return 1 if a value is at least a level, else 0."""
    if isinstance(value, int) and isinstance(level, int):
        return int(value >= level)
    return Term("$signed({{1'b0, {0} >= {1}}})", (_term(value), _term(level)), 0, 1)


def choose(condition: Value, yes: Value, no: Value) -> Value:
    """Return one of two values.

    Args:
        condition: 1 or 0.
        yes: Result if it is 1.
        no: Result if it is 0.
    """
    if isinstance(condition, int):
        return yes if condition else no
    a, b = _term(yes), _term(no)
    return Term("{0} != 0 ? {1} : {2}", (_term(condition), a, b), min(a.lo, b.lo), max(a.hi, b.hi))


def larger(a: Value, b: Value) -> Value:
    """Return the larger of two values."""
    return choose(reaches(a, b), a, b)


def smaller(a: Value, b: Value) -> Value:
    """Return the smaller of two values."""
    return choose(reaches(a, b), b, a)


def is_number(value: Value, number: int) -> Value:
    """Return 1 if a value is a number, else 0."""
    if isinstance(value, int):
        return int(value == number)
    return Term("$signed({{1'b0, {0} == {1}}})", (value, _term(number)), 0, 1)


def entry(table: Sequence[int], index: Value) -> Value:
    """Return an entry of a table.

    Args:
        table: The entries.
        index: Number of the entry, within the table.
    """
    if isinstance(index, int):
        return table[index]
    found: Value = int(table[0])
    for number, value in enumerate(table):
        found = choose(is_number(index, number), int(value), found)
    return found


def modulo(value: Value, bits: int) -> Value:
    """Return a value modulo a power of two, from 0 on.

    Args:
        value: The value.
        bits: Logarithm of the power.
    """
    multiple: Value = (value >> bits) * 2**bits
    return value - multiple


class Text:
    """The lines that declare expressions, each once.

    Attributes:
        lines: Declarations of wires.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._names: dict[int, tuple[Term, str]] = {}

    def name(self, value: Value) -> str:
        """Return the name of a wire with a value; declare it before its first use."""
        waiting: list[Term] = [_term(value)]
        while waiting:
            term = waiting[-1]
            missing = [p for p in term.parts if id(p) not in self._names]
            if missing and id(term) not in self._names:
                waiting += missing
                continue
            waiting.pop()
            if id(term) not in self._names:
                self._declare(term)
            top = term
        return self._names[id(top)][1]

    def _declare(self, term: Term) -> None:
        if term.text.isidentifier():
            self._names[id(term)] = term, term.text
            return
        name = f"t{len(self._names)}"
        text = term.text.format(*(self._names[id(p)][1] for p in term.parts))
        self.lines.append(f"wire signed [{term.bits - 1}:0] {name} = {text};")
        self._names[id(term)] = term, name


Fold: TypeAlias = Callable[[Value, Value], Value]
"""A function of two values, such as `larger`."""
