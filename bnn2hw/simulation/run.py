"""The result of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from bnn2hw import golden, ir
from bnn2hw.errors import MismatchError
from bnn2hw.golden import Batch
from bnn2hw.ir import Cycles
from bnn2hw.simulation.compare import Mismatch
from bnn2hw.simulation.harness import Measured
from bnn2hw.tables import Table, counted


@dataclass(frozen=True)
class Run:
    """The result of a simulation.

    Attributes:
        outputs: Integers on the output, shape (frames, *shape); a mapping by name if there are
            several outputs.
        mismatches: By stream in the order of the design, the first difference from golden, or None
            if there is none.
        predicted: Interval and latency that the cycle model predicts; None for native code.
        stalled: Whether sources and sinks paused at random.
        measured: Figures that need a clock; None for C++.
        stalls: Share of the cycles in which they paused.
        seed: Seed of the pauses.
        starts: By process, the number of its first frame in `frame_ends`. Each process counts cycles
            from its own start.
    """

    outputs: Batch
    mismatches: Mapping[str, Mismatch | None]
    predicted: Cycles | None
    stalled: bool
    measured: Measured | None = None
    stalls: float = 0.0
    seed: int = 0
    starts: tuple[int, ...] = (0,)

    def __repr__(self) -> str:
        interval = "" if self.interval is None else f", interval {counted(self.interval, 'cycle')}"
        return f"<Run: {self._verdict()}{interval}>"

    def _repr_html_(self) -> str:
        rows = [("streams", self._verdict(), "equal to golden")]
        if self.measured and self.predicted:
            for name in ("interval", "latency"):
                found = getattr(self, name)
                measured = "one frame has none" if found is None else counted(found, "cycle")
                rows.append((name, measured, counted(getattr(self.predicted, name), "cycle")))
        how = f"with stalls in {self.stalls:.0%} of the cycles" if self.stalled else "without stalls"
        table = Table(f"simulation {how}", ("",), ("measured", "predicted"), list[tuple[str, ...]](rows))
        wrong = "".join(f"<p>{escape(str(m))}</p>" for m in self.mismatches.values() if m)
        return table._repr_html_() + wrong

    def _verdict(self) -> str:
        """The comparison with golden in words."""
        frames = golden.frames(self.outputs)
        bad = sum(map(bool, self.mismatches.values()))
        found = "all exact" if self.exact else f"{bad} NOT EXACT"
        return f"{counted(frames, 'frame')}, {counted(len(self.mismatches), 'stream')}, {found}"

    @property
    def exact(self) -> bool:
        """True if every stream equals golden."""
        return not any(self.mismatches.values())

    @property
    def frame_ends(self) -> tuple[int, ...]:
        """By frame, the cycle in which its last output beat was taken. Empty for HLS."""
        return self.measured.frame_ends if self.measured else ()

    @property
    def intervals(self) -> tuple[int, ...]:
        """Cycles between the ends of neighboring frames of the same process. Empty for HLS."""
        return tuple(i for part in self._parts for i in part)

    @property
    def _parts(self) -> list[tuple[int, ...]]:
        """By process, the cycles between the ends of its neighboring frames."""
        bounds = pairwise((*self.starts, len(self.frame_ends)))
        ends = [self.frame_ends[first:end] for first, end in bounds]
        return [tuple(after - before for before, after in pairwise(e)) for e in ends]

    @property
    def interval(self) -> int | None:
        """Cycles between the ends of the last two frames. None for one frame and for HLS."""
        return self.intervals[-1] if self.intervals else None

    @property
    def startup(self) -> tuple[int, ...]:
        """Cycles between the ends of the first frames, before these are as far apart as the last two."""
        return ir.startup(self._parts[0])

    @property
    def latency(self) -> int | None:
        """Cycles from the first input beat to the first output beat. None for HLS."""
        return self.measured.latency if self.measured else None

    @property
    def cycles(self) -> int | None:
        """Clock cycles that were simulated. None for HLS."""
        return self.measured.cycles if self.measured else None

    @property
    def seconds(self) -> float | None:
        """Processor time of the simulated cycles. None for HLS."""
        return self.measured.seconds if self.measured else None

    @property
    def overhead(self) -> float | None:
        """Share of `seconds` that was spent on feeding and recording. None for HLS."""
        return self.measured.overhead if self.measured else None

    def check(self) -> None:
        """Raise if a stream differs from golden.

        Raises:
            MismatchError: A stream differs. The message names the first one in the order of the
                design.
        """
        for mismatch in self.mismatches.values():
            if mismatch:
                raise MismatchError(f"hardware and golden model differ: {mismatch}")
