"""Settings that must stand before TensorFlow is imported, and what a machine must have for some tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

if TYPE_CHECKING:
    from bnn2hw import tools


@pytest.fixture(scope="session")
def yosys() -> tools.Tool:
    """Yosys; a test that needs it is skipped where there is none."""
    from bnn2hw import tools  # the training side is tested where what the compiler needs is not installed
    from bnn2hw.errors import MissingToolError

    try:
        return tools.yosys()
    except MissingToolError as error:
        pytest.skip(str(error))
