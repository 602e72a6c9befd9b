"""The old place of `bnn2hw.SerialBoard`. It works for one more version."""

from __future__ import annotations

from typing import Any

from bnn2hw import deprecation

MOVED = {"Device": ("host", "SerialBoard"), "read_link": ("link", "read_link")}


def __getattr__(name: str) -> Any:
    """Find a name where it is now, with a warning."""
    import importlib

    if name not in MOVED:
        raise AttributeError(f"module 'bnn2hw.host' has no attribute '{name}'")
    module, new = MOVED[name]
    shown = "bnn2hw.SerialBoard" if name == "Device" else f"bnn2hw.deploy.{module}.{new}"
    deprecation.renamed(f"bnn2hw.host.{name}", shown)
    return getattr(importlib.import_module(f"bnn2hw.deploy.{module}"), new)
