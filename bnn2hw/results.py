"""Results of a compiled model on this machine: classes, scores, integers of each layer, accuracy."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from bnn2hw import golden
from bnn2hw.compiled import CompiledModel
from bnn2hw.dataflow.insert import remove_fifos
from bnn2hw.deviation import AT_ONCE
from bnn2hw.errors import InputError, MissingToolError, ToolError, UnsupportedError
from bnn2hw.golden import Batch
from bnn2hw.inputs import Data, batches
from bnn2hw.ir import Array, Graph, Tensor
from bnn2hw.native import library
from bnn2hw.ops import Argmax, TopK, source
from bnn2hw.ops.source import numbers
from bnn2hw.progress import Progress, silent

log = logging.getLogger("bnn2hw")


@dataclass
class Runner:
    """Runs one compiled model: native code where a C++ compiler is there, golden otherwise.

    Attributes:
        model: The model.
        progress: Told what is being done.
        graph: The streamed graph without FIFOs and converters.
    """

    model: CompiledModel
    progress: Progress = silent
    graph: Graph = field(init=False, repr=False)
    _networks: dict[frozenset[str], library.NativeNetwork | None] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.graph = remove_fifos(self.model.graph)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return tuple(n.name for n in self.graph.sources)

    @property
    def outputs(self) -> dict[str, str]:
        """The edge of the graph without FIFOs that leaves the design, by the name of the output."""
        return dict(zip(self.model.graph.outputs, self.graph.outputs, strict=True))

    def gives_index(self, edge: str) -> bool:
        """True if an edge says which value is largest, rather than how large."""
        return isinstance(self.graph[self.graph.wire(edge)].op, Argmax | TopK)

    def run(self, x: Batch, keep: frozenset[str] = frozenset()) -> Mapping[str, Array]:
        """Compute integers for one batch.

        Args:
            x: Integers, or floats in the model's own unit; by name where there are several inputs.
            keep: Edges of the graph without FIFOs that are wanted besides the outputs.

        Returns:
            Integers of shape (frames, *edge shape) by edge.

        Raises:
            InputError: The batch does not fit the model's input.
        """
        wires = self.wires(x)
        network = self._network(keep)
        if network:
            return network.run(wires)
        wide = {name: a.astype(np.int64) for name, a in wires.items()}
        edges = golden.run(self.graph, wide)
        return {name: golden.wide(edges[name]) for name in {*self.graph.outputs, *keep}}

    def wires(self, x: Batch) -> dict[str, Array]:
        """Return the integers on the wires by input.

        Args:
            x: A batch as in `run`.

        Raises:
            InputError: The batch does not fit the model's input.
        """
        names = tuple(n.name for n in self.graph.sources)
        given = golden.by_name(names, self.model.to_streams(x))
        wires = {n: self._wire(n, numbers(a, "the input")) for n, a in given.items()}
        golden.check(self.graph, wires)
        return wires

    def _wire(self, name: str, x: Array) -> Array:
        x = golden.with_channels(x, self.graph.types[name].shape)
        return x if x.dtype.kind in "iu" else source.input_spec(self.model.input_specs, name).integers(x)

    def _network(self, keep: frozenset[str]) -> library.NativeNetwork | None:
        if keep not in self._networks:
            self._networks[keep] = self._built(keep)
        return self._networks[keep]

    def _built(self, keep: frozenset[str]) -> library.NativeNetwork | None:
        try:
            network = library.network(self.graph, self.model.name, keep, self.progress)
        except (MissingToolError, UnsupportedError) as error:
            log.info("results come from the integer model in NumPy: %s", error)
            return None
        except ToolError as error:
            warnings.warn(f"native code cannot be compiled, NumPy is used instead: {error}", stacklevel=4)
            return None
        log.info("results come from native code (%s)", network.library.fastest)
        return network


def dequantize(model: CompiledModel, y: Batch) -> Batch:
    """Return the real numbers that integers of the outputs stand for, in the model's own units.

    Args:
        model: The compiled model.
        y: Integers of shape (frames, *output shape), by name where there are several outputs.

    Returns:
        float64 arrays of the same shapes.

    Raises:
        InputError: y does not have the shapes of the outputs, or is no array of integers.
    """
    arrays = golden.by_name(tuple(model.graph.outputs), y, "output")
    return golden.batch({n: _checked_real(model, n, a) for n, a in arrays.items()})


def _checked_real(model: CompiledModel, name: str, y: Array) -> Array:
    tensor, layout = model.graph.types[name], model.layouts.get(name)
    integers = numbers(y, f"the output '{name}'")
    if layout is not None and integers.shape[1:] == layout.shape != tensor.shape:
        return layout.from_stream(_real(tensor, layout.to_stream(integers)))
    if integers.shape[1:] != tensor.shape and not (tensor.size == 1 and integers.ndim == 1):
        expected = ", ".join(map(str, ("batch", *tensor.shape)))
        raise InputError(f"the output '{name}' has shape {integers.shape}, expected ({expected})")
    if np.any(integers != np.rint(integers)):
        raise InputError(f"the output '{name}' holds numbers that are not integers")
    return _real(tensor, integers)


def _real(tensor: Tensor, y: Array) -> Array:
    wide = np.asarray(y, np.float64).reshape(len(y), *tensor.shape)
    real: Array = wide * np.asarray(tensor.scale) + np.asarray(tensor.offset)
    return real.reshape(np.shape(y))


def predict(runner: Runner, x: Data) -> Batch:
    """Return what the model says of each frame; see `Accelerator.predict`."""
    parts = [_predicted(runner, some) for some, _ in batches(x, names=runner.inputs)]
    if not parts:
        raise InputError("there are no frames to predict")
    return golden.batch({name: np.concatenate([p[name] for p in parts]) for name in parts[0]})


def _predicted(runner: Runner, x: Batch) -> dict[str, Array]:
    edges = runner.run(x)
    found = {}
    for name, edge in runner.outputs.items():
        values = edges[edge].astype(np.int64)
        shaped = values.reshape(len(values)) if values[:1].size == 1 else values
        found[name] = shaped if runner.gives_index(edge) else _real(runner.model.graph.types[name], values)
    ordered = runner.model.from_streams(golden.batch(found), tuple(found))
    return golden.by_name(tuple(found), ordered, "output")


def values(runner: Runner, x: Data, layers: Collection[str] | None) -> dict[str, Array]:
    """Return the integers of edges by name; see `Accelerator.values`."""
    graph = runner.graph
    layers = [layers] if isinstance(layers, str) else layers
    if layers is not None and not isinstance(layers, Collection):
        raise InputError(f"layers must be a list of names, not {layers!r}")
    layers = None if layers is None else list(layers)
    wanted = {n.name for n in graph if layers is None or n.name in layers or n.layer in layers}
    unknown = [name for name in layers or () if not any(name in (n.name, n.layer) for n in graph)]
    if unknown:
        known = ", ".join(dict.fromkeys(n.layer or n.name for n in graph))
        raise InputError(f"there is no layer '{unknown[0]}'; layers: {known}")
    parts = [runner.run(some, frozenset(wanted)) for some, _ in batches(x, names=runner.inputs)]
    if not parts:
        raise InputError("there are no frames to compute")
    return {n.name: np.concatenate([p[n.name] for p in parts]) for n in graph if n.name in wanted}


@dataclass
class OwnLayers:
    """Computes what a model's own layers compute.

    Attributes:
        runner: Runs the design.
        find: Returns the model in real form and in hardware form, given integers by input on which it must equal
            the design.
    """

    runner: Runner
    find: Callable[[Mapping[str, Array]], tuple[Graph, Graph]]
    _forms: tuple[Graph, Graph] | None = field(default=None, repr=False)

    def __call__(self, x: Batch) -> dict[str, Array]:
        """Return the scores of one batch by output; where the design gives the k best classes, those of the model.

        Raises:
            InputError: The batch does not fit the model's input, or this is another model.
        """
        wires = self.runner.wires(x)
        real, lowered = self._forms = self._forms or self.find(wires)
        values = {n: lowered.types[n].real(a).astype(np.float32) for n, a in wires.items()}
        step = max(1, AT_ONCE // sum(t.size for t in real.types.values()))
        parts = [
            golden.run(real, {n: a[i : i + step] for n, a in values.items()})
            for i in range(0, golden.frames(values), step)
        ]
        return {name: self._best(np.concatenate([p[name] for p in parts])) for name in real.outputs}

    def _best(self, scores: Array) -> Array:
        """Return the k best classes if the design gives several, or else the scores."""
        graph, edges = self.runner.graph, list(self.runner.outputs.values())
        sizes = [graph.types[edge].size for edge in edges if self.runner.gives_index(edge)]
        if sizes in ([], [1]) or scores.dtype.kind in "iu":
            return scores
        order: Array = np.argsort(-scores.reshape(len(scores), -1), axis=-1, kind="stable")
        return order[:, : sizes[0]]


def evaluate(
    runner: Runner,
    x: Data,
    labels: Array | None,
    computed: Callable[[Batch], Mapping[str, Array]] | None = None,
) -> float:
    """Return the share of frames whose class is right; see `Accelerator.evaluate`.

    Args:
        runner: Runs the design.
        x: Frames.
        labels: One class per frame; None if `x` yields the labels.
        computed: Computes the outputs of a batch. Default: the design.
    """
    right = count = 0
    for some, true in batches(x, labels, runner.inputs):
        if true is None:
            raise InputError(
                "there are no labels; give labels=, or data that yields pairs of inputs and labels"
            )
        outputs = computed(some) if computed else _predicted(runner, some)
        if len(outputs) != 1:
            raise InputError(f"accuracy is for models of one output; this one has {', '.join(outputs)}")
        [found] = outputs.values()
        right += correct(found, true)
        count += len(found)
        runner.progress(f"evaluating: {count} frames, {right / max(count, 1):.2%} right")
    if not count:
        raise InputError("there are no frames to evaluate")
    return right / count


def gives_a_class(model: CompiledModel) -> bool:
    """Return true if the only output of a model is the index of one class."""
    runner = Runner(model)
    edges = list(runner.outputs.values())
    return len(edges) == 1 and runner.gives_index(edges[0]) and runner.graph.types[edges[0]].size == 1


def correct(found: Array, labels: Array) -> int:
    """Count the frames whose class, or one of the k best, is the label.

    Args:
        found: Integers of shape (frames,) or (frames, k): classes; or scores of shape (frames, ...).
        labels: One class per frame, or one-hot rows.

    Raises:
        InputError: Labels are no classes.
    """
    classes = _classes(numbers(labels, "labels"), len(found))
    best = found if np.issubdtype(found.dtype, np.integer) else found.reshape(len(found), -1).argmax(-1)
    return int((best.reshape(len(best), -1) == classes[:, None]).any(-1).sum())


def _classes(labels: Array, count: int) -> Array:
    """Labels as classes: integers as they are, one-hot rows as the index of their 1."""
    if labels.dtype.kind not in "iufb":
        raise InputError(f"labels must be numbers of classes or one-hot rows, not {labels.dtype}")
    flat = labels.reshape(count, -1)
    classes: Array = flat[:, 0] if flat.shape[1] == 1 else flat.argmax(-1)
    wrong = classes[(classes < 0) | (classes != np.rint(classes))]
    if len(wrong):
        raise InputError(
            f"labels must be numbers of classes, counted from 0, or one-hot rows; {wrong[0]:g} is neither"
        )
    return classes
