"""The command that runs the long tests: what fails is shown, and a worker that dies loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnn2hw.errors import InputError
from bnn2hw.workers import Pool
from tests.soak import GROUP, Soak, run

TESTS = """
import os
from pathlib import Path
import pytest

@pytest.mark.soak
@pytest.mark.parametrize("number", range({many}))
def test_many(number):
    assert number != {wrong}
    if {deadly} and number == {many} - 1 and not Path("killed").exists():
        Path("killed").touch()
        os.kill(os.getppid(), 9)

def test_short():
    assert False
"""


def checkout(folder: Path, *, wrong: int = -1, deadly: bool = False) -> Soak:
    """Long tests of which one may fail, and one may end the process that runs them, once."""
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = soak: long\n")
    (folder / "test_it.py").write_text(TESTS.format(many=GROUP + 1, wrong=wrong, deadly=deadly))
    return Soak(folder)


def test_tests_run_in_groups_and_failures_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not run(checkout(tmp_path, wrong=3), (), Pool())

    shown = capsys.readouterr().out
    assert "assert 3 != 3" in shown
    assert f"passed: test_it.py::test_many[{GROUP}] (1)" in shown
    assert shown.endswith("1 of 2 groups passed\n")


def test_a_worker_that_dies_loses_no_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("distributed", reason="needs Dask")

    assert run(checkout(tmp_path, deadly=True), (), Pool("local", 2))
    assert (tmp_path / "killed").exists()
    assert capsys.readouterr().out.endswith("2 of 2 groups passed\n")


def test_no_test_is_no_success(tmp_path: Path) -> None:
    soak = checkout(tmp_path)

    with pytest.raises(InputError, match="there is no long test here"):
        run(soak, ["test_it.py::test_short"], Pool())
    with pytest.raises(InputError, match="cannot be collected"):
        run(soak, ["nowhere.py"], Pool())
