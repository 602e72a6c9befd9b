"""Exchange the files of a folder so that a process may end at any moment, and another may run at the same time.

The new files are written into a temporary folder inside the folder. A journal that appears in one
step then says what is exchanged. From that moment on the exchange is finished: by this process, or
by the next one that opens the folder. A lock, which the operating system releases when a process
ends, lets one process at a time change a folder.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path, PurePosixPath

if sys.platform != "win32":
    import fcntl

PREFIX = ".bnn2hw-"
"""Beginning of the names of temporary folders and files inside a folder that is being written."""

JOURNAL = f"{PREFIX}exchange.json"
"""File that exists while the files of a folder are exchanged."""

LONGEST_NAME = 100
"""Characters of a name that are part of the names of files or of their drafts: systems limit the length of these."""

_held: ContextVar[tuple[int, ...]] = ContextVar("held", default=())


def held() -> tuple[int, ...]:
    """Return the handles of the locks under which this thread changes folders.

    A program that inherits them keeps the folders locked until it ends, also if this process is killed.
    """
    return _held.get()


@contextmanager
def locked(
    folder: Path, *, shared: bool = False, waiting: Callable[[], None] | None = None
) -> Iterator[bool]:
    """Wait until no other process changes a folder, and finish what one that ended has begun.

    On file systems without locks, and on Windows, processes do not wait for each other.

    Args:
        folder: The folder. Nothing happens if it does not exist.
        shared: True to read; several processes may read at the same time.
        waiting: Called if another process changes the folder, before this one waits for it.

    Yields:
        True if other processes wait.

    Raises:
        OSError: An exchange was left unfinished, and the folder cannot be written.
    """
    handle = _opened(folder)
    try:
        if waiting and handle is not None and not _is_free(handle, shared):
            waiting()
        alone = _wait(handle, shared and not (folder / JOURNAL).exists())
        if (folder / JOURNAL).exists():
            finish(folder)
            alone = _wait(handle, shared)
        with _inheritable(None if shared else handle):
            yield alone
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def _inheritable(handle: int | None) -> Iterator[None]:
    """Let `held` return the handle of a lock."""
    before = _held.set(_held.get() if handle is None else (*_held.get(), handle))
    try:
        yield
    finally:
        _held.reset(before)


def _opened(folder: Path) -> int | None:
    if sys.platform == "win32":
        return None
    with suppress(OSError):
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    return None


def _is_free(handle: int, shared: bool) -> bool:
    """Try to take a lock; False if another process has it."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        return not isinstance(error, BlockingIOError)  # a file system without locks
    return True


def _wait(handle: int | None, shared: bool) -> bool:
    if handle is not None:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            return True
    return False


@contextmanager
def workplace(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Make two temporary folders inside a folder: for new files, and for those that they replace.

    They disappear with the block, and so does what processes that ended have left.

    Args:
        folder: The folder. It is locked in the block.

    Yields:
        The two folders.
    """
    with locked(folder) as alone:
        _remove(leftovers(folder) if alone else ())
        work, old = (Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder)) for _ in range(2))
        try:
            yield work, old
        finally:
            (folder / JOURNAL).unlink(missing_ok=True)
            _remove((work, old))


def _remove(folders: Iterable[Path]) -> None:
    for each in folders:
        shutil.rmtree(each, ignore_errors=True)


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary folders in a folder. Under its lock, they are those of processes that ended."""
    return [p for p in folder.glob(f"{PREFIX}*") if p.is_dir() and not p.is_symlink()]


def is_temporary(path: Path) -> bool:
    """True if a path has the name of a temporary file or folder."""
    return path.name.startswith(PREFIX)


def begin(folder: Path, work: Path, new: Sequence[str], known: Sequence[str]) -> None:
    """Say in the journal that all files of `work` take their places, and that the known ones go.

    Args:
        folder: The folder, under its lock.
        work: Temporary folder in it.
        new: Relative paths of the files in `work`.
        known: Relative paths of the files of bnn2hw in `folder`.
    """
    facts = {"work": work.name, "new": list(new), "gone": [n for n in known if n not in new]}
    draft = work / JOURNAL
    draft.write_text(json.dumps(facts), encoding="utf-8")
    draft.rename(folder / JOURNAL)


def finish(folder: Path) -> None:
    """Do what the journal of a folder says and is not done yet, and remove what was left behind.

    Args:
        folder: The folder, under its lock.
    """
    work, new, gone = _journal(folder)
    for name in new:
        if (work / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).replace(folder / name)
    for name in gone:
        (folder / name).unlink(missing_ok=True)
    remove_empty(above(folder, gone))
    (folder / JOURNAL).unlink(missing_ok=True)
    _remove(leftovers(folder))


def _journal(folder: Path) -> tuple[Path, list[str], list[str]]:
    """Read a journal, without paths that lead out of the folder: bnn2hw writes none."""
    try:
        facts = json.loads((folder / JOURNAL).read_text(encoding="utf-8"))
        work, new, gone = folder / str(facts["work"]), list(facts["new"]), list(facts["gone"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return folder / PREFIX, [], []
    if work not in leftovers(folder):
        return work, [], []
    return (
        work,
        [n for n in new if inside(folder, n) and inside(work, n)],
        [n for n in gone if inside(folder, n)],
    )


def inside(folder: Path, name: object) -> bool:
    """True if a relative path stays in a folder, and no folder on the way is a link."""
    if not isinstance(name, str):
        return False
    path = PurePosixPath(name)
    plain = not path.is_absolute() and ".." not in path.parts and bool(path.parts) and "\0" not in name
    return plain and not any((folder / parent).is_symlink() for parent in path.parents)


def above(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return the folders inside a folder that hold files, the deepest first."""
    parents = {folder / p for n in names for p in PurePosixPath(n).parents if p.parts}
    return sorted(parents, key=lambda p: len(p.parts), reverse=True)


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove those folders that are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def resolved(path: Path) -> Path:
    """Return a path without links.

    Raises:
        OSError: The links lead in a circle.
    """
    try:
        return path.resolve()
    except RuntimeError as error:  # as Python before 3.13 tells it
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error


def replace_file(path: Path, data: bytes) -> None:
    """Write a file, which appears as a whole.

    Args:
        path: The file. A link stays, and the file behind it is replaced.
        data: Its contents.
    """
    with draft(path) as fresh:
        fresh.write_bytes(data)


@contextmanager
def draft(path: Path) -> Iterator[Path]:
    """Make an empty file beside another, which takes its place as a whole when the block ends without an error.

    Drafts of the same file that processes left that were killed are removed.

    Args:
        path: The file, which may be missing. A link stays, and the file behind it is replaced.

    Yields:
        The new file. It gets the mode of the one that it replaces. A device or a pipe is its own draft.
    """
    path = resolved(path)
    if path.exists() and not path.is_file():  # a device, or a pipe
        yield path
        return
    for left in path.parent.glob(f"{glob.escape(_prefix(path))}*{glob.escape(path.suffix)}"):
        _remove_draft(left)
    handle, fresh = _new_draft(path)
    try:
        yield fresh
        os.chmod(fresh, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        fresh.replace(path)
    finally:
        if handle is not None:
            os.close(handle)
        fresh.unlink(missing_ok=True)


def _prefix(path: Path) -> str:
    """Return the beginning of the names of drafts of a file."""
    return f"{PREFIX}{path.name[:LONGEST_NAME]}-"


def _new_draft(path: Path) -> tuple[int | None, Path]:
    """Make a draft and lock it, so that others see that its process lives."""
    while True:
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=path.suffix, dir=path.parent)
        if sys.platform == "win32":
            os.close(handle)
            return None, Path(name)
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        if Path(name).exists():
            return handle, Path(name)
        os.close(handle)  # another process removed it before it was locked


def _remove_draft(path: Path) -> None:
    """Remove a draft, unless a process holds it."""
    if sys.platform == "win32":
        return
    with suppress(OSError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def _umask() -> int:
    """The bits that new files do not get; Python has no other way to read them."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
