"""Generate sources from a streamed graph."""

from __future__ import annotations

from bnn2hw.backends.design import Design
from bnn2hw.backends.text import ANY_PROCESSOR, Header
from bnn2hw.errors import InputError
from bnn2hw.ir import Graph
from bnn2hw.targets import devices

BACKENDS = {"verilog": "rtl", "hls": "hls"}
"""By backend of hardware, the folder of a build that takes its sources."""

NATIVE = "native"
"""The backend whose sources run on a processor."""

FOLDERS = {**BACKENDS, NATIVE: "native"}
"""By backend, the folder of a build that takes its sources."""


def check(backend: str) -> None:
    """Refuse an unknown backend.

    Raises:
        InputError: the backend is unknown.
    """
    if backend not in tuple(FOLDERS):
        raise InputError(f"unknown backend {backend!r}; known backends: {', '.join(FOLDERS)}")


def render(
    backend: str,
    graph: Graph,
    *,
    header: Header | None = None,
) -> Design:
    """Render a graph as sources.

    Args:
        backend: One of `FOLDERS`.
        graph: The graph, in streamed form; for native code in hardware form.
        header: Provenance for the headers of the files. The sources may name cells of its target's
            family, and the scripts of the backend are for its target. None: the default
            device.

    Raises:
        InputError: the backend is unknown.
        UnsupportedError: Native code does not know an op of the graph.
    """
    from bnn2hw.backends import hls, native, verilog

    check(backend)
    if backend == NATIVE:
        return native.render(graph, header=header or ANY_PROCESSOR)
    header = header or Header(target=devices.device(devices.DEFAULT))
    return hls.render(graph, header=header) if backend == "hls" else verilog.render(graph, header=header)
