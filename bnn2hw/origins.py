"""Find the model that a design was compiled from: its own, or the one that is given for a loaded design."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2hw import golden, pipeline
from bnn2hw.compiled import CompiledModel
from bnn2hw.errors import InputError
from bnn2hw.golden import Batch
from bnn2hw.ir import Array, Graph
from bnn2hw.pipeline import LoweredModel
from bnn2hw.progress import Progress

FRAMES = 8
"""Frames on which a given model is compared with the design."""

LAYER_BITS = re.compile(r"(.+?) \((\d+)\)(?:, |$)")
"""A layer and its bits, as the options of a compilation are kept."""


@dataclass(frozen=True)
class Given:
    """A model for a loaded design.

    Attributes:
        model: The model, or the path of its file; None if there is none.
        calibration: Calibration data.
        custom_objects: Classes and functions of the user's own in files of Keras, by name.
    """

    model: Any = None
    calibration: Batch | None = None
    custom_objects: Mapping[str, Any] | None = None


def of(
    made: CompiledModel,
    own: LoweredModel | None,
    given: Given,
    arrays: Mapping[str, Array],
    progress: Progress,
) -> LoweredModel:
    """Return the model that a design was compiled from, in its real form and in hardware form.

    Args:
        made: The design.
        own: Its model, if it was compiled in this process.
        given: What is given for a design without its model.
        arrays: Integers by input, on which the model must compute what the design computes.
        progress: Called with the name of each step.

    Raises:
        InputError: A design without its model has no model here, or another one; or `given` holds what a
            design with its model does not need.
    """
    if own is not None:
        if any(each is not None for each in (given.model, given.calibration, given.custom_objects)):
            raise InputError(
                "this accelerator was compiled here and has its model; leave out the arguments after x"
            )
        return own
    if given.model is None:
        raise InputError(
            "a loaded accelerator has no Keras model to compare with; give it with model=, or compile the model"
        )
    _check_calibration(made, given)
    progress("reading the model")
    imported = pipeline.read(given.model, given.custom_objects)
    imported = imported if made.recipe else pipeline.lean(imported)
    how = made.recipe or pipeline.recipe(imported, _output(made), _bits(made), False)
    progress("lowering to integers")
    lowered = pipeline.lower(imported, made.input_specs, how, given.calibration)
    compare(made.graph, lowered.lowered.graph, {name: a[:FRAMES] for name, a in arrays.items()})
    return lowered


def _check_calibration(made: CompiledModel, given: Given) -> None:
    """Refuse calibration data that is missing, or that the design was compiled without.

    Raises:
        InputError: It is so.
    """
    calibrated = "calibrated" in made.options
    if calibrated and given.calibration is None:
        raise InputError(
            "the design was compiled with calibration images; give the same ones with calibration="
        )
    if given.calibration is not None and not calibrated:
        raise InputError("the design was compiled without calibration images; leave out calibration")


def _output(made: CompiledModel) -> Any:
    return made.options.get("output")


def _bits(made: CompiledModel) -> int | dict[str, int] | None:
    text = made.options.get("bits")
    if text is None:
        return None
    return int(text) if text.isdecimal() else {layer: int(bits) for layer, bits in LAYER_BITS.findall(text)}


def compare(design: Graph, model: Graph, arrays: Mapping[str, Array]) -> None:
    """Check that a model computes what a design computes.

    Raises:
        InputError: It has other inputs or outputs, or other values on an edge.
    """
    ends = [
        ({n.name: g.types[n.name] for n in g.sources}, [g.types[o] for o in g.outputs])
        for g in (design, model)
    ]
    if ends[0] != ends[1]:
        raise InputError(
            "this is another model: its inputs or outputs have other types than those of the design"
        )
    ours, theirs = golden.run(design, arrays), golden.run(model, arrays)
    pairs = [(n.name, n.name) for n in model if design.types.get(n.name) == model.types[n.name]]
    for mine, other in [*pairs, *zip(design.outputs, model.outputs, strict=True)]:
        if not np.array_equal(ours[mine], theirs[other]):
            raise InputError(
                f"this is another model, or it was compiled with other options or another version: "
                f"'{other}' has other values in the design; compile the model again"
            )
