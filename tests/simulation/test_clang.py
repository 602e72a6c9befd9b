"""The conformance of ops with clang++ or g++ alone, which is the only C++ compiler of some systems."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support import ROOT
from tests.support.machine import tool_or_skip

COMPILERS = ("clang++", "g++")


def conform(selection: str, compiler: str) -> None:
    """Run selected cases of the conformance suite in a process that compiles with one compiler only."""
    environment = {**os.environ, "CXX": tool_or_skip(compiler)}
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-k", selection]
    done = subprocess.run(
        [*command, "tests/ops/test_conformance.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


@pytest.mark.parametrize("compiler", ["g++", pytest.param("clang++", marks=pytest.mark.soak)])
def test_some_ops_conform(compiler: str) -> None:
    """By default with g++ alone: other tests take clang++ where it is quicker.

    One op for Verilator, and in C++ the sum without weights, of average pooling.
    """
    conform("(hardware_equals and argmax) or (without_a_clock and depthwise)", compiler)


@pytest.mark.soak
@pytest.mark.parametrize("compiler", COMPILERS)
def test_all_ops_conform(compiler: str) -> None:
    conform("hardware_equals or without_a_clock or forms_of_a_family", compiler)
