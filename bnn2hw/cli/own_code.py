"""Import classes and functions of the user's own, which a model file names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from bnn2hw.errors import InputError


def objects(modules: Iterable[str]) -> dict[str, Any]:
    """Import modules and return their public classes and functions by name.

    Args:
        modules: Names of modules that Python finds, or paths of Python files.

    Raises:
        InputError: There is no such module, or it cannot be imported.
    """
    found: dict[str, Any] = {}
    for name in modules:
        public = vars(_imported(name)).items()
        found.update((key, value) for key, value in public if callable(value) and not key.startswith("_"))
    return found


def _imported(name: str) -> ModuleType:
    path = Path(name)
    if path.suffix == ".py" and not path.exists():
        raise InputError(f"there is no file '{name}' to import")
    try:
        return _of_file(path) if path.suffix == ".py" else importlib.import_module(name)
    except Exception as error:
        raise InputError(f"'{name}' cannot be imported: {type(error).__name__}: {error}") from error


def _of_file(path: Path) -> ModuleType:
    loader = SourceFileLoader(path.stem, str(path))
    module = module_from_spec(ModuleSpec(path.stem, loader))
    sys.modules[path.stem] = module
    loader.exec_module(module)
    return module
