"""Write an accelerator to files: sources, weights, test bench, report, graph and manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnn2hw import backends, checks
from bnn2hw.artifacts import build_folder
from bnn2hw.artifacts.manifest import Manifest
from bnn2hw.backends import frames, verilog_bench
from bnn2hw.compiled import CompiledModel
from bnn2hw.deploy import amd
from bnn2hw.folders import claim
from bnn2hw.report import facts, page, text

REPORT = "report.html"
"""The report for people, which is made again when there is more to show."""

TESTBENCH_FRAMES = 4
"""Number of frames in the test bench."""


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
            accelerator.board,
        )
    texts["report.txt"] = f"{text.text(accelerator)}\n"
    if not accelerator.is_native:
        texts[REPORT] = page.page(facts.collect(accelerator))
    build_folder.write(folder, texts, accelerator.graph, Manifest.of(accelerator))
    return folder


def sources(accelerator: CompiledModel) -> dict[str, str]:
    """Return the sources of a design by their paths in a build folder."""
    folder = backends.FOLDERS[accelerator.backend]
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
    x = frames.distinct(graph, TESTBENCH_FRAMES)
    return verilog_bench.bench(graph, x, accelerator.estimate().cycles, accelerator.design)
