"""Find the layers of a graph that was written without them, as in format 1 of the build folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from bnn2hw.ir import Graph

NOT_ROUNDED = ("exact", "nothing in it is rounded")
"""Fidelity of a layer that format 1 does not list: it lists every layer that is rounded."""


def with_layers(
    graph: Graph, fidelity: Mapping[str, tuple[str, str]]
) -> tuple[Graph, dict[str, tuple[str, str]]]:
    """Return a graph whose nodes name their layers, and the fidelity of all of these layers.

    Args:
        graph: A graph without layers.
        fidelity: Kind and reason of the known layers, by layer.
    """
    layers = {n.name: _layer(n.name, fidelity) if n.inputs else n.name for n in graph}
    made = Graph(tuple(replace(n, layer=layers[n.name]) for n in graph), graph.outputs)
    return made, {**dict.fromkeys(layers.values(), NOT_ROUNDED), **fidelity}


def _layer(name: str, known: Iterable[str]) -> str:
    """The longest known layer that a node's name begins with, else the name up to its first dot or number."""
    fitting = [layer for layer in known if name == layer or name.startswith((f"{layer}.", f"{layer}#"))]
    return max(fitting, key=len, default=re.split(r"[.#]", name)[0] or name)
