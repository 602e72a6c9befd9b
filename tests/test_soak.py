"""The command that runs the long tests: what fails is shown, and what is not there is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnn2hw.errors import InputError
from bnn2hw.workers import Pool
from tests.soak import GROUP, Soak, run

TESTS = """
import pytest

@pytest.mark.soak
@pytest.mark.parametrize("number", range({many}))
def test_many(number):
    assert number != {wrong}

def test_short():
    assert False
"""


def checkout(folder: Path, *, wrong: int = -1) -> Soak:
    """Long tests of which one may fail."""
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = soak: long\n")
    (folder / "test_it.py").write_text(TESTS.format(many=GROUP + 1, wrong=wrong))
    return Soak(folder)


def test_tests_run_in_groups_and_failures_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not run(checkout(tmp_path, wrong=3), (), Pool())

    shown = capsys.readouterr().out
    assert "assert 3 != 3" in shown
    assert f"passed: test_it.py::test_many[{GROUP}] (1)" in shown
    assert shown.endswith("1 of 2 groups passed\n")


def test_no_test_is_no_success(tmp_path: Path) -> None:
    soak = checkout(tmp_path)

    with pytest.raises(InputError, match="there is no long test here"):
        run(soak, ["test_it.py::test_short"], Pool())
    with pytest.raises(InputError, match="cannot be collected"):
        run(soak, ["nowhere.py"], Pool())
