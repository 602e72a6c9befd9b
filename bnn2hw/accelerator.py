"""The spine: from a model to an accelerator."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bnn2hw import backends, deprecation, deviation, golden, pipeline, results
from bnn2hw import reload as reloading
from bnn2hw.artifacts import build_folder, write
from bnn2hw.backends import loading
from bnn2hw.backends.design import Design
from bnn2hw.compiled import CompiledModel
from bnn2hw.deploy import bitstream
from bnn2hw.deviation import Deviation
from bnn2hw.errors import InputError
from bnn2hw.estimate import resources
from bnn2hw.folding import unroll
from bnn2hw.folding.search import Folding
from bnn2hw.golden import Batch
from bnn2hw.inputs import Data
from bnn2hw.ir import Array
from bnn2hw.lower.calibration import first_batch
from bnn2hw.lower.outputs import Output, best_of
from bnn2hw.lower.recipe import Loadable
from bnn2hw.ops import source
from bnn2hw.ops.source import InputSpecs
from bnn2hw.pipeline import Layout, LoweredModel
from bnn2hw.progress import Progress, silent
from bnn2hw.report import text
from bnn2hw.simulation import hls_csim
from bnn2hw.simulation import simulate as simulating
from bnn2hw.simulation.simulate import Run
from bnn2hw.synthesis.usage import Usage
from bnn2hw.targets import devices


@dataclass(frozen=True)
class Accelerator(CompiledModel):
    """A compiled model and what can be done with it.

    Attributes:
        origin: The model as it was read and in hardware form, if it was just compiled. A loaded accelerator has none.
    """

    origin: LoweredModel | None = field(default=None, repr=False, kw_only=True)

    @property
    def units(self) -> InputSpecs:
        """The old name of `input_specs`."""
        deprecation.warn(
            "Accelerator.units is now Accelerator.input_specs; the old name works for one more version"
        )
        return self.input_specs

    @cached_property
    def _runner(self) -> results.Runner:
        return results.Runner(self)

    def predict(self, x: Data) -> Batch:
        """Return what the model says of each frame: classes, or real scores where scores are the output.

        This is the fast exact path: native code that equals `golden` in every value, or `golden` itself without a C++
        compiler; the logger "bnn2hw" says which.

        Args:
            x: Frames of the model's input shape, as integers or as floats in the model's own unit; by name where there
                are several inputs. Also a `tf.data.Dataset`, a `keras.utils.PyDataset` or an iterator of batches.

        Returns:
            int64 array of shape (frames,) or (frames, k) for the k best classes; float64 scores of shape
            (frames, *output shape) otherwise. Arrays by name where there are several outputs.

        Raises:
            InputError: Frames of another shape, or values that no integer on the wire stands for.
        """
        return results.predict(self._runner, x)

    def evaluate(self, x: Data, labels: Array | None = None, *, progress: Progress = silent) -> float:
        """Return the accuracy: the share of frames whose class, or one of the k best, is the label.

        Args:
            x: Frames, as for `predict`; a data set may yield pairs of frames and labels.
            labels: One class per frame, or one-hot rows; None if `x` yields them.
            progress: Told after each batch how many frames are done.

        Raises:
            InputError: Labels are missing or do not fit, or the model has several outputs.
        """
        return results.evaluate(replace(self._runner, progress=progress), x, labels)

    def values(self, x: Data, layers: Collection[str] | None = None) -> dict[str, Array]:
        """Return the integers that layers of the hardware graph give, by name of the edge.

        Args:
            x: Frames, as for `predict`.
            layers: Names of layers or edges; None for all.

        Raises:
            InputError: There is no such layer, or frames do not fit.
        """
        return results.values(self._runner, x, layers)

    def dequantize(self, y: Batch) -> Batch:
        """Return the real numbers that integers of the output stand for, in the model's own units.

        Args:
            y: Integers as `golden` gives them; by name where there are several outputs.

        Returns:
            float64 arrays of the same shapes.
        """
        return results.dequantize(self, y)

    @cached_property
    def _emulated(self) -> Design:
        return self.design if self.backend == "hls" else backends.render("hls", self.graph)

    def integers(self, x: Batch) -> Batch:
        """A batch as the integers that go on the wire.

        Args:
            x: integers as they are, or floats in the model's own unit that stand for such integers; where there
                are several inputs, such arrays by their names.

        Raises:
            InputError: a wrong shape, or values that no integer on the wire stands for.
        """
        sources = tuple(n.name for n in self.graph.sources)
        given = golden.by_name(sources, x)
        made: Batch = {n: source.input_spec(self.input_specs, n).integers(a) for n, a in given.items()}
        golden.check(self.graph, made)
        return made if isinstance(x, Mapping) else made[sources[0]]

    def golden(self, x: Batch) -> Batch:
        """Exact outputs for a batch: classes of shape (batch,), or the integers of the output stream.

        Where there are several outputs, such arrays by their names.
        """
        return self._shaped(golden.outputs(self.graph, self.integers(x)))

    def _shaped(self, outputs: Batch) -> Batch:
        if isinstance(outputs, Mapping):
            return {n: a.reshape(len(a)) if self.graph.types[n].size == 1 else a for n, a in outputs.items()}
        return outputs.reshape(len(outputs)) if self.output.size == 1 else outputs

    def emulate(self, x: Batch, *, progress: Progress = silent) -> Batch:
        """What `golden` gives, from the HLS sources compiled for this machine; the backend does not matter.

        Args:
            x: as for `golden`.
            progress: told what is being done.

        Raises:
            MissingToolError: there is no C++ compiler.
        """
        return self._shaped(hls_csim.emulate(self._emulated, self.integers(x), progress))

    def weight_image(self) -> Array:
        """Return the words that load this model's weights into a loadable design.

        Returns:
            uint32 array of shape (words,), for `SerialBoard.load_weights` or the design's port s_load.

        Raises:
            InputError: The accelerator was not compiled with `loadable`.
        """
        return loading.image(self.graph, self.design.load)

    def image(self) -> Array:
        """Return `weight_image()`; this is its old name."""
        deprecation.warn(
            "Accelerator.image is now Accelerator.weight_image; the old name works for one more version"
        )
        return self.weight_image()

    def reload(self, model: Any, *, progress: Progress = silent) -> Accelerator:
        """The same hardware with the weights of another model, retrained for example; its `image` is what to send.

        Args:
            model: a built Keras model of the same architecture, or the path of one.
            progress: told what is being done.

        Raises:
            InputError: no usable model, or memories that cannot be written.
            UnsupportedError: a model whose hardware is another: by layer, why, and the way out.
        """
        weights = reloading.weights(self, model, progress)
        other = replace(
            self, graph=weights.graph, fidelity=weights.fidelity, origin=weights.origin, measured={}
        )
        reloading.compare(self.design, other.design)
        return other

    def simulate(
        self,
        x: Batch,
        *,
        stalls: float = 0.0,
        seed: int = 0,
        reloads: Mapping[int, Accelerator] | None = None,
        cells: bool = False,
        progress: Progress = silent,
    ) -> Run:
        """Run a batch through the design and compare every stream with golden.

        Verilog runs in Verilator, cycle by cycle; HLS C++ runs concurrently, without cycles.

        Args:
            x: as for `golden`.
            stalls: share of the cycles in which source and sink pause at random.
            seed: of the pauses.
            reloads: by frame, from which on the weights of another accelerator hold (see `reload`); they are sent while
                earlier frames are still under way.
            cells: whether every carry cell of the family is simulated, instead of portable adders that equal them;
                much slower to compile.
            progress: told what is being done.
        """
        if not 0 <= stalls < 1:
            raise InputError(f"stalls must be a share from 0 to below 1, not {stalls}")
        return simulating.simulate(
            self.design,
            self.graph,
            self.integers(x),
            self.estimate().cycles,
            stalls=stalls,
            seed=seed,
            reloads=[
                simulating.Reload(frame, other.weight_image(), other.graph)
                for frame, other in sorted((reloads or {}).items())
            ],
            cells=cells,
            progress=progress,
        )

    def folding(self) -> dict[str, dict[str, int | str]]:
        """PE and SIMD by layer, or its style, in the form that `compile` takes."""
        return unroll.folding(self.graph)

    def deviation(self, x: Batch) -> list[Deviation]:
        """Compare the hardware form with the model's own layers on a batch, edge by edge.

        Raises:
            InputError: the accelerator was loaded from disk, without its model.
        """
        if self.origin is None:
            raise InputError("a loaded accelerator has no Keras model to be compared with; compile the model")
        lowered = self.origin.lowered
        arrays = golden.check(self.graph, self.integers(x))
        return deviation.measure(self.origin.real, lowered.graph, self.graph, lowered.matches, arrays)

    def write(self, folder: str | Path) -> Path:
        """Write sources, weights, test bench, graph, report and manifest into a folder.

        Raises:
            InputError: the folder holds something that bnn2hw did not write.
        """
        return write.write(self, Path(folder))

    def synthesize(
        self,
        folder: str | Path = "synth",
        *,
        board: str | None = None,
        target: str | None = None,
        seeds: int | Sequence[int] = 1,
        clock_mhz: float | None = None,
        baud: int | None = None,
        progress: Progress = silent,
    ) -> Usage:
        """Take the design to a bitstream with the open tools, or to an area where only vendors place and route.

        Args:
            folder: takes netlist, logs, bitstream, usage.json and, for a board, link.json for `SerialBoard`.
            board: a board, by name: the accelerator stands behind its serial line, and its clock must be reached.
            target: a device to measure without a board; the one planned for where neither is given.
            seeds: of the placement, or how many to try; the fastest is taken.
            clock_mhz: of the accelerator, instead of the board's or device's own.
            baud: of the serial line, likewise.
            progress: told what is being done.

        Raises:
            Bnn2hwError: one of those of `implement.implement`, or an HLS accelerator.
        """
        if self.backend != "verilog":
            raise InputError("HLS sources are synthesized by Vitis HLS; compile with the Verilog backend")
        place = bitstream.place_named(board, target, self.device)
        tried = range(1, seeds + 1) if isinstance(seeds, int) else seeds
        return bitstream.implement(
            self, place, Path(folder), seeds=tried, clock_mhz=clock_mhz, baud=baud, progress=progress
        )

    def __str__(self) -> str:
        return text.text(self)


def load(folder: str | Path) -> Accelerator:
    """An accelerator that was written to disk, without Keras.

    Raises:
        InputError: the folder is not ours, or has changed.
    """
    graph, manifest = build_folder.read(Path(folder))
    return Accelerator(
        name=manifest.name,
        graph=graph,
        device=devices.device(manifest.device),
        fidelity=manifest.fidelity,
        measured={d.edge: d for d in manifest.measured},
        input_specs=manifest.input_specs,
        backend=manifest.backend,
        recipe=manifest.recipe,
        options=manifest.options,
    )


def compile(  # noqa: A001  (the verb of the product; users write bnn2hw.compile)
    model: Any,
    *,
    input: InputSpecs | None = None,  # noqa: A002
    target: str | None = None,
    fps: float | None = None,
    folding: Folding | None = None,
    output: Output | None = None,
    backend: str = "verilog",
    bits: int | Mapping[str, int] | None = None,
    calibration: Batch | None = None,
    loadable: Loadable = False,
    progress: Progress = silent,
) -> Accelerator:
    """Compile a Keras model.

    Args:
        model: a built Keras model, or the path of one.
        input: what arrives on the wire, or by input; known from a Rescaling layer where the model begins with one.
        target: a device, by name; "ecp5-85k" where none is given.
        fps: frames per second to reach at the target's clock; as many as fit where none is given.
        folding: PE and SIMD by layer, or {"style": "unrolled"} for one whose weights become logic; the others follow.
        output: "class", "scores", or "top3" for the three best classes; where none is given the class if the model
            ends in a softmax, else the scores.
        backend: "verilog" or "hls".
        bits: of what must be rounded, kernels and streams of real numbers: one for all, or by layer. Where none
            is given, 18 for kernels and 24 for streams.
        calibration: some inputs, as for `golden`, on which the ranges of streams of real numbers are seen, where those
            that are proved for all inputs would waste bits.
        loadable: whether weights and thresholds can be replaced at run time (see `Accelerator.reload`): those of all
            layers, or of those that are named. The hardware is then one for all weights, and a little larger.
        progress: told what is being done.

    Raises:
        InputError: no usable model, an unknown target, or an impossible option.
        UnsupportedError: layers that cannot be compiled, or not be loadable, all at once.
        FoldingError: a rate that no folding reaches or that does not fit, or a folding that does not divide.
    """
    backends.check(backend)
    if loadable and backend != "verilog":
        raise InputError("memories can be loadable with the Verilog backend only")
    device = devices.device(target or devices.DEFAULT)
    best_of(output or "class")
    if fps is not None and not 0 < fps < float("inf"):
        raise InputError(f"fps must be a positive number, not {fps}")
    progress("reading the model")
    imported = pipeline.read(model)
    recipe = pipeline.recipe(imported, output, bits, loadable)
    progress("lowering to integers")
    integers = pipeline.lower(imported, input, recipe, calibration)
    lowered = integers.lowered
    reloading.check(lowered.graph, recipe)
    graph = pipeline.lay_out(Layout(lowered.graph, device, fps, folding, progress=progress))
    excess = resources.utilization(graph, device).excess
    if excess:
        warnings.warn(f"the design does not fit: {excess}", stacklevel=2)
    made = Accelerator(
        name=imported.name,
        graph=graph,
        device=device,
        fidelity=lowered.fidelity,
        input_specs=integers.input_specs,
        backend=backend,
        recipe=recipe if loadable else None,
        options=pipeline.options(
            fps=fps,
            output=output,
            bits=bits,
            loadable=loadable,
            folding=folding,
            calibrated=calibration is not None,
        ),
        origin=integers,
    )
    if calibration is None:
        return made
    progress("measuring the deviation from Keras")
    deviations = made.deviation(first_batch(calibration, made.input.shape))
    return replace(made, measured={d.edge: d for d in deviations})
