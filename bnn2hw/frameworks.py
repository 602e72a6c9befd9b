"""Import large frameworks without their noise on standard error."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from bnn2hw.errors import MissingToolError

log = logging.getLogger("bnn2hw")

BACKENDS = ("tensorflow", "jax", "torch")
"""Packages on which Keras runs, the preferred one first."""


def load(module: str) -> ModuleType:
    """Import a module that may import a framework.

    Args:
        module: Dotted name of the module.

    Raises:
        MissingToolError: A framework is not installed, or does not start.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    choose_backend()
    try:
        with quiet():
            return importlib.import_module(module)
    except (ImportError, ValueError, RuntimeError) as error:
        backend = os.environ.get("KERAS_BACKEND")
        chosen = f" with KERAS_BACKEND={backend}" if backend else ""
        raise MissingToolError(
            f"Keras and its backend are needed to read models and do not start{chosen}: {error}; "
            f"{'unset KERAS_BACKEND, or ' if backend else ''}install them with 'pip install keras tensorflow-cpu' "
            "(or jax, or torch)"
        ) from error


def installed_backends() -> list[str]:
    """Return the packages on which Keras could run here."""
    return [name for name in BACKENDS if importlib.util.find_spec(name)]


def backend() -> str:
    """Return the package on which Keras runs, or would run if it were imported now."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        return str(keras.config.backend())
    name = os.environ.get("KERAS_BACKEND")
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    with suppress(OSError, ValueError, TypeError, KeyError):
        name = name or str(json.loads(Path(home, "keras.json").expanduser().read_text())["backend"])
    return name or BACKENDS[0]


def choose_backend() -> None:
    """Let Keras run on an installed package if it would start with one that is missing.

    A choice in the environment, or a Keras that runs already, stays.
    """
    found = installed_backends()
    if "keras" in sys.modules or os.environ.get("KERAS_BACKEND") or not found or backend() in found:
        return
    os.environ["KERAS_BACKEND"] = found[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the process from writing to standard error. What it writes goes to the logger "bnn2hw".

    TensorFlow writes there from C++ while it is imported, whatever its settings are.
    """
    try:
        file, kept = tempfile.TemporaryFile(), os.dup(2)  # noqa: SIM115 - closed below
    except OSError:  # no standard error, or no room for a file
        yield
        return
    with file:
        sys.stderr.flush()
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            log.debug("%s", file.read().decode(errors="replace"))
