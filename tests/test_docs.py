"""The pages: their Python and their commands run, in the order in which a reader meets them."""

from __future__ import annotations

import ast
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bnn2hw.cli.main import main
from tests.support import ROOT

BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>.*?) -->\n)?```(?P<language>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

NOT_RUN = {
    "needs a board": 5,
    "needs a file of yours": 3,
    "needs a model of yours": 1,
    "needs a package index": 1,
    "needs a vendor's tool": 1,
    "needs an op of yours": 1,
    "needs Brevitas": 1,
    "needs QKeras": 1,
    "needs CMake": 1,
    "the README has it too": 2,
}
"""Blocks that no test runs, by the reason that a comment in their page gives. Such a block can be wrong."""

SHOWN = {"c": 1, "diff": 1, "text": 6, "toml": 1}
"""Blocks that show something that is not run, by their language."""

SITE = ("{eval-rst}", "{toctree}", "{image}")
"""Directives of the site."""

SLOW = ("bnn2hw synth",)
"""Commands that take minutes. The soak runs them."""

PAGES = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.md"))


class Block(NamedTuple):
    """A block of a page that a reader runs.

    Attributes:
        reason: Why the tests do not run it; None if they do.
        language: "python", or "" for commands.
        text: Its lines.
    """

    reason: str | None
    language: str
    text: str


def commands(text: str) -> list[str]:
    """Return the commands in a block, all of them those of the program."""
    lines = (line.split(" #")[0].strip() for line in text.replace("\\\n", " ").splitlines())
    found = [line for line in lines if line]
    others = [line for line in found if not line.startswith("bnn2hw ")]
    assert not others, f"no test runs {others}; say why in a comment, or name the language of the block"
    return found


def blocks(page: str) -> Iterator[Block]:
    for found in BLOCK.finditer((ROOT / page).read_text()):
        block = Block(found["reason"], found["language"], found["text"])
        if block.language in ("python", ""):
            yield block


def follow(page: str, *, slow: bool) -> int:
    """Run the blocks of a page, and return how many steps were run."""
    names: dict[str, object] = {"__name__": "__main__"}
    steps = 0
    for block in blocks(page):
        if block.reason:
            continue
        if block.language == "python":
            exec(compile(block.text, page, "exec"), names)
            steps += 1
            continue
        assert commands(block.text), block.text
        for command in commands(block.text):
            if slow or not command.startswith(SLOW):
                assert not main(shlex.split(command)[1:], standalone_mode=False), command
                steps += 1
    return steps


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the root of the repository to a reader of the pages."""
    os.symlink(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


RUN = [page for page in PAGES if any(not b.reason for b in blocks(page))]


@pytest.mark.parametrize("page", RUN)
def test_the_blocks_of_a_page_run(page: str, place: Path) -> None:
    assert follow(page, slow=False)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", [p for p in RUN if "bnn2hw synth" in (ROOT / p).read_text()])
def test_the_blocks_of_a_page_run_with_their_synthesis(page: str, place: Path) -> None:
    assert follow(page, slow=True)


def test_no_page_holds_both_sides_of_a_merge() -> None:
    pages = (
        [ROOT / page for page in PAGES] + list(ROOT.glob("*.md")) + list((ROOT / "benchmarks").glob("*.md"))
    )
    marks = ("<<<<<<< ", ">>>>>>> ")

    assert not [p.name for p in pages for line in p.read_text().splitlines() if line.startswith(marks)]


def test_blocks_that_are_not_run_say_why() -> None:
    reasons = Counter(b.reason for page in PAGES for b in blocks(page) if b.reason)

    assert reasons == NOT_RUN


def test_blocks_that_show_something_are_counted() -> None:
    found = [
        b["language"].split()[0]
        for page in PAGES
        for b in BLOCK.finditer((ROOT / page).read_text())
        if b["language"]
    ]

    assert Counter(name for name in found if name != "python" and name not in SITE) == SHOWN


def messages() -> Iterator[str]:
    """All texts in the code of the package, with … for what is filled in."""
    for path in (ROOT / "bnn2hw").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_the_messages_of_the_troubleshooting_page_are_those_of_the_package() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    quoted = re.findall(r"^### `(.*)`$", page, re.MULTILINE)
    known = list(messages())

    assert len(quoted) >= 15
    for message in quoted:
        pattern = re.compile(".*".join(re.escape(part) for part in message.split("…")), re.DOTALL)
        assert any(pattern.search(text) for text in known), message
