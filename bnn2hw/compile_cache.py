"""Keep compiled programs and lowered models on disk, so that each is made once per machine.

Verilator models, HLS simulations, the stepper of the estimates and lowered models share this cache. An
entry is a folder of files. Its name is a hash of its ingredients: sources, flags, and the commands and
versions of the tools.

Several processes can use the cache at the same time. One of them builds an entry while the others
wait for it, and a finished entry appears under its name in one step. If the cache cannot be
written, or others can write it, this process keeps its entries in a temporary folder until it ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

from bnn2hw.errors import storing

if sys.platform != "win32":
    import fcntl


def cache_dir() -> Path:
    """Return the folder of the cache: $BNN2HW_CACHE, or one in the user's own cache folder."""
    if given := os.environ.get("BNN2HW_CACHE"):
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("bnn2hw"))


def entry(kind: str, ingredients: Sequence[Any], files: Sequence[str], build: Callable[[Path], None]) -> Path:
    """Return the folder of an entry, after building the entry if it is not there.

    Args:
        kind: Folder of the cache that holds all entries of this kind.
        ingredients: Everything that the files depend on, as data that JSON can hold.
        files: Names of the files that make up the entry.
        build: Function that makes these files in the empty folder that is its argument. Other files
            there are lost.

    Raises:
        ToolError: `build` raised it because a compiler failed. Nothing is kept.
        StorageError: The folder for temporary files cannot be written.
    """
    name = _name(kind, ingredients)
    shared = cache_dir() / name
    if _complete(shared, files):
        return shared
    with storing(tempfile.gettempdir()):
        own = Path(temporary().name) / name
    if not _only_ours(shared.parent):
        shared = own
    with _lock(shared):
        for folder in (shared, own):
            if _complete(folder, files):
                return folder
        with (
            storing(tempfile.gettempdir()),
            tempfile.TemporaryDirectory(prefix="bnn2hw-", ignore_cleanup_errors=True) as work,
        ):
            build(Path(work))
            return _kept(Path(work), files, shared, own)


def find(kind: str, ingredients: Sequence[Any], files: Sequence[str]) -> Path | None:
    """Return the folder of an entry that is there, and mark it as used.

    Args:
        kind: Folder of the cache that holds all entries of this kind.
        ingredients: See `entry`.
        files: Names of the files that make up the entry.
    """
    folder = cache_dir() / _name(kind, ingredients)
    if not _complete(folder, files):
        return None
    with suppress(OSError):  # a cache that cannot be written keeps no order of use
        os.utime(folder)
    return folder


def keep(
    kind: str, ingredients: Sequence[Any], files: Sequence[str], build: Callable[[Path], None], limit: int
) -> None:
    """Add an entry, unless the cache cannot be written, and delete those that have not been used for longest.

    Args:
        kind: Folder of the cache that holds all entries of this kind.
        ingredients: See `entry`.
        files: Names of the files that make up the entry.
        build: Function that makes these files in the empty folder that is its argument.
        limit: Bytes that all entries of this kind may take. A larger entry is not kept.
    """
    folder = cache_dir() / _name(kind, ingredients)
    if not _only_ours(folder.parent):
        return
    with suppress(OSError), tempfile.TemporaryDirectory(prefix="bnn2hw-", ignore_cleanup_errors=True) as work:
        build(Path(work))
        if _size(Path(work)) <= limit:
            with _lock(folder):
                _installed(Path(work), files, folder)
            _trim(folder.parent, limit)


def drop(folder: Path) -> None:
    """Delete a damaged entry, unless the cache cannot be written."""
    shutil.rmtree(folder, ignore_errors=True)


def _trim(folder: Path, limit: int) -> None:
    """Delete the entries of a kind that have not been used for longest, until all take `limit` bytes."""
    entries = sorted(
        (p for p in folder.iterdir() if _is_entry(p)), key=lambda p: p.stat().st_mtime, reverse=True
    )
    total = 0
    for each in entries:
        total += _size(each)
        if total > limit:
            drop(each)


def _is_entry(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.iterdir())


def _name(kind: str, ingredients: Sequence[Any]) -> Path:
    """The folder of an entry inside the cache."""
    return Path(kind) / hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()[:24]


def code(text: str) -> str:
    """Drop the lines of a source in C++ or Verilog that hold nothing but a comment.

    Sources that differ in such lines give the same program, so this is what an entry depends on.
    Comments for Verilator are kept.
    """
    lines = text.splitlines()
    return "\n".join(n for n in lines if not n.lstrip().startswith("//") or "verilator" in n)


@cache
def temporary() -> tempfile.TemporaryDirectory[str]:
    """The cache of this process alone, which disappears when the process ends."""
    return tempfile.TemporaryDirectory(prefix="bnn2hw-cache-")


def _complete(folder: Path, files: Sequence[str]) -> bool:
    """True if an entry has all its files, and nobody else can have written them."""
    paths = [folder, *(folder / name for name in files)]
    return (
        all((folder / name).is_file() for name in files)
        and all(map(_ours, paths))
        and _only_ours(folder.parent)
    )


def _only_ours(kind: Path) -> bool:
    """True if nobody else can put an entry into the folder of a kind; it may not exist yet."""
    return all(_ours(p.resolve()) for p in (kind, kind.parent) if p.exists())


def _ours(path: Path) -> bool:
    """True if a path belongs to this user or to root, and is no link and not for all to write."""
    if sys.platform == "win32":
        return True
    try:
        facts = path.lstat()
    except OSError:
        return False
    group = bool(facts.st_mode & stat.S_IWGRP) and facts.st_gid != os.getegid()
    writable = bool(facts.st_mode & stat.S_IWOTH) or group
    return facts.st_uid in (os.geteuid(), 0) and not writable and not stat.S_ISLNK(facts.st_mode)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Let one process at a time build an entry.

    Without file locks (on Windows, or if the cache cannot be written) several processes may build
    the same entry; the result is the same.
    """
    path = folder.with_suffix(".lock")
    file = None
    while file is None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("w")
        except OSError:
            break
        if not _locked(file, path):
            file.close()
            file = None
    if file is None:
        yield
        return
    with file:
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()


def _locked(file: IO[str], path: Path) -> bool:
    """Wait for the lock of a file; False if the one who had it has removed the file since."""
    if sys.platform == "win32":
        return True
    with suppress(OSError):  # a file system without locks
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _kept(work: Path, files: Sequence[str], *folders: Path) -> Path:
    """Copy an entry's files to the first of `folders` that can be written, and return it."""
    for folder in folders[:-1]:
        with suppress(OSError):
            return _installed(work, files, folder)
    return _installed(work, files, folders[-1])


def _installed(work: Path, files: Sequence[str], folder: Path) -> Path:
    """Copy an entry's files to a folder, which appears as a whole. The caller holds the lock of the entry."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}-*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name in files:
            shutil.copy2(work / name, staging / name)
            (staging / name).chmod(0o755 if os.access(work / name, os.X_OK) else 0o644)
        staging.chmod(0o755)
        try:
            staging.rename(folder)
        except (
            OSError
        ):  # The folder exists: another process was faster, or somebody has removed files from it.
            if not _complete(folder, files):
                shutil.rmtree(folder)
                staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder
