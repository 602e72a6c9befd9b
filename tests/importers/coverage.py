"""Write docs/coverage.md from what the compiler does: `python -m tests.importers.coverage`."""

from __future__ import annotations

import inspect
import sys

import numpy as np
from keras import layers

import bnn2hw
from bnn2hw import nn
from bnn2hw.errors import UnsupportedError
from bnn2hw.importers.keras.calls import HANDLERS, JOINS
from tests.importers.case import SIGNS, Case
from tests.importers.hgq_cases import hgq_layers
from tests.importers.kernel_cases import kernels, quantizers
from tests.importers.layer_cases import around, shapes
from tests.importers.model_cases import branches, graphs
from tests.importers.onnx_cases import onnx_nodes, qonnx_nodes
from tests.importers.qkeras_cases import qkeras_layers
from tests.importers.sparse_cases import few_inputs
from tests.support import ROOT

PAGE = ROOT / "docs" / "coverage.md"
PARTS = (
    kernels,
    few_inputs,
    quantizers,
    around,
    shapes,
    branches,
    graphs,
    qkeras_layers,
    hgq_layers,
    onnx_nodes,
    qonnx_nodes,
)


def verdict(case: Case) -> tuple[str, str]:
    """Return "exact", "rounded" or "refused", and the reason."""
    try:
        accelerator = bnn2hw.compile(
            case.build(), **{"input": SIGNS, "target": "xc7z045", "fps": 1, **case.options}
        )
    except UnsupportedError as refusal:
        own = [p for p in refusal.problems if p.layer.split(".")[0] == "it"]
        problem = (own or refusal.problems)[0]
        return "refused", f"{problem.found}. Way out: {problem.remedy}"
    own = [f for layer, f in accelerator.fidelity.items() if layer == "it"]
    rounded = [f for f in own if f.kind == "rounded"]
    if rounded:
        return "rounded", rounded[0].why.split(", off by")[0]
    return "exact", own[0].why if own else "has no effect in inference"


def cases() -> list[Case]:
    """Return all cases in the order of the page."""
    return [c for part in PARTS for c in part()]


def unknown() -> list[str]:
    """Return the names of the layers of Keras and bnn2hw.nn that are refused with any options."""
    found = set()
    for module in (layers, nn.layers):
        for name, cls in inspect.getmembers(module, inspect.isclass):
            names = {c.__name__ for c in cls.__mro__}
            if issubclass(cls, layers.Layer) and not names & {*HANDLERS, *JOINS} and name not in STEMS:
                found.add(name)
    return sorted(found)


STEMS = ("Layer", "InputLayer")
"""Layers without a row: the base class, and the input, which every model has."""


def page(rows: list[tuple[Case, str, str]]) -> str:
    """Return the text of the page."""
    counts = {v: sum(1 for _, found, _ in rows if found == v) for v in ("exact", "rounded", "refused")}
    lines = [
        "# What compiles",
        "",
        "This page lists every Keras and `bnn2hw.nn` layer, and the nodes of ONNX, with the compiler's answer.",
        "Look up a layer here before you train. `python -m tests.importers.coverage` writes the page: it",
        "compiles a small model for each row. For your own model, the compiler reports the same:",
        "",
        "<!-- not run: needs a model of yours -->",
        "```python",
        "acc = bnn2hw.compile(model, input=...)  # raises UnsupportedError with all refused layers at once",
        "print(acc.fidelity)                     # exact or rounded for each layer, with the reason",
        "```",
        "",
        "- **exact**: for equal inputs, the integers of the hardware mean what the layer returns, for all",
        "  inputs.",
        "- **rounded**: the layer computes in fixed point (`bits=` sets its width), or the float32 rounding",
        "  of Keras can change a decision at a threshold.",
        "- **refused**: `compile` raises an error with this message.",
        "",
        f"{len(rows)} rows: {counts['exact']} exact, {counts['rounded']} rounded, {counts['refused']} refused.",
    ]
    section = ""
    for case, found, why in rows:
        if case.section != section:
            section = case.section
            lines += [
                "",
                f"## {section}",
                "",
                "| Layer | Option | Result | Reason |",
                "| --- | --- | --- | --- |",
            ]
        lines.append(f"| {case.layer} | {case.option} | {found} | {why.replace('|', chr(92) + '|')} |")
    lines += ["", "## Refused with any options", "", f"{', '.join(unknown())}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compile all cases and write the page."""
    np.seterr(all="ignore")
    rows = []
    for case in cases():
        try:
            rows.append((case, *verdict(case)))
        except Exception as error:
            raise RuntimeError(f"{case.section}: {case.id}") from error
    PAGE.write_text(page(rows))
    sys.stdout.write(f"{len(rows)} rows in {PAGE}\n")


if __name__ == "__main__":
    main()
