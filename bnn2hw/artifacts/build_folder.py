"""Accelerators on disk: a folder with sources, the graph and a manifest with the hash of every file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bnn2hw.artifacts.graph_json import FORMAT, RENAMES, graph_from_json, graph_to_json
from bnn2hw.artifacts.layers import with_layers
from bnn2hw.errors import Bnn2hwError, InputError
from bnn2hw.folders import GENERATOR, MANIFEST, ours, replacing
from bnn2hw.ir import Array, Graph


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
    if not ours(folder):
        raise InputError(f"'{folder}' is not a build folder of bnn2hw: it has no {MANIFEST} of ours")
    manifest = json.loads((folder / MANIFEST).read_text())
    version = manifest.get("format")
    if version not in RENAMES:
        known = " or ".join(map(str, sorted(RENAMES)))
        raise InputError(f"'{folder}' has format {version}, expected {known}; compile the model again")
    for name, digest in manifest["files"].items():
        path = folder / name
        if not path.is_file() or _sha256(path) != digest:
            state = "is missing" if not path.is_file() else "has changed"
            raise InputError(
                f"the build folder '{folder}' is corrupt: {name} {state}; compile the model again"
            )
    try:
        with np.load(folder / "graph.npz", allow_pickle=False) as arrays:
            graph = graph_from_json(json.loads((folder / "graph.json").read_text()), arrays, version)
    except (OSError, ValueError, KeyError, TypeError, Bnn2hwError) as error:
        raise InputError(
            f"the build folder '{folder}' cannot be read: {error}; compile the model again"
        ) from error
    if not all(node.layer for node in graph):  # as in format 1
        graph, manifest["fidelity"] = with_layers(graph, manifest["fidelity"])
    return graph, manifest


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
