"""Activations: Larq's two, and every quantizer by its name."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bnn2hw.nn import utils

hard_tanh = keras.activations.hard_tanh
"""Clip to [-1, 1]. This is Keras's own activation. Its gradient is 1 inside the interval and 0 outside."""

utils.register_alias("hard_tanh")(hard_tanh)


@utils.register_alias("leaky_tanh")
def leaky_tanh(x: Any, alpha: float = 0.2) -> Any:
    r"""Clip to [-1, 1], with a slope outside the interval.

    \\[ \sigma(x) = \mathrm{clip}(x, -1, 1) + \alpha (\max(x, 1) - 1) + \alpha (\min(x, -1) + 1) \\]

    Args:
        x: A tensor of any shape.
        alpha: Slope outside [-1, 1].

    Returns:
        A tensor with the shape and dtype of ``x``. The gradient is 1 inside the interval and
        ``alpha`` outside.
    """
    return ops.clip(x, -1, 1) + (ops.maximum(x, 1) - 1) * alpha + (ops.minimum(x, -1) + 1) * alpha


def get(identifier: Any) -> Any:
    """Return the activation that an identifier refers to.

    Args:
        identifier: None, a callable, or a name: of an activation of Keras or of this package, or of
            a quantizer.

    Raises:
        ValueError: The name is unknown.
    """
    return keras.activations.get(utils.find_registered(identifier))


utils.teach_keras("activations", {"leaky_tanh": leaky_tanh})
