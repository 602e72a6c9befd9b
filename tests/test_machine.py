"""A test that misses a tool is skipped on a developer's machine and fails in continuous integration."""

from __future__ import annotations

import pytest

from bnn2hw import tools
from bnn2hw.errors import MissingToolError
from tests.support.machine import found_or_skip, package_or_skip, tool_or_skip


def no_tool() -> tools.Tool:
    raise MissingToolError("no-such-tool is needed and is not installed")


FINDERS = {
    "program": lambda: tool_or_skip("no-such-tool"),
    "package": lambda: package_or_skip("no_such_tool"),
    "finder": lambda: found_or_skip(no_tool),
}


@pytest.mark.parametrize("kind", FINDERS)
def test_a_missing_tool_is_a_skip(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match=r"no.such.tool .*is not installed"):
        FINDERS[kind]()


@pytest.mark.parametrize("kind", FINDERS)
def test_a_missing_tool_is_a_failure_in_ci(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match=r"no.such.tool .*is not installed"):
        FINDERS[kind]()


def test_what_is_installed_is_returned() -> None:
    assert tool_or_skip("no-such-tool", "python3", "python").rpartition("/")[2].startswith("python")
    assert package_or_skip("pytest") is pytest
