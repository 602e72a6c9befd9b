"""Entries of the cache that another user could have written are not used."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bnn2hw import compile_cache

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes of files")

STRANGER = 12345


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BNN2HW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entry() -> Path:
    return compile_cache.entry(
        "kind",
        [os.environ["BNN2HW_CACHE"]],
        ["program"],
        lambda folder: (folder / "program").write_text("ours") and None,
    )


def by_a_stranger(path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root gives files away")
    os.chown(path, STRANGER, STRANGER)


def open_to_all(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o002)


def open_to_a_group(path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root gives files away")
    os.chown(path, 0, STRANGER)
    path.chmod(path.stat().st_mode | 0o020)


def linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


PLACES: dict[str, Callable[[Path], Path]] = {
    "a file": lambda entry: entry / "program",
    "an entry": lambda entry: entry,
    "a kind": lambda entry: entry.parent,
    "the cache": lambda entry: entry.parent.parent,
}
CHANGES = {f.__name__.replace("_", " "): f for f in (by_a_stranger, open_to_all, open_to_a_group)}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_it_is_made_anew(cache: Path, place: Callable[[Path], Path], change: Callable[[Path], None]) -> None:
    found = entry()
    (found / "program").write_text("theirs")
    change(place(found))

    assert compile_cache.find("kind", [os.environ["BNN2HW_CACHE"]], ["program"]) is None
    assert (entry() / "program").read_text() == "ours"


@pytest.mark.parametrize("name", ["a file", "an entry"])
def test_a_link_is_not_followed(cache: Path, name: str) -> None:
    found = entry()
    (found / "program").write_text("theirs")
    linked(PLACES[name](found))

    assert (entry() / "program").read_text() == "ours"


def test_our_own_entry_is_used_again(cache: Path) -> None:
    first = entry()
    (first / "program").write_text("kept")
    (first / "program").chmod(0o644)

    assert (entry() / "program").read_text() == "kept"
