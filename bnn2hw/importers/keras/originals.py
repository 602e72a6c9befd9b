"""Models of other packages on Keras, as these packages themselves compute them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import keras

from bnn2hw.importers.keras import preflight
from bnn2hw.importers.keras.calls import Layer

Load = Callable[[], Any]
"""Returns a model of the package's own layers."""

BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


@dataclass(frozen=True)
class Package:
    """A package of layers that bnn2hw reads without it.

    Attributes:
        name: Its name in words.
        module: The module that defines its layers.
        ours: Beginning of the names of the modules that have its layers here.
        distributions: Names under which it is installed.
    """

    name: str
    module: str
    ours: str
    distributions: tuple[str, ...]

    @property
    def installed(self) -> str | None:
        """The distribution that is installed; None if there is none."""
        return next((d for d in self.distributions if list(metadata.Distribution.discover(name=d))), None)


PACKAGES = (
    Package("HGQ2", "hgq", "bnn2hw.nn.hgq_", ("HGQ2",)),
    Package("QKeras", "qkeras", "bnn2hw.nn.qkeras_", ("qkeras-v3",)),
)


def package_of(model: Layer) -> Package | None:
    """Return the package whose layers a model has, as they are read here; None for Keras's and our own.

    Args:
        model: A model as it was read.
    """
    modules = {type(layer).__module__ for layer in model._flatten_layers()}
    return next((p for p in PACKAGES if any(m.startswith(p.ours) for m in modules)), None)


def runs_on() -> dict[str, str]:
    """Return the packages that compute layers of Keras, with their names in words."""
    backend = keras.config.backend()
    return {"keras": "Keras", backend: BACKENDS.get(backend, backend)}


def in_file(path: Path, package: Package) -> Load:
    """Return a function that reads a file with the package that wrote it.

    Args:
        path: A file of Keras 3 that could be read here.
        package: The package, which is installed.
    """

    def load() -> Any:
        import_module(package.module)  # registers its layers with Keras
        with preflight.no_more_than(preflight.check(path)):
            return keras.saving.load_model(path, compile=False)

    return load
