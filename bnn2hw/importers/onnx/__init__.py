"""Read ONNX models: plain ones, and those with the operators of QONNX, Brevitas and FINN."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bnn2hw.errors import MissingToolError

if TYPE_CHECKING:
    from bnn2hw.importers.imported import Imported

PACKAGES = ("onnx", "onnxruntime")
"""Packages that read ONNX files and evaluate their nodes."""

INSTALL = "pip install onnx onnxruntime"


def read(model: Any) -> Imported:
    """Read an ONNX model, or the file at a path.

    Args:
        model: A path, an `onnx.ModelProto`, or an object that holds one as its attribute `model`, as
            the `ModelWrapper` of QONNX does.

    Raises:
        InputError: The file or the object is not a usable model.
        MissingToolError: The packages that read ONNX files are not installed.
        UnsupportedError: The model has nodes that cannot be compiled. The error lists all of them.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingToolError(
            f"ONNX models need the package '{missing[0]}', which is not installed: {INSTALL}"
        )
    from bnn2hw.importers.onnx.files import load
    from bnn2hw.importers.onnx.reader import to_graph

    proto, name = load(model)
    return to_graph(proto, name)
