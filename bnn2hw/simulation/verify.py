"""Verify a design op by op: each op alone against golden, and the connections of the top level.

See docs/decisions/0012-verified-op-by-op.md for the argument that this verifies the whole.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from bnn2hw import backends, checks, golden
from bnn2hw.backends.design import Design
from bnn2hw.dataflow import alone
from bnn2hw.errors import MismatchError, ToolError
from bnn2hw.estimate import cycles
from bnn2hw.golden import Batch
from bnn2hw.ir import Array, Cycles, Graph, HardwareOp, Node, View
from bnn2hw.ops.source import Source
from bnn2hw.progress import Progress, silent
from bnn2hw.simulation import simulate, wiring
from bnn2hw.simulation.run import Run
from bnn2hw.tables import counted

WAITING = 4
"""Ops per worker whose values are kept while they wait for it; it bounds the memory needed."""


@dataclass(frozen=True)
class Verified:
    """The verdict on an op.

    Attributes:
        node: Name of its node.
        kind: The op.
        problem: What is wrong; "" if nothing is.
    """

    node: str
    kind: str
    problem: str = ""


@dataclass(frozen=True)
class Verification:
    """The result of `verify`.

    Attributes:
        ops: What was found of each op, in topological order.
        wiring: What is connected in another way than the graph says.
        frames: Number of frames.
        stalls: Share of the cycles in which sources and sinks paused in the second run of each op.
        seed: Seed of the pauses.
    """

    ops: tuple[Verified, ...]
    wiring: tuple[str, ...]
    frames: int
    stalls: float
    seed: int

    @property
    def problems(self) -> tuple[str, ...]:
        """All that is wrong: ops first, each with its name."""
        return (*(f"op '{op.node}' ({op.kind}): {op.problem}" for op in self.ops if op.problem), *self.wiring)

    @property
    def exact(self) -> bool:
        """True if nothing is wrong."""
        return not self.problems

    def check(self) -> None:
        """Raise if something is wrong.

        Raises:
            MismatchError: An op differs from golden or breaks the protocol, or a connection is wrong.
                The message names the first.
        """
        if self.problems:
            raise MismatchError(self.problems[0])

    def __str__(self) -> str:
        if self.problems:
            return "\n".join(self.problems)
        return (
            f"{counted(len(self.ops), 'op')} equal to golden on {counted(self.frames, 'frame')} each, with and "
            "without stalls, in the predicted cycles; all connections are those of the graph"
        )


def verify(
    design: Design,
    graph: Graph,
    x: Batch,
    *,
    stalls: float = 0.3,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress = silent,
) -> Verification:
    """Verify a design op by op.

    Golden computes every stream of the graph. Each op runs alone, with its own parameters and with the
    modules and memories of the design. It takes the values of its input streams and must write those of its
    output: once in the predicted cycles, and once with stalls. Ops whose sources are equal share a simulator.

    Args:
        design: Design that a backend rendered from `graph`.
        graph: Streamed graph.
        x: Integers on the input, as in `simulate.simulate`.
        stalls: Share of the cycles, from 0 to below 1, in which source and sink pause at random.
        seed: Seed of the stalls.
        workers: Ops that are simulated at the same time. Default: one for each processor.
        progress: Called with the name of each step.

    Raises:
        InputError: x does not fit the graph, or an option is out of range.
        MissingToolError: There is no Verilator or no C++ compiler.
        ToolError: Verilator or the compiler failed.
        StorageError: The folder for temporary files cannot be written.
    """
    simulate.check_stalls(stalls, seed)
    count = (os.cpu_count() or 1) if workers is None else workers
    checks.number("workers", count, whole=True, above=0)
    run = _Run(design, graph, stalls, seed, progress)
    with ThreadPoolExecutor(count) as pool:
        waiting: list[Future[Verified]] = []
        for node, values in _inputs(graph, golden.check(graph, x)):
            if len(waiting) >= WAITING * count:
                waiting[len(waiting) - WAITING * count].result()
            waiting.append(pool.submit(run.op, node, values))
        ops = tuple(future.result() for future in waiting)
    found = tuple(wiring.problems(design, graph)) if design.backend == "verilog" else ()
    return Verification(ops, found, golden.frames(x), stalls, seed)


def _inputs(graph: Graph, edges: dict[str, Array]) -> Iterator[tuple[Node, list[Array]]]:
    """Yield the ops of a graph with the values of their inputs. Values that nobody reads any more are dropped."""
    uses = {name: len(nodes) for name, nodes in graph.consumers.items()}
    for node in graph:
        if isinstance(node.op, Source):
            continue
        values = [edges[i] for i in node.inputs]
        if isinstance(node.op, HardwareOp) and not isinstance(node.op, View):
            yield node, values
        edges[node.name] = node.op.golden(*values)
        for i in set(node.inputs):
            uses[i] -= 1
            if not uses[i]:
                del edges[i]


@dataclass(frozen=True)
class _Run:
    """The verification of the ops of a design."""

    design: Design
    graph: Graph
    stalls: float
    seed: int
    progress: Progress

    def op(self, node: Node, values: list[Array]) -> Verified:
        """Simulate an op alone, with and without stalls."""
        op = node.op
        if not isinstance(op, HardwareOp):
            raise TypeError(f"'{node.name}' is no hardware op")
        self.progress(f"verifying {node.name}")
        found = Verified(node.name, op.kind)
        types = self.graph.inputs_of(node)
        single = alone.alone(op, *types)
        design = with_files_of(
            self.design,
            backends.render(self.design.backend, single, header=self.design.header),
            node.name,
        )
        frames = golden.batch(dict(zip(alone.inputs(len(values)), values, strict=True)))
        predicted = Cycles(cycles.interval(single), cycles.latency(single))
        for stalls in (0.0, self.stalls):
            try:
                run = simulate.simulate(design, single, frames, predicted, stalls=stalls, seed=self.seed)
            except ToolError as error:
                return replace(found, problem=str(error))
            problem = _problem(run, predicted)
            if problem:
                return replace(found, problem=problem)
        return found


def with_files_of(design: Design, single: Design, node: str) -> Design:
    """Return the design of an op alone with the modules and memories of the whole design.

    Args:
        design: The whole design.
        single: The op alone, rendered anew.
        node: Name of the op's node.
    """
    stream = next(s.id for s in design.streams if s.name == node)
    files = dict(single.files)
    for name in files:
        there = re.sub(rf"(?<![^_]){alone.OUTPUT}(?=\.)", stream, name)
        if name != f"{single.top}.sv" and there in design.files:
            text = design.files[there]
            modules = (Path(there).stem, Path(name).stem)
            files[name] = text if name.endswith(".hex") else re.sub(rf"\b{modules[0]}\b", modules[1], text)
    fast = {name: text for name, text in single.fast.items() if files.get(name) == single.files.get(name)}
    return replace(single, files=files, fast={**fast, **{n: t for n, t in design.fast.items() if n in files}})


def _problem(run: Run, predicted: Cycles) -> str:
    """Return what is wrong with the run of an op; "" if nothing is."""
    mismatch = next(filter(None, run.mismatches.values()), None)
    if mismatch:
        return str(mismatch)
    if run.stalled or run.latency is None:
        return ""
    if run.latency != predicted.latency or run.interval not in (None, predicted.interval):
        return (
            f"{run.interval} cycles per frame and a latency of {run.latency}, predicted {predicted.interval} and "
            f"{predicted.latency}"
        )
    return ""
