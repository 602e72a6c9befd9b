"""The quantized Keras layer set: Larq's names and meanings on Keras 3.

``import bnn2hw.nn as lq`` is the whole migration from ``import larq as lq``.
"""

from bnn2hw import __version__
from bnn2hw.nn import (
    activations,
    callbacks,
    constraints,
    context,
    layers,
    math,
    metrics,
    models,
    optimizers,
    quantized_variable,
    quantizers,
    utils,
    zoo,
)

__all__ = [
    "__version__",
    "activations",
    "callbacks",
    "constraints",
    "context",
    "layers",
    "math",
    "metrics",
    "models",
    "optimizers",
    "quantized_variable",
    "quantizers",
    "utils",
    "zoo",
]
