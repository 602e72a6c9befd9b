"""A model as every importer returns it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bnn2hw.ir import Graph
from bnn2hw.ops.source import Input


@dataclass(frozen=True)
class Imported:
    """A model as a graph of ops over real numbers.

    Attributes:
        graph: The model in real form (see `bnn2hw.ops.real`). Its sources are the inputs of the
            model. Every node names the layer that it was made from.
        inputs: Integers on the wire and their real meaning, by source, if the model itself states
            them: a leading Rescaling layer of Keras does.
        name: Name of the model.
    """

    graph: Graph
    inputs: Mapping[str, Input]
    name: str
