"""Commands of the command line are killed at random moments beside others: what they leave is whole or absent."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from bnn2hw import compile_cache, exchange
from bnn2hw.deploy import bitstream
from tests.support import ROOT, killed_commands
from tests.support.killed_commands import CASES

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs sessions and file locks")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    killed_commands.prepare(folder)
    return folder


# What a killed synthesis leaves, `test_a_tool_that_outlives_its_command...` looks at by default.
@pytest.mark.parametrize(
    "command", [pytest.param(c, marks=[pytest.mark.soak] if c == "synth" else []) for c in CASES]
)
def test_one_of_two_is_killed(place: Path, command: str) -> None:
    # To compile a simulator takes too long here; the long test does it.
    cache = compile_cache.cache_dir() if command == "simulate" else place / "cache"

    killed_commands.run(command, place, cache, rounds=1, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("command", CASES)
def test_many_are_killed(tmp_path: Path, command: str, seed: int) -> None:
    killed_commands.prepare(tmp_path)
    killed_commands.run(command, tmp_path, tmp_path / "cache", rounds=12, seed=seed)


def killed(program: str, folder: Path) -> None:
    """Run a program, which prints a line, until then, and kill it alone."""
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()


LATE = """
import sys
from pathlib import Path
from bnn2hw import tools
from bnn2hw.deploy import bitstream
folder = Path(sys.argv[1])
with bitstream.workplace(folder, {"generator": "bnn2hw", "name": "first"}):
    print("ready", flush=True)
    tools.run(["sh", "-c", "sleep 1.5; echo first > netlist.json"], folder, "a tool")
"""


# It says so where it has to wait; where the command was killed before its tool began, it has not.
@pytest.mark.filterwarnings("ignore:another synthesis writes into:UserWarning")
def test_a_tool_that_outlives_its_command_does_not_write_among_the_files_of_the_next(tmp_path: Path) -> None:
    killed(LATE, tmp_path / "s")

    with bitstream.workplace(tmp_path / "s", {"generator": "bnn2hw", "name": "second"}) as result:
        (tmp_path / "s" / "netlist.json").write_text("second")
        time.sleep(2)
        result |= {"state": "done"}

    assert (tmp_path / "s" / "netlist.json").read_text() == "second"


DRAFT = """
import sys, time
from pathlib import Path
from bnn2hw import compile_cache, exchange
with exchange.draft(Path(sys.argv[1]) / "page.html") as fresh:
    fresh.write_text("half of a page")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_draft_of_a_process_that_was_killed_is_removed_by_the_next(tmp_path: Path) -> None:
    killed(DRAFT, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] != []

    with exchange.draft(tmp_path / "page.html") as ours:
        ours.write_text("a page")
        with exchange.draft(tmp_path / "page.html") as beside:
            beside.write_text("another page")

    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"page.html": "a page"}
