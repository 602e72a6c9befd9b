"""The passes from a model to streams, in order, and the functions that run them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bnn2hw import agreement, checks, comparison, importers, inputs
from bnn2hw.comparison import Comparison
from bnn2hw.dataflow import connect, free_running, insert
from bnn2hw.deviation import Deviation
from bnn2hw.errors import InputError
from bnn2hw.estimate import cycles, resources
from bnn2hw.folding import search as folding
from bnn2hw.folding import unroll
from bnn2hw.folding.by_hand import Folding
from bnn2hw.golden import Batch
from bnn2hw.importers.imported import Imported
from bnn2hw.ir import Array, AxisOrder, Graph
from bnn2hw.lower import fixed_steps
from bnn2hw.lower.calibration import expected_ranges, first_batch
from bnn2hw.lower.fidelity import Fidelity
from bnn2hw.lower.hardware import Lowered, to_hardware
from bnn2hw.lower.outputs import Output
from bnn2hw.lower.precision import Precision
from bnn2hw.lower.pruning import pruned
from bnn2hw.lower.recipe import Loadable, RealNode, Recipe
from bnn2hw.lower.simplify import hoist_uniform
from bnn2hw.lower.unread_tables import without_unread_tables
from bnn2hw.ops import source
from bnn2hw.ops.source import Input, InputSpecs
from bnn2hw.progress import Progress, silent
from bnn2hw.targets.devices import Device


@dataclass(frozen=True)
class Layout:
    """A graph that is being folded and connected, and what is asked for.

    Attributes:
        graph: In hardware form.
        device: Device that must hold the design.
        fps: Frames per second to reach at the device's clock; None for as many as fit.
        folding: Fields of ops by name of the node, as the user sets them by hand; None for none.
        latency: Cycles to the first output, or "least"; None for any number.
        period: Cycles per frame to reach, instead of `fps`.
        dsps: True if accumulators may be in DSP blocks where LUTs are scarce.
        progress: Called at the start of each slow step.
    """

    graph: Graph
    device: Device
    fps: float | None = None
    folding: Folding | None = None
    latency: int | str | None = None
    period: int | None = None
    dsps: bool = True
    progress: Progress = silent


def trimmed(layout: Layout) -> Layout:
    """Leave out truth tables that no other table depends on."""
    return replace(layout, graph=without_unread_tables(layout.graph))


def unrolled(layout: Layout) -> Layout:
    """Turn the weights of layers whose style is "unrolled" into logic."""
    graph, rest = unroll.apply(layout.graph, layout.folding, layout.device)
    return replace(layout, graph=graph, folding=rest)


def folded(layout: Layout) -> Layout:
    """Choose lanes, PE and SIMD of every op."""
    graph, device = layout.graph, layout.device
    if layout.period:
        return replace(layout, graph=folding.for_rate(graph, layout.period, device))
    layout.progress("folding")
    if layout.latency is not None:
        found = folding.in_time(
            graph,
            device,
            layout.latency,
            layout.fps,
            layout.folding,
            progress=layout.progress,
            dsps=layout.dsps,
        )
        return replace(layout, graph=found)
    found = folding.chosen(graph, device, layout.fps, layout.folding, dsps=layout.dsps)
    return replace(layout, graph=found)


def streamed(layout: Layout) -> Layout:
    """Insert width converters and FIFOs, and let chains of ops in which nothing can stall run free."""
    layout.progress("laying out streams")
    made, family = connect.connect(layout.graph), layout.device.family
    return replace(layout, graph=free_running.free(made, family, later=layout.latency is None))


SIMPLIFY: tuple[Callable[[Graph], Graph], ...] = (hoist_uniform,)
"""Passes over the real form. A node that a pass keeps, other than a change of shape, computes the
same values."""

LAY_OUT: tuple[Callable[[Layout], Layout], ...] = (trimmed, unrolled, folded, streamed)
"""Passes over the hardware form."""

PASSES: tuple[Callable[..., object], ...] = (pruned, *SIMPLIFY, to_hardware, *LAY_OUT)
"""All passes in the order in which they run. No pass changes what the outputs are, but for the
rounding that `to_hardware` reports. tests/lower/test_passes.py runs golden before and after each of
them."""


@dataclass(frozen=True)
class LoweredModel:
    """A model as the importer read it, and in hardware form.

    Attributes:
        read: Returns the model in real form, before any pass.
        lowered: The model in hardware form.
        input_specs: The model's own input units.
    """

    read: Callable[[], Graph]
    lowered: Lowered
    input_specs: InputSpecs

    @cached_property
    def real(self) -> Graph:
        """The model in real form, before any pass."""
        return self.read()


@dataclass(frozen=True)
class Prepared:
    """All that a compilation needs of a model before it is folded.

    Attributes:
        name: Name of the model.
        made: The model in hardware form.
        recipe: Options by which it was lowered.
        layouts: Order of the values in the stream, where the model's arrays have another, by input and by
            output of the real form.
        ends: Outputs of the real form.
        measured: Deviation from the model by edge of the hardware form.
        compared: The outputs beside those of the executor of the model's own format.
    """

    name: str
    made: LoweredModel
    recipe: Recipe
    layouts: Mapping[str, AxisOrder]
    ends: tuple[str, ...]
    measured: tuple[Deviation, ...]
    compared: Comparison | None = None


def read(model: Any, custom_objects: Mapping[str, Any] | None = None) -> Imported:
    """Read a model, or the file at a path.

    Args:
        model: A model object, or the path of a file.
        custom_objects: Classes and functions of the user's own in files of Keras, by name.

    Raises:
        InputError: The model or the file cannot be read.
        UnsupportedError: The model has layers that cannot be compiled. The error lists all of them.
    """
    return importers.read(model, custom_objects)


def lean(imported: Imported) -> Imported:
    """Return a model without neurons that nothing reads, or that are constant.

    Designs that take other weights at run time need all of them.
    """
    return replace(imported, graph=pruned(imported.graph))


def recipe(
    imported: Imported, output: Output | None, bits: int | Mapping[str, int] | None, loadable: Loadable
) -> Recipe:
    """Return the options by which a model is lowered.

    Args:
        imported: The model.
        output: See `bnn2hw.compile`, as for the following arguments.
        bits: Bits of what must be rounded.
        loadable: Layers whose memories can be written at run time.

    Raises:
        InputError: `bits` or `loadable` names something that is not a layer.
    """
    types = imported.graph.types
    nodes = tuple(RealNode(n.name, n.layer, type(n.op).__name__, types[n.name].shape) for n in imported.graph)
    layers = sorted({node.layer for node in nodes})
    if isinstance(bits, Mapping):
        checks.known("bits", bits, layers)
    if not isinstance(loadable, bool):
        names = list(loadable) if isinstance(loadable, Collection) and not isinstance(loadable, str) else None
        unknown = [loadable] if names is None else [name for name in names if name not in layers]
        if unknown:
            raise InputError(
                f"loadable must be True, False or a list of layers, not {unknown[0]!r}; layers: {', '.join(layers)}"
            )
        loadable = tuple(names or ())
    return Recipe(output or imported.output, bits, loadable, nodes)


def lower(
    imported: Imported, given: InputSpecs | None, how: Recipe, calibration: Batch | None = None
) -> LoweredModel:
    """Lower a model to hardware form.

    Args:
        imported: The model in real form.
        given: What arrives on the wires, if the user states it.
        how: The options.
        calibration: Frames from which the ranges of real-valued streams are taken; None for proved
            ranges.

    Raises:
        InputError: The calibration data cannot be used, or `given` names an input that does not
            exist.
        UnsupportedError: The model has layers that cannot be compiled. The error lists all of them.
    """
    wires, specs = _inputs(imported, given)
    graph, ranges = imported.graph, {}
    fixed: dict[str, Fidelity] = {}
    frames = {} if calibration is None else _frames(imported, specs, calibration)
    known = calibration is not None and all(n.name in wires for n in graph.sources)  # lowering says so if not
    if known and not how.loadable:  # other weights would need other steps
        graph, fixed = fixed_steps.fix(graph, wires, frames)
    for simplify in SIMPLIFY:
        graph = simplify(graph)
    if known:
        ranges = expected_ranges(graph, wires, frames)
    lowered = to_hardware(
        graph,
        wires,
        how.output,
        Precision.of(how.bits),
        ranges,
        loadable=how.loadable_layers,
        names=imported.names,
    )
    matches = {edge: name for edge, name in lowered.matches.items() if name in imported.graph.types}
    own = _own(lowered, graph, imported.graph)
    lowered = replace(lowered, fidelity={**lowered.fidelity, **fixed}, matches=matches, own=own)
    return LoweredModel(lambda: imported.graph, lowered, specs)


def _own(lowered: Lowered, graph: Graph, real: Graph) -> dict[str, Array]:
    """The errors that the hardware makes at nodes of the model; unbounded where a pass put rounding behind them.

    Args:
        lowered: The model in hardware form.
        graph: The model in real form behind all passes over it.
        real: The same in front of them.
    """
    own = {name: error for name, error in lowered.own.items() if name in real.types}
    for node in graph:
        if node.name not in real.types:
            own.update({i: np.array([np.inf]) for i in node.inputs if i in real.types})
    return own


def compared_frames(imported: Imported, made: LoweredModel, calibration: Batch | None) -> dict[str, Array]:
    """Return frames on which a model is compared: the first of the calibration data, else random ones.

    Args:
        imported: The model.
        made: The same in hardware form.
        calibration: See `lower`.

    Returns:
        Integers on the wires by input, of shape (frames, *input shape).
    """
    if calibration is None:
        return agreement.random_frames(made.lowered.graph, made.real)
    return _frames(imported, made.input_specs, first_batch(calibration))


def check_whole(imported: Imported, made: LoweredModel, frames: Mapping[str, Array]) -> Comparison:
    """Compare a model with itself: refuse one that does not compute what its layers compute one by one.

    Args:
        imported: The model.
        made: The same in hardware form.
        frames: Integers on the wires by input.

    Returns:
        The comparison of the hardware form with the executor of the model's format.

    Raises:
        UnsupportedError: The model as a whole returns other values.
    """
    types = made.lowered.graph.types
    inside = {n: types[n].real(a).astype(np.float32) for n, a in frames.items()}
    specs = {n: source.input_spec(made.input_specs, n).tensor(types[n].shape) for n in frames}
    outside = {n: specs[n].real(a).astype(np.float32) for n, a in frames.items()}
    reference = agreement.check(imported, inside, outside)
    return comparison.compare(imported.graph, made.lowered, reference, frames)


def _frames(imported: Imported, specs: InputSpecs, calibration: Batch) -> dict[str, Array]:
    """Return calibration data as integers on the wires."""
    try:
        return inputs.integers(imported.graph, specs, calibration, imported.layouts)
    except InputError as error:
        raise InputError(f"the calibration data cannot be used: {error}") from error


def _inputs(imported: Imported, given: InputSpecs | None) -> tuple[dict[str, Input], InputSpecs]:
    """The integers at each input, with their meaning to the model's layers and to users."""
    sources = [n.name for n in imported.graph.sources]
    if isinstance(given, Mapping) and not set(given) <= set(sources):
        unknown = sorted(set(given) - set(sources))[0]
        raise InputError(f"input= names '{unknown}', which is not an input; inputs: {', '.join(sources)}")
    wires, specs = {}, {}
    for name in sources:
        inside = imported.inputs.get(name)
        outside = (given.get(name) if isinstance(given, Mapping) else given) or imported.defaults.get(name)
        if outside or inside:
            wires[name] = inside.within(outside) if outside and inside else outside or inside or Input()
        specs[name] = outside or (Input(inside.dtype) if inside else Input())
    same = all(spec == specs[sources[0]] for spec in specs.values())
    return wires, specs[sources[0]] if same else specs


def layouts(model: Prepared, graph: Graph) -> dict[str, AxisOrder]:
    """Return the order of the values in the streams of a design, by input and output.

    Args:
        model: The model.
        graph: The design, whose inputs and outputs come in the order of the model's.
    """
    found = {n.name: model.layouts[n.name] for n in graph.sources if n.name in model.layouts}
    ends = zip(graph.outputs, model.ends, strict=True)
    return {**found, **{made: model.layouts[o] for made, o in ends if o in model.layouts}}


def lay_out(layout: Layout) -> Graph:
    """Fold a graph in hardware form and insert its FIFOs.

    The depth of FIFOs where branches meet is known only after folding. If the design does not fit
    with its FIFOs, and the user asked for neither a rate nor a folding, the rate is halved until it
    does. The last design may not fit. The same holds if the user asked for a latency.

    Raises:
        FoldingError: No folding reaches the rate or fits the device, a folding by hand is not
            legal, or a layer cannot be unrolled.
    """
    made, asked = _run(layout), layout.fps or layout.folding or layout.latency
    while not _fits(made, layout.device) and not asked:
        period = 2 * _interval(made)
        layout.progress(f"folding for {period:,} cycles: the FIFOs of the faster design do not fit")
        slower = _run(replace(layout, period=period))
        if _interval(slower) <= period // 2:
            break
        made = slower
    return made


def _run(layout: Layout) -> Graph:
    for transform in LAY_OUT:
        layout = transform(layout)
    return layout.graph


def _fits(graph: Graph, device: Device) -> bool:
    return resources.utilization(graph, device).fits


def _interval(graph: Graph) -> int:
    """Cycles per frame of the folded ops, without converters and FIFOs."""
    return cycles.interval(insert.remove_fifos(graph))


def options(**given: object) -> dict[str, str]:
    """Return the options of a compilation in words, for the headers of the sources.

    Args:
        **given: Values by name of the option. Those that are None, False or empty are the default and
            left out.
    """
    return {name: _in_words(value) for name, value in given.items() if value not in (None, False, (), [], {})}


def _in_words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} ({_in_words(value[key])})" for key in sorted(value))
    if isinstance(value, str) or not isinstance(value, Iterable):
        return "yes" if value is True else f"{value:g}" if isinstance(value, float) else str(value)
    return ", ".join(sorted(map(str, value)))
