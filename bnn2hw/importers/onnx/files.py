"""Read ONNX files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import onnx

from bnn2hw import untrusted
from bnn2hw.errors import InputError
from bnn2hw.untrusted import WEIGHTS


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
        proto = onnx.load(path, load_external_data=False)
        _check(proto, path.parent)
        onnx.load_external_data_for_model(proto, str(path.parent))
    except FileNotFoundError as error:
        raise InputError(f"'{path}' keeps its weights in another file, which is missing: {error}") from error
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"'{path}' cannot be read as an ONNX model: {reason}") from error
    if not proto.graph.node:
        raise InputError(f"'{path}' cannot be read as an ONNX model: it holds no nodes")
    return proto


def _check(proto: onnx.ModelProto, folder: Path) -> None:
    """Check the sizes that a model declares, and the files that it names, before they are read.

    Raises:
        InputError: The weights are too large, or a file is not in the folder of the model.
    """
    held = 0
    for tensor in _tensors(proto.graph):
        held += math.prod(tensor.dims) * _itemsize(tensor)
        if held > WEIGHTS:
            raise InputError(
                f"the tensors up to '{tensor.name}' take {held:,} bytes; at most {WEIGHTS:,} are read"
            )
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _own_file(tensor, folder)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """All constants of a graph, and of the graphs inside its nodes."""
    waiting = [graph]
    while waiting:
        each = waiting.pop()
        yield from each.initializer
        for attribute in (a for node in each.node for a in node.attribute):
            yield from (attribute.t, *attribute.tensors)
            waiting += [attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs


def _itemsize(tensor: onnx.TensorProto) -> int:
    known = tensor.data_type in onnx.helper.get_all_tensor_dtypes()
    return onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize if known else 1


def _own_file(tensor: onnx.TensorProto, folder: Path) -> None:
    """Check that a tensor's values lie in a regular file of the model's own folder.

    Raises:
        InputError: They lie elsewhere.
        FileNotFoundError: There is no such file.
    """
    where = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
    parts = PurePosixPath(where.replace("\\", "/")).parts
    path = folder.joinpath(*parts)
    if not parts or ".." in parts or parts[0].startswith("/") or ":" in where:
        raise InputError(
            f"the tensor '{tensor.name}' keeps its values in '{where}', outside of the model's folder"
        )
    on_the_way = [folder.joinpath(*parts[: i + 1]) for i in range(len(parts))]
    if any(p.is_symlink() for p in on_the_way):
        raise InputError(
            f"the tensor '{tensor.name}' keeps its values in '{where}', which is a symbolic link"
        )
    if not path.exists():
        raise FileNotFoundError(where)
    untrusted.regular(path)
