"""The key of a lowered model: everything that its hardware form depends on, found without importing a framework."""

from __future__ import annotations

import hashlib
import json
import operator
import os
import platform
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bnn2hw import frameworks, untrusted
from bnn2hw.errors import InputError
from bnn2hw.ir import Array
from bnn2hw.ops import source
from bnn2hw.ops.source import InputSpecs
from bnn2hw.version import __version__

SWITCH = "BNN2HW_MODEL_CACHE"
"""Environment variable; the value "off" keeps lowered models from being read and kept."""

FRAMEWORKS = ("keras", "tensorflow", "tf_", "jax", "torch", "openvino", "numpy", "h5py", "ml_dtypes", "onnx", "qonnx",
              "larq", "qkeras", "hgq", "quantizers")  # fmt: skip
"""First parts of the names of packages that compute what a model is, or read its file."""

VARIABLES = ("TF_", "XLA_", "JAX_", "ONEDNN_", "DNNL_")
"""First parts of the names of environment variables that may change what a framework computes."""

QUIET = "TF_CPP_MIN_LOG_LEVEL"
"""A variable of this kind that changes messages alone."""

SELF_CONTAINED = ("keras", "bnn2hw", "qkeras", "hgq", "larq", "tensorflow", "builtins")
"""Packages whose classes a file may name. The contents of others can change under the same name."""


CONTENT = 1
"""Place of the hash of the file in a key."""


@dataclass(frozen=True)
class Given:
    """The options of `bnn2hw.compile` that change how a model is lowered."""

    input: InputSpecs | None
    output: str | None
    bits: int | Mapping[str, int] | None
    loadable: Any
    calibration: Any
    custom_objects: Mapping[str, Any] | None


def key(model: Any, given: Given) -> list[Any] | None:
    """Return all that the hardware form of a model depends on, as data that JSON can hold.

    Args:
        model: A model, or the path of its file.
        given: The options.

    Returns:
        The key. None if the form may depend on more than this: on objects in memory, on code of the user's own, or on
        further files; or if `BNN2HW_MODEL_CACHE` is "off".
    """
    if os.environ.get(SWITCH) == "off" or not isinstance(model, str | Path) or given.custom_objects:
        return None
    try:
        untrusted.regular(Path(model))
        content = Path(model).read_bytes()
        options = json.loads(json.dumps(_options(given), default=operator.index))
    except (
        OSError,
        TypeError,
        AttributeError,
        ValueError,
        InputError,
    ):  # the importers say what is wrong with them
        return None
    if _other_files(Path(model), content) or _foreign_objects():
        return None
    return [
        Path(model).name,
        hashlib.sha256(content).hexdigest(),
        options,
        product_key(),
        keras_key(),
        _machine(),
    ]


def self_contained(path: Path) -> bool:
    """True if a model file names no code outside the packages that the key lists.

    Args:
        path: A model file that could be read.
    """
    if path.suffix == ".onnx":
        return True
    try:
        text = _config(path)
    except (KeyError, OSError):  # a file of another tool, which may name anything
        return False
    return all(
        item.get("class_name") != "__lambda__" and package_key(item.get("module")) in SELF_CONTAINED
        for item in untrusted.mappings(json.loads(text))
    )


def _config(path: Path) -> str | bytes:
    """Return the configuration in a file of Keras.

    Raises:
        KeyError: It holds none.
        OSError: It is neither a zip archive nor an HDF5 file.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return archive.read("config.json")
    import h5py

    with h5py.File(path) as file:
        text: str | bytes = file.attrs["model_config"]
    return text


def _options(given: Given) -> list[Any]:
    specs = None if given.input is None else source.facts(given.input)
    loadable = given.loadable if isinstance(given.loadable, bool) else list(given.loadable)
    return [specs, given.output, given.bits, loadable, _digest(given.calibration)]


def _digest(calibration: Any) -> Any:
    """Hashes of arrays.

    Raises:
        TypeError: The data are something else, such as a data set that is read once.
    """
    if isinstance(calibration, Mapping):
        return [[name, _digest(array)] for name, array in calibration.items()]
    if calibration is None or isinstance(calibration, np.ndarray):
        return None if calibration is None else _of_array(calibration)
    raise TypeError(f"{type(calibration).__name__} is not an array")


def _of_array(array: Array) -> list[Any]:
    if array.dtype.hasobject:
        raise TypeError("an array of objects")
    return [
        str(array.dtype),
        list(array.shape),
        hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest(),
    ]


def _other_files(path: Path, content: bytes) -> bool:
    """True if an ONNX file may keep weights in other files, which it gives by their "location"."""
    return path.suffix == ".onnx" and b"location" in content


def _foreign_objects() -> bool:
    """True if classes or functions of the user's own are registered with Keras."""
    keras = sys.modules.get("keras")
    if keras is None:
        return False
    registered = dict(keras.saving.get_custom_objects())
    try:
        scope = sys.modules["keras.src.backend.common.global_state"].get_global_attribute(
            "custom_objects_scope_dict"
        )
    except (KeyError, AttributeError):  # another version of Keras, whose scopes cannot be seen
        return True
    every = (*registered.values(), *(scope or {}).values())
    return any(package_key(getattr(each, "__module__", "?")) not in SELF_CONTAINED for each in every)


def package_key(module: Any) -> str:
    """Return the first part of a module's name."""
    return "builtins" if module is None else str(module).split(".")[0]


@cache
def product_key() -> list[str]:
    """The version of this package, and a hash of its sources, which change more often."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return [__version__, digest.hexdigest()]


def keras_key() -> dict[str, Any]:
    """Settings of Keras: of the one that runs, otherwise those with which it would start."""
    keras = sys.modules.get("keras")
    if keras is not None:
        config = keras.config
        return {
            "backend": config.backend(),
            "floatx": config.floatx(),
            "epsilon": config.epsilon(),
            "image_data_format": config.image_data_format(),
        }
    frameworks.choose_backend()
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    start = {
        "backend": "tensorflow",
        "floatx": "float32",
        "epsilon": 1e-7,
        "image_data_format": "channels_last",
    }
    try:
        there = json.loads(Path(home, "keras.json").expanduser().read_text())
        start.update({name: there[name] for name in start if name in there})
    except (OSError, ValueError, TypeError):
        pass
    if backend := os.environ.get("KERAS_BACKEND"):
        start["backend"] = backend
    return start


def _machine() -> list[Any]:
    """Versions of the frameworks, their variables, and the kind of processor."""
    variables = {n: v for n, v in os.environ.items() if n.startswith(VARIABLES) and n != QUIET}
    return [platform.machine(), platform.python_version(), installed_packages(), sorted(variables.items())]


@cache
def installed_packages() -> list[str]:
    """Names and versions of the installed frameworks: the names of the folders of their metadata."""
    found: set[str] = set()
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:  # an archive, or a folder that is not there
            continue
        found.update(
            n for n in names if n.endswith((".dist-info", ".egg-info")) and n.lower().startswith(FRAMEWORKS)
        )
    return sorted(found)
