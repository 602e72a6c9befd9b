"""Rules that every hardware op must keep, checked on its own examples. A new op needs no tests here."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import numpy as np
import pytest

from bnn2hw import backends, golden
from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.data_files import data_dir
from bnn2hw.errors import MismatchError
from bnn2hw.estimate import cycles
from bnn2hw.ir import Cycles, HardwareOp, Tensor
from bnn2hw.ops import HARDWARE_OPS, Xnor
from bnn2hw.simulation import simulate
from bnn2hw.targets import families
from bnn2hw.targets.families import Family
from tests.support import alone, cycles_alone, ops, random_frames, random_values

EXAMPLES = ops.examples()


def clears(op: HardwareOp, x: tuple[Tensor, ...]) -> bool:
    """Return True for a unit that clears its accumulators in families without cells."""
    return isinstance(op, Xnor) and op.clears(x[0])


FRAMES = 8
NO_CLOCK = Cycles(0, 0)


@pytest.mark.parametrize("template", ["verilog/{}.sv.j2", "hls/{}.hpp.j2"])
@pytest.mark.parametrize("kind", HARDWARE_OPS)
def test_every_op_has_its_template(kind: type[HardwareOp], template: str) -> None:
    assert (data_dir("templates") / template.format(kind.kind)).is_file()


@pytest.mark.parametrize("kind", HARDWARE_OPS)
def test_examples_vary_every_field(kind: type[HardwareOp]) -> None:
    """A field that never changes may be one that no template honours."""
    ops = [op for op, _ in kind.examples()]

    for f in fields(kind):
        values = [getattr(op, f.name) for op in ops]
        distinct = {(v.tobytes(), v.shape) if isinstance(v, np.ndarray) else v for v in values}
        assert len(distinct) >= 2, f"{kind.__name__}.{f.name} is {values[0]} in all examples"


@pytest.mark.parametrize(("op", "x"), EXAMPLES)
def test_golden_stays_in_its_type(op: HardwareOp, x: tuple[Tensor, ...]) -> None:
    graph = alone(op, *x)

    out = golden.run(graph, random_frames(graph, 64))["y"]

    assert out.shape == (64, *graph.types["y"].shape)
    assert graph.types["y"].ints.contains(out)


def check_hardware(examples: tuple[ops.Example, ...], family: Family | None = None) -> None:
    """Compare the streams of several examples in one design, and the cycles of each with its prediction."""
    graph = ops.side_by_side(examples)
    design, frames = verilog.render(graph, family=family), random_frames(graph, FRAMES)
    cells, predicted = family is not None, cycles.cycles(graph)

    smooth = simulate.simulate(design, graph, frames, predicted, cells=cells)
    stalled = simulate.simulate(design, graph, frames, predicted, stalls=0.4, seed=1, cells=cells)

    smooth.check()
    stalled.check()
    assert len(smooth.mismatches) == len(design.streams)
    measured = smooth.measured
    assert measured is not None
    first_in = dict(zip((s.name for s in design.inputs), measured.first_in, strict=True))
    for (name, op, x), first_out, ends in zip(examples, measured.first_out, measured.ends, strict=True):
        expected = cycles_alone(op, *x)
        began = min(cycle for source, cycle in first_in.items() if source.startswith(f"{name}."))
        assert first_out - began == expected.latency, name
        assert np.diff(ends).tolist() == [expected.interval] * (FRAMES - 1), name


@pytest.mark.parametrize("examples", ops.bundles())
def test_hardware_equals_golden_and_keeps_time(examples: tuple[ops.Example, ...]) -> None:
    check_hardware(examples)


# By default, tests/backends/test_icarus.py simulates the large one with its cells.
@pytest.mark.parametrize(("examples", "family"), ops.family_bundles({*ops.SAME_FORMS, "xnor-3-xilinx"}))
def test_the_forms_of_a_family_equal_golden(examples: tuple[ops.Example, ...], family: Family) -> None:
    check_hardware(examples, family)


def test_units_without_cells_equal_golden() -> None:
    chosen = [e for e in ops.every() if clears(*e[1:])]
    assert chosen
    check_hardware(tuple(chosen), families.family("ice40"))


# C++ has no loadable form, so writable ops repeat others.
@pytest.mark.parametrize("backend", [b for b in backends.BACKENDS if b != "verilog"])
@pytest.mark.parametrize("examples", ops.bundles(lambda op: not op.writable))
def test_backends_without_a_clock_equal_golden(examples: tuple[ops.Example, ...], backend: str) -> None:
    graph = ops.side_by_side(examples)
    design, frames = backends.render(backend, graph), random_frames(graph, FRAMES)

    smooth = simulate.simulate(design, graph, frames, NO_CLOCK)
    stalled = simulate.simulate(design, graph, frames, NO_CLOCK, stalls=0.4, seed=1)

    smooth.check()
    stalled.check()
    assert len(smooth.mismatches) == len(design.streams) >= 2 * len(examples)
    assert smooth.cycles is None


@pytest.mark.parametrize(("op", "x"), EXAMPLES)
def test_schedules_agree_with_the_interval(op: HardwareOp, x: tuple[Tensor, ...]) -> None:
    timing = op.timing(*x)
    given = op.beats(*x)[1]
    beats_in = [op.input_beats(port, *x).count(tensor.size) for port, tensor in enumerate(x)]
    beats_out = given.count(op.infer(*x).size)
    period = op.interval(*x)

    early = timing.asap(*(np.arange(3 * beats) for beats in beats_in))
    late = timing.latest(np.full(beats_out, period), period)

    assert timing.interval == period
    for found, frames in ((early, 3), (late, 1)):
        assert [t.size for t in found.taken] == [frames * beats for beats in beats_in]
        assert found.written.size == frames * beats_out
    assert all(np.all(np.diff(t) > 0) for t in late.taken)
    assert np.all(late.written <= period)
    replayed = timing.earliest(*late.taken, period=period)
    for again, taken in zip(replayed.taken, late.taken, strict=True):
        assert np.array_equal(again, taken), "the latest schedule cannot be followed"
    assert np.all(replayed.written <= late.written)


@pytest.mark.parametrize(("op", "x"), EXAMPLES)
def test_every_folding_keeps_the_meaning(op: HardwareOp, x: tuple[Tensor, ...]) -> None:
    frames = [random_values(tensor, 3, i) for i, tensor in enumerate(x)]
    expected = op.golden(*frames)

    for folded in op.allowed(*x):
        assert folded.infer(*x) == op.infer(*x)
        assert np.array_equal(folded.golden(*frames), expected)
        assert folded.interval(*x) >= 1


def test_every_op_with_a_form_is_simulated_in_it_by_default() -> None:
    """Of each family that has a template of its own, or a form in the shared one."""
    rows = ops.family_bundles(ops.SAME_FORMS)
    listed, short = (
        {(made[0][1].kind, family.name) for made, family in (row.values for row in chosen)}
        for chosen in (rows, [row for row in rows if not row.marks])
    )

    assert {(kind, family) for kind, family in listed - short} == {
        (kind, family.name) for kind, _ in listed for family in ops.WITH_FORMS if family.forms
    } & listed


@pytest.mark.parametrize("examples", ops.bundles())
def test_all_examples_with_a_form_are_listed(examples: tuple[ops.Example, ...]) -> None:
    graph, kind = ops.side_by_side(examples), examples[0][1].kind
    portable = verilog.render(graph)
    modules = {name for _, op, _ in examples for name in ops.modules_in(op.module)}
    for family in ops.FAMILIES:
        if modules & ops.forms_of(family):
            continue  # listed, and simulated above
        changed = _in_another_form(verilog.render(graph, family=family), portable)
        if kind != "fifo":
            changed -= {"bnn2hw_fifo.sv"}  # every top level has one, for packets that are no frames
        assert not changed, family.name


def _in_another_form(design: Design, portable: Design) -> set[str]:
    """The files whose logic differs. The top level differs by its number only."""
    other = {name: _logic(text) for name, text in portable.code.items()}
    changed = {name for name, text in design.code.items() if _logic(text) != other.get(name)}
    return changed - {f"{design.top}.sv"}


def _logic(text: str) -> list[str]:
    """Return the words of a file without attributes for tools."""
    plain = re.sub(r"\(\* .*? \*\)", "", text)
    return re.sub(r"`ifdef YOSYS|`else|`endif", "", plain).split()


@pytest.mark.parametrize(("op", "x"), EXAMPLES)
def test_cost_is_positive_in_every_family(op: HardwareOp, x: tuple[Tensor, ...]) -> None:
    for family in ops.FAMILIES:
        cost = op.cost(family, *x)

        assert cost.lut > 0, family.name
        assert min(cost.ff, cost.bram, cost.dsp) >= 0, family.name


@pytest.mark.parametrize("backend", backends.BACKENDS)
def test_a_wrong_weight_is_found_and_named(backend: str) -> None:
    """The comparison must be able to fail: hardware with one weight flipped is caught where it first shows."""
    op, x = next(iter(Xnor.examples()))
    weights = op.weights.copy()
    weights[0, 3] *= -1
    graph = alone(op, *x)
    broken = backends.render(backend, alone(replace(op, weights=weights), *x))
    frames = random_values(x[0], 2)

    run = simulate.simulate(broken, graph, frames, op.cycles(*x))

    mismatch = run.mismatches["y"]
    assert run.mismatches["x"] is None
    assert mismatch is not None
    assert (mismatch.frame, mismatch.position, mismatch.channel) == (0, (0, 0), 3)
    assert abs(mismatch.expected - mismatch.found) == 2
    with pytest.raises(MismatchError, match=r"stream 'y': frame 0, position \(0, 0\), channel 3: expected"):
        run.check()
