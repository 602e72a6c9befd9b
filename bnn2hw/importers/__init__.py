"""Read models of other tools.

Each importer is a module or a folder here and a line in `IMPORTERS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnn2hw import checks, frameworks, untrusted
from bnn2hw.errors import Bnn2hwError, InputError
from bnn2hw.importers.imported import Imported


@dataclass(frozen=True)
class Importer:
    """An importer and the models that it reads.

    Attributes:
        module: Module of this package. Its function `read` takes a model or the path of one and
            returns an `Imported`. It is imported when such a model comes, because it may import a
            large framework.
        models: The models in words, for messages.
        suffixes: Endings of the files that hold such models.
        packages: Top-level packages of the models' classes, or of a class that they derive from.
    """

    module: str
    models: str
    suffixes: tuple[str, ...]
    packages: tuple[str, ...]

    def read(self, model: Any) -> Imported:
        """Read a model, or the file at a path."""
        try:
            found: Imported = frameworks.load(f"{__name__}.{self.module}").read(model)
        except untrusted.DAMAGED as error:
            if isinstance(error, Bnn2hwError) or not isinstance(model, Path):
                raise
            reason = f"{type(error).__name__}: {error}"[:MOST]
            raise InputError(f"'{model}' cannot be read as {self.models}: {reason}") from error
        for name in (found.name, *found.names):
            untrusted.name(name, "the model, or an output of it,")
        return found


MOST = 500
"""Characters of the reason why a file cannot be read."""

IMPORTERS = (
    Importer("keras", "a Keras model", (".keras", ".h5"), ("keras",)),
    Importer("onnx", "an ONNX model", (".onnx",), ("onnx", "qonnx")),
)

PYTORCH = (
    "is a PyTorch model, which holds no graph of its layers; export it from PyTorch with "
    "brevitas.export.export_qonnx or torch.onnx.export, and compile the .onnx file"
)

KERAS_2 = (
    "of Keras 2 (tf_keras) is no model object that can be read; save it with model.save('model.h5'), and compile that "
    "file, or build the model with Keras 3"
)

TENSORFLOW = (
    "holds a traced TensorFlow function without the layers of the model; save the Keras model itself with "
    "model.save('model.keras'), and compile that file"
)

LITE = (
    "is a TensorFlow Lite model; compile the Keras model that it was converted from (.keras or .h5), or convert it "
    "with 'python -m tf2onnx.convert --tflite model.tflite --output model.onnx' and compile the .onnx file"
)

FOREIGN = {
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".pt2", ".bin", ".safetensors"), PYTORCH),
    **dict.fromkeys((".tflite", ".lite"), LITE),
    ".pb": f"is a SavedModel or a frozen graph, which {TENSORFLOW}",
}
"""The way out for models that no importer reads, by the ending of their files."""


def read(model: Any, custom_objects: Mapping[str, Any] | None = None) -> Imported:
    """Read a model of any supported kind.

    Args:
        model: A model object, or the path of a file.
        custom_objects: Classes and functions of the user's own in files of Keras, by name.

    Raises:
        InputError: There is no such file, or no importer reads it or the object.
        UnsupportedError: The model has layers that cannot be compiled. The error lists all of them.
    """
    if custom_objects:
        checks.mapping("custom_objects", custom_objects, "{'my_sign': my_sign}")
        if isinstance(model, str | Path) and Path(model).suffix == ".onnx":
            raise InputError(
                f"'{model}' is not a Keras file, so custom objects have no effect; leave out custom_objects"
            )
        import keras

        with keras.saving.CustomObjectScope(dict(custom_objects)):
            return read(model)
    if isinstance(model, str | Path):
        return _of_file(Path(model)).read(Path(model))
    packages = {cls.__module__.split(".")[0] for cls in type(model).__mro__}
    for importer in IMPORTERS:
        if packages & set(importer.packages):
            return importer.read(model)
    if packages & {"tf_keras", "tensorflow"}:
        raise InputError(f"a {type(model).__name__} {KERAS_2}")
    if "torch" in packages:
        raise InputError(f"a {type(model).__name__} {PYTORCH}")
    kinds = ", ".join(importer.models for importer in IMPORTERS)
    raise InputError(f"expected {kinds} or the path of one, not {type(model).__name__}")


def _of_file(path: Path) -> Importer:
    if not path.exists():
        raise InputError(f"there is no file '{path}'")
    if path.suffix in FOREIGN:
        raise InputError(f"'{path}' {FOREIGN[path.suffix]}")
    if (path / "saved_model.pb").exists():
        raise InputError(f"'{path}' is a SavedModel, which {TENSORFLOW}")
    for importer in IMPORTERS:
        if path.suffix in importer.suffixes:
            untrusted.regular(path)
            return importer
    suffixes = [suffix for importer in IMPORTERS for suffix in importer.suffixes]
    listed = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
    raise InputError(f"'{path}' is not a model: expected a file that ends in {listed}")
