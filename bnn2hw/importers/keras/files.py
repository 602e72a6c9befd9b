"""Read model files of Keras 3, and of Larq on Keras 2, as Keras 3 models."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras

from bnn2hw.errors import InputError


def load(path: Path) -> Any:
    """Return the model in a `.keras` or `.h5` file of Keras 3, or of Larq on Keras 2.

    Raises:
        InputError: There is no such file, or it does not hold a model.
    """
    if not path.exists():
        raise InputError(f"there is no file '{path}'")
    from bnn2hw import nn  # the import registers the quantized layers

    try:
        if _is_of_keras_2(path):
            return nn.models.load_larq(path)
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"'{path}' cannot be read as a Keras model: {reason}") from error


def _is_of_keras_2(path: Path) -> bool:
    """True if Keras 2 wrote a file, as it did for Larq."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            version = json.loads(archive.read("metadata.json"))["keras_version"]
    else:
        with h5py.File(path) as file:
            version = file.attrs.get("keras_version", "")
    return str(version).startswith("2.")
