"""Replace the files of a folder safely, and recognize the folders that bnn2hw wrote."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from bnn2hw import exchange
from bnn2hw.errors import InputError, storing
from bnn2hw.exchange import PREFIX

MANIFEST = "manifest.json"
"""File in every folder that bnn2hw wrote. It lists the other files that bnn2hw wrote."""

GENERATOR = "bnn2hw"
"""Value of "generator" in the files that identify folders of bnn2hw."""

ROOM = 1 << 16
"""Bytes that are written to find out if a folder can take files."""


@contextmanager
def replacing(folder: Path, manifest: str = MANIFEST) -> Iterator[Path]:
    """Replace all files in a folder that bnn2hw wrote, or none.

    The context is a temporary folder. When the block ends without an error, the files that the
    manifest of `folder` lists are deleted, and those of the temporary folder take their place. All
    other files stay as they are. Other processes wait, or see the files before or after. If this
    process is killed, the next one that opens the folder finds the files before, or finishes.

    Args:
        folder: Folder to fill or to make. Its parents are made.
        manifest: Name of the file that lists the files of bnn2hw.

    Raises:
        InputError: `folder` is a file, holds files but no manifest of bnn2hw, or holds files of
            others under the names of new ones.
        StorageError: The folder cannot be written.
    """
    with storing(folder):
        folder = exchange.resolved(folder)
    claim(folder, manifest)
    with storing(folder):
        made = _make(folder)
        try:
            with exchange.workplace(folder) as (work, old):
                _claim(folder, manifest, GENERATOR)
                yield work
                _install(work, folder, old, listed(folder, manifest))
                made = []
        finally:
            exchange.remove_empty(made)


def claim(
    folder: Path,
    manifest: str = MANIFEST,
    by: str = GENERATOR,
    waiting: Callable[[], None] | None = None,
) -> None:
    """Check that bnn2hw may write files into a folder.

    Args:
        folder: The folder, which may not exist yet.
        manifest: Name of the file that identifies folders of bnn2hw.
        by: The writer of such folders in words.
        waiting: Called if another process writes into the folder, before this one waits for it.

    Raises:
        InputError: It is a file, or holds files but no manifest of bnn2hw.
        StorageError: It cannot be made or written.
    """
    with storing(folder):
        folder = exchange.resolved(folder)
        with exchange.locked(folder, shared=True, waiting=waiting):
            _claim(folder, manifest, by)
        place = next(p for p in (folder, *folder.parents) if p.exists())
        if not place.is_dir():
            raise InputError(f"'{place}' is a file; name a folder to write into")
        with tempfile.TemporaryFile(prefix=PREFIX, dir=place) as file:
            file.write(bytes(ROOM))


def _claim(folder: Path, manifest: str, by: str) -> None:
    others = folder.is_dir() and any(not exchange.is_temporary(p) for p in folder.iterdir())
    if others and not ours(folder, manifest):
        raise InputError(
            f"the folder '{folder}' is not empty and was not written by {by}; name another or empty it"
        )


def claim_file(path: Path) -> None:
    """Check that a file can be written, without a change to it.

    Raises:
        InputError: It is a folder, or the manifest of a folder of bnn2hw.
        StorageError: It, or its folder, cannot be written.
    """
    with storing(path):
        if path.is_dir():
            raise InputError(f"'{path}' is a folder; name a file to write")
        if path.name == MANIFEST and ours(path.parent):
            raise InputError(f"'{path}' lists the files of its folder; name another file to write")
        if path.exists():
            path.open("ab").close()
            return
        with tempfile.TemporaryFile(prefix=PREFIX, dir=exchange.resolved(path).parent) as file:
            file.write(bytes(ROOM))


def claim_page(path: Path, mark: str, what: str, known: Sequence[str] = ()) -> None:
    """Check that a page can be written, and takes the place of no file but an earlier page.

    Args:
        path: The file.
        mark: Text near the beginning of every such page.
        what: Such a page in words.
        known: Names that such files have in folders of bnn2hw.

    Raises:
        InputError: The file is there and no such page, or the path is a folder or a manifest.
        StorageError: It cannot be written, or not be read.
    """
    claim_file(path)
    if not path.is_file() or (path.name in known and ours(path.parent)):
        return
    with storing(path, "read"), path.open("rb") as file:
        there = file.read(1000)
    if there and mark.encode() not in there:
        raise InputError(f"'{path}' exists and is not {what}; name another file, or delete it")


def ours(folder: Path, manifest: str = MANIFEST) -> bool:
    """Return True if bnn2hw wrote a folder, according to the manifest in it."""
    try:
        return bool(json.loads((folder / manifest).read_text())["generator"] == GENERATOR)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def listed(folder: Path, manifest: str = MANIFEST) -> list[str]:
    """Return the relative paths of the files that the manifest of a folder lists and that are there.

    The manifest itself comes last. Paths that lead out of the folder are left out, also those that
    do so by a link.
    """
    try:
        files = list(json.loads((folder / manifest).read_text())["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        files = []
    names = [str(name) for name in files if name != manifest]
    return [n for n in (*names, manifest) if exchange.inside(folder, n) and (folder / n).is_file()]


def add(folder: Path, texts: Mapping[str, str], check: Callable[[], None] = lambda: None) -> None:
    """Add files to a folder of bnn2hw, or replace them, and list them in its manifest.

    Args:
        folder: The folder.
        texts: Contents by relative path.
        check: Called when no other process changes the folder any more, before this one does.

    Raises:
        StorageError: The folder cannot be written.
    """
    with storing(folder), exchange.workplace(folder) as (work, old):
        check()
        facts = json.loads((folder / MANIFEST).read_text())
        for name, text in texts.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text, encoding="utf-8")
            facts["files"][name] = sha256(work / name)
        facts["files"] = dict(sorted(facts["files"].items()))
        (work / MANIFEST).write_text(json.dumps(facts, indent=1) + "\n")
        names = [*texts, MANIFEST]
        _exchange(work, folder, old, names, [n for n in names if (folder / n).is_file()])


def write_text(path: Path, text: str) -> None:
    """Write a file. If a folder of bnn2hw lists it, update the manifest.

    Args:
        path: The file.
        text: Its contents.

    Raises:
        StorageError: The file cannot be written.
    """
    if ours(path.parent) and path.name in listed(path.parent):
        add(path.parent, {path.name: text})
        return
    with storing(path):
        exchange.replace_file(path, text.encode())


def sha256(path: Path) -> str:
    """Return the hash of a file's contents, as manifests hold it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def delete(folder: Path, names: Sequence[str]) -> None:
    """Delete files in a folder, and the folders below it that are empty then.

    Args:
        folder: The folder.
        names: Relative paths, as `listed` returns them.
    """
    for name in names:
        (folder / name).unlink(missing_ok=True)
    exchange.remove_empty(exchange.above(folder, names))


def _make(folder: Path) -> list[Path]:
    """Make a folder and its parents; return those that were missing, the deepest first."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _install(work: Path, folder: Path, old: Path, known: Sequence[str]) -> None:
    """Move the known files of a folder to `old`, and all files of `work` into it, or undo all moves.

    Raises:
        InputError: An unknown file has the name of a new one.
    """
    new = sorted(str(p.relative_to(work)) for p in work.rglob("*") if p.is_file())
    for name in new:
        if name not in known and not _free(folder, name):
            raise InputError(
                f"'{folder / name}' was not written by bnn2hw and would be replaced; move it, or name another folder"
            )
    _exchange(work, folder, old, new, known)


def _exchange(work: Path, folder: Path, old: Path, new: Sequence[str], known: Sequence[str]) -> None:
    """Move known files to `old` and new ones from `work`, or undo all moves."""
    exchange.begin(folder, work, new, known)
    moved: list[tuple[Path, Path]] = []
    try:
        for names, source, target in ((known, folder, old), (new, work, folder)):
            for name in names:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(source / name, target / name)
                moved.append((source / name, target / name))
    except BaseException:
        for source, target in reversed(moved):
            os.replace(target, source)
        raise
    exchange.remove_empty(exchange.above(folder, known))


def _free(folder: Path, name: str) -> bool:
    """True if a new file can take a path: nothing is there, and nothing but real folders is above it."""
    above = [folder / p for p in PurePosixPath(name).parents if p.parts]
    blocked = any(p.is_symlink() or (p.exists() and not p.is_dir()) for p in above)
    return not blocked and not os.path.lexists(folder / name)
