"""Write an accelerator to files: sources, weights, test bench, report, graph and manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bnn2hw import backends, checks, golden
from bnn2hw.artifacts import build_folder
from bnn2hw.artifacts.manifest import Manifest
from bnn2hw.backends import verilog_bench
from bnn2hw.compiled import CompiledModel
from bnn2hw.deploy import amd
from bnn2hw.folders import claim
from bnn2hw.ir import Array, Graph, Tensor
from bnn2hw.report import facts, page

REPORT = "report.html"
"""The report for people, which `records` makes again when there is more to show."""

TESTBENCH_FRAMES = 4
"""Number of frames in the test bench."""

MOST_VALUES = 2**24
"""Values of streams that may be computed in search of frames with distinct results."""


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
    texts[REPORT] = page.page(facts.collect(accelerator))
    build_folder.write(folder, texts, accelerator.graph, Manifest.of(accelerator))
    return folder


def sources(accelerator: CompiledModel) -> dict[str, str]:
    """Return the sources of a design by their paths in a build folder."""
    folder = backends.BACKENDS[accelerator.backend]
    return {f"{folder}/{name}": text for name, text in accelerator.design.files.items()}


def _bench(accelerator: CompiledModel) -> dict[str, str]:
    """Return the test bench and the lists of files that simulators read, by path."""
    design = accelerator.design
    bench = _testbench(accelerator)
    modules = [n for n in design.files if n.endswith(".sv")]
    fast = [f"../tb/fast/{n}" if n in design.fast else n for n in modules]
    cells = [*modules, *(f"../tb/{n}" for n in design.bench)]
    return {
        "rtl/files.f": _lines(modules),
        "tb/files.f": _lines([*fast, "../tb/testbench.sv"]),
        "tb/cells.f": _lines([*cells, "../tb/testbench.sv"]),
        **{f"tb/fast/{name}": text for name, text in design.fast.items()},
        **{f"tb/{name}": text for name, text in {**design.bench, **bench}.items()},
    }


def _lines(names: Sequence[str]) -> str:
    return "".join(f"{name}\n" for name in names)


def _testbench(accelerator: CompiledModel) -> dict[str, str]:
    """Return a test bench with frames whose results differ."""
    graph = accelerator.graph
    x = distinct_frames(graph, TESTBENCH_FRAMES)
    return verilog_bench.bench(graph, x, accelerator.estimate().cycles, accelerator.design)


def distinct_frames(graph: Graph, count: int) -> golden.Batch:
    """Return frames of noise whose results differ as far as possible.

    Noise often has one class, so patterns of several sizes are tried, as long as the work on them is
    small.

    Args:
        graph: The streamed graph.
        count: Number of frames.
    """
    rng = np.random.default_rng(0)
    size = sum(tensor.size for tensor in graph.types.values())
    tried = int(np.clip(MOST_VALUES // size, count, 64 * count))
    x = {n.name: _noise(rng, graph.types[n.name], tried) for n in graph.sources}
    results = golden.by_name(graph.outputs, golden.outputs(graph, golden.batch(x)), "output")
    rows = np.concatenate([np.asarray(results[n]).reshape(tried, -1) for n in graph.outputs], axis=1)
    _, first = np.unique(rows, axis=0, return_index=True)
    order = [*sorted(first), *(i for i in range(tried) if i not in set(first))]
    return golden.batch({name: values[order[:count]] for name, values in x.items()})


def _noise(rng: np.random.Generator, tensor: Tensor, count: int) -> Array:
    """Return frames of noise: the first of all values, others of two values in patches of some size."""
    values = tensor.ints.values()
    frames: list[Array] = [rng.choice(values, tensor.shape)]
    while len(frames) < count:
        frame = rng.choice(values[[0, -1]], tensor.shape)
        for axis, length in enumerate(tensor.shape):
            patch = int(rng.integers(1, 1 + max(1, length // 2)))
            frame = frame.take(np.arange(length) // patch, axis)
        frames.append(frame)
    return np.stack(frames[:count])
