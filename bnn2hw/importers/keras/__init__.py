"""Read Keras 3 models and files, and the files of Larq on Keras 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bnn2hw.importers.imported import Imported
from bnn2hw.importers.keras import files, originals
from bnn2hw.importers.keras.model import to_graph


def read(model: Any) -> Imported:
    """Read a built Keras model, or the file at a path.

    Raises:
        InputError: The file or the object is not a usable model.
        UnsupportedError: The model has layers or options that cannot be compiled. The error lists
            all of them.
    """
    if isinstance(model, Path):
        return to_graph(files.load(model), lambda package: originals.in_file(model, package))
    if files.is_foreign(model):
        return to_graph(files.reloaded(model), lambda package: lambda: model)
    return to_graph(model)
