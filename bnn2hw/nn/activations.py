"""Activations: the two of Larq, and any quantizer by its name."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bnn2hw.nn import utils

hard_tanh = keras.activations.hard_tanh
"""Clip to [-1, 1]: Keras has this activation itself. The gradient is 1 inside, 0 outside; 0 gives 0."""

utils.register_alias("hard_tanh")(hard_tanh)


@utils.register_alias("leaky_tanh")
def leaky_tanh(x: Any, alpha: float = 0.2) -> Any:
    r"""Clip to [-1, 1], with a slope outside.

    \\[ \sigma(x) = \mathrm{clip}(x, -1, 1) + \alpha (\max(x, 1) - 1) + \alpha (\min(x, -1) + 1) \\]

    Args:
        x: A tensor of any shape.
        alpha: Slope outside of [-1, 1].

    Returns:
        A tensor like ``x``; 0 gives 0. The gradient is 1 inside, ``alpha`` outside.
    """
    return ops.clip(x, -1, 1) + (ops.maximum(x, 1) - 1) * alpha + (ops.minimum(x, -1) + 1) * alpha


def get(identifier: Any) -> Any:
    """Return the activation that an argument means.

    Args:
        identifier: None, a name of Keras's activations, of ours or of a quantizer, or a callable.

    Raises:
        ValueError: The identifier means nothing.
    """
    return keras.activations.get(utils.find_registered(identifier))


utils.teach_keras("activations", {"leaky_tanh": leaky_tanh})
