"""The points of a study: what is compiled for each, and what all have in common."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bnn2hw import compiler
from bnn2hw.accelerator import Accelerator
from bnn2hw.dataflow import insert
from bnn2hw.errors import FoldingError, InputError, unreadable
from bnn2hw.folding import pareto, unroll
from bnn2hw.ops.source import Input
from bnn2hw.progress import Progress
from bnn2hw.targets import devices
from bnn2hw.targets.records import is_path
from bnn2hw.version import __version__

FOLDED, UNROLLED = "folded", "unrolled"
"""Styles: no layer is unrolled, or each one that can be. Any other style names the layers, with + between."""


@dataclass(frozen=True)
class Setting:
    """The part that all points of a study have in common.

    Attributes:
        model: Path of the model file.
        input: What arrives on the wire; None for what the model says.
        output: Output of the design; see `bnn2hw.compile`.
        custom_objects: Classes and functions of the user's own in the model file, by name.
        devices: Facts of the devices that targets describe by the paths of their files.
    """

    model: str
    input: Input | None = None
    output: str | None = None
    custom_objects: Mapping[str, Any] = field(default_factory=dict)
    devices: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def content(self) -> str:
        """The hash of the model file.

        Raises:
            InputError: There is no such file.
            StorageError: It cannot be read.
        """
        return self.found()

    def found(self) -> str:
        """Return the hash of the model file that is there now, on this machine.

        Raises:
            InputError: There is no such file.
            StorageError: It cannot be read.
        """
        try:
            return hashlib.sha256(Path(self.model).read_bytes()).hexdigest()
        except OSError as error:
            raise unreadable(f"the model '{self.model}'", error) from error

    def facts(self, target: str) -> str:
        """Return the options as JSON, with the device of a target that is a file, and the text of own code."""
        own = {"device": self.devices[target]} if target in self.devices else {}
        code = {"code": self._code} if self.custom_objects else {}
        given = {"input": asdict(self.input) if self.input else None, "output": self.output}
        return json.dumps({**given, **own, **code})

    @cached_property
    def _code(self) -> str:
        """The hash of the source text of the user's own classes and functions."""
        made = hashlib.sha256()
        for name, each in sorted(self.custom_objects.items()):
            made.update(f"{name}\n{_source(each)}\n".encode())
        return made.hexdigest()[:16]

    def check_devices(self) -> None:
        """Check that the files of own devices say what they said when the study was started.

        Raises:
            InputError: One says something else, or is not there.
        """
        for path, facts in self.devices.items():
            if devices.facts(devices.device(path)) != facts:
                raise InputError(
                    f"'{path}' describes another device than when the study was started; "
                    "restore it, or explore again"
                )

    @classmethod
    def of(
        cls, model: str, target: str, facts: str, custom_objects: Mapping[str, Any] | None = None
    ) -> Setting:
        """Return the setting that `facts` describes, for a model file."""
        given = json.loads(facts)
        own = {target: given["device"]} if "device" in given else {}
        wire = Input(**given["input"]) if given["input"] else None
        return cls(model, wire, given["output"], custom_objects or {}, own)


def own_devices(targets: Sequence[str]) -> dict[str, Any]:
    """Return the facts of devices that are described by files, by the paths.

    Raises:
        InputError: A file cannot be used.
    """
    return {path: devices.facts(devices.device(path)) for path in targets if is_path(path)}


def _source(code: Any) -> str:
    """Return the text of a class or function, or its name if there is no text."""
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        return str(getattr(code, "__qualname__", type(code)))


@dataclass(frozen=True)
class Task:
    """A point that is to be compiled.

    Attributes:
        target: Name of the device, or path of its file.
        bits: Bits of what must be rounded; None for the default.
        style: A style; see `FOLDED`.
        fps: Frames per second to reach.
        unrolled: Layers of the style.
    """

    target: str
    bits: int | None
    style: str
    fps: float
    unrolled: tuple[str, ...] = ()

    @property
    def folding(self) -> dict[str, dict[str, str]] | None:
        """The styles of layers, as `bnn2hw.compile` takes them."""
        return {layer: {"style": UNROLLED} for layer in self.unrolled} or None

    def key(self, setting: Setting, data: str) -> str:
        """Return what the result of the point depends on, as a short hash.

        Args:
            setting: What all points have in common.
            data: Hash of the images and labels.
        """
        facts = [setting.content, setting.facts(self.target), asdict(self), data, __version__]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Axes:
    """The values that are combined with each other.

    Attributes:
        targets: Names of devices, or paths of their files.
        fps: Rates; if there are neither these nor `pixels`, those of the Pareto front on each device.
        pixels: Rates as the number of pixels (of a frame without axes of pixels, vectors) that enter per cycle.
        bits: Bits of what must be rounded; None is the default.
        styles: Styles; see `FOLDED`.
        ratio: Factor from one rate of the front to the next.
    """

    targets: Sequence[str]
    fps: Sequence[float]
    pixels: Sequence[float]
    bits: Sequence[int | None]
    styles: Sequence[str]
    ratio: float


def tasks(setting: Setting, axes: Axes, progress: Progress) -> list[Task]:
    """Return all points, the slowest ones of each device first.

    Args:
        setting: What all points have in common.
        axes: The values that are combined.
        progress: Called with the name of each step.

    Raises:
        Bnn2hwError: The model cannot be compiled for a device at all, or a style names no layer.
    """
    found: list[Task] = []
    for target in dict.fromkeys(axes.targets):
        progress(f"planning for {target}")
        made = compiled(setting, Task(target, axes.bits[0], FOLDED, 0.0))
        graph = insert.remove_fifos(made.graph)
        layers = {style: _layers(style, unroll.able(graph)) for style in dict.fromkeys(axes.styles)}
        rates = sorted({*axes.fps, *(_rate(made, each) for each in axes.pixels)})
        rates = rates or pareto.rates(graph, made.device, axes.ratio)
        for bits, style, fps in itertools.product(dict.fromkeys(axes.bits), layers, rates):
            found.append(Task(target, bits, style, fps, layers[style]))
    return found


def _rate(made: Accelerator, pixels: float) -> float:
    """Return the frames per second at which so many pixels enter in each cycle."""
    return pixels * made.device.clock_mhz * 1e6 / math.prod(made.input.shape[:-1])


def compiled(setting: Setting, task: Task, folding: Mapping[str, Any] | None = None) -> Accelerator:
    """Compile a point.

    Args:
        setting: What all points have in common.
        task: The point. A rate of 0 asks for as many frames as fit.
        folding: The folding of the point, if it is known.

    Raises:
        Bnn2hwError: An error of `bnn2hw.compile`.
    """
    return compiler.compile(
        setting.model,
        input=setting.input,
        output=setting.output,
        target=task.target,
        custom_objects=setting.custom_objects or None,
        bits=task.bits,
        fps=task.fps or None if folding is None else None,
        folding=task.folding if folding is None else folding,
    )


def _layers(style: str, able: Sequence[str]) -> tuple[str, ...]:
    """Return the layers that a style unrolls.

    Raises:
        InputError: It names a layer that cannot be unrolled.
        FoldingError: No layer can be unrolled.
    """
    if style == FOLDED:
        return ()
    if style == UNROLLED:
        if not able:
            raise FoldingError("no layer of this model can be unrolled; leave out the style 'unrolled'")
        return tuple(able)
    names = tuple(style.split("+"))
    for name in names:
        if name not in able:
            raise InputError(
                f"the style '{style}' is neither {FOLDED} nor {UNROLLED}, and '{name}' is not a layer that can be "
                f"unrolled; those are {', '.join(able) or 'none'}"
            )
    return names
