"""The functions that each test calls, so that a change of a function is tried on the tests that call it."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType

import pytest

ROOT = Path(__file__).parent.parent.parent
KEPT = ROOT / "build" / "mutation" / "reach.json"

TESTS = (
    "tests/lower",
    "tests/ops/test_conformance.py",
    "tests/ops/test_ranges.py",
    "tests/test_error_bounds.py",
    "tests/test_agreement.py",
)
"""Tests of lowering and golden."""

OTHERS = "hardware or forms or backends or schedules or form_ or cost_is_positive or template"
"""Words in the names of tests that are about hardware and its costs."""


def key(file: str, name: str) -> str:
    """Return the key of a function.

    Args:
        file: Path of its file from the root of the repository.
        name: Its qualified name.
    """
    return f"{file}:{name.partition('.<locals>')[0]}"


@dataclass
class Recorder:
    """A plugin of pytest that records the functions of the package which each test calls.

    Attributes:
        found: By test, the seconds that it took and the keys of the functions.
    """

    found: dict[str, tuple[float, list[str]]] = field(default_factory=dict)
    _keys: dict[CodeType, str] = field(default_factory=dict)
    _called: set[CodeType] = field(default_factory=set)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Record a test with its fixtures."""
        self._called, started = set(), time.perf_counter()
        threading.settrace(self._call)
        sys.settrace(self._call)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)
            keys = sorted({k for code in self._called if (k := self._key(code))})
            self.found[item.nodeid] = time.perf_counter() - started, keys
            if len(self.found) % 50 == 0:
                self.save()

    def _call(self, frame: FrameType, event: str, argument: object) -> None:
        self._called.add(frame.f_code)

    def _key(self, code: CodeType) -> str:
        if code not in self._keys:
            inside = code.co_filename.startswith(f"{ROOT}/bnn2hw/")
            file = code.co_filename.removeprefix(f"{ROOT}/")
            self._keys[code] = key(file, code.co_qualname) if inside else ""
        return self._keys[code]

    def save(self) -> None:
        """Write what was found."""
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_text(json.dumps(self.found))


def record(tests: Sequence[str] = TESTS) -> None:
    """Run tests and keep the functions that each calls.

    Args:
        tests: Files and folders of tests.
    """
    recorder = Recorder()
    options = ["-q", "-n0", "-p", "no:cacheprovider", "-m", "not soak", "--no-header", "--tb=no"]
    pytest.main([*options, "-k", f"not ({OTHERS})", *tests], plugins=[recorder])
    recorder.save()


@dataclass(frozen=True)
class Reach:
    """The tests that call each function.

    Attributes:
        tests: By key of a function, the tests that call it, the fastest first.
    """

    tests: Mapping[str, tuple[str, ...]]

    @classmethod
    def read(cls) -> Reach:
        """Read what was kept; run the tests first if nothing was."""
        if not KEPT.exists():
            record()
        found = json.loads(KEPT.read_text())
        by_key: dict[str, list[tuple[float, str]]] = {}
        for test, (seconds, keys) in found.items():
            for name in keys:
                by_key.setdefault(name, []).append((seconds, test))
        return cls({name: tuple(test for _, test in sorted(tests)) for name, tests in by_key.items()})


if __name__ == "__main__":
    record()
