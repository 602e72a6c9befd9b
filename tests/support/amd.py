"""Designs for AMD devices and the files that are written for them, made once for all tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import bnn2hw
from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.deploy import amd
from bnn2hw.ir import BIPOLAR, Graph, Ints, Node, Tensor
from bnn2hw.ops import HARDWARE_OPS, Fifo, Source, Threshold
from bnn2hw.targets import devices, families
from tests.support import alone
from tests.support import networks as net

PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)


def wire(ints: Ints, shape: tuple[int, ...], lanes: int) -> Graph:
    """A queue and nothing else, whose ports carry such values."""
    return Graph((Node("x", Source(Tensor(shape, ints), lanes)), Node("y", Fifo(), ("x",))), ("y",))


def two_results() -> Graph:
    nodes = (
        Node("a", Source(Tensor((6,), Ints(-9, 9)))),
        Node("b", Fifo(), ("a",)),
        Node("c", Fifo(), ("a",)),
    )
    return Graph(nodes, ("b", "c"))


GRAPHS = {
    "bytes": wire(Ints(0, 255), (4, 4, 1), 1),
    "rgb": wire(Ints(0, 255), (8, 8, 3), 3),
    "signed": wire(Ints(-37, 100), (7,), 1),
    "wide signed": wire(Ints(-700, 900), (6,), 1),
    "signed lanes": wire(Ints(-4, 3), (5, 6), 6),
    "signs": wire(BIPOLAR, (3, 40), 20),
    "odd": wire(Ints(0, 1), (7, 81), 81),
    "word": wire(Ints(0, 15), (4, 16), 16),
    "stride": wire(Ints(-30, 30, 6), (9,), 3),
    "one": wire(Ints(0, 9), (1,), 1),
    "two results": two_results(),
    **{kind.kind: alone(op, *x) for kind in HARDWARE_OPS for op, x in list(kind.examples())[:1]},
    "loadable": next(alone(op, *x) for op, x in Threshold.examples() if op.writable),
}


@cache
def made(name: str) -> tuple[Graph, Design, dict[str, str]]:
    graph = GRAPHS[name]
    design = verilog.render(graph, family=families.family("xilinx"))
    return (
        graph,
        design,
        amd.files(design, graph, devices.device("xc7z020"), "my <net> & 2", bnn2hw.Input()),
    )


@cache
def network() -> bnn2hw.Accelerator:
    return bnn2hw.compile(net.tutorial_like(), input=PIXELS, target="xc7z020")


def write(files: dict[str, str], folder: Path) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "amd"
