"""Limits on what a file from others may hold, checked before anything in it is unpacked or built.

docs/threat-model.md states what these limits promise.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from bnn2hw.errors import Bnn2hwError, InputError

WEIGHTS = 2 << 30
"""Bytes that the arrays of a model file, or of a build folder, may take in memory."""

VALUES = 1 << 25
"""Values that a stream of a model may have in a frame."""

TEXT = 64 << 20
"""Bytes of a text that describes a model."""

SMALL = 64 << 20
"""Bytes that anything may take, however much smaller it is in a file."""

RATIO = 100
"""Times by which an archive larger than `SMALL` may shrink what it holds."""

DAMAGED = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, RecursionError),
    *(ArithmeticError, MemoryError, NotImplementedError, RuntimeError),
    *(Bnn2hwError, zlib.error, zipfile.BadZipFile),
)
"""Exceptions of reading a file whose contents are not what was written."""


def regular(path: Path, most: int = WEIGHTS + SMALL) -> None:
    """Check that a path names a file of a size that may be read.

    Args:
        path: Path of something that exists.
        most: Bytes that it may have.

    Raises:
        InputError: It is a device, a pipe or a folder, or too large.
    """
    if not path.is_file():
        raise InputError(f"'{path}' is not a regular file")
    if path.stat().st_size > most:
        raise InputError(f"'{path}' has {path.stat().st_size:,} bytes; at most {most:,} are read")


def members(archive: zipfile.ZipFile, most: int = WEIGHTS + SMALL) -> None:
    """Check what an archive declares, before a member is read.

    Args:
        archive: The open archive. Python reads no more of a member than its declared size.
        most: Bytes that all members may have.

    Raises:
        InputError: The members are too large, too much smaller in the archive, or lead out of a folder.
    """
    infos = archive.infolist()
    held, packed = sum(i.file_size for i in infos), sum(i.compress_size for i in infos)
    if held > most or held > SMALL + RATIO * packed:
        raise InputError(
            f"the archive unpacks from {packed:,} to {held:,} bytes; at most {min(most, SMALL + RATIO * packed):,} "
            "are unpacked"
        )
    for info in infos:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in info.filename:
            raise InputError(f"the archive holds {info.filename!r}, which leads out of a folder")


def parsed(text: str | bytes, what: str) -> Any:
    """Return data of JSON.

    Args:
        text: The data.
        what: Word for them in messages.

    Raises:
        InputError: They are too large, nested too deeply, or no JSON.
    """
    if len(text) > TEXT:
        raise InputError(f"{what} has {len(text):,} bytes; at most {TEXT:,} are read")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise InputError(f"{what} is nested too deeply") from error
    except ValueError as error:
        raise InputError(f"{what} is not valid JSON: {error}") from error


def mappings(data: Any) -> Iterator[dict[str, Any]]:
    """Return all mappings in data of JSON, the outer ones first."""
    waiting = [data]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
        if isinstance(each, dict | list):
            waiting.extend(each.values() if isinstance(each, dict) else each)


def name(text: object, what: str) -> str:
    """Return a name that may stand in sources, scripts and reports.

    Args:
        text: The name.
        what: What it names, for messages.

    Raises:
        InputError: It is no text, too long, or holds line breaks or other characters that do not print.
    """
    if not isinstance(text, str) or len(text) > LONGEST or not text.isprintable():
        raise InputError(
            f"{what} is named {str(text)[:60]!r}; a name has at most {LONGEST} printable characters; rename it"
        )
    return text


LONGEST = 500
"""Characters of a name."""
