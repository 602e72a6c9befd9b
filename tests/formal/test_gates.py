"""Proofs of ops that run free behind a gate: the protocol, progress and the function, for all stalls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bnn2hw.backends import verilog
from bnn2hw.dataflow.alone import OUTPUT
from bnn2hw.estimate import gates
from bnn2hw.formal import engine, prove
from bnn2hw.formal.harness import Harness
from bnn2hw.ir import BIPOLAR, Graph, Node, Tensor
from bnn2hw.ops import Fifo, Lut, Source

pytestmark = pytest.mark.usefixtures("yosys", "abc")

PROPERTIES = ("steady", "last", "offers", "accepts", "order", "value")


def table(*rows: int) -> Lut:
    """Two outputs, each a function of the same two signs."""
    entries = np.array([[1 if row >> code & 1 else -1 for code in range(4)] for row in rows])
    return Lut(np.array([[0, 1]] * 2), entries, BIPOLAR, BIPOLAR)


def chain(depth: int) -> Harness:
    """Two tables that run free, of which the second passes its inputs on."""
    x, first = Tensor((2,), BIPOLAR), table(0b0110, 0b0010)
    nodes = (
        Node("x", Source(x, 2)),
        Node("first", first, ("x",)),
        Node("second", table(0b1010, 0b1100), ("first",)),
        Node(OUTPUT, Fifo(2, depth, gated=True), ("second",)),
    )
    graph = Graph(nodes, (OUTPUT,))
    assert [g.ops for g in gates.of(graph)] == [("first", "second")]
    return Harness(first, (x,), verilog.render(graph), graph)


@pytest.mark.parametrize("depth", [2, 4])
def test_a_gate_keeps_room_for_every_beat(depth: int) -> None:
    proofs = prove.prove(chain(depth), seconds=120, properties=PROPERTIES)

    assert {p.name: p.kind for p in proofs} == dict.fromkeys(PROPERTIES, engine.PROVED)


@pytest.mark.parametrize(
    ("file", "old", "new", "broken"),
    [
        ("bnn2hw_top.sv", ".CREDITS(2)", ".CREDITS(3)", {"steady", "order", "value"}),
        ("bnn2hw_gate.sv", "s_ready <= returned || credits", "s_ready <= credits", {"accepts"}),
        ("bnn2hw_gate.sv", "returned || credits != COUNT_BITS'(1)", "1'b1", {"steady", "order", "value"}),
    ],
)
def test_a_wrong_gate_is_refuted(file: str, old: str, new: str, broken: set[str]) -> None:
    whole = chain(2)
    text = whole.design.files[file]
    assert text.count(old) == 1
    files = {**whole.design.files, file: text.replace(old, new)}

    proofs = prove.prove(
        replace(whole, design=replace(whole.design, files=files)), seconds=120, properties=PROPERTIES
    )

    assert broken & {p.name for p in prove.refuted(proofs)}
