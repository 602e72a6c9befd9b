"""Processes are killed at random moments beside others, and writes fail: all files are whole or absent then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bnn2hw import exchange, folders
from bnn2hw.errors import StorageError
from tests.support import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and file locks")

KINDS = ("builds", "caches", "studies", "synthesis")


def run(how: str, kind: str, folder: Path, count: int, seed: int) -> None:
    command = [sys.executable, "-m", "tests.support.crashes", how, kind, str(folder), str(count), str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.stdout.splitlines()[-1:] == [str(count)], (
        f"seed {seed}:\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_twelve_kills(tmp_path: Path, kind: str) -> None:
    run("kill", kind, tmp_path, 12, seed=1)


@pytest.mark.parametrize("kind", KINDS)
def test_twelve_writes_that_fail(tmp_path: Path, kind: str) -> None:
    run("full", kind, tmp_path, 12, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 110))
@pytest.mark.parametrize("how", ["kill", "full"])
@pytest.mark.parametrize("kind", KINDS)
def test_hundreds(tmp_path: Path, kind: str, how: str, seed: int) -> None:
    run(how, kind, tmp_path, 100, seed)


def test_an_exchange_that_was_begun_is_finished(tmp_path: Path) -> None:
    for name, text in {"old": "1", "kept": "1", "mine": "mine"}.items():
        (tmp_path / name).write_text(text)
    with exchange.workplace(tmp_path) as (work, _):
        (work / "sub").mkdir()
        (work / "kept").write_text("2")
        (work / "sub" / "new").write_text("2")
        exchange.begin(tmp_path, work, ["kept", "sub/new"], ["old", "kept"])
        exchange.finish(tmp_path)

    found = {str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {"kept": "2", "mine": "mine", "sub/new": "2"}


def test_a_journal_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    folder, precious = tmp_path / "b", tmp_path / "precious"
    (folder / f"{exchange.PREFIX}x").mkdir(parents=True)
    (folder / f"{exchange.PREFIX}x" / "evil").write_text("evil")
    precious.write_text("precious")
    for facts in (
        f'{{"work": "{exchange.PREFIX}x", "new": ["../precious", "evil/../../evil"], "gone": ["../precious", "{precious}"]}}',
        f'{{"work": "../{tmp_path.name}", "new": ["precious"], "gone": ["precious"]}}',
        '{"work": 3}',
        '{"a":' * 5000,
    ):
        (folder / exchange.JOURNAL).write_text(facts)
        with exchange.locked(folder):
            pass
        (folder / f"{exchange.PREFIX}x").mkdir(exist_ok=True)

    assert precious.read_text() == "precious"
    assert not (tmp_path / "evil").exists()


def test_a_report_to_a_full_device() -> None:
    with pytest.raises(StorageError, match="No space left"):
        folders.write_text(Path("/dev/full"), "text" * 10_000)
