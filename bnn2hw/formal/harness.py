"""The harness of a proof: one op alone, in an environment that may do anything the protocol allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design, Port
from bnn2hw.backends.text import ANY_TARGET, Header, Printer
from bnn2hw.backends.verilog_top import VerilogPort
from bnn2hw.dataflow import alone
from bnn2hw.estimate import cycles
from bnn2hw.formal.meanings import MEANINGS, Frame
from bnn2hw.formal.terms import Term, Text, Value
from bnn2hw.ir import Graph, HardwareOp, Ints, Tensor, hardware_nodes
from bnn2hw.ops.fifo import Fifo

RESET = 3
"""Cycles from a reset until beats may move."""

NAME = "harness"
"""The top module of a proof, and the stem of its file."""


@dataclass(frozen=True)
class Side:
    """A port of the design as the harness prints it.

    Attributes:
        axis: The port.
        suffix: Suffix of the names of its signals in the harness.
    """

    axis: Port
    suffix: str

    @property
    def port(self) -> str:
        """Suffix of its names in the design."""
        return self.axis.suffix

    @property
    def ints(self) -> Ints:
        """Integers of its values."""
        return self.axis.stream.tensor.ints

    @property
    def bits(self) -> int:
        """Bits of a value."""
        return self.ints.bits

    @property
    def beats(self) -> int:
        """Beats of a frame."""
        return self.axis.beats

    @property
    def at_bits(self) -> int:
        """Bits of the number of a beat."""
        return max((self.beats - 1).bit_length(), 1)

    @property
    def beat_bits(self) -> int:
        """Bits of a beat."""
        return self.axis.stream.bits

    @property
    def axis_bits(self) -> int:
        """Bits of a beat with its padding."""
        return self.axis.axis_bits

    @property
    def lanes(self) -> range:
        """The numbers of the values of a beat."""
        return range(self.axis.stream.lanes)

    @property
    def legal(self) -> str:
        """Name of the function that limits a code to those that occur."""
        return f"legal{self.suffix}_code"

    @property
    def limit(self) -> str:
        """The code itself if it occurs, else that of the smallest value."""
        first, last = self.ints.first_code, self.ints.first_code + self.ints.count - 1
        if self.ints.count == 2**self.bits:
            return "code"
        if not self.ints.signed:
            return f"code >= {first} && code <= {last} ? code : {self.bits}'d{first}"
        low, high = (f"$signed({self.bits}'h{n % 2**self.bits:x})" for n in (first, last))
        return f"$signed(code) >= {low} && $signed(code) <= {high} ? code : {self.bits}'h{first % 2**self.bits:x}"

    @property
    def value_bits(self) -> int:
        """Bits of a signed value."""
        return Term("", (), self.ints.lo, self.ints.hi).bits

    @property
    def values(self) -> list[str]:
        """The values of the marked frame, from their codes."""
        return [self._value(n) for n in range(self.axis.stream.tensor.size)]

    def _value(self, number: int) -> str:
        code = f"legal{self.suffix}[{number * self.bits}+:{self.bits}]"
        if self.ints.signed:
            return f"$signed({code})"
        plain = f"$signed({{1'b0, {code}}})"
        if self.ints.step == 1:
            return plain
        return f"{plain} * {self._number(self.ints.step)} + {self._number(self.ints.lo)}"

    def _number(self, value: int) -> str:
        return f"$signed({self.value_bits + 1}'h{value % 2 ** (self.value_bits + 1):x})"

    def code(self, value: Value, text: Text) -> str:
        """Return the wire code of a value of the output."""
        name, ints = text.name(value), self.ints
        if ints.step == 1:
            return name
        least = f"$signed({Term('', (), ints.lo, ints.hi).bits + 1}'h"
        least += f"{ints.lo % 2 ** (Term('', (), ints.lo, ints.hi).bits + 1):x})"
        if ints.step & (ints.step - 1) == 0:
            return f"({name} - {least}) >>> {ints.step.bit_length() - 1}"
        return f"({name} - {least}) / {ints.step}"

    @property
    def widened(self) -> str:
        """The expected beat with its padding."""
        padding = self.axis_bits - self.beat_bits
        if not padding:
            return "want_beat"
        fill = f"{{{padding}{{want_beat[{self.beat_bits - 1}]}}}}" if self.axis.extends else f"{padding}'b0"
        return f"{{{fill}, want_beat}}"


@dataclass(frozen=True)
class Harness:
    """An op alone in the environment of a proof.

    Attributes:
        op: The op.
        x: Types of its inputs.
        design: The op alone, as sources.
        graph: The graph of the op alone.
        function: True if the values of the output are compared with the op's meaning.
    """

    op: HardwareOp
    x: tuple[Tensor, ...]
    design: Design
    graph: Graph
    function: bool = True

    @classmethod
    def of(cls, op: HardwareOp, *x: Tensor, function: bool = True, header: Header = ANY_TARGET) -> Harness:
        """Return the harness of an op.

        Args:
            op: The op.
            *x: Types of its inputs.
            function: True if the values of the output are compared with the op's meaning.
            header: Header of the sources, which have the forms of its target's family.
        """
        graph = alone.alone(op, *x)
        return cls(op, x, verilog.render(graph, header=header), graph, function)

    def with_files(self, files: Mapping[str, str]) -> Harness:
        """Return the harness with other texts of some of the op's sources."""
        return replace(self, design=replace(self.design, files={**self.design.files, **files}))

    @property
    def top(self) -> str:
        """The top module of the op alone."""
        return self.design.top

    @property
    def loads(self) -> bool:
        """True if the op has memories that can be written."""
        return self.design.load is not None

    @cached_property
    def inputs(self) -> list[Side]:
        """The inputs of the op."""
        ports = VerilogPort.of(self.design.inputs)
        return [Side(port, f"_{i}") for i, port in enumerate(ports)]

    @cached_property
    def output(self) -> Side:
        """The output of the op."""
        [port] = VerilogPort.of(self.design.outputs)
        return Side(port, "_out")

    @property
    def wait(self) -> int:
        """Cycles in which a beat must move if nothing outside hinders it: the bound of progress."""
        return cycles.interval(self.graph) + cycles.latency(self.graph) + RESET

    @property
    def ahead_bits(self) -> int:
        """Bits of the number of frames in the design."""
        frames = 2
        for node, op in hardware_nodes(self.graph):
            inputs = self.graph.inputs_of(node)
            held = op.depth if isinstance(op, Fifo) else op.cycles(*inputs).latency
            frames += 1 + held // op.interval(*inputs)
        return (frames + 2).bit_length()

    @cached_property
    def _meaning(self) -> tuple[list[str], list[str]]:
        """The lines that compute the meaning, and the codes of the output."""
        text = Text()
        if not self.function:
            return [], []
        values = MEANINGS[type(self.op)](self.op, self.x, self._symbols)
        codes = [self.output.code(v, text) for v in values]
        return text.lines, codes

    @property
    def _symbols(self) -> Sequence[Frame]:
        return [
            [Term(f"x{i}_{n}", (), t.ints.lo, t.ints.hi) for n in range(t.size)] for i, t in enumerate(self.x)
        ]

    @property
    def lines(self) -> list[str]:
        """The lines that compute the values of the marked frame."""
        return self._meaning[0]

    @property
    def codes(self) -> list[str]:
        """The codes of these values."""
        return self._meaning[1]

    @cached_property
    def files(self) -> dict[str, str]:
        """All sources and memories of the proof, by the name of the file."""
        printer = Printer("formal")
        own = {
            "stream_checker.sv": printer.file("stream_checker.sv", "stream_checker.sv.j2"),
            "stream_source.sv": printer.file("stream_source.sv", "stream_source.sv.j2"),
            f"{NAME}.sv": printer.file(f"{NAME}.sv", "harness.sv.j2", h=self),
        }
        return {**self.design.simulated(cells=True), **own}
