"""Write and read build folders: sources, the graph, and a manifest with the hash of every file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bnn2hw import exchange, untrusted
from bnn2hw.artifacts.graph_json import FORMAT, RENAMES, graph_from_json, graph_to_json
from bnn2hw.artifacts.layers import with_layers
from bnn2hw.artifacts.manifest import Manifest
from bnn2hw.backends.text import CODE, bare
from bnn2hw.errors import InputError, storing
from bnn2hw.folders import GENERATOR, MANIFEST, ours, replacing, sha256
from bnn2hw.ir import Array, Graph
from bnn2hw.untrusted import DAMAGED


class CorruptError(InputError):
    """The files of a build folder are not those that its manifest lists."""


GRAPH, ARRAYS = "graph.json", "graph.npz"

IDENTITY = ("name", "backend", "device", "options", "input_specs", "board")
"""Facts by which designs of equal graphs differ in their reports."""


def write(folder: Path, texts: Mapping[str, str], graph: Graph, manifest: Manifest) -> None:
    """Write a build folder. All files of an earlier one are replaced, or none; files of others stay.

    Args:
        folder: Folder to write. Its parents are made.
        texts: Contents of further files by relative path.
        graph: Streamed graph.
        manifest: Facts about the accelerator.

    Raises:
        InputError: The folder holds files but is no build folder, or files of others are in the way.
        StorageError: The folder cannot be written.
    """
    with replacing(folder) as work:
        for name, text in texts.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text, encoding="utf-8")
        data, arrays = graph_to_json(graph)
        (work / GRAPH).write_text(json.dumps(data, indent=1) + "\n")
        _write_arrays(work / ARRAYS, arrays)
        files = {str(p.relative_to(work)): sha256(p) for p in sorted(work.rglob("*")) if p.is_file()}
        facts = {"generator": GENERATOR, "format": FORMAT, **manifest.plain(), "files": files}
        (work / MANIFEST).write_text(json.dumps(facts, indent=1) + "\n")


def _write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write named arrays without pickling any."""
    np.savez_compressed(path, allow_pickle=False, **dict(arrays))


def read(folder: Path) -> tuple[Graph, Manifest]:
    """Read the graph and the manifest of a build folder.

    Raises:
        InputError: bnn2hw did not write the folder, its format is unknown, or a file has changed
            since.
    """
    with storing(folder, "read"), exchange.locked(folder, shared=True):
        graph, manifest = _read(folder)
    return _with_layers(graph, manifest)


def _read(folder: Path) -> tuple[Graph, Manifest]:
    """Read the graph and the manifest of a folder that nobody changes."""
    if not folder.exists():
        raise InputError(f"there is no folder '{folder}'; compile a model into it first")
    if not ours(folder):
        raise InputError(
            f"'{folder}' is not a build folder of bnn2hw: it has no {MANIFEST} that bnn2hw wrote"
        )
    facts = json.loads((folder / MANIFEST).read_text())
    version = facts.get("format")
    if not isinstance(version, int) or version not in RENAMES:
        known = " or ".join(map(str, sorted(RENAMES)))
        raise InputError(f"'{folder}' has format {version}, expected {known}; compile the model again")
    try:
        _check_files(folder, facts)
        graph = _read_graph(folder, version)
        return graph, Manifest.from_plain(facts)
    except CorruptError:
        raise
    except DAMAGED as error:
        raise InputError(
            f"the build folder '{folder}' cannot be read: {_words(error)}; compile the model again"
        ) from error


def holds(folder: Path, graph: Graph, manifest: Manifest) -> bool:
    """True if a folder that nobody changes holds a design, and no other one that was written since.

    Args:
        folder: The folder.
        graph: Graph of the design.
        manifest: Facts about the design.
    """
    try:
        facts = json.loads((folder / MANIFEST).read_text())
        there, other = _with_layers(_read_graph(folder, facts["format"]), Manifest.from_plain(facts))
    except DAMAGED:
        return False
    same_facts = all(getattr(manifest, fact) == getattr(other, fact) for fact in IDENTITY)
    return same_facts and _contents(there) == _contents(graph)


def _contents(graph: Graph) -> tuple[str, dict[str, tuple[str, bytes]]]:
    """Return all of a graph as values that can be compared."""
    data, arrays = graph_to_json(graph)
    return json.dumps(data), {name: (str(a.dtype), a.tobytes()) for name, a in arrays.items()}


def _with_layers(graph: Graph, manifest: Manifest) -> tuple[Graph, Manifest]:
    """Add the layers that format 1 does not have."""
    if all(node.layer for node in graph):
        return graph, manifest
    graph, fidelity = with_layers(graph, manifest.fidelity)
    return graph, replace(manifest, fidelity=fidelity)


def _words(error: Exception) -> str:
    """Describe an error; a KeyError's own text is the key alone."""
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _check_files(folder: Path, facts: Mapping[str, Any]) -> None:
    """Compare the files of a folder with the hashes in its manifest.

    Raises:
        CorruptError: A file is missing, has changed, or lies elsewhere.
    """
    for name, digest in dict(facts.get("files", {})).items():
        path = folder / name
        if not exchange.inside(folder, name):
            raise CorruptError(
                f"the build folder '{folder}' is corrupt: it lists '{name}', outside of it; compile the model again"
            )
        if not path.is_file() or sha256(path) != digest:
            state = "has changed" if path.is_file() else "is missing"
            raise CorruptError(
                f"the build folder '{folder}' is corrupt: {name} {state}; compile the model again"
            )


def _read_graph(folder: Path, version: int) -> Graph:
    """Read the graph of a folder of some format."""
    for name in (GRAPH, ARRAYS):
        untrusted.regular(folder / name)
    with zipfile.ZipFile(folder / ARRAYS) as archive:
        untrusted.members(archive)
    with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
        data = untrusted.parsed((folder / GRAPH).read_bytes(), GRAPH)
        graph = graph_from_json(data, arrays, version)
    for node in graph:
        for name in (node.name, node.layer):
            untrusted.name(name, "a node")
        if graph.types[node.name].size > untrusted.VALUES:
            raise InputError(
                f"the stream '{node.name}' has {graph.types[node.name].size:,} values in a frame"
            )
    return graph


def changed_sources(folder: Path, sources: Mapping[str, str]) -> list[str]:
    """Return the names of the sources in a folder that differ from today's in more than comments.

    Args:
        folder: A build folder.
        sources: Contents of today's sources by relative path.
    """

    def code(name: str, text: str) -> str:
        return bare(text) if name.endswith(CODE) else text

    def written(name: str) -> str:
        return (folder / name).read_text() if (folder / name).is_file() else ""

    return [n for n, text in sources.items() if code(n, written(n)) != code(n, text)]
