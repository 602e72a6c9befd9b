"""An accelerator as files: sources, weights, test bench, graph, report and manifest."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np

from bnn2hw import backends, golden
from bnn2hw.artifacts import build_folder
from bnn2hw.backends import verilog
from bnn2hw.compiled import CompiledModel
from bnn2hw.deploy import amd
from bnn2hw.ops import source

TESTBENCH_FRAMES = 4


def write(accelerator: CompiledModel, folder: Path) -> Path:
    """Write everything into a folder.

    Raises:
        InputError: the folder holds something that bnn2hw did not write.
    """
    design, graph, device = accelerator.design, accelerator.graph, accelerator.device
    cycles = accelerator.estimate().cycles
    sources = backends.BACKENDS[accelerator.backend]
    texts = {f"{sources}/{name}": text for name, text in design.files.items()}
    if accelerator.backend == "verilog":
        bench = {**design.bench, **_testbench(accelerator)}
        modules = "".join(f"{n}\n" for n in design.files if n.endswith(".sv"))
        texts["rtl/files.f"] = modules
        texts["tb/files.f"] = modules + "".join(f"../tb/{n}\n" for n in bench if n.endswith(".sv"))
        texts.update({f"tb/{name}": text for name, text in bench.items()})
        texts.update(amd.files(design, graph, device, accelerator.name, accelerator.input_specs))
    texts["report.txt"] = f"{accelerator}\n"
    facts = {
        "name": accelerator.name,
        "backend": accelerator.backend,
        "device": device.name,
        "top": design.top,
        "units": source.facts(accelerator.input_specs),
        "fidelity": {layer: [f.kind, f.why] for layer, f in accelerator.fidelity.items()},
        "measured": [list(astuple(d)) for d in accelerator.measured.values()],
        "input": "; ".join(s.words for s in design.inputs),
        "output": "; ".join(s.words for s in design.outputs),
        "options": dict(accelerator.options),
        "cycles": {
            "interval": cycles.interval,
            "latency": cycles.latency,
        },
    }
    if accelerator.recipe:
        facts["recipe"] = accelerator.recipe.facts()
    build_folder.write(folder, texts, graph, facts)
    return folder


def _testbench(accelerator: CompiledModel) -> dict[str, str]:
    """A test bench with a few random frames."""
    rng = np.random.default_rng(0)
    design, graph = accelerator.design, accelerator.graph
    x = {
        s.name: rng.choice(s.tensor.ints.values(), (TESTBENCH_FRAMES, *s.tensor.shape)) for s in design.inputs
    }
    return verilog.bench(graph, x, golden.outputs(graph, x), accelerator.estimate().cycles, design)
