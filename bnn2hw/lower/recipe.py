"""How a model was lowered, so that other weights can be lowered in the same way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from bnn2hw.lower.outputs import Output

Loadable = bool | Collection[str]
"""Whether memories can be written at run time: all, none, or those of some layers."""


@dataclass(frozen=True)
class Recipe:
    """How a model was lowered whose weights can be replaced by those of another one.

    Attributes:
        output: see `compile`.
        bits: likewise.
        loadable: likewise, the layers by name.
        nodes: of the real form before any pass: name, layer, kind and shape.
    """

    output: Output | None
    bits: int | Mapping[str, int] | None
    loadable: bool | tuple[str, ...]
    nodes: tuple[tuple[str, str, str, tuple[int, ...]], ...]

    @property
    def loadable_layers(self) -> bool | frozenset[str]:
        """`loadable` as lowering takes it."""
        return self.loadable if isinstance(self.loadable, bool) else frozenset(self.loadable)

    def facts(self) -> list[Any]:
        """As plain data."""
        return [self.output, self.bits, self.loadable, self.nodes]

    @staticmethod
    def of(facts: list[Any]) -> Recipe:
        """The inverse of `facts`."""
        output, bits, loadable, nodes = facts
        named = loadable if isinstance(loadable, bool) else tuple(loadable)
        return Recipe(output, bits, named, tuple((n, y, k, tuple(shape)) for n, y, k, shape in nodes))
