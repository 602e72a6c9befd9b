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

OWN = "bnn2hw: a file of the user's"
"""Marks modules that were imported from a path, so that another file of the same name may follow."""


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
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"'{name}' cannot be imported: {type(error).__name__}: {error}") from error


def _of_file(path: Path) -> ModuleType:
    """Import a file under its name, under which files of Keras may refer to it.

    Raises:
        InputError: Another module has that name.
    """
    name, before = path.stem, sys.modules.get(path.stem)
    other = before is not None and getattr(before.__spec__, "loader_state", None) != OWN
    if other or name in sys.stdlib_module_names:
        raise InputError(f"a module of Python is named '{name}' too; give '{path}' another name")
    loader = SourceFileLoader(name, str(path))
    module = module_from_spec(ModuleSpec(name, loader, loader_state=OWN))
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
