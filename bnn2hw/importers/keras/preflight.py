"""Look through a model file of Keras before Keras reads it: nothing is built, unpacked or imported here.

Keras checks some of this in some of its versions. The checks here hold for all of them.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from bnn2hw import untrusted
from bnn2hw.errors import InputError
from bnn2hw.untrusted import SMALL, TEXT, WEIGHTS

CONFIG, METADATA, ARRAYS = "config.json", "metadata.json", "model.weights.h5"
"""Members of an archive of Keras."""

SPARE = 2
"""Times by which the variables of a model may exceed the arrays of its file: some are not saved."""


def check(path: Path) -> int:
    """Look through a model file.

    Args:
        path: A regular file that ends in .keras or .h5.

    Returns:
        Bytes that the arrays in the file take in memory.

    Raises:
        InputError: It holds code, reads other files, is nested too deeply, or declares more than may be read.
        OSError: It is no file of HDF5.
    """
    if not zipfile.is_zipfile(path):
        with h5py.File(path) as file:
            held = _arrays(file)
            _check_types(file)
            return held
    with zipfile.ZipFile(path) as archive:
        untrusted.members(archive)
        there = archive.NameToInfo
        for name in (CONFIG, METADATA):
            if name in there and there[name].file_size > TEXT:
                raise InputError(f"{name} has {there[name].file_size:,} bytes; at most {TEXT:,} are read")
        if CONFIG in there:
            _no_code(untrusted.parsed(archive.read(CONFIG), CONFIG))
        return _archived(archive) if ARRAYS in there else 0


def _archived(archive: zipfile.ZipFile) -> int:
    """Bytes of the arrays in an archive; the file that holds them may be as large and not much larger."""
    with tempfile.TemporaryFile() as copy:
        with archive.open(ARRAYS) as member:
            shutil.copyfileobj(member, copy, 1 << 20)
        size = copy.tell()
        with h5py.File(copy, "r") as file:
            held = _arrays(file)
            _check_types(file)
    if size > SMALL + SPARE * held:
        raise InputError(f"{ARRAYS} has {size:,} bytes for arrays of {held:,} bytes")
    return held


def _arrays(file: Any) -> int:
    """Return the bytes of all arrays in an HDF5 file, and refuse arrays in other files."""
    held = 0
    for name, each in _objects(file):
        if not isinstance(each, h5py.Dataset):
            continue
        if each.external or each.is_virtual:
            raise InputError(f"the array '{name}' keeps its values in another file")
        held += math.prod(each.shape or (1,)) * each.dtype.itemsize
        if held > WEIGHTS:
            raise InputError(f"the arrays up to '{name}' take {held:,} bytes; at most {WEIGHTS:,} are read")
    if "model_config" in file.attrs:
        _no_code(untrusted.parsed(file.attrs["model_config"], "model_config"))
    return held


def _check_types(file: Any) -> None:
    """Check that the arrays of an HDF5 file are numbers, or say what they are.

    Keras writes bfloat16 as plain bytes. Only the archives of Keras 3 say so, and can be read again.

    Raises:
        InputError: They are not.
    """
    for name, each in _objects(file):
        if isinstance(each, h5py.Dataset) and each.dtype.kind == "V" and "dtype" not in each.attrs:
            raise InputError(
                f"the array '{name}' has the type {each.dtype}, which is no number in HDF5, as Keras writes bfloat16 "
                "there; save the model with Keras 3 and model.save('model.keras'), or use the policy 'mixed_bfloat16'"
            )


def _objects(file: Any) -> Iterator[tuple[str, Any]]:
    """All groups and arrays of a file, each once; links that lead elsewhere are refused."""
    seen: set[int] = set()
    waiting = [("/", file)]
    while waiting:
        name, each = waiting.pop()
        place = h5py.h5o.get_info(each.id).addr
        if place in seen:
            continue
        seen.add(place)
        yield name, each
        for child in each if isinstance(each, h5py.Group) else ():
            link = each.get(child, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise InputError(f"'{child}' in the group '{name}' is a link, to '{link.path}'")
            waiting.append((f"{name.rstrip('/')}/{child}", each[child]))


CODE = ("__lambda__",)
"""Classes of objects that are code, in the descriptions of Keras 3."""


def _no_code(description: Any) -> None:
    """Check that a description of a model holds no compiled code.

    Raises:
        InputError: It does.
    """
    for each in untrusted.mappings(description):
        if each.get("class_name") in CODE or _is_function_of_keras_2(each):
            raise InputError(
                f"a layer{_named(description, each)} holds Python code, which is not executed; give the function a "
                "name in a module of your own, register it with keras.saving.register_keras_serializable and save the "
                "model again, or pass the model itself"
            )


def _is_function_of_keras_2(described: Mapping[str, Any]) -> bool:
    """True if a Lambda layer of Keras 2 keeps its function as code, not by its name."""
    return "lambda" in (described.get("function_type"), described.get("output_shape_type"))


def _named(description: Any, inner: Mapping[str, Any]) -> str:
    """The name of the innermost layer around a part of a description, for messages."""
    name = ""
    for each in untrusted.mappings(description):
        config = each.get("config")
        if isinstance(config, dict) and "name" in config and _holds(config, inner):
            name = f" '{config['name']}'"
    return name


def _holds(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> bool:
    return any(each is inner for each in untrusted.mappings(outer))


_LOADING = threading.local()
_LOCK = threading.Lock()


@contextmanager
def no_more_than(declared: int) -> Iterator[None]:
    """Refuse variables that take much more memory than the arrays of the file which they are read from.

    The description of a model and its arrays are two parts of a file, and the variables are made
    from the description before an array is read.

    Args:
        declared: Bytes of the arrays.

    Yields:
        Nothing.

    Raises:
        InputError: The layers built in the block want more.
    """
    with _LOCK:
        plain = keras.Variable.__init__
        if not hasattr(plain, "counts"):
            keras.Variable.__init__ = _counting(plain)
    _LOADING.room = SMALL + SPARE * declared
    try:
        yield
    finally:
        _LOADING.room = None


def _counting(plain: Any) -> Any:
    """The constructor of variables, which counts their bytes where `no_more_than` asks for it."""

    def __init__(self: Any, initializer: Any, shape: Any = None, *rest: Any, **options: Any) -> None:  # noqa: N807
        room = getattr(_LOADING, "room", None)
        if room is not None and shape is not None:
            dims = (shape,) if isinstance(shape, int) else tuple(shape)
            wanted = math.prod(int(d) for d in dims) * np.dtype(np.float32).itemsize
            if wanted > room:
                name = options.get("name") or "a variable"
                raise InputError(f"'{name}' has the shape {dims}, for which the file holds no values")
            _LOADING.room = room - wanted
        plain(self, initializer, shape, *rest, **options)

    __init__.counts = True  # type: ignore[attr-defined]
    return __init__
