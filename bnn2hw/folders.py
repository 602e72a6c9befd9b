"""Folders that bnn2hw writes: who owns them, and how they are replaced as a whole."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bnn2hw.errors import InputError

MANIFEST = "manifest.json"
GENERATOR = "bnn2hw"


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `folder` when all went well, and vanishes otherwise.

    Raises:
        InputError: `folder` exists and was not written by bnn2hw.
    """
    folder = folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"'{folder}' is a file; name a folder to write into")
    if folder.exists() and any(folder.iterdir()) and not ours(folder):
        raise InputError(
            f"the folder '{folder}' is not empty and was not written by bnn2hw; name another or empty it"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        temporary.chmod(0o755)
        yield temporary
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def ours(folder: Path) -> bool:
    """Whether bnn2hw wrote a folder: its manifest says so."""
    try:
        return bool(json.loads((folder / MANIFEST).read_text())["generator"] == GENERATOR)
    except (OSError, ValueError, KeyError, TypeError):
        return False
