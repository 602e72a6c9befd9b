"""Tools that some tests need.

A test that misses a tool is skipped and says why. In continuous integration (the environment variable CI is "true") it
fails instead, because a skipped test there would never run anywhere.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NoReturn, TypeVar

import pytest

T = TypeVar("T")


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it in continuous integration.

    Args:
        what: Sentence that says what the machine does not have.
    """
    if os.environ.get("CI") == "true":
        pytest.fail(what, pytrace=False)
    pytest.skip(what, allow_module_level=True)


def tool_or_skip(*names: str) -> str:
    """Return the path of the first of some programs that is installed, in the PATH or next to Python."""
    for name in names:
        found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
        if found:
            return found
    missing(f"{' or '.join(names)} is not installed")


def package_or_skip(name: str) -> ModuleType:
    """Return a Python module that the package itself can do without."""
    try:
        return importlib.import_module(name)
    except ImportError:
        missing(f"the Python package {name} is not installed")


def found_or_skip(find: Callable[[], T]) -> T:
    """Return what a finder of `bnn2hw.tools` finds."""
    from bnn2hw.errors import (
        MissingToolError,  # the training side is tested where the compiler is not installed
    )

    try:
        return find()
    except MissingToolError as error:
        missing(str(error))
