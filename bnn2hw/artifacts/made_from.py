"""The files that a design was made from, as a report names them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnn2hw.targets.records import is_path

SHOWN = 16
"""Letters of a hash that a report shows."""


def of_model(model: Any, place: Mapping[str, Any]) -> dict[str, str]:
    """Return the name and the hash of a model file, and the names of own devices and boards.

    Args:
        model: A model, or the path of its file.
        place: The arguments `target` and `board` of `bnn2hw.compile`.
    """
    own = {option: shown(Path(path)) for option, path in place.items() if is_path(path)}
    if not isinstance(model, str | Path):
        return own
    digest = hashlib.sha256(Path(model).read_bytes()).hexdigest() if Path(model).is_file() else ""
    return {"model": shown(Path(model)), "sha256": digest[:SHOWN], **own}


def shown(path: Path) -> str:
    """Return a path as it was given if it is relative, and its last part otherwise: reports are sent to others."""
    return path.name if path.is_absolute() else path.as_posix()
