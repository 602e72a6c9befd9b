"""Settings that must hold before TensorFlow is imported, and fixtures for all tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

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

STATES: dict[str, object] = {}
"""By module of tests, the state of its generator `RNG` after the import."""


@pytest.fixture(autouse=True)
def _draws_of_its_own(request: pytest.FixtureRequest) -> None:
    """Let each test draw the same numbers in whatever order the tests run."""
    rng = getattr(request.module, "RNG", None)
    if isinstance(rng, np.random.Generator):
        bits = rng.bit_generator
        bits.state = STATES.setdefault(request.module.__name__, bits.state)


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
