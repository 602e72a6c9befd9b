"""Batches of images in the forms in which people have them: arrays, Keras's and TensorFlow's data sets, iterators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bnn2hw.errors import InputError
from bnn2hw.golden import Batch
from bnn2hw.ir import Array
from bnn2hw.ops.source import numbers

Data = Batch | Iterable[Any]
"""An array, arrays by name, or anything that yields batches: `tf.data.Dataset`, `keras.utils.PyDataset`, an iterator.

A batch is an array, arrays by name, or a tuple of such inputs, labels and more."""

CHUNK = 1024
"""Frames that are converted at a time."""


def batches(x: Data, labels: Array | None = None) -> Iterator[tuple[Batch, Array | None]]:
    """Yield batches of at most `CHUNK` frames, with their labels where there are any.

    Args:
        x: The inputs.
        labels: One label per frame of an array; None if `x` yields its labels itself.

    Raises:
        InputError: `x` is no such data, or labels do not fit it.
    """
    if isinstance(x, Mapping) or hasattr(x, "__array__") or isinstance(x, list):
        yield from _chunks(_arrays(x), labels)
    elif labels is not None:
        raise InputError(
            "labels are given for data that is no array; let it yield pairs of inputs and labels"
        )
    else:
        for batch in _items(x):
            inputs, found = (batch[0], batch[1]) if isinstance(batch, tuple) else (batch, None)
            yield from _chunks(_arrays(inputs), None if found is None else numbers(found, "labels"))


def _items(x: Any) -> Iterator[Any]:
    """The batches of a data set."""
    if hasattr(x, "__getitem__") and hasattr(x, "__len__"):  # a PyDataset
        return (x[i] for i in range(len(x)))
    if isinstance(x, Iterable) and not isinstance(x, str | bytes):
        return iter(x)
    raise InputError(f"expected an array, a data set or an iterator of batches, not {type(x).__name__}")


def _arrays(x: Any) -> Batch:
    if isinstance(x, Mapping):
        return {name: numbers(a, f"the input '{name}'") for name, a in x.items()}
    return numbers(x, "the input")


def _chunks(x: Batch, labels: Array | None) -> Iterator[tuple[Batch, Array | None]]:
    counts = {len(a) for a in (x.values() if isinstance(x, Mapping) else [x])}
    count = max(counts, default=0)
    if labels is not None and len(labels) != count:
        raise InputError(f"{len(labels)} labels are given for {count} frames")
    for start in range(0, max(count, 1), CHUNK):
        part = slice(start, start + CHUNK)
        some = {name: a[part] for name, a in x.items()} if isinstance(x, Mapping) else x[part]
        yield some, None if labels is None else labels[part]
