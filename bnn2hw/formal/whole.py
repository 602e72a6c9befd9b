"""Prove the ops of a design, each alone with its own parameters, modules and memories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from bnn2hw import checks, tools
from bnn2hw.backends.design import Design
from bnn2hw.errors import InputError, MismatchError
from bnn2hw.formal import prove as proving
from bnn2hw.formal.engine import PROVED, REFUTED
from bnn2hw.formal.harness import Harness
from bnn2hw.formal.prove import NOT_TRIED, PROPERTIES, Proof
from bnn2hw.ir import Graph, HardwareOp, Tensor, hardware_nodes
from bnn2hw.progress import Progress, silent
from bnn2hw.simulation.verify import with_files_of
from bnn2hw.tables import Table

MOST_BITS = 2_048
"""Largest number of bits of the frames and the memories of an op that is tried."""

MOST_VALUES = 96
"""Largest number of bits of the frames of an op whose values are compared."""


@dataclass(frozen=True)
class OpProofs:
    """The proofs of an op of a design.

    Attributes:
        node: Name of its node.
        kind: The op.
        frames: Shapes of the frames that it was proved with, in words.
        proofs: Result by property.
    """

    node: str
    kind: str
    frames: str
    proofs: tuple[Proof, ...]


@dataclass(frozen=True)
class Proofs:
    """The proofs of all ops of a design.

    Attributes:
        ops: What was found of each op, in topological order.
        seconds: Limit of the processor time of each proof.
        tool: The programs that decided, with their versions.
    """

    ops: tuple[OpProofs, ...]
    seconds: int
    tool: str

    @property
    def problems(self) -> tuple[str, ...]:
        """All that does not hold, each with the name of the op and a counterexample."""
        return tuple(
            f"op '{op.node}' ({op.kind}): {PROPERTIES[p.name]}: {p}\n{p.trace}"
            for op in self.ops
            for p in op.proofs
            if p.kind == REFUTED
        )

    def check(self) -> None:
        """Raise if a property does not hold.

        Raises:
            MismatchError: There is a counterexample. The message shows the first.
        """
        if self.problems:
            raise MismatchError(self.problems[0])

    def count(self, kind: str) -> int:
        """Return the number of properties with a result of some kind."""
        return sum(p.kind == kind for op in self.ops for p in op.proofs)

    @property
    def summary(self) -> str:
        """The numbers of results in words."""
        total = sum(len(op.proofs) for op in self.ops)
        bounded = total - sum(map(self.count, (PROVED, REFUTED, NOT_TRIED)))
        wrong = f"{self.count(REFUTED)} refuted, " if self.problems else ""
        return (
            f"{wrong}{self.count(PROVED)} of {total} properties of {len(self.ops)} ops proved for all inputs and all "
            f"stalls, {bounded} up to a bound, {self.count(NOT_TRIED)} not tried"
        )

    def table(self) -> Table:
        """Return the results, a row for each op."""
        drawn = Table(self.summary, ("op", "kind", "frames"), tuple(PROPERTIES))
        for op in self.ops:
            found = {p.name: p.brief for p in op.proofs}
            drawn.add(op.node, op.kind, op.frames, *(found.get(name, "") for name in PROPERTIES))
        return drawn

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why properties were not tried, each reason once."""
        return tuple(dict.fromkeys(p.reason for op in self.ops for p in op.proofs if p.reason))

    def __str__(self) -> str:
        lines = [str(self.table()), *(f"not tried: {reason}" for reason in self.reasons), *self.problems]
        return "\n".join(line.rstrip("\n") for line in lines)

    def plain(self) -> dict[str, Any]:
        """Return the proofs as data that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Self:
        """Return what `plain` wrote."""
        ops = (
            OpProofs(**{**op, "proofs": tuple(Proof(**proof) for proof in op["proofs"])})
            for op in data["ops"]
        )
        return cls(tuple(ops), data["seconds"], data["tool"])


def prove(design: Design, graph: Graph, *, seconds: int, progress: Progress = silent) -> Proofs:
    """Prove the ops of a design, one by one. Ops with equal sources share a proof.

    Args:
        design: Verilog design that was rendered from `graph`.
        graph: Streamed graph.
        seconds: Limit of the processor time of the search for a proof of each property. As much again may give
            a bound.
        progress: Called with the name of each step.

    Raises:
        InputError: The design is no Verilog, or `seconds` is out of range.
        MissingToolError: Yosys or ABC is not installed.
        ToolError: A tool failed.
    """
    if design.backend != "verilog":
        raise InputError(
            f"proofs need a Verilog design, and this one is {design.backend}; compile with backend='verilog'"
        )
    checks.number("seconds", seconds, whole=True, above=0)
    tool = f"Yosys {tools.yosys().release}, ABC {tools.abc().release}"
    known: dict[tuple[tuple[str, str], ...], list[Proof]] = {}
    return Proofs(tuple(_proofs(design, graph, seconds, known, progress)), seconds, tool)


def _proofs(
    design: Design,
    graph: Graph,
    seconds: int,
    known: dict[tuple[tuple[str, str], ...], list[Proof]],
    progress: Progress,
) -> Iterator[OpProofs]:
    for node, op in hardware_nodes(graph):
        progress(f"proving {node.name}")
        x = small(op, *graph.inputs_of(node))
        frames = ", ".join("×".join(map(str, t.shape)) for t in x)
        reason = too_large(op, *x)
        if reason:
            proofs = [Proof(name, NOT_TRIED, reason=f"{op.kind}: {reason}") for name in PROPERTIES]
        else:
            proofs = _of(_harness(design, node.name, op, x), seconds, known)
        yield OpProofs(node.name, op.kind, frames, tuple(proofs))


def _of(harness: Harness, seconds: int, known: dict[tuple[tuple[str, str], ...], list[Proof]]) -> list[Proof]:
    """Return the proofs of an op; those of an op with equal sources if there was one."""
    key = tuple(sorted(harness.files.items()))
    if key not in known:
        known[key] = proving.prove(harness, seconds=seconds)
    return known[key]


def _harness(design: Design, node: str, op: HardwareOp, x: tuple[Tensor, ...]) -> Harness:
    """Return the harness of an op with the modules and memories of the whole design."""
    values = frame_bits(*x, op.infer(*x)) <= MOST_VALUES
    made = Harness.of(op, *x, function=values, header=design.header)
    return replace(made, design=with_files_of(design, made.design, node))


def frame_bits(*x: Tensor) -> int:
    """Return the bits of the frames of some streams."""
    return sum(t.size * t.ints.bits for t in x)


def too_large(op: HardwareOp, *x: Tensor) -> str:
    """Return why an op is not tried; "" if it is.

    Args:
        op: The op.
        *x: Types of its inputs.
    """
    memories = sum(m.codes.size * m.bits for m in op.memories(*x).values())
    frames = frame_bits(*x, op.infer(*x))
    if memories + frames <= MOST_BITS:
        return ""
    return f"its frames have {frames:,} bits and its memories {memories:,}, together more than {MOST_BITS:,}"


def small(op: HardwareOp, *x: Tensor) -> tuple[Tensor, ...]:
    """Return types of small frames for which an op has the same hardware, or the types themselves.

    An op whose parameters and memories are equal for both does not know how large a frame is.

    Args:
        op: The op.
        *x: Types of its inputs.
    """
    for axes in range(1, len(x[0].shape)):
        fewer = tuple(replace(t, shape=(*(1,) * (len(t.shape) - axes), *t.shape[-axes:])) for t in x)
        if _same_hardware(op, fewer, x):
            return fewer
    return x


def _same_hardware(op: HardwareOp, some: tuple[Tensor, ...], others: tuple[Tensor, ...]) -> bool:
    try:
        if op.infer(*some).ints != op.infer(*others).ints:
            return False
    except ValueError:  # the op needs larger frames
        return False
    ours, theirs = (_facts(op, x) for x in (some, others))
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[k], theirs[k]) for k in ours)


def _facts(op: HardwareOp, x: tuple[Tensor, ...]) -> dict[str, Any]:
    """Return what the templates print of an op."""
    return {**op.params(*x), **{name: memory.codes for name, memory in op.memories(*x).items()}}
