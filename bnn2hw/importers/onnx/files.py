"""Read ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from bnn2hw.errors import InputError


def load(model: Any) -> tuple[onnx.ModelProto, str]:
    """Return a model and its name: that of the file, or of the graph.

    Args:
        model: A path, an `onnx.ModelProto`, or an object that holds one as its attribute `model`.

    Raises:
        InputError: The file does not hold a model, or the object is none.
    """
    if isinstance(model, Path):
        return _of_file(model), model.stem
    proto = model if isinstance(model, onnx.ModelProto) else getattr(model, "model", None)
    if not isinstance(proto, onnx.ModelProto):
        raise InputError(f"expected an ONNX model, not {type(model).__name__}")
    return proto, proto.graph.name or "model"


def _of_file(path: Path) -> onnx.ModelProto:
    try:
        proto = onnx.load(path)
    except FileNotFoundError as error:
        raise InputError(f"'{path}' keeps its weights in another file, which is missing: {error}") from error
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"'{path}' cannot be read as an ONNX model: {reason}") from error
    if not proto.graph.node:
        raise InputError(f"'{path}' cannot be read as an ONNX model: it holds no nodes")
    return proto
