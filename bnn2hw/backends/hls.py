"""Render a streamed graph as a Vitis HLS project in C++.

Each kind of op has a header, and each node is a process. A node whose constants become logic has a
header of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bnn2hw import golden
from bnn2hw.backends.design import Design, Port, ends, port_table, streams
from bnn2hw.backends.hls_processes import CppStream, Fork, Process, Processes
from bnn2hw.backends.text import ANY_TARGET, Header, Printer
from bnn2hw.ir import Graph
from bnn2hw.targets import devices
from bnn2hw.targets.devices import Device

DEFAULT_PART = "xc7z020"
"""Device whose part number the scripts name if Vitis HLS does not know the target."""

TEST_FRAMES = 4
"""Random frames that the test bench sends."""


@dataclass(frozen=True)
class Project:
    """Values for the templates of the project.

    Attributes:
        top: The top function.
        inputs: Ports that take frames.
        outputs: Ports that deliver results.
        streams: Stream variables in topological order.
        variables: Stream variables by identifier of the design's streams.
        processes: Processes in topological order.
        forks: Processes that copy a stream for several readers.
        queues: Ops that are queues between processes.
        includes: Headers of the ops to include, without the prefix bnn2hw_.
        table: The beat layout of the ports, a line each.
        part: Part number for Vitis HLS.
        clock_ns: Clock period in ns.
    """

    top: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    streams: Sequence[CppStream]
    variables: Mapping[str, CppStream]
    processes: Sequence[Process]
    forks: Sequence[Fork]
    queues: Sequence[Process]
    includes: Sequence[str]
    table: Sequence[str]
    part: str
    clock_ns: float


def render(graph: Graph, name: str = "bnn2hw_top", *, header: Header = ANY_TARGET) -> Design:
    """Render a streamed graph.

    Args:
        graph: The graph, in streamed form.
        name: The top function.
        header: Provenance for the headers of the files. The scripts take the clock of its target and, if
            Vitis HLS knows it, its part.

    Returns:
        The sources.

    Raises:
        Bnn2hwError: a queue follows another.
    """
    printer = Printer("hls", header)
    all_streams = streams(graph)
    inputs, outputs = map(Port.of, ends(graph, all_streams))
    made = Processes(printer, graph, all_streams)
    device = header.target if isinstance(header.target, Device) else devices.device(devices.DEFAULT)
    project = Project(
        top=name,
        inputs=inputs,
        outputs=outputs,
        streams=made.streams,
        variables={s.id: made.variable(s.name) for s in all_streams},
        processes=made.all,
        forks=made.forks,
        queues=made.queues,
        includes=made.modules,
        table=port_table(inputs, outputs),
        part=device.vitis_part or devices.device(DEFAULT_PART).vitis_part,
        clock_ns=1000 / device.clock_mhz,
    )
    files = dict(made.files)
    for module in ("common", "axis", *project.includes):
        file = f"bnn2hw_{module}.hpp"
        files[file] = made.own.get(module) or printer.file(file, f"{module}.hpp.j2")
    for file, template in _project_files(name).items():
        files[file] = printer.file(file, template, project=project)
    files |= _test_data(graph, inputs, outputs)
    bench = {f: printer.file(f, project=project) for f in ("simulation.hpp", "emulation.hpp")}
    return Design(
        name, files, all_streams, *ends(graph, all_streams), backend="hls", header=header, bench=bench
    )


def _project_files(top: str) -> dict[str, str]:
    """Return the template of each file that a project has once."""
    scripts = ("project.tcl", "csim.tcl", "csynth.tcl", "cosim.tcl", "export.tcl")
    return {
        f"{top}_layers.hpp": "layers.hpp.j2",
        f"{top}.hpp": "top.hpp.j2",
        f"{top}.cpp": "top.cpp.j2",
        **{file: f"{file}.j2" for file in ("testbench.cpp", *scripts)},
    }


def _test_data(graph: Graph, inputs: Sequence[Port], outputs: Sequence[Port]) -> dict[str, str]:
    """Return beats of random frames, and of the expected outputs, as the test bench reads them."""
    rng = np.random.default_rng(0)
    frames = {
        p.stream.name: rng.choice(p.stream.tensor.ints.values(), (TEST_FRAMES, *p.stream.tensor.shape))
        for p in inputs
    }
    expected = golden.by_name(graph.outputs, golden.outputs(graph, frames), "output")
    return {
        **{f"frames{p.suffix}.hex": p.hex_lines(frames[p.stream.name]) for p in inputs},
        **{f"expected{p.suffix}.hex": p.hex_lines(expected[p.stream.name]) for p in outputs},
    }
