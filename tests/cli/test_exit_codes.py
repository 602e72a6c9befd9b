"""Exit statuses: 0 success, 1 mismatch, 2 model or options, 3 this machine, 130 interrupted; one line each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw import compile_cache, compiler
from bnn2hw.accelerator import Accelerator
from bnn2hw.cli.main import main
from bnn2hw.errors import (
    Bnn2hwError,
    FoldingError,
    InputError,
    LinkError,
    MismatchError,
    MissingToolError,
    StorageError,
    ToolError,
)
from bnn2hw.simulation import effort
from tests.support import EXAMPLES, ROOT
from tests.support import networks as net

FULL = Path("/dev/full")
NOWHERE = "/proc/nowhere/b" if sys.platform == "linux" else "/dev/null/b"
"""Folder that nobody can make, root included."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder, with the model beside it."""
    place = tmp_path_factory.mktemp("built")
    model = net.chain((6,), net.dense(4), net.norm(), net.dense(2))
    model.save(place / "m.keras")
    return bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), loadable=True).write(place / "b")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "bnn2hw.cli.main", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MismatchError("x"), 1),
        (InputError("x"), 2),
        (FoldingError("x"), 2),
        (MissingToolError("x"), 3),
        (ToolError("x"), 3),
        (LinkError("x"), 3),
        (StorageError("x"), 3),
        (PermissionError(13, "x"), 3),
        (MemoryError(), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_status_and_one_line(
    error: BaseException, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: object) -> None:
        raise error

    monkeypatch.setattr(compiler, "load", failing)
    done = CliRunner().invoke(main, ["estimate", str(ROOT)])

    assert done.exit_code == status
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("compile", EXAMPLES / "mnist.keras", "--input", "uint8", "-o", NOWHERE),
        ("synth", EXAMPLES / "mnist.keras", "--input", "uint8", "--board", "ulx3s", "-o", NOWHERE),
        ("weights", "pack", "{built}", "{built}/../m.keras", "-o", NOWHERE),
        ("weights", "pack", "{built}", "{built}/../m.keras", "-o", "/dev/null/x"),
    ],
)
def test_places_that_cannot_be_written_are_found_before_the_work(
    arguments: Sequence[str | Path], built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def working(*_: object, **__: object) -> None:
        raise Bnn2hwError("the work has begun")

    for name in ("compile", "load"):
        monkeypatch.setattr(compiler, name, working)
    done = CliRunner().invoke(main, [str(a).format(built=built) for a in arguments])

    assert done.exit_code == 3, done.output
    assert done.stderr.startswith("error: '")
    assert "cannot be written: " in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_disk(built: Path) -> None:
    model = built.parent / "m.keras"
    pack = CliRunner().invoke(main, ["weights", "pack", str(built), str(model), "-o", str(FULL)])
    with FULL.open("w") as full:
        show = subprocess.run(
            command("estimate", built),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            check=False,
        )

    assert pack.exit_code == show.returncode == 3
    assert pack.stderr == "error: '/dev/full' cannot be written: No space left on device\n"
    assert show.stderr == "error: No space left on device\n"


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cache that cannot be written, and a process that has made no entries of its own before or after.

    Verilator's library stays in the cache that all tests share, since compiling it takes longer than all else.
    """
    effort.runtime(), effort.header_flags(effort.for_run(0)[0])
    made = (compile_cache.temporary, effort.library)
    monkeypatch.setenv("BNN2HW_CACHE", NOWHERE)
    for known in made:
        known.cache_clear()
    yield
    for known in made:
        known.cache_clear()


@pytest.mark.usefixtures("no_cache")
def test_a_cache_that_cannot_be_written(built: Path) -> None:
    done = CliRunner().invoke(main, ["simulate", str(built), "--frames", "2"])

    assert (done.exit_code, done.stderr) == (0, "")


@pytest.mark.usefixtures("no_cache")
def test_no_place_for_temporary_files(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_cache.tempfile, "tempdir", NOWHERE)

    done = CliRunner().invoke(main, ["simulate", str(built), "--frames", "2"])

    assert done.exit_code == 3
    assert done.stderr.startswith(f"error: '{NOWHERE}' cannot be written: ")
    assert done.stderr.count("\n") == 1


def test_nobody_reads_the_output(built: Path) -> None:
    shell = " ".join(command("estimate", built)) + " | true; exit ${PIPESTATUS[0]}"
    done = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, env=environment(), check=False
    )

    assert (done.returncode, done.stderr) == (3, "")


def test_a_user_stops_the_program(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object, **__: object) -> None:
        while True:  # a callback of the garbage collector swallows an interrupt that reaches it
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Accelerator, "simulate", slow)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let background jobs ignore it
    try:
        done = CliRunner().invoke(main, ["simulate", str(built), "--frames", "2"])
    finally:
        signal.signal(signal.SIGINT, before)

    assert (done.exit_code, done.stderr) == (130, "error: interrupted\n")


def test_a_weight_image_replaces_nothing_but_weight_images(built: Path) -> None:
    model = built.parent / "m.keras"
    before = model.read_bytes()

    def pack(out: Path) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["weights", "pack", str(built), str(model), "-o", str(out)])
        return done.exit_code, done.stderr

    assert pack(model) == (
        2,
        f"error: '{model}' exists and is not a weight image; name another file, or delete it\n",
    )
    assert model.read_bytes() == before
    assert [pack(built.parent / "w.bin") for _ in range(2)] == [(0, ""), (0, "")]
