"""The number of bits for everything that must be rounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bnn2hw.errors import InputError

FEWEST_BITS, MOST_BITS = 2, 32


@dataclass(frozen=True)
class Precision:
    """Bits of values that must be rounded.

    Attributes:
        kernels: Bits of real-valued kernels.
        streams: Bits of real-valued activations.
        scores: Bits of the range of each score; None for the default.
        layers: Bits of all of them by layer, for layers that differ.
    """

    kernels: int = 18
    streams: int = 24
    scores: int | None = None
    layers: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def of(bits: int | Mapping[str, int] | None) -> Precision:
        """Return the precision that a user asks for.

        Args:
            bits: One number for everything, numbers by layer, or None for the defaults.

        Raises:
            InputError: A number of bits is below 2 or above 32.
        """
        if bits is None:
            return Precision()
        if isinstance(bits, Mapping):
            chosen = Precision(layers={layer: int(count) for layer, count in bits.items()})
        else:
            chosen = Precision(int(bits), int(bits), int(bits))
        for count in (chosen.kernels, chosen.streams, *chosen.layers.values()):
            if not FEWEST_BITS <= count <= MOST_BITS:
                raise InputError(f"bits must be from {FEWEST_BITS} to {MOST_BITS}, not {count}")
        return chosen

    def of_kernel(self, layer: str) -> int:
        """Return the bits of a layer's kernel."""
        return self.layers.get(layer, self.kernels)

    def least(self, layer: str, most: int) -> int:
        """Return the fewest bits that a layer's values have, or `most` if it is less."""
        return min(self.of_kernel(layer), self.of_stream(layer), most)

    def of_stream(self, layer: str) -> int:
        """Return the bits of a layer's output."""
        return self.layers.get(layer, self.streams)

    def of_scores(self, layer: str) -> int | None:
        """Return the bits that a user asks for the scores of a layer, if any."""
        return self.layers.get(layer, self.scores)
