"""Read model files of Keras 3, of QKeras, and of Larq on Keras 2, as Keras 3 models."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras

from bnn2hw.errors import InputError
from bnn2hw.importers.keras import preflight

OWN = "\nGive classes and functions of your own with custom_objects=, or with --import on the command line."


def load(path: Path) -> Any:
    """Return the model in a `.keras` or `.h5` file of Keras 3, or of Larq or QKeras on Keras 2.

    Raises:
        InputError: There is no such file, or it does not hold a model.
    """
    if not path.exists():
        raise InputError(f"there is no file '{path}'")
    from bnn2hw import nn  # the import registers the quantized layers
    from bnn2hw.nn import hgq_objects, qkeras_layers

    try:
        _check_kind(path)
        with preflight.no_more_than(preflight.check(path)):
            if _is_of_keras_2(path):
                return nn.models.load_larq(path)
            with qkeras_layers.registered(hgq_objects.objects()):
                return keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise InputError(f"'{path}' cannot be read as a Keras model: {_reason(path, error)}") from error


MOST = 2000
"""Characters of a loader's message; some repeat the whole description of a model."""

FOREIGN = ("qkeras", "hgq")
"""Packages whose layers are read from files only."""


def is_foreign(model: Any) -> bool:
    """True if a model in memory has layers that are read from files only."""
    if not isinstance(model, keras.Model) or not model.built:
        return False
    return any(type(layer).__module__.split(".")[0] in FOREIGN for layer in model._flatten_layers())


def reloaded(model: Any) -> Any:
    """Return a model in memory as it is read from its file.

    Raises:
        InputError: It cannot be saved, or its file cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        try:
            model.save(path)
        except Exception as error:
            raise InputError(
                f"model '{model.name}' cannot be saved, so it cannot be read: {error}"
            ) from error
        return load(path)


def _reason(path: Path, error: Exception) -> str:
    """All that a loader says of a file, without the file's name and without descriptions of whole layers."""
    text = str(error).strip().removeprefix(f"{path} ")
    text = text.rsplit("Exception encountered:", 1)[-1]
    for description in ("Full object config:", "config={"):
        text = text.split(description)[0].strip()
    if len(text) > MOST:
        text = f"{text[:MOST]} ..."
    own = not isinstance(error, InputError) and ("class" in text or "function" in text)
    return f"{text or type(error).__name__}{OWN if own else ''}"


AGAIN = "save the whole model with model.save('model.keras')"


def _check_kind(path: Path) -> None:
    """Check that a file is a whole archive or HDF5 file with a model.

    Raises:
        InputError: It is neither, or it holds weights alone, or Keras 1 wrote it.
    """
    if zipfile.is_zipfile(path):
        return
    try:
        file = h5py.File(path)
    except OSError:
        raise InputError(f"it is cut off, or Keras did not write it; {AGAIN}") from None
    with file:
        version = str(file.attrs.get("keras_version", ""))
        if version.startswith("1."):
            raise InputError(f"Keras {version} wrote it; load it with Keras 2 and save it again")
        if "model_config" not in file.attrs:
            raise InputError(f"it holds weights and no model; {AGAIN}")


def _is_of_keras_2(path: Path) -> bool:
    """True if Keras 2 wrote a file, as it did for Larq."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            version = json.loads(archive.read("metadata.json")).get("keras_version", "")
    else:
        with h5py.File(path) as file:
            weights = file.get("model_weights", file)
            version = file.attrs.get("keras_version", weights.attrs.get("keras_version", ""))
    return str(version).startswith("2.")
