"""State how faithful each layer of the hardware is to the layer of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Fidelity:
    """The relation of a layer of the hardware to the layer of the model.

    Attributes:
        kind: "exact" if the layer returns the same outputs as the model for all inputs that it can get.
            "rounded" if it computes in fixed point, or if float32 rounding inside the model can change
            a decision. Then `Accelerator.deviation` measures by how much and how often.
        why: The reason, in words.
    """

    kind: Literal["exact", "rounded"]
    why: str


INTEGERS = Fidelity("exact", "integers throughout")
"""The layer computes with integers in Keras and in the hardware."""

SAFE = Fidelity("exact", "no float32 rounding of the real input reaches a threshold")
"""The model rounds the sums of the layer, but never across a threshold."""

UNSAFE = Fidelity("rounded", "float32 rounding in the model can tip decisions at a threshold")
"""The model rounds the sums of the layer, and for some inputs the rounding crosses a threshold."""
