"""Batches of inputs from arrays, data sets of Keras and TensorFlow, and iterators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bnn2hw import golden
from bnn2hw.errors import InputError
from bnn2hw.golden import Batch
from bnn2hw.ir import Array, AxisOrder, Graph
from bnn2hw.ops import source
from bnn2hw.ops.source import InputSpecs

Data = Batch | Iterable[Any]
"""An array, arrays by name, or anything that yields batches: `tf.data.Dataset`, `keras.utils.PyDataset`, an iterator.

A batch is an array, arrays by name, or a tuple of such inputs, labels and more."""

CHUNK = 1024
"""Frames that are converted at a time."""


def batches(
    x: Data, labels: Array | None = None, names: Sequence[str] = ()
) -> Iterator[tuple[Batch, Array | None]]:
    """Yield batches of at most `CHUNK` frames, with their labels where there are any.

    Args:
        x: The inputs.
        labels: One label per frame of an array; None if `x` yields its labels itself.
        names: Names of the inputs. Where there are several, a list has one array for each, as in Keras.

    Raises:
        InputError: `x` is no such data, or labels do not fit it.
    """
    labels = None if labels is None else _array(labels, "labels")
    if isinstance(x, Mapping):
        yield from _chunks(_arrays(x), labels)
    elif isinstance(x, list) and len(names) > 1 and len(x) == len(names):
        yield from batches(dict(zip(names, x, strict=True)), labels)
    elif hasattr(x, "__array__") or isinstance(x, list):
        yield from _chunks(_array(x), labels)
    elif labels is not None:
        raise InputError(
            "labels are given for data that is not an array; let it yield pairs of inputs and labels"
        )
    else:
        for batch in _items(x):
            inputs, found = (batch[0], batch[1]) if isinstance(batch, tuple) else (batch, None)
            yield from _chunks(_arrays(inputs), None if found is None else _array(found, "labels"))


def integers(graph: Graph, specs: InputSpecs, x: Batch, layouts: Mapping[str, AxisOrder]) -> dict[str, Array]:
    """Convert frames to the integers on the wires.

    Args:
        graph: Graph whose sources the frames enter, in any form.
        specs: Integers on the wires and their meaning.
        x: Integers, or floats in the model's units, of shape (frames, *input shape); by name if there
            are several inputs. Grey images may come without the axis of their one channel.
        layouts: Order of the axes in the model, by input, where it is not that of the stream.

    Returns:
        int64 arrays of shape (frames, *input shape) by input.

    Raises:
        InputError: x does not fit the sources, or holds no frame.
    """
    made = {}
    for name, frames in golden.by_name(tuple(n.name for n in graph.sources), x).items():
        shaped = golden.with_channels(to_stream(name, frames, layouts), graph.types[name].shape)
        made[name] = source.input_spec(specs, name).integers(shaped)
    golden.check(graph, made)
    return made


def to_stream(name: str, x: Array, layouts: Mapping[str, AxisOrder]) -> Array:
    """Return the frames of one input with their axes in the order of the stream.

    Args:
        name: Name of the input.
        x: Array of shape (frames, *shape in the model). Axes of length 1 may be missing.
        layouts: Order of the axes in the model, by input, where it is not that of the stream.

    Raises:
        InputError: The array has another shape than the model.
    """
    layout, x = layouts.get(name), source.numbers(x, "the input")
    if layout is None:
        return x
    if [n for n in x.shape[1:] if n != 1] != [n for n in layout.shape if n != 1]:
        expected = ", ".join(map(str, layout.shape))
        raise InputError(f"the input '{name}' has shape {x.shape}, expected (batch, {expected})")
    return layout.to_stream(x)


def _items(x: Any) -> Iterator[Any]:
    """The batches of a data set."""
    if hasattr(x, "__getitem__") and hasattr(x, "__len__"):  # a PyDataset
        return (x[i] for i in range(len(x)))
    if isinstance(x, Iterable) and not isinstance(x, str | bytes):
        return iter(x)
    raise InputError(f"expected an array, a data set or an iterator of batches, not {type(x).__name__}")


def _arrays(x: Any) -> Batch:
    return {name: _array(a) for name, a in x.items()} if isinstance(x, Mapping) else _array(x)


def _array(x: Any, what: str = "frames") -> Array:
    return source.numbers(x, what)


def _chunks(x: Batch, labels: Array | None) -> Iterator[tuple[Batch, Array | None]]:
    counts = {len(a) for a in (x.values() if isinstance(x, Mapping) else [x])}
    count = max(counts, default=0)
    if labels is not None and len(labels) != count:
        raise InputError(f"{len(labels)} labels are given for {count} frames")
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        some = {name: a[part] for name, a in x.items()} if isinstance(x, Mapping) else x[part]
        yield some, None if labels is None else labels[part]
