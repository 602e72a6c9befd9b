"""Import classes and functions of the user's own, which a model file names."""

from __future__ import annotations

import ast
import contextlib
import importlib
import re
import sys
import traceback
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from bnn2hw.errors import InputError

OWN = "bnn2hw: a file of the user's"
"""Marks modules that were imported from a path, so that another file of the same name may follow."""

NAME = r"\w+(\.\w+)*"
"""Pattern of the full name of a module."""

SEARCHED: list[str] = []
"""Folders in which modules of the user's own look for each other, behind all of Python's."""

READ: dict[str, Path] = {}
"""Files beside those that were imported, which they import, by name."""


def objects(modules: Iterable[str]) -> dict[str, Any]:
    """Import modules and return their public classes and functions by name.

    Args:
        modules: Names of modules that Python finds, also in the working directory, or paths of Python
            files or of folders of packages. What modules print goes to stderr.

    Raises:
        InputError: There is no such module, or it cannot be imported.
    """
    found: dict[str, Any] = {}
    for name in modules:
        with contextlib.redirect_stdout(sys.stderr):
            public = vars(_imported(name)).items()
        found.update((key, value) for key, value in public if callable(value) and not key.startswith("_"))
    return found


def _imported(name: str) -> ModuleType:
    path = Path(name)
    try:
        if path.suffix == ".py" or not re.fullmatch(NAME, name):
            return _of_file(*_source(path))
        _search(Path.cwd())
        _check_others(_at(Path.cwd(), name)[1], Path.cwd())
        return importlib.import_module(name)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"'{name}' cannot be imported: {_told(error)}") from error


def _told(error: BaseException) -> str:
    """Return an error of the user's code in a line, with its place if the code ran."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if "no known parent package" in text:
        text += "; give the folder of the package"
    last = traceback.extract_tb(error.__traceback__)[-1]
    ran = last.filename.endswith(".py") and last.filename != __file__
    return f"{text} ({Path(last.filename).name}, line {last.lineno})" if ran else text


def _source(path: Path) -> tuple[str, Path, Path]:
    """Return the name of a module, its file, and the folder in which it looks for others.

    Raises:
        InputError: There is no such file, or the folder is no package.
    """
    whole = path.resolve()
    file = whole / "__init__.py" if whole.is_dir() else whole
    if not file.is_file():
        no_package = whole.is_dir() and f"the folder '{path}' has no file __init__.py"
        raise InputError(f"{no_package or f'there is no file {str(path)!r}'} to import")
    return whole.stem, file, whole.parent


def _search(folder: Path) -> None:
    """Let modules find others in a folder, unless Python finds them elsewhere."""
    if str(folder) not in (*sys.path, *SEARCHED):
        SEARCHED.append(str(folder))
        sys.path.append(str(folder))


def _at(folder: Path, name: str) -> tuple[str, Path | None]:
    """The outermost module or package of a full name in a folder, and its file; None if there is none."""
    parts = name.split(".")
    for i, part in enumerate(parts):
        whole = ".".join(parts[: i + 1])
        for file in (folder / part / "__init__.py", folder / f"{part}.py"):
            if file.is_file():
                return whole, file
        folder /= part  # maybe a folder of modules that is no package
    return name, None


def _check_others(file: Path | None, folder: Path) -> None:
    """Check that a file, and those beside it that it imports, get each other and no modules of the same names.

    Raises:
        InputError: Python finds a module of another folder under such a name.
    """
    for name, other in _read(file, folder, {}).items():
        loaded = sys.modules.get(name)
        places = [str(Path(p, *name.split(".")[:-1])) for p in sys.path]
        spec = loaded.__spec__ if loaded is not None else PathFinder.find_spec(name, places)
        origin = getattr(spec, "origin", None)
        _check_name(name, other, Path(origin) if origin else other)
        READ[name] = other


def _check_name(name: str, file: Path, found: Path) -> None:
    if found.resolve() != file.resolve():
        raise InputError(
            f"two modules are named '{name}', '{found}' and '{file}'; give one of them another name"
        )


def _read(file: Path | None, folder: Path, known: dict[str, Path]) -> dict[str, Path]:
    """Return the files of a folder that a file imports anywhere in its code, directly or by others, by name.

    Args:
        file: The file, or that of a package; None for no file of the folder.
        folder: The folder.
        known: Those that were found before; the result is added to it.
    """
    whole = file is not None and file.name == "__init__.py"
    for each in sorted(file.parent.rglob("*.py")) if file and whole else [file] if file else []:
        for name, other in (_at(folder, full) for full in sorted(_names(each))):
            if other is not None and name not in {*known, *sys.stdlib_module_names}:
                known[name] = other
                _read(other, folder, known)
    return known


def _names(file: Path) -> set[str]:
    """The full names that a file imports; none if it is no code, which its import tells."""
    try:
        nodes = list(ast.walk(ast.parse(file.read_bytes())))
    except (SyntaxError, ValueError):
        return set()
    found = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    absolute = [n for n in nodes if isinstance(n, ast.ImportFrom) and not n.level]
    return found | {f"{n.module}.{alias.name}" for n in absolute for alias in n.names}


def _of_file(name: str, file: Path, folder: Path) -> ModuleType:
    """Import a file under its name, under which files of Keras may refer to it.

    Raises:
        InputError: Another module has that name.
    """
    before = sys.modules.get(name)
    if before is not None and getattr(before.__spec__, "origin", None) == str(file):
        return before
    other = before is not None and getattr(before.__spec__, "loader_state", None) != OWN
    installed = PathFinder.find_spec(name, [p for p in sys.path if p not in SEARCHED])
    elsewhere = installed is not None and installed.origin != str(file)
    if other or name in sys.stdlib_module_names or (before is None and elsewhere):
        raise InputError(f"a module of Python is named '{name}' too; give '{file}' another name")
    _check_name(name, file, READ.get(name, file))
    _search(folder)
    _check_others(file, folder)
    loader = SourceFileLoader(name, str(file))
    spec = ModuleSpec(name, loader, loader_state=OWN, is_package=file.name == "__init__.py")
    if spec.submodule_search_locations is not None:
        spec.submodule_search_locations.append(str(file.parent))
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
