"""The README from top to bottom in a fresh checkout: its commands work, in their order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support import ROOT

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

INSTALLING = ("python -m pip", "python -m build")
"""Commands that tests/test_packaging.py runs in other ways, since they need an index of packages."""

IMAGES = 3
"""Images that the test in the default run simulates of the README's 200."""


def blocks() -> list[tuple[str, str]]:
    """The blocks that a reader runs, with their languages."""
    found = BLOCK.findall((ROOT / "README.md").read_text())
    return [(language, text) for language, text in found if language in ("", "python")]


def statements(synthesis: bool) -> Iterator[str]:
    """The blocks as one program in Python, so that later blocks see the names of earlier ones."""
    yield "import shlex\nimport subprocess\n\nfrom bnn2hw.cli.main import main\n"
    for language, text in blocks():
        if language == "python":
            yield text
            continue
        for line in text.splitlines():
            command = line.split("#")[0].strip()
            if command == "make test":  # this test is one of its tests
                command = "make -n test"
            slow = command.startswith("bnn2hw synth")
            if not command or command.startswith(INSTALLING) or (slow and not synthesis):
                continue
            if command.startswith("bnn2hw "):  # here, Keras is imported once for all of them
                yield f"assert not main(shlex.split({command!r})[1:], standalone_mode=False)\n"
            else:
                yield f"subprocess.run({command!r}, shell=True, check=True)\n"


def shorten(sample: Path) -> None:
    """Leave a few of the images: what is simulated is the same design, and `make demo` has them all."""
    with np.load(sample) as arrays:
        few = {name: array[:IMAGES] for name, array in arrays.items()}
    np.savez(sample, **few)


def checkout(folder: Path) -> None:
    """Copy the files of the project, with a virtual environment that stands for the one that make makes."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = listed.stdout.split("\n") if not listed.returncode else []
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv" / "bin").mkdir(parents=True)
    for tool, start in (("python", ""), ("pytest", " -m pytest")):
        path = folder / ".venv" / "bin" / tool
        path.write_text(f'#!/bin/sh\nexec {sys.executable}{start} "$@"\n')
        path.chmod(0o755)
    (folder / ".venv" / "installed").touch()


def follow(folder: Path, synthesis: bool) -> str:
    checkout(folder)
    if not synthesis:
        shorten(folder / "examples" / "mnist_sample.npz")
    script = folder / "readme.py"
    script.write_text("\n".join(statements(synthesis)))
    path = f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env={
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(folder),
            "BNN2HW_MODEL_CACHE": "on",
        },  # as a reader has it
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.timeout(1200)
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a checkout")
def test_the_readme_is_followed(tmp_path: Path) -> None:
    output = follow(tmp_path, synthesis=False)

    assert "all" in output
    assert "bit-exact" in output
    for name in ("mnist", "readme", "own"):
        assert (tmp_path / "build" / name / "manifest.json").is_file()


@pytest.mark.soak
def test_the_readme_is_followed_with_its_synthesis(tmp_path: Path) -> None:
    follow(tmp_path, synthesis=True)

    assert (tmp_path / "build" / "ulx3s" / "design.bit").is_file()


def test_the_statements_are_those_of_the_readme() -> None:
    program = "\n".join(statements(synthesis=True))

    order = (
        "make demo",
        "make -n test",
        'acc.write("build/readme")',
        'acc.write("build/own")',
        "bnn2hw doctor",
    )
    order += ("bnn2hw compile", "bnn2hw simulate", "bnn2hw estimate", "bnn2hw synth", "calibration=")
    places = [program.index(text) for text in order]
    assert places == sorted(places)
