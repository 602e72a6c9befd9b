"""Find the layers of a graph that was written without them, as in format 1 of the build folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from bnn2hw.ir import Graph
from bnn2hw.lower.fidelity import Fidelity

NOT_ROUNDED = Fidelity("exact", "nothing in it is rounded")
"""Fidelity of layers that format 1 does not list. It lists every layer that is rounded."""


def with_layers(graph: Graph, fidelity: Mapping[str, Fidelity]) -> tuple[Graph, dict[str, Fidelity]]:
    """Return a graph whose nodes name their layers, and the fidelity of all of these layers.

    Args:
        graph: A graph without layers.
        fidelity: Fidelity of the known layers.
    """
    layers = {n.name: _layer(n.name, fidelity) if n.inputs else n.name for n in graph}
    made = Graph(tuple(replace(n, layer=layers[n.name]) for n in graph), graph.outputs)
    return made, {**dict.fromkeys(layers.values(), NOT_ROUNDED), **fidelity}


def _layer(name: str, known: Iterable[str]) -> str:
    """Return the longest known layer that the name of a node begins with.

    If there is none, return the name up to its first dot or number sign.
    """
    fitting = [layer for layer in known if name == layer or name.startswith((f"{layer}.", f"{layer}#"))]
    return max(fitting, key=len, default=re.split(r"[.#]", name)[0] or name)
