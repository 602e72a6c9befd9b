"""Frames that several processes share give the same result and the same checks as in one process."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bnn2hw import backends
from bnn2hw.errors import InputError
from bnn2hw.ops import Argmax, Table
from bnn2hw.simulation import simulate, splitter
from tests.support import alone, cycles_alone, random_frames

FRAMES = 7


def test_each_frame_has_one_process() -> None:
    for frames in range(1, 30):
        for processes in range(1, 40):
            parts = splitter.split(frames, processes)
            sizes = [p.stop - p.start for p in parts]
            assert [i for p in parts for i in range(frames)[p]] == list(range(frames))
            assert len(parts) == min(frames, processes)
            assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("stalls", [0.0, 0.3])
@pytest.mark.parametrize("backend", ["verilog", "hls"])
def test_the_result_is_that_of_one_process(backend: str, stalls: float) -> None:
    op, x = next(iter(Argmax.examples()))
    graph, predicted = alone(op, *x), cycles_alone(op, *x)
    design, frames = backends.render(backend, graph), random_frames(graph, FRAMES)

    one, three = (
        simulate.simulate(design, graph, frames, predicted, stalls=stalls, seed=3, processes=n)
        for n in (1, 3)
    )

    three.check()
    assert np.array_equal(one.outputs, three.outputs)
    assert one.mismatches == three.mismatches
    assert (three.stalls, three.seed, three.stalled) == (one.stalls, one.seed, one.stalled)
    if backend == "hls":
        assert three.measured is None
        return
    assert len(three.frame_ends) == FRAMES
    assert len(three.intervals) == FRAMES - 3
    if not stalls:
        assert (three.latency, three.startup) == (one.latency, one.startup)
        assert set(three.intervals) == {predicted.interval}


def test_a_difference_has_the_number_of_its_frame() -> None:
    op, x = next(iter(Table.examples()))
    graph, predicted = alone(op, *x), cycles_alone(op, *x)
    low, other = x[0].ints.values()[[0, -1]]
    table = op.table.copy()
    table[:, 0] = np.where(table[:, 0] > 0, table[:, 0] - 1, table[:, 0] + 1)
    broken = backends.render("verilog", alone(replace(op, table=table), *x))
    frames = np.full((FRAMES, *x[0].shape), other)
    frames[5] = low

    one, three = (simulate.simulate(broken, graph, frames, predicted, processes=n) for n in (1, 3))

    assert one.mismatches == three.mismatches
    found = one.mismatches["y"]
    assert found is not None
    assert found.frame == 5


# By default, tests/test_workers.py kills a worker of Dask.
@pytest.mark.soak
def test_workers_of_dask_of_which_one_dies() -> None:
    distributed = pytest.importorskip("distributed", reason="needs Dask")
    op, x = next(iter(Argmax.examples()))
    graph, predicted = alone(op, *x), cycles_alone(op, *x)
    design, frames = backends.render("verilog", graph), random_frames(graph, FRAMES)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):

        def killing(text: str) -> None:
            if text.startswith("simulating"):
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

        shared = simulate.simulate(
            design,
            graph,
            frames,
            predicted,
            stalls=0.3,
            seed=3,
            processes=3,
            scheduler=cluster.scheduler_address,
            progress=killing,
        )

    here = simulate.simulate(design, graph, frames, predicted, stalls=0.3, seed=3, processes=3)
    assert np.array_equal(shared.outputs, here.outputs)
    assert (shared.frame_ends, shared.starts) == (here.frame_ends, here.starts)


def test_what_has_one_process_only() -> None:
    op, x = next(iter(Argmax.examples()))
    graph, predicted = alone(op, *x), cycles_alone(op, *x)
    frames = random_frames(graph, 2)

    with pytest.raises(InputError, match="processes must be a positive whole number, not 0"):
        simulate.simulate(backends.render("verilog", graph), graph, frames, predicted, processes=0)
    with pytest.raises(InputError, match="waveforms are those of one process; leave out processes or trace"):
        simulate.simulate(
            backends.render("verilog", graph), graph, frames, predicted, processes=2, trace=Path("a.vcd")
        )
    with pytest.raises(
        InputError, match="native code computes in threads of one process; leave out processes"
    ):
        simulate.simulate(
            replace(backends.render("verilog", graph), backend="native"), graph, frames, None, processes=2
        )
