"""The networks of the zoo at their ImageNet size, whole in Verilator and op by op, as the benchmark runs them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bnn2hw.nn import zoo
from tests.support import ROOT

NETWORKS = [name for name in zoo.__all__ if name != "BinaryNet"]
"""Those for ImageNet."""


def run(*arguments: str) -> None:
    script = ROOT / "benchmarks" / "imagenet.py"
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


@pytest.mark.soak
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks_equal_golden_in_the_predicted_cycles(name: str) -> None:
    run(name)


@pytest.mark.soak
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_equal_golden_op_by_op(name: str) -> None:
    run(name, "--verify")


@pytest.mark.soak
@pytest.mark.parametrize("arguments", [(), ("--verify",)], ids=["whole", "op by op"])
def test_a_small_one_first(arguments: tuple[str, ...]) -> None:
    run("QuickNetSmall", "--size", "32", "--width", "0.125", *arguments)
