"""Yosys reads the hardware of every op and understands it as the simulator does."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.estimate import cycles
from bnn2hw.ir import HardwareOp
from bnn2hw.simulation import simulate
from bnn2hw.synthesis import synthesize
from bnn2hw.targets.families import Family
from tests.support import ops, random_frames

FRAMES = 8
UNLINTED = (
    "UNUSEDSIGNAL",
    "WIDTH",
    "DECLFILENAME",
    "UNDRIVEN",
    "UNSIGNED",
    "UNOPTFLAT",
    "CASEOVERLAP",
    "PROCASSINIT",
    "VARHIDDEN",
    "PINMISSING",
)
"""Rules for source text that a machine's netlist need not keep."""


pytestmark = pytest.mark.usefixtures("yosys")


def as_yosys_reads(design: Design, folder: Path) -> Design:
    """The same design after Yosys has read it and written it out again, module by module."""
    design = replace(design, files={**design.files, **design.bench})
    passes = [
        f"hierarchy -check -top {design.top}",
        "proc",
        "check -assert",
        "opt",
        "memory -nomap",  # from here on, a word that `no_rw_check` promises not to use is noise
        "write_verilog -noattr netlist.v",
    ]
    netlist = synthesize.run_yosys(design, folder, passes, "netlist.v").read_text()
    unlinted = "".join(f"/* verilator lint_off {rule} */\n" for rule in UNLINTED)
    return replace(design, files={"netlist.sv": unlinted + netlist}, bench={}, fast={})


def check(examples: tuple[ops.Example, ...], folder: Path, family: Family | None = None) -> None:
    graph = ops.side_by_side(examples)
    netlist = as_yosys_reads(verilog.render(graph, family=family), folder)

    run = simulate.simulate(
        netlist, graph, random_frames(graph, FRAMES), cycles.cycles(graph), stalls=0.3, seed=1
    )

    run.check()
    assert len(run.mismatches) >= 2 * len(examples)


def read_alone(op: HardwareOp) -> bool:
    """True for an op whose sources are read; the memories of the other writable ops are written in the same way."""
    return not op.writable or op.kind in ("xnor", "threshold")


@pytest.mark.parametrize("examples", ops.bundles(read_alone, ops.SAME_CONSTRUCTS))
def test_yosys_understands_what_the_simulator_does(examples: tuple[ops.Example, ...], tmp_path: Path) -> None:
    check(examples, tmp_path)


@pytest.mark.parametrize(("examples", "family"), ops.family_bundles(ops.SAME_FORMS))
def test_yosys_understands_the_forms_of_a_family(
    examples: tuple[ops.Example, ...], family: Family, tmp_path: Path
) -> None:
    check(examples, tmp_path, family)


def constructs(rows: list[ParameterSet], *, soaked: bool) -> set[str]:
    """The lines of all modules of some bundles, without numbers, names that hold one, and lengths of lists."""
    lines: set[str] = set()
    for row in rows:
        if bool(row.marks) == soaked:
            examples, *family = row.values
            design = verilog.render(ops.side_by_side(examples), family=family[0] if family else None)
            texts = "\n".join(text for name, text in design.code.items() if name != f"{design.top}.sv")
            lines |= {unnumbered(line.strip()) for line in re.sub(r"//.*", "", texts).splitlines()}
    return lines


def unnumbered(line: str) -> str:
    """Return a line with "#" for numbers and for what is joined; of terms that are the same then, one stands for all."""
    line = re.sub(r"{[\w\[\]:+', ]*}", "{#}", line)
    terms = re.split(r"(?:,| :| \|\|) |(?=\)\) begin)", re.sub(r"\w*\d[\w']*", "#", line))
    return ", ".join(dict.fromkeys(re.sub(r"#(\W+#)+", "#", term) for term in terms))


def test_what_only_long_runs_read_has_no_constructs_of_its_own() -> None:
    """Yosys understands constructs; other numbers in them are no other case.

    The cells of a family that has the templates of another are read by the proofs of its forms.
    """
    portable = ops.bundles(read_alone, ops.SAME_CONSTRUCTS)
    read = constructs(portable, soaked=False)

    assert constructs(portable, soaked=True) <= read
    for family in (f for f in ops.WITH_FORMS if not f.forms):
        own = [row for row in ops.family_bundles(ops.SAME_FORMS) if row.values[1] == family]
        assert constructs(own, soaked=True) <= read | constructs(own, soaked=False), family.name
