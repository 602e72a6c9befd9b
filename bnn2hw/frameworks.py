"""Import large frameworks without their noise on standard error."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from bnn2hw.errors import MissingToolError

log = logging.getLogger("bnn2hw")


def load(module: str) -> ModuleType:
    """Import a module that may import a framework.

    Args:
        module: Dotted name of the module.

    Raises:
        MissingToolError: A framework is not installed, or does not start.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with quiet():
            return importlib.import_module(module)
    except (ImportError, ValueError, RuntimeError) as error:
        backend = os.environ.get("KERAS_BACKEND")
        chosen = f" with KERAS_BACKEND={backend}" if backend else ""
        raise MissingToolError(
            f"Keras and its backend are needed to read models and do not start{chosen}: {error}; "
            f"{'unset KERAS_BACKEND, or ' if backend else ''}install them with 'pip install keras tensorflow-cpu'"
        ) from error


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
