"""From a streamed graph to sources."""

from __future__ import annotations

from bnn2hw.backends import hls, verilog
from bnn2hw.backends.design import Design
from bnn2hw.errors import InputError
from bnn2hw.ir import Graph
from bnn2hw.targets import devices
from bnn2hw.targets.devices import Device

BACKENDS = {"verilog": "rtl", "hls": "hls"}
"""The folder of a written accelerator into which the sources of each backend go."""


def check(backend: str) -> None:
    """Refuse what is no backend.

    Raises:
        InputError: it is none.
    """
    if backend not in BACKENDS:
        raise InputError(f"unknown backend '{backend}'; known backends: {', '.join(BACKENDS)}")


def render(
    backend: str,
    graph: Graph,
    *,
    summary: str = "",
    device: Device | None = None,
) -> Design:
    """The sources of a streamed graph.

    Args:
        backend: one of `BACKENDS`.
        graph: in streamed form.
        summary: a line for the heads of the sources.
        device: whose cells the sources may name, and what the scripts of the backend are for; None for
            `devices.DEFAULT`.

    Raises:
        InputError: an unknown backend.
    """
    check(backend)
    device = device or devices.device(devices.DEFAULT)
    if backend == "hls":
        return hls.render(graph, summary=summary, device=device)
    return verilog.render(graph, summary=summary, family=device.family)
