"""Find the ranges of real-valued streams from calibration data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np

from bnn2hw import golden
from bnn2hw.errors import InputError
from bnn2hw.golden import Batch
from bnn2hw.ir import Array, Graph, Tensor
from bnn2hw.ops.source import Input, InputSpecs, input_spec, numbers

BATCH = 64
"""Frames that are evaluated at once. The deviation from the model is measured on as many."""

UNSEEN = 1e4
"""For each value that calibration data show, this many values must fit the stream without being
clamped."""


def expected_ranges(
    real: Graph, wires: Mapping[str, Input], calibration: Batch, specs: InputSpecs | None = None
) -> dict[str, tuple[Array, Array]]:
    """Return the smallest and largest value that each channel of an edge is expected to take.

    The tails of the observed values are assumed to be exponential. The range of n such values grows
    with log n, so the observed range is widened to what `UNSEEN` times as many values would reach.

    Args:
        real: A graph in real form.
        wires: Integers that arrive at each source and their real meaning.
        calibration: An array of shape (frames, *input shape), or such arrays by source: integers on the
            wire, or floats in the users' units.
        specs: The users' units; those of the wires if None.

    Returns:
        Two arrays of shape (channels,) by edge.

    Raises:
        InputError: The data do not have the shape of the inputs, or there are none.
    """
    sources = {n.name: wires[n.name].tensor(real.types[n.name].shape) for n in real.sources}
    frames = _checked(sources, calibration, wires if specs is None else specs)
    found: dict[str, tuple[Array, Array]] = {}
    count: Counter[str] = Counter()
    for start in range(0, golden.frames(frames), BATCH):
        x = {
            name: sources[name].real(a[start : start + BATCH]).astype(np.float32)
            for name, a in frames.items()
        }
        for name, values in golden.run(real, x).items():
            flat = values.reshape(-1, values.shape[-1])
            low, high = found.get(name, (flat[0], flat[0]))
            found[name] = np.minimum(low, flat.min(0)), np.maximum(high, flat.max(0))
            count[name] += len(flat)
    return {name: _widened(low, high, count[name]) for name, (low, high) in found.items()}


def _checked(sources: Mapping[str, Tensor], calibration: Batch, specs: InputSpecs) -> dict[str, Array]:
    """The integers on the wires."""
    frames = golden.by_name(tuple(sources), calibration)
    for name, tensor in sources.items():
        given = with_channels(numbers(frames[name], "calibration="), tensor.shape)
        if given.shape[1:] != tensor.shape or not len(given):
            shape = ", ".join(map(str, tensor.shape))
            raise InputError(f"calibration data have shape {given.shape}, expected (images, {shape})")
        frames[name] = input_spec(specs, name).integers(given)
        if not tensor.ints.contains(frames[name]):
            raise InputError(f"calibration data hold values outside of {tensor.ints}")
    if len({len(a) for a in frames.values()}) > 1:
        raise InputError("calibration data hold different numbers of frames for different inputs")
    return frames


def _widened(low: Array, high: Array, count: int) -> tuple[Array, Array]:
    spare = (high - low) / 2 * math.log(UNSEEN) / math.log(max(count, 2))
    return low - spare, high + spare


def with_channels(x: Array, shape: tuple[int, ...]) -> Array:
    """Return images of a shape; grey images may come without their channel axis."""
    x = np.asarray(x)
    return x[..., None] if (*x.shape[1:], 1) == shape else x


def first_batch(calibration: Batch, shape: tuple[int, ...]) -> Batch:
    """Return the first calibration frames, in the form that `Accelerator.deviation` takes.

    Args:
        calibration: As for `expected_ranges`.
        shape: Shape of a frame, if there is one input.
    """
    if isinstance(calibration, Mapping):
        return {name: x[:BATCH] for name, x in calibration.items()}
    return with_channels(calibration, shape)[:BATCH]
