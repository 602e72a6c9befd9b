"""Split the frames of a run over several processes, and join their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import numpy as np

from bnn2hw.golden import Batch
from bnn2hw.simulation.compare import Mismatch
from bnn2hw.simulation.harness import Measured
from bnn2hw.simulation.run import Run

SEED_STEP = 100_003
"""Distance of the seeds of neighboring processes, so that their pauses differ."""


def split(frames: int, processes: int) -> list[slice]:
    """Return the frames of each process: as many in each as in the others, or one more.

    Args:
        frames: Number of frames.
        processes: Number of processes; more than there are frames are not used.
    """
    ends = np.linspace(0, frames, min(frames, processes) + 1).round().astype(int).tolist()
    return [slice(a, b) for a, b in pairwise(ends)]


def joined(runs: Sequence[Run], parts: Sequence[slice], seed: int) -> Run:
    """Return the run of all frames.

    Args:
        runs: Runs of the processes, in the order of their frames.
        parts: The frames of each.
        seed: Seed of the whole run.
    """
    first = runs[0]
    found: dict[str, Mismatch | None] = dict.fromkeys(first.mismatches)
    for run, part in zip(runs, parts, strict=True):
        for name, mismatch in run.mismatches.items():
            if mismatch and not found[name]:
                found[name] = replace(mismatch, frame=part.start + mismatch.frame)
    measured = [r.measured for r in runs if r.measured]
    return replace(
        first,
        outputs=_outputs([r.outputs for r in runs]),
        mismatches=found,
        measured=_measured(measured) if measured else None,
        starts=tuple(accumulate((len(r.frame_ends) for r in runs[:-1]), initial=0)),
        seed=seed,
    )


def _outputs(outputs: Sequence[Batch]) -> Batch:
    if isinstance(outputs[0], Mapping):
        names = outputs[0]
        return {n: np.concatenate([o[n] for o in outputs if isinstance(o, Mapping)]) for n in names}
    return np.concatenate([np.asarray(o) for o in outputs])


def _measured(all_measured: Sequence[Measured]) -> Measured:
    """Return the figures of all processes. Each counts cycles from its own start."""
    seconds = sum(m.seconds for m in all_measured)
    spent = sum(m.overhead * m.seconds for m in all_measured)
    first = all_measured[0]
    whole_frames = [ends for m in all_measured for ends in zip(*m.ends, strict=False)]
    return Measured(
        first_in=first.first_in,
        first_out=first.first_out,
        ends=tuple(zip(*whole_frames, strict=True)),
        cycles=sum(m.cycles for m in all_measured),
        seconds=seconds,
        overhead=spent / seconds if seconds else 0.0,
    )
