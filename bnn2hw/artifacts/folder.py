"""Accelerators on disk: a folder with sources, the graph and a manifest with the hash of every file."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from bnn2hw.errors import Bnn2hwError, InputError
from bnn2hw.ir import Array, Graph, Ints, Node, Op, Tensor, View
from bnn2hw.ops import HARDWARE_OPS, Source

MANIFEST = "manifest.json"
GENERATOR = "bnn2hw"
FORMAT = 1

OPS: dict[str, type[Op]] = {"Source": Source, "View": View, **{op.__name__: op for op in HARDWARE_OPS}}


def graph_to_json(graph: Graph) -> tuple[dict[str, Any], dict[str, Array]]:
    """A hardware graph as plain data, and its arrays by the names under which the data refers to them."""
    arrays: dict[str, Array] = {}
    nodes = [
        {
            "name": node.name,
            "op": type(node.op).__name__,
            "inputs": list(node.inputs),
            "fields": {f.name: _plain(getattr(node.op, f.name), arrays) for f in fields(node.op)},
        }
        for node in graph
    ]
    return {"nodes": nodes, "outputs": list(graph.outputs)}, arrays


def graph_from_json(data: Mapping[str, Any], arrays: Mapping[str, Array]) -> Graph:
    """The inverse of `graph_to_json`."""
    nodes = [
        Node(
            n["name"],
            OPS[n["op"]](**{k: _rich(v, arrays) for k, v in n["fields"].items()}),
            tuple(n["inputs"]),
        )
        for n in data["nodes"]
    ]
    return Graph(tuple(nodes), tuple(data["outputs"]))


def _plain(value: Any, arrays: dict[str, Array]) -> Any:
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


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `folder` when all went well, and vanishes otherwise.

    Raises:
        InputError: `folder` exists and was not written by bnn2hw.
    """
    folder = folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"'{folder}' is a file; name a folder to write into")
    if folder.exists() and any(folder.iterdir()) and not _ours(folder):
        raise InputError(
            f"the folder '{folder}' is not empty and was not written by bnn2hw; name another or empty it"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        temporary.chmod(0o755)
        yield temporary
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _ours(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / MANIFEST).read_text())["generator"] == GENERATOR)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write(folder: Path, texts: Mapping[str, str], graph: Graph, facts: Mapping[str, Any]) -> None:
    """Write texts by relative path, the graph, and the manifest.

    Raises:
        InputError: the folder holds something else.
    """
    with replacing(folder) as work:
        for name, text in texts.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text)
        data, arrays = graph_to_json(graph)
        (work / "graph.json").write_text(json.dumps(data, indent=1) + "\n")
        _write_arrays(work / "graph.npz", arrays)
        hashes = {str(p.relative_to(work)): _sha256(p) for p in sorted(work.rglob("*")) if p.is_file()}
        manifest = {"generator": GENERATOR, "format": FORMAT, **facts, "files": hashes}
        (work / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def _write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    # Any name may stand for an array here, and none is pickled.
    np.savez_compressed(path, allow_pickle=False, **dict(arrays))


def read(folder: Path) -> tuple[Graph, dict[str, Any]]:
    """The graph and the manifest of a folder.

    Raises:
        InputError: it is not a folder that bnn2hw wrote, was written by another format, or has changed since.
    """
    if not _ours(folder):
        raise InputError(f"'{folder}' is not a build folder of bnn2hw: it has no {MANIFEST} of ours")
    manifest = json.loads((folder / MANIFEST).read_text())
    if manifest.get("format") != FORMAT:
        raise InputError(
            f"'{folder}' has format {manifest.get('format')}, expected {FORMAT}; compile the model again"
        )
    for name, digest in manifest["files"].items():
        path = folder / name
        if not path.is_file() or _sha256(path) != digest:
            state = "is missing" if not path.is_file() else "has changed"
            raise InputError(
                f"the build folder '{folder}' is corrupt: {name} {state}; compile the model again"
            )
    try:
        with np.load(folder / "graph.npz", allow_pickle=False) as arrays:
            graph = graph_from_json(json.loads((folder / "graph.json").read_text()), arrays)
    except (OSError, ValueError, KeyError, TypeError, Bnn2hwError) as error:
        raise InputError(
            f"the build folder '{folder}' cannot be read: {error}; compile the model again"
        ) from error
    return graph, manifest


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
