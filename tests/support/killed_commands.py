"""Commands that run two at a time into the same place with one cache, and are killed at random moments."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import bnn2hw
from bnn2hw import compile_cache, folders
from bnn2hw.artifacts import build_folder, write
from bnn2hw.deploy import bitstream
from bnn2hw.studies import table
from tests.support import ROOT

OUTPUTS = {"a": 2, "b": 3}
"""Two models by name, which differ in the number of their outputs."""

WIDTHS = {"a": 24, "b": 32}
"""Bits of their output ports: sums of four bytes take 10 bits each, and a port has whole bytes."""

RATES = ("1e5", "1e8")

HARNESS = ("verilator-runtime", "verilator-library", "verilator-header")
"""Kinds of entries of the cache that take long and do not depend on the design."""


def save_models(folder: Path) -> None:
    """Save the models as ONNX files: such are read without TensorFlow."""
    for name, outputs in OUTPUTS.items():
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
            name,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.ones((4, outputs), np.float32), "w")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, folder / f"{name}.onnx")


def prepare(folder: Path) -> None:
    """Make the models, their build folders, and a cache with what no design changes."""
    save_models(folder)
    for name in OUTPUTS:
        accelerator = bnn2hw.compile(folder / f"{name}.onnx", input=bnn2hw.Input("uint8"))
        accelerator.write(folder / f"build_{name}")
    for kind in HARNESS:
        if (compile_cache.cache_dir() / kind).is_dir():
            shutil.copytree(compile_cache.cache_dir() / kind, folder / "cache" / kind)


def check_build(folder: Path) -> None:
    """Check that a build folder is absent, or holds one design and all of its sources."""
    if not folders.ours(folder) and not (folder / folders.exchange.JOURNAL).exists():
        return
    accelerator = bnn2hw.load(folder)
    assert not build_folder.changed_sources(folder, write.sources(accelerator))
    for results in folder.glob("*.json"):
        json.loads(results.read_text())


def check_synthesis(folder: Path) -> None:
    """Check that what is called finished is the netlist of the design that is named."""
    if not (folder / bitstream.FACTS).exists():
        return
    facts = json.loads((folder / bitstream.FACTS).read_text())
    if facts["state"] != "done":
        return
    assert not [name for name in facts["files"] if not (folder / name).is_file()]
    top = json.loads((folder / "netlist.json").read_text())["modules"]["bnn2hw_scan"]
    assert len(top["netnames"]["accelerator.m_axis_tdata"]["bits"]) == WIDTHS[facts["name"]]


def check_study(folder: Path) -> None:
    """Check that a study is absent, or that each of its points is whole."""
    if not (folder / "s.csv").exists():
        return
    for row in table.read(folder / "s.csv"):
        assert row["state"] == "fits", row
        assert row["fps"] > 0


@dataclass(frozen=True)
class Case:
    """A command that writes into a place.

    Attributes:
        arguments: Its arguments, by the name of a model; both write into the same place.
        place: The folder that it writes into.
        check: Raises if something in it is neither whole nor absent.
    """

    arguments: Callable[[str], tuple[str, ...]]
    place: str
    check: Callable[[Path], None]


def _compiled(name: str) -> tuple[str, ...]:
    return ("compile", f"{name}.onnx", "--input", "uint8", "-o", "out")


def _simulated(name: str) -> tuple[str, ...]:
    return ("simulate", "build_a", "--frames", str(len(name) + OUTPUTS[name]))


def _explored(name: str) -> tuple[str, ...]:
    rates = RATES if name == "a" else RATES[::-1]
    return (
        "explore",
        "a.onnx",
        "--input",
        "uint8",
        "-o",
        "study/s.csv",
        "--fps",
        rates[0],
        "--fps",
        rates[1],
    )


def _synthesized(name: str) -> tuple[str, ...]:
    return ("synth", f"build_{name}", "--target", "ice40-hx8k", "-o", "synth")


CASES = {
    "compile": Case(_compiled, "out", check_build),
    "simulate": Case(_simulated, "build_a", check_build),
    "explore": Case(_explored, "study", check_study),
    "synth": Case(_synthesized, "synth", check_synthesis),
}


def start(case: Case, name: str, folder: Path, cache: Path) -> subprocess.Popen[str]:
    """Start a command as a process with a session of its own."""
    environment = {**os.environ, "BNN2HW_CACHE": str(cache), "BNN2HW_MODEL_CACHE": ""}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.Popen(
        [sys.executable, "-m", "bnn2hw.cli.main", *case.arguments(name)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[str], *, alone: bool) -> None:
    """Kill a process: alone, so that the programs that it runs go on, or with them."""
    (os.kill if alone else os.killpg)(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()


def finish(process: subprocess.Popen[str]) -> float:
    """Wait until a command succeeds, and return the seconds."""
    began = time.monotonic()
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 0, text
    return time.monotonic() - began


def run(command: str, folder: Path, cache: Path, rounds: int, seed: int) -> None:
    """Kill one of two commands that run at the same time, sometimes both, and check all that they leave.

    Args:
        command: Name of the command.
        folder: Folder that `prepare` has filled.
        cache: Cache of the commands: that of `prepare`, in `folder`, or that of this machine.
        rounds: Number of pairs of commands.
        seed: Seed of the moments and of who is killed.
    """
    rng, case, longest = random.Random(seed), CASES[command], 6.0
    for number in range(rounds):
        names = rng.sample(sorted(OUTPUTS), 2)
        victim, other = (start(case, name, folder, cache) for name in names)
        time.sleep(rng.uniform(0, longest))
        kill(victim, alone=rng.random() < 0.5)
        if number % 3 == 2:
            kill(other, alone=rng.random() < 0.5)
            other = start(case, names[0], folder, cache)
        longest = max(longest, finish(other))
        case.check(folder / case.place)
    left = [p.name for p in (folder / case.place).iterdir() if p.name.startswith(".")]
    assert not left, f"{left} are left behind"
    assert (folder / case.place).is_dir()
