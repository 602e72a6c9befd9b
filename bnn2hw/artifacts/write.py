"""Write an accelerator to files: sources, weights, test bench, report, graph and manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bnn2hw import backends, checks, golden
from bnn2hw.artifacts import build_folder
from bnn2hw.artifacts.manifest import Manifest
from bnn2hw.backends import verilog
from bnn2hw.compiled import CompiledModel
from bnn2hw.deploy import amd
from bnn2hw.folders import claim

TESTBENCH_FRAMES = 4
"""Number of random frames in the test bench."""


def write(accelerator: CompiledModel, folder: str | Path) -> Path:
    """Write a build folder, and return its path.

    Raises:
        InputError: The folder holds files but is no build folder, or files of others are in the way.
        StorageError: The folder cannot be written.
    """
    checks.path("folder", folder)
    folder = Path(folder)
    claim(folder)
    texts = sources(accelerator)
    if accelerator.backend == "verilog":
        texts |= _bench(accelerator)
        texts |= amd.files(
            accelerator.design,
            accelerator.graph,
            accelerator.device,
            accelerator.name,
            accelerator.input_specs,
        )
    texts["report.txt"] = f"{accelerator}\n"
    build_folder.write(folder, texts, accelerator.graph, Manifest.of(accelerator))
    return folder


def sources(accelerator: CompiledModel) -> dict[str, str]:
    """Return the sources of a design by their paths in a build folder."""
    folder = backends.BACKENDS[accelerator.backend]
    return {f"{folder}/{name}": text for name, text in accelerator.design.files.items()}


def _bench(accelerator: CompiledModel) -> dict[str, str]:
    """Return the test bench and the lists of files that simulators read, by path."""
    bench = {**accelerator.design.bench, **_testbench(accelerator)}
    modules = "".join(f"{n}\n" for n in accelerator.design.files if n.endswith(".sv"))
    return {
        "rtl/files.f": modules,
        "tb/files.f": modules + "".join(f"../tb/{n}\n" for n in bench if n.endswith(".sv")),
        **{f"tb/{name}": text for name, text in bench.items()},
    }


def _testbench(accelerator: CompiledModel) -> dict[str, str]:
    """Return a test bench with random frames and the outputs that golden computes for them."""
    rng = np.random.default_rng(0)
    design, graph = accelerator.design, accelerator.graph
    x = {
        s.name: rng.choice(s.tensor.ints.values(), (TESTBENCH_FRAMES, *s.tensor.shape)) for s in design.inputs
    }
    return verilog.bench(graph, x, golden.outputs(graph, x), accelerator.estimate().cycles, design)
