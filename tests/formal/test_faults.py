"""Faults that are put into the templates: each is refuted, by the property that speaks of it, with a counterexample."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from bnn2hw.formal import engine, prove
from bnn2hw.formal.harness import Harness
from bnn2hw.formal.instances import instances

pytestmark = pytest.mark.usefixtures("yosys", "abc")


class Fault(NamedTuple):
    """A change of one place of a module's text.

    Attributes:
        instance: Name of the instance whose module it is.
        property: The property that it breaks.
        old: Text that the module has once.
        new: Text in its place.
        module: The module, if it is not that of the op.
    """

    instance: str
    property: str
    old: str
    new: str
    module: str = ""


QUICK = (
    Fault("fifo-0", "steady", "if (send) m_data <=", "m_data <="),
    Fault("add-0", "value", "(both ? Y_BITS'(B_FACTOR)", "(!both ? Y_BITS'(B_FACTOR)"),
    Fault("threshold-0", "last", "position == COUNT_BITS'(BEATS - 2)", "position == '1", "last_beat"),
    Fault("multiply-0", "value", "b_codes <= s1_data;", "b_codes <= b_codes;"),
)
"""Faults that the default run tries."""

SLOW = (
    Fault("fifo-0", "value", "push = take && (not_empty || !send)", "push = take"),
    Fault("fifo-1", "value", "push = take && (not_empty || !send)", "push = take && not_empty"),
    Fault("fifo-1", "value", "tail <= tail + 1'b1", "tail <= tail"),
    Fault("fifo-1", "drains", "not_empty <= push || waiting != COUNT_BITS'(1)", "not_empty <= push"),
    Fault(
        "width_converter-0",
        "value",
        "{s_data, beat[BEAT_BITS-1:NARROW_BITS]};",
        "{beat[BEAT_BITS-1:NARROW_BITS], s_data};",
    ),
    Fault("width_converter-0", "value", "assign step = advance && s_valid;", "assign step = s_valid;"),
    Fault("width_converter-1", "value", "if (step && first) beat <=", "if (first) beat <="),
    Fault("width_converter-3", "value", "short ? PART_BITS'(LAST - 1)", "short ? PART_BITS'(RATIO - 1)"),
    Fault("add-1", "value", "fold >= FOLD_BITS'(FIRST)", "fold > FOLD_BITS'(FIRST)"),
    Fault("concat-0", "value", "Y_BITS'(A_FACTOR) * a + Y_BITS'(A_OFFSET)", "Y_BITS'(A_FACTOR) * a"),
    Fault("argmax-0", "value", "(first || beat_value > best_value)", "(first || beat_value >= best_value)"),
    Fault("argmax-0", "value", "(first || beat_value > best_value)", "(beat_value > best_value)"),
    Fault("argmax-1", "value", "[B].value > g_level", "[B].value >= g_level"),
    Fault("argmax-2", "value", "2 ** (n - 1) < LANES ?", "2 ** (n - 1) > LANES ?"),
    Fault("topk-1", "value", "value[j] >= value[i]", "value[j] > value[i]"),
    Fault("topk-0", "value", "value > best[i]", "value >= best[i]"),
    Fault("topk-0", "value", "filled[i] <= !first && filled", "filled[i] <= filled"),
    Fault("pool-0", "value", "first = x == '0 && y == '0", "first = x == '0"),
    Fault("pool-1", "value", "!= minimum ? b : a", "? b : a"),
    Fault("pad-0", "value", "takes = first || (in_image && !last)", "takes = first || in_image"),
    Fault("multiply-1", "value", "if (step && reads) kept <= s1_data", "if (step) kept <= s1_data"),
    Fault("threshold-0", "value", "value >= $signed", "value > $signed"),
    Fault("threshold-1", "value", "fired ^ {LEVELS{falls}}", "fired"),
    Fault("table-1", "value", "ADDRESS_BITS'({fold,", "ADDRESS_BITS'({FOLD_BITS'(0),"),
    Fault("affine-1", "value", "if (reached[k]) begin", "if (reached[k] && k == 0) begin"),
    Fault("affine-0", "value", "m_valid <= valids[3];", "m_valid <= valids[2];"),
    Fault("quantize-0", "value", "kept ^ low", "kept"),
    Fault("quantize-1", "value", "kept > high ? high : kept", "kept"),
    Fault("depthwise-0", "value", "assign term_first = firsts[1];", "assign term_first = firsts[0];"),
    Fault("interpolation-0", "value", "line_offset <= offset;", "line_offset <= code[LOW-1:0];"),
    Fault("lut-0", "steady", "if (advance) m_data <= found;", "m_data <= found;", "lut_y"),
    Fault(
        "parallel_window-1", "value", "missing <= MISSING_BITS'(PLACES)", "missing < MISSING_BITS'(PLACES)"
    ),
    Fault("parallel_pool-0", "value", "!= minimum ? b : a", "? a : b"),
    Fault("parallel_pool-1", "value", "if (k < count)", "if (k + 1 < count)"),
    Fault("parallel_depthwise-0", "value", "product - (value <<< d)", "product + (value <<< d)"),
    Fault("parallel_depthwise-1", "value", "sum_first ? CORRECTION : total", "sum_first ? '0 : total"),
    Fault("parallel_depthwise-2", "value", "({firsts, first})", "({firsts, last})"),
    Fault("parallel_multiply-1", "value", "if (step && reads) kept <= s1_data", "if (step) kept <= s1_data"),
    Fault("parallel_concat-0", "value", "s0_valid && s1_valid;", "s0_valid;"),
    Fault("xnor-0", "accepts", "s_ready =", "s_ready = rst &&"),
)
"""Faults that the soak tries."""


def broken(fault: Fault) -> Harness:
    op, x = instances()[fault.instance]
    whole = Harness.of(op, *x)
    file = f"bnn2hw_{fault.module or op.kind}.sv"
    text = whole.design.files[file]
    assert text.count(fault.old) == 1, (file, fault.old, text.count(fault.old))
    return whole.with_files({file: text.replace(fault.old, fault.new)})


def check(fault: Fault) -> None:
    harness = broken(fault)

    [proof] = prove.prove(harness, seconds=60, properties=(fault.property,))

    assert proof.kind == engine.REFUTED, proof
    assert all(side.axis.stream.name in proof.trace for side in (*harness.inputs, harness.output))
    assert proof.cycles < 40


def names(faults: tuple[Fault, ...]) -> list[str]:
    return [f"{f.instance}-{f.property}-{i}" for i, f in enumerate(faults)]


@pytest.mark.parametrize("fault", QUICK, ids=names(QUICK))
def test_a_fault_is_refuted(fault: Fault) -> None:
    check(fault)


@pytest.mark.soak
@pytest.mark.parametrize("fault", SLOW, ids=names(SLOW))
def test_more_faults_are_refuted(fault: Fault) -> None:
    check(fault)


def test_every_fault_changes_one_place() -> None:
    for fault in (*QUICK, *SLOW):
        broken(fault)
