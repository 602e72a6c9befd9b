"""The quantized Keras layer set: Larq's names and meanings on Keras 3.

``import bnn2hw.nn as lq`` is the whole migration from ``import larq as lq``.
"""

import keras

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
from bnn2hw.version import __version__

if keras.backend.backend() == "tensorflow":
    import bnn2hw.nn.tf_variable  # noqa: F401  (its import lets TensorFlow's own variables be wrapped)

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
