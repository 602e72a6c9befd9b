"""Make accelerators: compile a model, or load a build folder.

Functions import the rooms that they need, so that loading needs no compiler.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnn2hw import checks
from bnn2hw.accelerator import Accelerator
from bnn2hw.errors import FoldingError, InputError
from bnn2hw.progress import Progress, silent
from bnn2hw.targets import boards, devices

if TYPE_CHECKING:
    from bnn2hw.artifacts.model_key import Given
    from bnn2hw.folding.by_hand import Folding
    from bnn2hw.golden import Batch
    from bnn2hw.ir import Graph
    from bnn2hw.lower.outputs import Output
    from bnn2hw.lower.recipe import Loadable
    from bnn2hw.ops.source import InputSpecs
    from bnn2hw.pipeline import Layout, Prepared
    from bnn2hw.targets.boards import Board
    from bnn2hw.targets.devices import Device


def compile(  # noqa: A001  (the verb of the product; users write bnn2hw.compile)
    model: Any,
    *,
    input: InputSpecs | None = None,  # noqa: A002
    target: str | Path | None = None,
    board: str | Path | None = None,
    fps: float | None = None,
    folding: Folding | None = None,
    latency: int | str | None = None,
    output: Output | None = None,
    backend: str = "verilog",
    bits: int | Mapping[str, int] | None = None,
    calibration: Batch | None = None,
    loadable: Loadable = False,
    custom_objects: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Accelerator:
    """Compile a Keras or ONNX model to an FPGA accelerator, or to code for processors.

    The result holds the generated sources, exact cycle counts and predicted resources; `print`
    shows them as a report. The hardware equals golden, the exact integer model of the network.
    `compile` does not check that: call `Accelerator.simulate` to compare every stream of the design
    with golden.

    `compile` compares each layer that it reads with the layer itself, and the whole with the model.
    Golden equals Keras wherever that is possible. A layer whose values must be rounded is reported
    as rounded, with the reason. A layer that cannot be compiled stops the compiler with its name,
    the reason and a way out.

    Example:
        >>> pixels = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1)
        >>> accelerator = bnn2hw.compile("mnist.keras", input=pixels, fps=10_000)
        >>> print(accelerator)
        >>> accelerator.simulate(images).check()
        >>> accelerator.write("build/mnist")

    Args:
        model: Built Keras model, ONNX model, or the path of a .keras, .h5 or .onnx file.
        input: Integers on the input and the real values that they stand for; a mapping by name if
            the inputs differ. Default: the integers and real values of a Rescaling layer at the
            start of the model, otherwise `Input("uint8")`, pixels from 0 to 255 as they are.
        target: Device to plan for: a name such as "ice40-up5k", or the path of a TOML file. Default:
            "ecp5-85k".
        board: Board to plan for instead of a target, by name or path: its device at its clock, with
            room for the shell of its serial line.
        fps: Frames per second to reach at the clock of the device or board. Default: as many as the
            device holds, or as the slowest layer in `folding` allows. For a board with a serial line:
            twice as many as the line carries, or as many as fit.
        folding: By layer, its values of `pe`, `simd`, `lanes` and `pixels`, or {"style":
            "unrolled"} to turn its weights into logic. All other layers are folded for the same
            rate.
        latency: Cycles from the first beat of a frame to the first beat of its output that the design may
            take, or "least" for as few as the device holds. Without `fps`, the rate follows from it.
            Default: any number.
        output: "class", "scores", or "top3" for the three best classes, the best one first (any
            number). Default: the class if the model ends in a softmax, otherwise the scores.
        backend: "verilog" for SystemVerilog, "hls" for C++ for Vitis HLS, or "native" for C++ that runs on
            processors; target, board, fps, folding, latency and loadable have no effect there and are refused.
        bits: Bits, from 2 to 32, of kernels and streams that must be rounded: one number, or a
            mapping by layer. A kernel has fewer if its sums would exceed 62 bits. Default: 18 for kernels
            and 24 for streams.
        calibration: Inputs as in `Accelerator.integers`. The ranges of real-valued streams are
            taken from them, which often saves bits, and the model is compared with itself on them.
            Default: ranges that hold for all inputs, and eight random frames, fewer if they are large.
        loadable: Whether weights and thresholds can be replaced at run time (see
            `Accelerator.reload`): True for all layers, or the names of some. A loadable design is a
            little larger.
        custom_objects: Classes and functions of your own in a file of Keras, by name. None are needed for
            those that are registered with Keras.
        progress: Called with the name of each step.

    Returns:
        The accelerator. A warning is issued if its predicted resources exceed the device.

    Raises:
        InputError: The model cannot be read, a name is unknown, or an option makes no sense.
        UnsupportedError: Layers cannot be compiled, or cannot be loadable. The message lists all of
            them.
        FoldingError: No folding reaches the rate or the latency or fits the device, or `folding` is not
            legal.
    """
    from bnn2hw import pipeline
    from bnn2hw.artifacts import made_from, model_cache
    from bnn2hw.artifacts.model_key import Given
    from bnn2hw.estimate import resources
    from bnn2hw.pipeline import Layout

    _check(backend, output, fps, loadable)
    latency = _cycles(latency)
    if backend == "native":
        _refuse({"target": target, "board": board, "fps": fps, "folding": folding, "latency": latency})
    _check_kinds(input, folding, bits, progress)
    _check_accumulators(backend, folding)
    place, device = _place(target, board)
    progress("reading the model")
    given = Given(input, output, bits, loadable, calibration, custom_objects)
    prepared = model_cache.prepared(
        model, given, lambda: prepare(model, given, progress), partial(_real, given)
    )
    lowered = prepared.made.lowered
    graph = lowered.graph
    if backend != "native":
        verilog = backend == "verilog"
        asked = Layout(graph, device, fps, folding, latency, progress=progress, dsps=verilog)
        graph = _laid_out(asked, place)
        excess = resources.utilization(graph, device).excess
        if excess:
            warnings.warn(f"the design does not fit: {excess}", stacklevel=2)
    return Accelerator(
        name=prepared.name,
        graph=graph,
        device=device,
        fidelity=lowered.fidelity,
        input_specs=prepared.made.input_specs,
        backend=backend,
        recipe=prepared.recipe if loadable else None,
        options=pipeline.options(
            fps=fps,
            latency=latency,
            board=place and place.name,
            output=output,
            bits=bits,
            loadable=loadable,
            folding=folding,
            calibrated=calibration is not None,
        ),
        measured={d.edge: d for d in prepared.measured},
        compared=prepared.compared,
        origin=prepared.made,
        layouts=pipeline.layouts(prepared, graph),
        board=place,
        made_from=made_from.of_model(model, {"target": target, "board": board}),
    )


def _place(target: str | Path | None, board: str | Path | None) -> tuple[Board | None, Device]:
    """Return the board to plan for, if there is one, and the device.

    Raises:
        InputError: There are both, or the name is unknown.
    """
    from bnn2hw.deploy import board_plan

    named = boards.named(board, target, devices.device(devices.DEFAULT))
    return (named, board_plan.device(named)) if isinstance(named, boards.Board) else (None, named)


def prepare(model: Any, given: Given, progress: Progress) -> Prepared:
    """Read a model, lower it, and compare it with itself.

    Raises:
        InputError: The model cannot be read, or an option makes no sense.
        UnsupportedError: Layers cannot be compiled, or cannot be loadable.
    """
    from bnn2hw import deviation, pipeline
    from bnn2hw import reload as reloading
    from bnn2hw.lower.precision import Precision

    imported = pipeline.read(model, given.custom_objects)
    imported = imported if given.loadable else pipeline.lean(imported)
    recipe = pipeline.recipe(imported, given.output, given.bits, given.loadable)
    progress("lowering to integers")
    made = pipeline.lower(imported, given.input, recipe, given.calibration)
    reloading.check(made.lowered.graph, recipe)
    progress(f"comparing with the model ({imported.oracle.name if imported.oracle else imported.executor})")
    frames = pipeline.compared_frames(imported, made, given.calibration)
    compared = pipeline.check_whole(imported, made, frames)
    progress("measuring the deviation from the model")
    measured = deviation.checked(imported.graph, made.lowered, frames, Precision.of(recipe.bits))
    return pipeline.Prepared(
        imported.name, made, recipe, imported.layouts, imported.graph.outputs, tuple(measured), compared
    )


def _real(given: Given, path: Path) -> Graph:
    """Read the real form of the model in a file, as it was lowered with some options."""
    from bnn2hw import pipeline

    imported = pipeline.read(path)
    return (imported if given.loadable else pipeline.lean(imported)).graph


def _laid_out(layout: Layout, board: Board | None) -> Graph:
    """Fold and connect a graph for a device, or for a board.

    Raises:
        FoldingError: No folding reaches the rate or fits.
    """
    from bnn2hw import pipeline
    from bnn2hw.deploy import board_plan
    from bnn2hw.estimate import resources

    if board is None:
        return pipeline.lay_out(layout)
    layout = replace(layout, device=board_plan.room(board, layout.graph))
    rate = board_plan.line_rate(board, layout.graph)
    if rate and layout.fps is None and layout.latency is None and not layout.folding:
        with suppress(FoldingError):  # what is too slow or too large for this rate is planned for the device
            made = pipeline.lay_out(replace(layout, fps=rate))
            if resources.utilization(made, layout.device).fits:
                return made
    return pipeline.lay_out(layout)


def _check(backend: str, output: Output | None, fps: float | None, loadable: Loadable) -> None:
    """Refuse impossible options before anything is computed.

    Raises:
        InputError: An option is unknown, out of range, or contradicts another one.
    """
    from bnn2hw import backends
    from bnn2hw.lower.outputs import best_of

    backends.check(backend)
    best_of("class" if output is None else output)
    if loadable and backend != "verilog":
        raise InputError(f"loadable needs the backend 'verilog', not '{backend}'; leave out one of the two")
    if fps is not None:
        checks.number("fps", fps, above=0)


def _check_accumulators(backend: str, folding: Folding | None) -> None:
    """Refuse accumulators in DSP blocks in sources that name no cells.

    Raises:
        InputError: A layer has them, and the backend is not the one for SystemVerilog.
    """
    for layer, knobs in (folding or {}).items():
        if knobs.get("accumulators") == "dsp" and backend != "verilog":
            raise InputError(
                f"layer '{layer}': accumulators='dsp' needs the backend 'verilog', not '{backend}'; "
                "leave out one of the two"
            )


def _cycles(latency: Any) -> int | str | None:
    """Return a latency that is a number of cycles, or "least".

    Raises:
        InputError: It is neither a positive whole number nor "least".
    """
    from bnn2hw.folding.search import LEAST

    if isinstance(latency, str) and latency != LEAST:
        raise InputError(f"latency must be a number of cycles, or '{LEAST}', not {latency!r}")
    if latency is None or isinstance(latency, str):
        return latency
    checks.number("latency", latency, above=0, whole=True)
    return int(latency)


def _refuse(without_effect: Mapping[str, object]) -> None:
    """Refuse options of hardware for native code.

    Args:
        without_effect: The options by name; those that were not given are None.

    Raises:
        InputError: One of them was given.
    """
    for name, value in without_effect.items():
        if value is not None:
            raise InputError(
                f"{name} has no effect with the backend 'native', whose code runs on processors; leave it out"
            )


def _check_kinds(input: Any, folding: Any, bits: Any, progress: Any) -> None:  # noqa: A002
    """Refuse options of a wrong kind.

    Raises:
        InputError: An option is of a wrong kind.
    """
    from bnn2hw.ops.source import Input

    example = "bnn2hw.Input('uint8', scale=1/255)"
    each = checks.mapping("input", input, f"{{'image': {example}}}") if isinstance(input, Mapping) else {}
    wrong = [
        i for i in (each.values() if isinstance(input, Mapping) else [input]) if not isinstance(i, Input)
    ]
    if input is not None and wrong:
        raise InputError(f"input must be a bnn2hw.Input such as {example}, not {wrong[0]!r}")
    for layer, knobs in checks.mapping(
        "folding", {} if folding is None else folding, "{'conv': {'pe': 4}}"
    ).items():
        checks.mapping(f"folding['{layer}']", knobs, "{'pe': 4, 'simd': 8}")
    numbers = {"bits": bits}
    if isinstance(bits, Mapping):
        checks.mapping("bits", bits, "{'conv': 8}")
        numbers = {f"bits['{layer}']": count for layer, count in bits.items()}
    for name, count in numbers.items():
        if count is not None:
            checks.number(name, count, whole=True)
    checks.callback("progress", progress)


def load(folder: str | Path) -> Accelerator:
    """Load an accelerator from a build folder. Keras is not needed.

    Args:
        folder: Folder that `Accelerator.write` or 'bnn2hw compile' wrote, in this or the last
            version.

    Raises:
        InputError: bnn2hw did not write the folder, or one of its files has changed since.
    """
    from bnn2hw.artifacts import build_folder

    checks.path("folder", folder)
    graph, manifest = build_folder.read(Path(folder))
    return Accelerator(
        name=manifest.name,
        graph=graph,
        device=manifest.device,
        fidelity=manifest.fidelity,
        measured={d.edge: d for d in manifest.measured},
        compared=manifest.compared,
        input_specs=manifest.input_specs,
        backend=manifest.backend,
        recipe=manifest.recipe,
        options=manifest.options,
        layouts=manifest.layouts,
        board=manifest.board,
        made_from=manifest.made_from,
    )
