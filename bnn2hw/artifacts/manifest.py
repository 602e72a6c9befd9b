"""The facts about an accelerator that a build folder keeps next to the graph, in manifest.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from typing import Any

from bnn2hw.backends.design import named_words
from bnn2hw.comparison import Comparison
from bnn2hw.compiled import CompiledModel
from bnn2hw.deviation import Deviation
from bnn2hw.ir import AxisOrder, Cycles
from bnn2hw.lower.fidelity import Fidelity
from bnn2hw.lower.recipe import Recipe
from bnn2hw.ops import source
from bnn2hw.ops.source import InputSpecs
from bnn2hw.targets import boards, devices
from bnn2hw.targets.boards import Board
from bnn2hw.targets.devices import Device


def _device(data: Mapping[str, Any]) -> Device:
    """Return the device that a manifest names, or describes if the package does not have it.

    Native code has no device; the default one stands for it.
    """
    if data["device"] is None:
        return devices.device(devices.DEFAULT)
    return devices.from_facts(data["own_device"]) if "own_device" in data else devices.device(data["device"])


@dataclass(frozen=True)
class Manifest:
    """Facts about an accelerator.

    `top`, `input`, `output` and `cycles` are for readers of the file; `load` derives them from the
    graph.

    Attributes:
        name: Name of the model.
        backend: Backend that rendered the sources.
        device: Device that the design is planned for.
        top: Name of the top module or function; for native code, the beginning of its names.
        input: Description of the input streams.
        output: Description of the output streams.
        cycles: Interval, latency and start-up; None for native code.
        input_specs: Integers on the wires and their meaning.
        fidelity: By layer, whether the hardware is exact or rounded.
        measured: Deviations from Keras on calibration data, or on random frames without them.
        compared: The outputs beside those of the executor of the model's own format.
        recipe: Options of the lowering, if other weights can be loaded.
        options: Options of the compilation by name, without those that have their default.
        layouts: Order of the values in the stream, by input and output whose arrays have another.
        board: Board that the design is planned for, if one was named.
        made_from: Names of the files that it was made from, by option.
    """

    name: str
    backend: str
    device: Device
    top: str
    input: str
    output: str
    cycles: Cycles | None
    input_specs: InputSpecs
    fidelity: Mapping[str, Fidelity]
    measured: tuple[Deviation, ...] = ()
    compared: Comparison | None = None
    recipe: Recipe | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    layouts: Mapping[str, AxisOrder] = field(default_factory=dict)
    board: Board | None = None
    made_from: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, accelerator: CompiledModel) -> Manifest:
        """Collect the facts about an accelerator."""
        design = accelerator.design
        return cls(
            name=accelerator.name,
            backend=accelerator.backend,
            device=accelerator.device,
            top=design.top,
            input="; ".join(named_words(design.inputs)),
            output="; ".join(named_words(design.outputs)),
            cycles=None if accelerator.is_native else accelerator.estimate().cycles,
            input_specs=accelerator.input_specs,
            fidelity=accelerator.fidelity,
            measured=tuple(accelerator.measured.values()),
            compared=accelerator.compared,
            recipe=accelerator.recipe,
            options=accelerator.options,
            layouts=accelerator.layouts,
            board=accelerator.board,
            made_from=accelerator.made_from,
        )

    def plain(self) -> dict[str, Any]:
        """Return the facts as data that JSON can hold."""
        data = {
            "name": self.name,
            "backend": self.backend,
            "device": self.device.name if self.cycles else None,
            "top": self.top,
            "input_specs": source.facts(self.input_specs),
            "fidelity": {layer: [f.kind, f.why] for layer, f in self.fidelity.items()},
            "measured": [list(astuple(d)) for d in self.measured],
            "compared": self.compared and self.compared.plain(),
            "input": self.input,
            "output": self.output,
            "options": dict(self.options),
            "cycles": self.cycles and _plain_cycles(self.cycles),
        }
        if self.layouts:
            data["layouts"] = {name: layout.facts() for name, layout in self.layouts.items()}
        if self.made_from:
            data["made_from"] = dict(self.made_from)
        if self.board:
            data["board"] = boards.facts(self.board)
        if self.cycles and self.device != devices.known().get(self.device.name):
            data["own_device"] = devices.facts(self.device)
        return {**data, "recipe": self.recipe.facts()} if self.recipe else data

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Manifest:
        """Return the facts that `plain` wrote. In format 1, the key of `input_specs` is "units".

        Raises:
            KeyError: A fact is missing.
            TypeError: A fact has the wrong form.
            ValueError: Likewise.
        """
        return cls(
            name=data["name"],
            backend=data["backend"],
            device=_device(data),
            top=data["top"],
            input=data["input"],
            output=data["output"],
            cycles=data["cycles"] and _cycles(**data["cycles"]),
            input_specs=source.from_facts(data["input_specs" if "input_specs" in data else "units"]),
            fidelity={layer: Fidelity(*f) for layer, f in data["fidelity"].items()},
            measured=tuple(Deviation(*d) for d in data["measured"]),
            compared=Comparison.of(data.get("compared")),
            recipe=Recipe.of(data["recipe"]) if "recipe" in data else None,
            options=data.get("options", {}),
            layouts={name: AxisOrder.of(facts) for name, facts in data.get("layouts", {}).items()},
            board=boards.from_facts(data["board"]) if "board" in data else None,
            made_from=data.get("made_from", {}),
        )


def _plain_cycles(cycles: Cycles) -> dict[str, Any]:
    """Return cycles as JSON has them, without a start-up that was not computed."""
    return {name: value for name, value in asdict(cycles).items() if value is not None}


def _cycles(interval: int, latency: int, startup: Sequence[int] | None = None) -> Cycles:
    return Cycles(interval, latency, None if startup is None else tuple(startup))
