"""Tests that try a mutant of a template: those of ops whose designs it changes, and those of the module."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import jinja2
import pytest

from bnn2hw.backends import text as texts
from bnn2hw.backends import verilog
from bnn2hw.backends.text import bare
from bnn2hw.errors import Bnn2hwError, ToolError
from bnn2hw.targets import families
from bnn2hw.targets.families import Family
from tests.mutation.mutant import Mutant
from tests.mutation.trial import FAILED, KILLED, LINTED, SURVIVED, UNTESTED
from tests.ops import test_conformance
from tests.support import forms, ops

Bundle = tuple[tuple[ops.Example, ...], Family | None]
"""Examples of one op, and the family whose forms their design has."""

OWN: dict[str, tuple[str, ...]] = {
    "verilog/load": ("tests/backends/test_loading.py",),
    "verilog/loader": ("tests/backends/test_loading.py", "tests/formal/test_modules.py"),
    "verilog/frame_counter": ("tests/backends/test_loading.py",),
    "verilog/gate": ("tests/formal/test_gates.py", "tests/dataflow/test_free_running.py"),
    "verilog/rom": ("tests/backends/test_loading.py",),
    "verilog/top": ("tests/backends/test_protocol.py", "tests/backends/test_loading.py"),
    "verilog/last_beat": ("tests/backends/test_protocol.py",),
    "verilog/resync_input": ("tests/formal/test_modules.py", "tests/backends/test_protocol.py"),
    "verilog/resync_output": ("tests/backends/test_protocol.py",),
    "verilog/fifo": ("tests/synthesis/test_fifo_forms.py",),
    "verilog/rows": ("tests/synthesis/test_rows.py",),
    "verilog/ecp5/popcount": (
        "tests/backends/test_parameter_checks.py",
        "tests/synthesis/test_fast_forms.py",
    ),
    "verilog/bit_count": ("tests/synthesis/test_bit_counts.py",),
    "verilog/xilinx/bit_count": ("tests/synthesis/test_bit_counts.py",),
    "shell/crc32": ("tests/formal/test_modules.py",),
    "shell/scan": ("tests/deploy/test_scan.py",),
    "shell": ("tests/deploy/test_serial_shell.py",),
    "amd": ("tests/deploy/test_amd_control.py",),
}
"""Tests of modules that no example of an op has, or not in all their forms, by the start of a template's name."""


@cache
def bundles() -> tuple[Bundle, ...]:
    """Return the designs of the conformance suite."""
    found: list[Bundle] = [(p.values[0], None) for p in ops.bundles()]  # type: ignore[misc]
    found += [(p.values[0], p.values[1]) for p in ops.family_bundles()]  # type: ignore[misc]
    cleared = tuple(e for e in ops.every() if test_conformance.clears(*e[1:]))
    return (*found, (cleared, families.family("ice40")))


def files_of(bundle: Bundle) -> dict[str, str]:
    """Return the sources of the design of a bundle as tools see them."""
    design = verilog.render(ops.side_by_side(bundle[0]), family=bundle[1])
    return {name: bare(text) for name, text in {**design.code, **design.fast}.items()}


@dataclass(frozen=True)
class Rendered:
    """The design of a bundle without a change.

    Attributes:
        bundle: The bundle.
        files: Its sources as tools see them.
        templates: Names of the templates that they come from.
    """

    bundle: Bundle
    files: Mapping[str, str]
    templates: frozenset[str]


@cache
def rendered() -> tuple[Rendered, ...]:
    """Return the designs of all bundles without a change, small ones first."""
    found = map(_rendered, bundles())
    return tuple(sorted(found, key=lambda r: sum(map(len, r.files.values()))))


def _rendered(bundle: Bundle) -> Rendered:
    made = texts.templates_in("verilog", False)
    plain, loader = made.loader, _Loader(made.loader)
    made.loader = loader
    _forget(made)
    files = files_of(bundle)
    made.loader = plain
    return Rendered(bundle, files, frozenset(loader.loaded))


class _Loader(jinja2.BaseLoader):
    """Notes the templates that are loaded."""

    def __init__(self, loader: jinja2.BaseLoader | None) -> None:
        self.loader = loader or jinja2.DictLoader({})
        self.loaded: set[str] = set()

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        """Load a template and note its name."""
        found = self.loader.get_source(environment, template)
        self.loaded.add(template)
        return found

    def list_templates(self) -> list[str]:
        """Return the names of all templates."""
        return self.loader.list_templates()


def _forget(environment: jinja2.Environment) -> None:
    if environment.cache is not None:
        environment.cache.clear()


def prepare() -> None:
    """Compute what all trials need, before their processes are forked."""
    rendered()


def change(mutant: Mutant) -> None:
    """Put a mutant in the place of its template, in this process."""
    folder, _, name = mutant.file.removeprefix("templates/").partition("/")
    for blocks in (False, True):
        made = texts.templates_in(folder, blocks)
        found = [jinja2.DictLoader({name: mutant.text}), *([made.loader] if made.loader else [])]
        made.loader = jinja2.ChoiceLoader(found)
        _forget(made)


def tried(mutant: Mutant) -> tuple[str, str]:
    """Try a mutant on all tests that cover it, in this process."""
    change(mutant)
    covered = False
    for examples, family in _changed(mutant):
        covered = True
        try:
            test_conformance.check_hardware(examples, family)
        except ToolError as error:
            return (LINTED if _only_warnings(str(error)) else KILLED), f"{examples[0][0]}: {error}"
        except (AssertionError, Bnn2hwError) as error:
            return KILLED, f"{examples[0][0]}: {error}"
    return _by_files(mutant, covered)


def _changed(mutant: Mutant) -> Iterator[Bundle]:
    """Yield the bundles whose designs a mutant changes, those of its own op first."""
    folder, _, name = mutant.file.removeprefix("templates/").partition("/")
    if folder != "verilog":
        return
    found = [r for r in rendered() if name in r.templates]
    for design in sorted(found, key=lambda r: r.bundle[0][0][1].kind != name.partition(".")[0]):
        if files_of(design.bundle) != design.files:
            yield design.bundle


def _only_warnings(message: str) -> bool:
    """Return True if Verilator warned of a source that it could have simulated."""
    return "%Warning-" in message and not re.search(r"%Error(-\w+)?: \S+\.sv", message)


def _by_files(mutant: Mutant, covered: bool) -> tuple[str, str]:
    """Try a mutant on the tests of its module."""
    name = mutant.file.removeprefix("templates/").removesuffix(".j2").removesuffix(".sv")
    files = [
        f for start, found in OWN.items() if name == start or name.startswith(start + "/") for f in found
    ]
    if name.rpartition("/")[2] in forms.PARAMETERS:
        files.append("tests/synthesis/test_forms.py")
    if not files:
        return (SURVIVED if covered else UNTESTED), ""
    options = ("-x", "-q", "-n0", "-p", "no:cacheprovider", "--tb=line", "-m", "not soak")
    ended = pytest.main([*options, *files])
    if ended not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return FAILED, f"pytest ended with {ended!r}"
    return (SURVIVED if ended == pytest.ExitCode.OK else KILLED), ""
