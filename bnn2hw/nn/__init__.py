"""Quantized layers, quantizers and optimizers for Keras 3, with the names and the meaning of Larq.

To migrate from Larq, replace ``import larq as lq`` by ``import bnn2hw.nn as lq``.
"""

from bnn2hw import frameworks

keras = frameworks.load(
    "keras"
)  # before the modules below import it, so that its backend starts without noise

from bnn2hw.nn import (  # noqa: E402
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
from bnn2hw.version import __version__  # noqa: E402

if keras.backend.backend() == "tensorflow":
    import bnn2hw.nn.tf_variable  # noqa: F401  (importing it registers the wrapper of TensorFlow's variables)

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
