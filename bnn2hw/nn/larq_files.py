"""Reader for models that Larq saved: HDF5 files and ``.keras`` archives of Keras 2.

The reader treats the description of a model as data. It builds each layer from a fixed set of
classes: those of `keras.layers` and of `bnn2hw.nn.layers`. It imports nothing that a file names and
executes nothing that a file contains.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from bnn2hw.nn import larq_graph
from bnn2hw.nn.larq_objects import check

Weights = list[NDArray[Any]]


def load_larq(path: str | Path) -> keras.Model:
    """Load a model that Larq saved with Keras 2, as ``.h5`` or ``.keras``.

    The returned model is not compiled. The function ignores the state of the optimizer in the file.
    Latent weights stay latent. A file that was saved inside a quantized scope contains -1 and 1
    instead.

    Args:
        path: Path of the file.

    Returns:
        A Keras 3 model with the layers and weights of the file.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not a model that Keras 2 saved, contains code, or contains layers
            that are not supported.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder (a SavedModel?). Save the model as .h5 with Larq.")
    if zipfile.is_zipfile(path):
        return _load_archive(path)
    if h5py.is_hdf5(path):
        return _load_hdf5(path)
    raise ValueError(f"{path} is neither an HDF5 file nor a .keras archive.")


def _build(path: Path, text: str | bytes) -> keras.Model:
    """Build a model from its description, with initial weights."""
    description = json.loads(text)
    problems = check(description)
    if problems:
        raise ValueError(f"{path} cannot be loaded:\n" + "\n".join(f"- {problem}" for problem in problems))
    return larq_graph.build_model(description)


def _load_hdf5(path: Path) -> keras.Model:
    """Load an HDF5 file."""
    with h5py.File(path) as file:
        if "model_config" not in file.attrs:
            raise ValueError(f"{path} holds weights only: it has no `model_config`. Save the whole model.")
        model = _build(path, file.attrs["model_config"])
        groups = file.get("model_weights", file)
        for layer in model.layers:
            if layer.name in groups:
                group = groups[layer.name]
                _assign(layer, [np.asarray(group[name]) for name in group.attrs["weight_names"]])
    return model


def _load_archive(path: Path) -> keras.Model:
    """Load a ``.keras`` archive."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "config.json" not in names or "model.weights.h5" not in names:
            raise ValueError(f"{path} is no .keras archive: config.json or model.weights.h5 is missing.")
        metadata = json.loads(archive.read("metadata.json")) if "metadata.json" in names else {}
        version = metadata.get("keras_version", "2")
        if not version.startswith("2"):
            raise ValueError(f"{path} was saved by Keras {version}: load it with keras.models.load_model.")
        model = _build(path, archive.read("config.json"))
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            _assign_tree(model, file)
    return model


def _assign_tree(model: keras.Model, group: Any) -> None:
    """Assign the weights of an archive to the layers of a model."""
    stored = group.get("layers", group.get("_layer_checkpoint_dependencies", {}))
    for name, layer in _stored_names(model):
        if isinstance(layer, keras.Model):
            _assign_tree(layer, stored[name])
        elif name in stored and "vars" in stored[name]:
            variables = stored[name]["vars"]
            _assign(layer, [np.asarray(variables[str(index)]) for index in range(len(variables))])


def _stored_names(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """Yield the layers of a model with their names in archives: class and number."""
    seen: dict[str, int] = {}
    for layer in model.layers:
        kind = getattr(layer, "larq_class", type(layer).__name__)
        name = _snake_case(kind)
        count = seen.get(name, 0)
        seen[name] = count + 1
        yield (f"{name}_{count}" if count else name), layer


def _snake_case(name: str) -> str:
    """Return a class name in Keras's lower case: ``quant_conv2d`` for ``QuantConv2D``."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _assign(layer: keras.layers.Layer, values: Weights) -> None:
    """Set the weights of a layer, in the order of Keras 2: trainable weights first."""
    own = [*layer.trainable_weights, *layer.non_trainable_weights]
    if isinstance(layer, keras.layers.BatchNormalization):
        # Renormalization has more statistics behind the usual four; virtual batches add axes of length 1.
        values = [value.reshape(-1) for value in values[: len(own)]]
    shapes = [tuple(value.shape) for value in values]
    expected = [tuple(weight.shape) for weight in own]
    if shapes != expected:
        raise ValueError(
            f"The file gives the layer '{layer.name}' weights of the shapes {shapes}, but it has {expected}."
        )
    for weight, value in zip(own, values, strict=True):
        weight.assign(value)
