"""From a model to integers: what compiling a model shares with loading another one into the same hardware."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bnn2hw import golden
from bnn2hw.dataflow import insert
from bnn2hw.errors import InputError
from bnn2hw.estimate import cycles, resources
from bnn2hw.folding import search as folding
from bnn2hw.folding import unroll
from bnn2hw.folding.search import Folding
from bnn2hw.golden import Batch
from bnn2hw.ir import Array, Graph
from bnn2hw.lower import simplify
from bnn2hw.lower.builder import Precision
from bnn2hw.lower.hardware import Lowered, to_hardware
from bnn2hw.lower.outputs import Output
from bnn2hw.lower.recipe import Loadable, Recipe
from bnn2hw.ops.source import Input, InputSpecs
from bnn2hw.progress import Progress
from bnn2hw.targets.devices import Device

if TYPE_CHECKING:
    from bnn2hw.importers.keras.model import Imported

CALIBRATION_BATCH = 64

UNSEEN = 1e4
"""Values that a stream is to carry unclamped for each one in calibration data."""


@dataclass(frozen=True)
class LoweredModel:
    """A model in real form, and in hardware form.

    Attributes:
        real: in real form.
        lowered: in hardware form.
        units: the model's own input units.
    """

    real: Graph
    lowered: Lowered
    units: InputSpecs


def read(model: Any) -> Imported:
    """A Keras model, or the path of one, in real form.

    Raises:
        InputError: no usable model.
        UnsupportedError: layers that cannot be compiled, all at once.
    """
    from bnn2hw.importers.keras import files
    from bnn2hw.importers.keras import model as importer

    return importer.read(files.load(Path(model)) if isinstance(model, str | Path) else model)


def recipe(
    imported: Imported, output: Output | None, bits: int | Mapping[str, int] | None, loadable: Loadable
) -> Recipe:
    """How a model is lowered.

    Raises:
        InputError: `loadable` names what is no layer.
    """
    nodes = tuple(
        (n.name, n.layer, type(n.op).__name__, imported.graph.types[n.name].shape) for n in imported.graph
    )
    if not isinstance(loadable, bool):
        layers = {layer for _, layer, _, _ in nodes}
        names = [loadable] if isinstance(loadable, str) else loadable
        unknown = [name for name in names if name not in layers]
        if unknown or isinstance(loadable, str):
            raise InputError(
                f"loadable must be True, False or a list of layers, not '{[*unknown, *names][0]}'; "
                f"layers: {', '.join(sorted(layers))}"
            )
        loadable = tuple(loadable)
    return Recipe(output, bits, loadable, nodes)


def lower(
    imported: Imported, given: InputSpecs | None, how: Recipe, calibration: Batch | None = None
) -> LoweredModel:
    """The hardware form of a model.

    Args:
        imported: the model in real form.
        given: what arrives on the wire, where a user says so.
        how: its recipe.
        calibration: some inputs, on which the ranges of streams of real numbers are seen.

    Raises:
        InputError: unusable calibration data, or a name of an input that there is none of.
        UnsupportedError: layers that cannot be compiled, all at once.
    """
    wires, units = _wires(imported, given)
    real = simplify(imported.graph)
    ranges = _ranges(real, wires, calibration)
    precision = Precision.of(how.bits)
    return LoweredModel(
        real, to_hardware(real, wires, how.output, precision, ranges, loadable=how.wanted), units
    )


def _wires(imported: Imported, given: InputSpecs | None) -> tuple[dict[str, Input], InputSpecs]:
    """What arrives at each input as its layers see it, and as users see it."""
    sources = [n.name for n in imported.graph.sources]
    if isinstance(given, Mapping) and not set(given) <= set(sources):
        unknown = sorted(set(given) - set(sources))[0]
        raise InputError(f"input= names '{unknown}', which is no input; inputs: {', '.join(sources)}")
    wires, units = {}, {}
    for name in sources:
        inside = imported.inputs.get(name)
        outside = given.get(name) if isinstance(given, Mapping) else given
        if outside or inside:
            wires[name] = inside.within(outside) if outside and inside else outside or inside or Input()
        units[name] = outside or (Input(inside.dtype) if inside else Input())
    same = all(u == units[sources[0]] for u in units.values())
    return wires, units[sources[0]] if same else units


def _ranges(
    real: Graph, wires: Mapping[str, Input], calibration: Batch | None
) -> dict[str, tuple[Array, Array]]:
    """By edge of the real form, the smallest and largest value of each channel that calibration data let expect.

    The tails of the values seen are taken to be exponential: the range of n of them grows as log n, and what UNSEEN
    times as many would reach is to fit.
    """
    if calibration is None:
        return {}
    sources = {n.name: wires[n.name].tensor(real.types[n.name].shape) for n in real.sources}
    given = golden.by_name(tuple(sources), calibration)
    for name, wire in sources.items():
        given[name] = images(given[name], wire.shape)
        if given[name].shape[1:] != wire.shape or not len(given[name]):
            raise InputError(
                f"calibration data have shape {given[name].shape}, "
                f"expected (images, {', '.join(map(str, wire.shape))})"
            )
    found: dict[str, tuple[Array, Array]] = {}
    seen: Counter[str] = Counter()
    for start in range(0, golden.frames(given), CALIBRATION_BATCH):
        part = {
            name: sources[name].real(x[start : start + CALIBRATION_BATCH]).astype(np.float32)
            for name, x in given.items()
        }
        for name, values in golden.run(real, part).items():
            flat = values.reshape(-1, values.shape[-1])
            low, high = found.get(name, (flat[0], flat[0]))
            found[name] = np.minimum(low, flat.min(0)), np.maximum(high, flat.max(0))
            seen[name] += len(flat)
    for name, (low, high) in found.items():
        spare = (high - low) / 2 * math.log(UNSEEN) / math.log(max(seen[name], 2))
        found[name] = low - spare, high + spare
    return found


def images(x: Array, shape: tuple[int, ...]) -> Array:
    """Images; grey ones may come without their channel axis."""
    x = np.asarray(x)
    return x[..., None] if (*x.shape[1:], 1) == shape else x


def shown(calibration: Batch, shape: tuple[int, ...]) -> Batch:
    """The first calibration data, as `Accelerator.deviation` takes them."""
    if isinstance(calibration, Mapping):
        return {name: x[:CALIBRATION_BATCH] for name, x in calibration.items()}
    return images(calibration, shape)[:CALIBRATION_BATCH]


def fold(graph: Graph, device: Device, fps: float | None, by_hand: Folding | None) -> Graph:
    """The folded form of a graph: for a rate, or by hand, or as fast as fits.

    Raises:
        FoldingError: a rate that no folding reaches or that does not fit, a folding that does not divide, or a
            layer that cannot be unrolled.
    """
    graph, by_hand = unroll.apply(graph, by_hand, device)
    return folding.chosen(graph, device, fps, by_hand)


def laid_out(
    graph: Graph, device: Device, fps: float | None, by_hand: Folding | None, progress: Progress
) -> Graph:
    """A hardware form, folded and with its FIFOs.

    FIFOs that become deep where branches meet are laid out when the folding stands. Where they do not fit then, and
    nothing else was asked for, foldings of half the rate are tried, again and again; the last may still not fit.

    Raises:
        FoldingError: as for `fold`.
    """
    progress("folding")
    folded = fold(graph, device, fps, by_hand)
    while True:
        progress("laying out streams")
        made = insert.connect(folded)
        needs = resources.utilization(made, device)
        if needs.fits or fps is not None or by_hand:
            return made
        period = cycles.interval(folded)
        progress(f"folding for {2 * period:,} cycles: the FIFOs of the faster design do not fit")
        folded = folding.for_rate(graph, 2 * period, device)
        if cycles.interval(folded) <= period:
            return made
