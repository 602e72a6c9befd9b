"""The volume of the command line: -q, -v and -vv, in front of a command and behind it; names that shells complete."""

from __future__ import annotations

import json
import logging
import re
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from bnn2hw.cli import progress
from bnn2hw.cli.main import main
from tests.support import plain


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plain.accelerator().write(tmp_path_factory.mktemp("volume") / "b")


@pytest.mark.parametrize("quiet", ["-q", "--quiet"])
def test_quiet_commands_print_what_was_asked_for(built: Path, quiet: str) -> None:
    done = run("report", built, quiet)
    asked = run("report", built, quiet, "--json")
    table = run("estimate", built, quiet)

    assert (done.exit_code, done.output) == (0, "")
    assert json.loads(asked.stdout) == {"file": str(built / "report.html")}
    assert "total" in table.stdout


def test_quiet_errors_are_printed(tmp_path: Path) -> None:
    done = run("report", tmp_path / "none", "-q")

    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")


def test_verbose_commands_print_steps_with_their_times(built: Path) -> None:
    done = run("report", built, "-v")

    assert re.fullmatch(r" +\d+\.\d s drawing\n", done.stderr)
    assert done.stdout == f"written to {built / 'report.html'}\n"


@pytest.mark.parametrize(("option", "logged"), [("-v", ["matters"]), ("-vv", ["matters", "all"])])
def test_verbose_commands_print_the_log(
    built: Path, option: str, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bnn2hw.folding import pareto

    def searched(*_: object) -> str:
        logging.getLogger("bnn2hw").info("matters")
        logging.getLogger("bnn2hw").debug("all")
        return ""

    monkeypatch.setattr(pareto, "pareto", searched)
    before = logging.getLogger("bnn2hw").handlers[:], logging.getLogger("bnn2hw").level
    done = run("pareto", built, option)

    assert [line.strip() for line in done.stderr.splitlines()] == logged
    assert (logging.getLogger("bnn2hw").handlers, logging.getLogger("bnn2hw").level) == before


def test_quiet_and_verbose_contradict_each_other(built: Path) -> None:
    done = run("estimate", built, "-q", "-v")

    assert (done.exit_code, done.stderr) == (2, "error: give --quiet or --verbose, not both\n")


@pytest.mark.parametrize("name", ["load", "pack"])
def test_commands_of_groups_have_the_options(name: str) -> None:
    group = main.commands["weights"]

    assert isinstance(group, click.Group)
    assert {"quiet", "verbose"} <= {p.name for p in group.commands[name].params}


@pytest.mark.parametrize(
    ("before", "begun", "expected"),
    [
        (["compile", "m.keras", "--target"], "ice40-", "ice40-up5k"),
        (["compile", "m.keras", "--board"], "ul", "ulx3s"),
        (["estimate", "m.keras", "--backend"], "ver", "verilog"),
        ([], "est", "estimate"),
    ],
)
def test_shells_complete_names(before: list[str], begun: str, expected: str) -> None:
    found = ShellComplete(main, {}, "bnn2hw", "_BNN2HW_COMPLETE").get_completions(before, begun)

    assert expected in [item.value for item in found]
    assert all(item.value.startswith(begun) for item in found)


@pytest.mark.parametrize(
    ("terminal", "volume", "told"), [(True, 0, "half\n"), (True, -1, ""), (False, 0, "")]
)
def test_remarks_are_for_terminals(
    terminal: bool,
    volume: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(progress, "volume", lambda: volume)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)

    progress.note("half")

    assert capsys.readouterr().err == told
