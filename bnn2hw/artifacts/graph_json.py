"""Convert a hardware graph to JSON data and arrays, and read it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from bnn2hw.ir import Array, Graph, Ints, Node, Op, Tensor, View
from bnn2hw.ops import HARDWARE_OPS, Source

OPS: dict[str, type[Op]] = {"Source": Source, "View": View, **{op.__name__: op for op in HARDWARE_OPS}}

FORMAT = 2
"""The format that is written: class names and field names of the ops as they are now."""

_LANES = {"simd": "lanes"}
RENAMES: Mapping[int, Mapping[str, tuple[str, Mapping[str, str]]]] = {
    1: {
        "Add": ("Add", _LANES),
        "Argmax": ("Argmax", _LANES),
        "Concat": ("Concat", _LANES),
        "Curve": ("Interpolation", {}),
        "Depthwise": ("Depthwise", _LANES),
        "Fifo": ("Fifo", _LANES),
        "Multiply": ("Multiply", _LANES),
        "Pad": ("Pad", _LANES),
        "Patch": ("ParallelWindow", _LANES),
        "Pool": ("Pool", _LANES),
        "Width": ("WidthConverter", {}),
        "Window": ("SlidingWindow", _LANES),
    },
    FORMAT: {},
}
"""By format that can be read and by name of an op there: its class today, and its renamed fields."""


def graph_to_json(graph: Graph) -> tuple[dict[str, Any], dict[str, Array]]:
    """Convert a hardware graph to plain data.

    Returns:
        The data, and the arrays by the names that stand for them in the data.
    """
    arrays: dict[str, Array] = {}
    nodes = [
        {
            "name": node.name,
            "op": type(node.op).__name__,
            "inputs": list(node.inputs),
            "layer": node.layer,
            "fields": {f.name: _plain(getattr(node.op, f.name), arrays) for f in fields(node.op)},
        }
        for node in graph
    ]
    return {"nodes": nodes, "outputs": list(graph.outputs)}, arrays


def graph_from_json(data: Mapping[str, Any], arrays: Mapping[str, Array], version: int = FORMAT) -> Graph:
    """Read what `graph_to_json` returned, now or in an earlier format.

    Args:
        data: The plain data.
        arrays: The arrays by name.
        version: The format of the data, a key of `RENAMES`.
    """
    nodes = (
        Node(
            n["name"],
            _op(n["op"], n["fields"], arrays, version),
            tuple(n["inputs"]),
            n.get("layer", ""),  # format 1 has none
        )
        for n in data["nodes"]
    )
    return Graph(tuple(nodes), tuple(data["outputs"]))


def _op(kind: str, values: Mapping[str, Any], arrays: Mapping[str, Array], version: int) -> Op:
    """Make an op from its name and fields in some format."""
    now, renamed = RENAMES[version].get(kind, (kind, {}))
    return OPS[now](**{renamed.get(name, name): _rich(value, arrays) for name, value in values.items()})


def _plain(value: Any, arrays: dict[str, Array]) -> Any:
    """Convert a field of an op to plain data, and add its arrays to `arrays`."""
    match value:
        case np.ndarray():
            arrays[f"a{len(arrays)}"] = value
            return {"array": f"a{len(arrays) - 1}"}
        case Ints():
            return {"ints": [value.lo, value.hi, value.step]}
        case Tensor():
            return {"tensor": [_plain(getattr(value, f.name), arrays) for f in fields(value)]}
        case tuple():
            return [_plain(v, arrays) for v in value]
        case _:
            return value


def _rich(value: Any, arrays: Mapping[str, Array]) -> Any:
    """Convert plain data back to a field of an op."""
    match value:
        case {"array": name}:
            return arrays[name]
        case {"ints": [lo, hi, step]}:
            return Ints(lo, hi, step)
        case {"tensor": parts}:
            return Tensor(*(_rich(p, arrays) for p in parts))
        case list():
            return tuple(_rich(v, arrays) for v in value)
        case _:
            return value
