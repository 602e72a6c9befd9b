"""Proofs of small instances of each op, and the ways in which a proof could be none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bnn2hw.backends.text import Header
from bnn2hw.errors import ToolError
from bnn2hw.formal import engine, prove
from bnn2hw.formal.engine import Model
from bnn2hw.formal.harness import NAME, Harness
from bnn2hw.formal.instances import instances
from bnn2hw.ir import Ints, Tensor
from bnn2hw.ops import HARDWARE_OPS, Mac
from bnn2hw.targets import families

pytestmark = pytest.mark.usefixtures("yosys", "abc")


FIRST = [f"{op.kind}-0" for op in HARDWARE_OPS]
QUICK = ("steady", "last", "offers", "accepts")
SLOW = ("sliding_window-0",)
"""Instances whose progress takes minutes."""


def harness(name: str) -> Harness:
    op, x = instances()[name]
    return Harness.of(op, *x)


@pytest.mark.parametrize("name", [n for n in FIRST if n not in SLOW])
def test_streams_keep_the_protocol(name: str) -> None:
    proofs = prove.prove(harness(name), seconds=120, properties=QUICK)

    assert {p.name: p.kind for p in proofs} == dict.fromkeys(QUICK, engine.PROVED)


@pytest.mark.parametrize(
    "name", ["fifo-0", "width_converter-0", "add-0", "threshold-0", "argmax-0", "mac-3", "mac-5"]
)
def test_the_function_is_proved_for_all_inputs(name: str) -> None:
    [proof] = prove.prove(harness(name), seconds=120, properties=("value",))

    assert proof.kind == engine.PROVED


# By default, tests/ops/test_packing.py computes fields of both kinds.
@pytest.mark.parametrize(("width", "guard"), [pytest.param(6, 0, marks=pytest.mark.soak), (18, 1)])
def test_products_are_proved_in_fields_with_and_without_room_for_sums(width: int, guard: int) -> None:
    op = Mac(np.array([[1, -2, 0, 1], [-2, 1, -1, 0]]), pe=2, simd=2, packed=2)
    x, target = Tensor((2,), Ints(0, 1)), replace(families.family("generic"), dsp_bits=(width, 18))

    [proof] = prove.prove(Harness.of(op, x, header=Header(target=target)), seconds=120, properties=("value",))

    assert op.packing(x).guard(target) == guard
    assert proof.kind == engine.PROVED


def broken(name: str, module: str, old: str, new: str) -> Harness:
    whole = harness(name)
    file = f"bnn2hw_{module}.sv"
    text = whole.design.files[file]
    assert text.count(old) == 1, text
    return whole.with_files({file: text.replace(old, new)})


def test_a_counterexample_names_the_streams_and_the_values() -> None:
    wrong = broken("threshold-0", "threshold", "value >= $signed", "value > $signed")

    [proof] = prove.prove(wrong, seconds=60, properties=("value",))

    assert proof.kind == engine.REFUTED
    assert "y must be" in proof.trace
    assert proof.trace.count("\n") < 20
    assert str(proof) == f"refuted in {proof.cycles}"


def sources(body: str) -> dict[str, str]:
    return {"harness.sv": f"module harness(input clk, input a, output bad_it);\n{body}\nendmodule\n"}


def test_a_property_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    model = Model.of(sources("assign bad_it = a & ~a;"), NAME, tmp_path)

    assert model.decide("bad_it", 5).kind == engine.PROVED
    with pytest.raises(ToolError, match="no property bad_other"):
        model.decide("bad_other", 5)


def test_the_initial_state_of_registers_is_arbitrary(tmp_path: Path) -> None:
    model = Model.of(sources("reg r; always @(posedge clk) r <= r; assign bad_it = r;"), NAME, tmp_path)

    assert model.decide("bad_it", 5).kind == engine.REFUTED


def test_a_register_that_keeps_its_arbitrary_value_proves_nothing(tmp_path: Path) -> None:
    kept = "reg [1:0] r; always @(posedge clk) r <= r; assign bad_it = a & (r * 2'd3 != 2'd1);"
    model = Model.of(sources(kept), NAME, tmp_path)

    assert model.decide("bad_it", 5).kind == engine.REFUTED


def test_what_is_undefined_is_arbitrary(tmp_path: Path) -> None:
    model = Model.of(sources("assign bad_it = a ? 1'bx : 1'b0;"), NAME, tmp_path)

    assert model.decide("bad_it", 5).kind == engine.REFUTED


def test_a_bound_is_no_proof(tmp_path: Path) -> None:
    slow = "reg [31:0] n = 0; always @(posedge clk) n <= n + a; assign bad_it = n == 32'hdeadbeef;"
    model = Model.of(sources(slow), NAME, tmp_path)

    verdict = model.decide("bad_it", 1)

    assert verdict.kind == engine.BOUNDED
    assert verdict.cycles > 0


def test_proofs_of_nothing_are_refused() -> None:
    silent = broken("fifo-0", "fifo", "m_valid <= take || not_empty", "m_valid <= 1'b0")

    with pytest.raises(ToolError, match="proofs would be empty"):
        prove.prove(silent, seconds=20)
