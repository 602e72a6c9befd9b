"""From a binarized neural network in Keras to a verified FPGA accelerator, bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bnn2hw.version import __version__

if TYPE_CHECKING:
    from bnn2hw.accelerator import Accelerator, compile, load  # noqa: A004
    from bnn2hw.deploy.host import SerialBoard
    from bnn2hw.folding.pareto import pareto
    from bnn2hw.ops.source import Input

_FACE = {
    "Accelerator": "accelerator",
    "compile": "accelerator",
    "load": "accelerator",
    "pareto": "folding.pareto",
    "Input": "ops.source",
    "SerialBoard": "deploy.host",
}

__all__ = ["Accelerator", "Input", "SerialBoard", "__version__", "compile", "load", "pareto"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that `bnn2hw.nn` needs no compiler and `load` no Keras."""
    import importlib

    if name in _FACE:
        return getattr(importlib.import_module(f"bnn2hw.{_FACE[name]}"), name)
    if name == "nn":
        return importlib.import_module("bnn2hw.nn")
    raise AttributeError(f"module 'bnn2hw' has no attribute '{name}'")
