"""Settings that must hold before TensorFlow is imported, and fixtures for all tests."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The arrays of the tests are small, and the tests themselves run in parallel.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
# Without oneDNN, which TensorFlow leaves out on some processors, it has no dilated transposed convolutions.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Tests of the compiler compile, whatever was compiled before.
os.environ.setdefault("BNN2HW_MODEL_CACHE", "off")
# Tests read whole tables.
os.environ.pop("COLUMNS", None)

import numpy as np
import pytest

if TYPE_CHECKING:
    from bnn2hw import tools

# TensorFlow, Keras and the tests are a million objects that stay. To look through them for garbage again and again
# took a fifth of the time of a run.
gc.set_threshold(50_000, 20, 20)

OF_GOLDEN = {"folding", "importers", "lower", "studies"}
"""Rooms in whose tests results come from golden. Native code gives equal ones (tests/native), but to compile it for
each network would take longer than all else."""

LONGEST = {"test_notebooks.py", "test_packaging.py", "test_readme.py"}
"""Files whose tests run for a minute, most of it in other processes."""

STATES: dict[str, object] = {}
"""By module of tests, the state of its generator `RNG` after the import."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that no worker is left with one of them when the others are done."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish() -> None:
    """Take what collection left out of the search for garbage."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _draws_of_its_own(request: pytest.FixtureRequest) -> None:
    """Let each test draw the same numbers in whatever order the tests run."""
    rng = getattr(request.module, "RNG", None)
    if isinstance(rng, np.random.Generator):
        bits = rng.bit_generator
        bits.state = STATES.setdefault(request.module.__name__, bits.state)


@pytest.fixture(autouse=True)
def _results_of_golden(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compute results as on a machine without a C++ compiler, except in the long runs."""
    if not OF_GOLDEN.intersection(request.path.parts) or request.node.get_closest_marker("soak"):
        yield
        return
    from bnn2hw.errors import MissingToolError
    from bnn2hw.native import library

    def network(*_: object) -> NoReturn:
        raise MissingToolError("these tests compile no native code")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "network", network)
        yield


@pytest.fixture
def quick_emulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile emulators without optimization, which takes a third of the time, except in the long runs.

    tests/simulation/test_hls_network.py compiles them as users do.
    """
    from bnn2hw.simulation import hls_csim

    if not request.node.get_closest_marker("soak"):
        flags = ("-O0" if flag == "-O3" else flag for flag in hls_csim.EMULATOR_FLAGS)
        monkeypatch.setattr(hls_csim, "EMULATOR_FLAGS", tuple(flags))


@pytest.fixture(scope="session")
def yosys() -> tools.Tool:
    """Yosys, for tests that cannot run without it."""
    from bnn2hw import tools  # the training side is tested where the compiler is not installed
    from tests.support.machine import found_or_skip

    return found_or_skip(tools.yosys)


@pytest.fixture(scope="session")
def abc() -> tools.Tool:
    """ABC, for tests that cannot run without it."""
    from bnn2hw import tools
    from tests.support.machine import found_or_skip

    return found_or_skip(tools.abc)
