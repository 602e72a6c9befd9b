"""Settings that must stand before TensorFlow is imported, and what a machine must have for some tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

from bnn2hw import tools
from bnn2hw.errors import MissingToolError


@pytest.fixture(scope="session")
def yosys() -> tools.Tool:
    """Yosys; a test that needs it is skipped where there is none."""
    try:
        return tools.yosys()
    except MissingToolError as error:
        pytest.skip(str(error))
