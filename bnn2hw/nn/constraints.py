# mypy: allow-subclassing-any, allow-untyped-decorators
"""Constraints, which Keras applies to weights after each update."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bnn2hw.nn import utils


@utils.register_keras_custom_object
class WeightClip(keras.constraints.Constraint):
    r"""Keep weights within \\([-c, c]\\).

    A latent weight beyond the clip value of its quantizer gets no gradient, so it would stay there
    for ever. This constraint keeps it in the range that has a gradient.

    Args:
        clip_value: The bound c.
    """

    def __init__(self, clip_value: float = 1) -> None:
        self.clip_value = clip_value

    def __call__(self, w: Any) -> Any:
        """Return the clipped weights."""
        return ops.clip(w, -self.clip_value, self.clip_value)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of an equal constraint."""
        return {"clip_value": self.clip_value}


@utils.register_keras_custom_object
class weight_clip(WeightClip):  # noqa: N801
    """`WeightClip` under the name that users write as a string: ``kernel_constraint="weight_clip"``."""


def get(identifier: Any) -> Any:
    """Return the constraint that an identifier refers to.

    Args:
        identifier: None, a name of a constraint of Keras or of this package, or a constraint.

    Raises:
        ValueError: The name is unknown.
    """
    return keras.constraints.get(utils.find_registered(identifier))


utils.teach_keras("constraints", {"weight_clip": weight_clip, "WeightClip": WeightClip})
