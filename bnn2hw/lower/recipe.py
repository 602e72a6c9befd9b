"""The options of a lowering, so that other weights can be lowered in the same way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnn2hw.lower.outputs import Output

Loadable = bool | Collection[str]
"""Layers whose memories can be written at run time: True for all, False for none, or their
names."""


@dataclass(frozen=True)
class RealNode:
    """A node of the real form, as far as another model must have the same.

    Attributes:
        name: Name of the node.
        layer: Layer that it was made from.
        kind: Class of its op.
        shape: Shape of its output.
    """

    name: str
    layer: str
    kind: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """The options by which a model was lowered.

    Attributes:
        output: Output of the design; see `bnn2hw.compile`, as for the next two.
        bits: Bits of what must be rounded.
        loadable: Layers whose memories can be written at run time.
        nodes: The nodes of the real form before any pass.
    """

    output: Output | None
    bits: int | Mapping[str, int] | None
    loadable: bool | tuple[str, ...]
    nodes: tuple[RealNode, ...]

    @property
    def loadable_layers(self) -> bool | frozenset[str]:
        """`loadable` as `to_hardware` takes it."""
        return self.loadable if isinstance(self.loadable, bool) else frozenset(self.loadable)

    def facts(self) -> list[Any]:
        """Return the recipe as plain data."""
        nodes = [[n.name, n.layer, n.kind, list(n.shape)] for n in self.nodes]
        return [self.output, self.bits, self.loadable, nodes]

    @staticmethod
    def of(facts: list[Any]) -> Recipe:
        """Return the recipe that `facts` describes."""
        output, bits, loadable, nodes = facts
        named = loadable if isinstance(loadable, bool) else tuple(loadable)
        return Recipe(output, bits, named, tuple(RealNode(n, y, kind, tuple(s)) for n, y, kind, s in nodes))
