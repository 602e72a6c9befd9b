"""The cache of compiled programs: one build per entry, among threads and processes, and nothing half-built."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bnn2hw import compile_cache
from bnn2hw.errors import ToolError
from tests.support import ROOT


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BNN2HW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Builds:
    """A build function that counts its calls and leaves more than the entry's one file."""

    def __init__(self, text: str = "made") -> None:
        self.text, self.count = text, 0

    def __call__(self, folder: Path) -> None:
        self.count += 1
        (folder / "program").write_text(self.text)
        (folder / "program.o").write_text("an intermediate file")

    def entry(self, *ingredients: object) -> Path:
        return compile_cache.entry("kind", ingredients, ["program"], self)


def test_an_entry_is_built_once(cache: Path) -> None:
    builds = Builds()

    first, second = builds.entry("a", {"x": "1", "y": "2"}), builds.entry("a", {"y": "2", "x": "1"})

    assert first == second
    assert builds.count == 1
    assert [p.name for p in first.iterdir()] == ["program"]
    assert [p.name for p in (cache / "kind").iterdir()] == [first.name], (
        "no lock and no staging folder is left"
    )
    assert builds.entry("b") != first
    assert builds.count == 2


def test_a_failed_build_leaves_nothing(cache: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "program").write_text("half")
        raise ToolError("the compiler failed")

    with pytest.raises(ToolError, match="the compiler failed"):
        compile_cache.entry("kind", ["a"], ["program"], fails)

    assert not list(cache.rglob("program"))
    assert (Builds().entry("a") / "program").read_text() == "made"


def test_an_entry_that_has_lost_a_file_is_built_again() -> None:
    builds = Builds()
    (builds.entry("a") / "program").unlink()

    assert (builds.entry("a") / "program").is_file()
    assert builds.count == 2


def test_a_cache_that_cannot_be_written(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    builds = Builds()

    assert (builds.entry("no cache") / "program").read_text() == "made"
    assert builds.entry("no cache") == builds.entry("no cache")
    assert builds.count == 1
    assert cache.is_file()


def test_a_cache_on_a_full_disk(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = compile_cache.shutil.copy2

    def full(source: Path, target: Path) -> None:
        if cache in target.parents:
            target.write_text("ha")
            raise OSError("No space left on device")
        copy(source, target)

    monkeypatch.setattr(compile_cache.shutil, "copy2", full)

    assert (Builds().entry("full disk") / "program").read_text() == "made"
    assert not list(cache.rglob("program"))


def test_threads_wait_for_the_one_that_builds() -> None:
    builds = Builds()

    with ThreadPoolExecutor(8) as pool:
        folders = set(pool.map(lambda _: builds.entry("a"), range(8)))

    assert len(folders) == 1
    assert builds.count == 1


def test_comments_do_not_change_an_entry() -> None:
    text = "// SPDX-License-Identifier: MIT\n//\nmodule m;  // one\n  // two\n  // verilator lint_off X\nendmodule\n"

    assert compile_cache.code(text) == "module m;  // one\n  // verilator lint_off X\nendmodule"


PROCESS = """
import sys, time
from pathlib import Path
from bnn2hw import compile_cache

def build(folder):
    with open(sys.argv[1], "a") as log:
        log.write("built\\n")
    time.sleep(0.3)
    (folder / "program").write_text("made")

print((compile_cache.entry("kind", ["a"], ["program"], build) / "program").read_text())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs file locks")
def test_processes_wait_for_the_one_that_builds(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(tmp_path / "log")]
    started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]

    assert [p.communicate(timeout=60)[0] for p in started] == ["made\n"] * 4
    assert (tmp_path / "log").read_text() == "built\n"
