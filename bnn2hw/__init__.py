"""Compile binarized neural networks from Keras to FPGA accelerators.

Start with `bnn2hw.compile`. `bnn2hw.nn` holds the quantized layers for training, with Larq's names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bnn2hw.version import __version__

if TYPE_CHECKING:
    from bnn2hw.accelerator import Accelerator
    from bnn2hw.compiler import compile, load  # noqa: A004
    from bnn2hw.deploy.host import SerialBoard
    from bnn2hw.folding.pareto import pareto
    from bnn2hw.ops.source import Input
    from bnn2hw.progress import progress_bar
    from bnn2hw.studies.study import explore

_FACE = {
    "Accelerator": "accelerator",
    "compile": "compiler",
    "load": "compiler",
    "pareto": "folding.pareto",
    "Input": "ops.source",
    "SerialBoard": "deploy.host",
    "explore": "studies.study",
    "progress_bar": "progress",
}

__all__ = [
    "Accelerator",
    "Input",
    "SerialBoard",
    "__version__",
    "compile",
    "explore",
    "load",
    "pareto",
    "progress_bar",
]


def __getattr__(name: str) -> Any:
    """Import a name on first use: `bnn2hw.nn` needs no compiler, and `load` no Keras."""
    import importlib

    if name in _FACE:
        return getattr(importlib.import_module(f"bnn2hw.{_FACE[name]}"), name)
    if name == "nn":
        return importlib.import_module("bnn2hw.nn")
    raise AttributeError(f"module 'bnn2hw' has no attribute '{name}'")
