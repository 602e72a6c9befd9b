"""Mutants are what they claim to be, and their trials tell the living from the dead."""

from __future__ import annotations

import ast
import os
import sys
import time
import tomllib
from collections import Counter

import pytest

from tests.mutation import mutant, of_python, of_templates, python, templates, trial
from tests.mutation.mutant import ROOT, Mutant
from tests.support import ops

SIGN = "bnn2hw/ops/base/folds.py"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="trials are forked processes")


def test_mutants_of_python_are_python() -> None:
    by_file = {file: mutant.sample(python.mutants(file), 5, 1) for file in python.files()}
    found = [m for some in by_file.values() for m in some]

    assert len(found) > 200
    assert {"comparison", "operator", "off by one", "constant", "function", "statement", "negation"} <= {
        m.kind for m in found
    }
    for file, some in by_file.items():
        source = ast.dump(ast.parse((ROOT / file).read_text()))
        for each in some:
            assert ast.dump(ast.parse(each.text)) != source


def test_mutants_of_templates_change_one_place_of_the_hardware() -> None:
    found = [m for file in templates.files() for m in templates.mutants(file)]

    assert len(found) > 2000
    assert {"operator", "constant", "off by one", "register", "reset", "enable", "negation"} == {
        m.kind for m in found
    }
    for each in found[::50]:
        assert each.text != each.source
        assert "//" not in each.source[: each.start].rpartition("\n")[2]


def test_every_file_has_mutants() -> None:
    """A folder that moves must not take its files out of the test."""
    kinds = Counter(file.split("/")[1] for file in (*templates.files(), *python.files()))

    assert {"verilog", "shell", "amd", "lower", "ops", "golden.py"} == set(kinds)
    assert kinds["verilog"] > 50
    assert kinds["lower"] > 30


def test_a_sample_is_the_same_each_time_and_spread_over_the_lines() -> None:
    sites = python.mutants("bnn2hw/lower/zones.py")

    first, again, other = (mutant.sample(sites, 10, seed) for seed in (3, 3, 4))

    assert first == again != other
    assert len({m.line for m in first}) == len(first) == 10


def test_known_equivalents_are_mutants_with_a_reason() -> None:
    listed = tomllib.loads((ROOT / "tests" / "mutation" / "equivalent.toml").read_text())

    for file, changes in listed.items():
        made = templates if file.startswith("templates/") else python
        keys = {m.key for m in made.mutants(file)}
        for change, reason in changes.items():
            assert change in keys, f"{file}: {change}"
            assert len(reason) > 20


def nothing() -> Mutant:
    return Mutant(SIGN, 0, 0, "", "none")


def test_a_trial_tells_what_its_process_found() -> None:
    def tests(_: Mutant) -> tuple[str, str]:
        os.write(1, b"said\n")
        return trial.SURVIVED, ""

    found = trial.run(nothing(), tests, 20)

    assert (found.verdict, found.detail) == (trial.SURVIVED, "said\n")


def test_a_trial_of_a_mutant_that_raises_or_ends_finds_it() -> None:
    def raises(_: Mutant) -> tuple[str, str]:
        raise RecursionError

    def ends(_: Mutant) -> tuple[str, str]:
        sys.exit(0)

    assert trial.run(nothing(), raises, 20).verdict == trial.KILLED
    assert trial.run(nothing(), ends, 20).verdict == trial.KILLED


def test_a_trial_without_an_end_is_stopped() -> None:
    def hangs(_: Mutant) -> tuple[str, str]:
        while True:
            time.process_time()

    assert trial.run(nothing(), hangs, 1).verdict == trial.STOPPED


def test_a_changed_module_is_imported_in_a_trial_and_only_there() -> None:
    source = (ROOT / "bnn2hw" / "version.py").read_text()
    changed = Mutant("bnn2hw/version.py", 0, len(source), '__version__ = "mutant"\n', "text")

    def tests(each: Mutant) -> tuple[str, str]:
        of_python.change(each)
        from bnn2hw.version import __version__

        return __version__, ""

    assert trial.run(changed, tests, 60).verdict == "mutant"
    from bnn2hw.version import __version__

    assert __version__ != "mutant"


def test_trials_of_templates_find_a_fault_and_let_the_source_live(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [e for e in ops.every() if e[0] == "add-0"]
    monkeypatch.setattr(of_templates, "bundles", lambda: ((tuple(chosen), None),))
    of_templates.rendered.cache_clear()
    file = "templates/verilog/add.sv.j2"
    fault = next(m for m in templates.mutants(file) if "s0_valid || (s1_valid || !both)" in m.key)

    [design] = of_templates.rendered()
    found = trial.run(fault, of_templates.tried, 60)
    same = trial.run(Mutant(file, 0, 0, "", "none"), of_templates.tried, 60)
    of_templates.rendered.cache_clear()

    assert {"add.sv.j2", "module.j2", "top.sv.j2"} <= design.templates
    assert "xnor.sv.j2" not in design.templates
    assert found.verdict == trial.KILLED
    assert "add-0" in found.detail
    assert same.verdict == trial.UNTESTED
