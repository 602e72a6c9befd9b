"""Replace whole folders safely, and recognize the folders that bnn2hw wrote."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bnn2hw.errors import InputError

MANIFEST = "manifest.json"
"""File that every folder of ours holds."""

GENERATOR = "bnn2hw"
"""Value of "generator" in the files that identify folders of ours."""


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Replace a folder as a whole, or not at all.

    The context is a temporary folder. It takes the place of `folder` when the block ends without an
    error, and is deleted otherwise.

    Args:
        folder: Folder to replace or to make. Its parents are made.

    Raises:
        InputError: `folder` is a file, or holds something that bnn2hw did not write.
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
    """Return True if bnn2hw wrote a folder, according to the manifest in it."""
    try:
        return bool(json.loads((folder / MANIFEST).read_text())["generator"] == GENERATOR)
    except (OSError, ValueError, KeyError, TypeError):
        return False
