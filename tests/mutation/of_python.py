"""Tests that try a mutant of a module of Python: those that call the changed function."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.mutation import reach
from tests.mutation.mutant import ROOT, Mutant
from tests.mutation.trial import FAILED, KILLED, SURVIVED, UNTESTED

FEW, MOST = 8, 24
"""Tests that are tried at once, and those that follow if the mutant survives them."""


@cache
def _reach() -> reach.Reach:
    return reach.Reach.read()


def prepare() -> None:
    """Import the packages that the tests need, before the processes of trials are forked."""
    import h5py  # noqa: F401
    import hypothesis  # noqa: F401
    import keras  # noqa: F401
    import scipy.optimize  # noqa: F401

    _reach()


@dataclass(frozen=True)
class _Finder:
    """Finds the changed module in place of that on disk."""

    mutant: Mutant

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the specification of the changed module; None for others."""
        file = ROOT / self.mutant.file
        module = self.mutant.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        if name != module:
            return None
        folders = [str(file.parent)] if file.name == "__init__.py" else None
        loader = _Loader(name, str(file), self.mutant.text)
        return importlib.util.spec_from_file_location(
            name, file, loader=loader, submodule_search_locations=folders
        )


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a text in place of a file, and keeps no compiled code."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self.text = text

    def path_stats(self, path: str) -> dict[str, float]:
        """Refuse to say how old the file is, so that no compiled code is looked for."""
        raise OSError(f"{path} is changed")

    def get_data(self, path: str) -> bytes:
        """Return the changed text."""
        return self.text.encode() if Path(path) == Path(self.path) else super().get_data(path)


def change(mutant: Mutant) -> None:
    """Forget the package, and put a mutant in the place of its module, in this process."""
    for name in list(sys.modules):
        if name.partition(".")[0] in ("bnn2hw", "tests") and not name.startswith("tests.mutation"):
            del sys.modules[name]
    sys.meta_path.insert(0, _Finder(mutant))


def tests_of(mutant: Mutant) -> tuple[str, ...]:
    """Return the tests that call the changed function, fast ones first; those of the file outside of functions."""
    tests = _reach().tests
    if mutant.scope:
        return tests.get(reach.key(mutant.file, mutant.scope), ())
    return tuple(
        dict.fromkeys(t for name, found in tests.items() if name.startswith(mutant.file) for t in found)
    )


def tried(mutant: Mutant) -> tuple[str, str]:
    """Try a mutant on the tests that call the changed function, in this process."""
    found = tests_of(mutant)
    if not found:
        return UNTESTED, ""
    change(mutant)
    os.chdir(ROOT)
    rest = found[FEW:]
    spread = rest[:: max(1, len(rest) // MOST)]
    ended = pytest.main(
        ["-x", "-q", "-n0", "-p", "no:cacheprovider", "--tb=line", "--no-header", *found[:FEW], *spread]
    )
    if ended in (pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.USAGE_ERROR):
        return FAILED, f"pytest ended with {ended!r}"
    return (SURVIVED if ended == pytest.ExitCode.OK else KILLED), ""
