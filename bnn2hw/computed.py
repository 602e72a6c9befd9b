"""Results of a compiled model on this machine: integers, classes, scores, and their distance from the model.

Methods import the rooms that they need, so that loading an accelerator takes little time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bnn2hw import golden, inputs
from bnn2hw.golden import Batch
from bnn2hw.progress import Progress, silent
from bnn2hw.report.shown import ShownModel

if TYPE_CHECKING:
    from bnn2hw.deviation import Deviations
    from bnn2hw.inputs import Data
    from bnn2hw.ir import Array, Graph
    from bnn2hw.pipeline import LoweredModel
    from bnn2hw.results import Runner


@dataclass(frozen=True, repr=False)
class ComputedModel(ShownModel):
    """A compiled model that computes.

    Attributes:
        origin: The model as it was read and in hardware form. None for a loaded accelerator, which has
            no model.
    """

    origin: LoweredModel | None = field(default=None, repr=False, kw_only=True)

    @cached_property
    def _runner(self) -> Runner:
        """Computes results on this machine; it keeps compiled code."""
        from bnn2hw.results import Runner

        return Runner(self)

    def predict(self, x: Data) -> Batch:
        """Compute what the model predicts: classes, or real scores.

        This is the fastest exact method. It runs native code, which equals `golden` in every value, or
        `golden` itself if there is no C++ compiler. The logger "bnn2hw" says which.

        Args:
            x: Frames as in `integers`, or a `tf.data.Dataset`, a `keras.utils.PyDataset` or an iterator of
                batches.

        Returns:
            If the output is a class, an int64 array of shape (frames,), or (frames, k) for the k best classes;
            otherwise float64 scores of shape (frames, *output shape). A mapping by name if there are several
            outputs.

        Raises:
            InputError: x does not fit the inputs.
        """
        from bnn2hw import results

        return results.predict(self._runner, x)

    def evaluate(self, x: Data, labels: Array | None = None, *, progress: Progress = silent) -> float:
        """Compute the accuracy: the share of frames whose class, or one of the k best, is the label.

        Args:
            x: Frames as in `predict`. A data set may yield pairs of frames and labels.
            labels: One class per frame, or one-hot rows. None if `x` yields the labels.
            progress: Called after each batch with the number of frames that are done.

        Raises:
            InputError: Labels are missing or do not fit, or the model has several outputs.
        """
        from bnn2hw import results

        return results.evaluate(replace(self._runner, progress=progress), x, labels)

    def evaluate_model(
        self,
        x: Data,
        labels: Array | None = None,
        model: Any = None,
        *,
        calibration: Batch | None = None,
        custom_objects: Mapping[str, Any] | None = None,
        progress: Progress = silent,
    ) -> float:
        """Compute the accuracy of the model's own layers, to compare it with that of the hardware.

        Args:
            x: Frames as in `evaluate`.
            labels: One class per frame, or one-hot rows. None if `x` yields the labels.
            model: The model, or the path of its file, for an accelerator that was loaded.
            calibration: The calibration data, if a loaded accelerator was compiled with some.
            custom_objects: Classes and functions of your own in a file of Keras, by name.
            progress: Called with the name of each step.

        Raises:
            InputError: As for `evaluate`, or the accelerator was loaded and `model` is missing or is not the
                model that it was compiled from.
        """
        from bnn2hw import origins, results

        runner = replace(self._runner, progress=progress)
        given = origins.Given(model, calibration, custom_objects)

        def find(arrays: Mapping[str, Array]) -> tuple[Graph, Graph]:
            model = origins.of(self, self.origin, given, arrays, progress)
            return model.real, model.lowered.graph

        own = results.OwnLayers(runner, find)
        return results.evaluate(runner, x, labels, own)

    def values(self, x: Data, layers: Collection[str] | None = None) -> dict[str, Array]:
        """Compute the integers on edges of the hardware graph.

        Args:
            x: Frames as in `predict`.
            layers: Names of layers or edges. Default: all.

        Returns:
            By edge, an int64 array of shape (frames, *edge shape).

        Raises:
            InputError: There is no such layer, or x does not fit the inputs.
        """
        from bnn2hw import results

        return results.values(self._runner, x, layers)

    def dequantize(self, y: Batch) -> Batch:
        """Convert integers on the output to the real values that they stand for.

        Args:
            y: Integers as `golden` returns them; a mapping by name if there are several outputs.

        Returns:
            float64 arrays of the same shapes, in the model's units.
        """
        from bnn2hw import results

        return results.dequantize(self, y)

    def integers(self, x: Batch) -> Batch:
        """Convert inputs to the integers on the wire.

        Args:
            x: Array of shape (batch, *input shape); a mapping by name if there are several inputs.
                Grey images may come without the axis of their one channel. Integers are taken as they
                are. Floats are real values in the model's units, which must stand for integers: x = v *
                scale + offset, see `input_specs`.

        Returns:
            int64 array of the same shape, or such arrays by name.

        Raises:
            InputError: x has a wrong shape, holds no frame, or values that stand for no integer on the
                wire.
        """
        made = self._wires(x)
        return self.from_streams(made, tuple(n.name for n in self.graph.sources))

    def _wires(self, x: Batch) -> Batch:
        """The integers on the wires, in the order of the streams."""
        made = inputs.integers(self.graph, self.input_specs, x, self.layouts)
        return made if isinstance(x, Mapping) else golden.batch(made)

    def golden(self, x: Batch) -> Batch:
        """Compute the outputs with golden, the exact integer model of the network.

        Golden defines the values of the hardware: `simulate` compares every stream with it.

        Args:
            x: Inputs as in `integers`.

        Returns:
            Integers on the output, shape (batch, *output shape), or (batch,) if the output is a
            class; a mapping by name if there are several outputs.

        Raises:
            InputError: x does not fit the inputs.
        """
        return self.shaped(golden.outputs(self.graph, self._wires(x)))

    def deviation(
        self,
        x: Batch,
        model: Any = None,
        *,
        calibration: Batch | None = None,
        custom_objects: Mapping[str, Any] | None = None,
        progress: Progress = silent,
    ) -> Deviations:
        """Measure how far the hardware is from the model on a batch.

        The integer model and the model's own layers compute the same batch, and every edge that both have
        is compared. Exact layers do not deviate.

        Args:
            x: Inputs as in `integers`.
            model: The model, or the path of its file, for an accelerator that was loaded.
            calibration: The calibration data, if a loaded accelerator was compiled with some.
            custom_objects: Classes and functions of your own in a file of Keras, by name.
            progress: Called with the name of each step.

        Returns:
            The deviation of each edge, in the order of the graph. Printing it gives a table.

        Raises:
            InputError: x does not fit the inputs, or the accelerator was loaded and `model` is missing or is
                not the model that it was compiled from.
        """
        from bnn2hw import deviation, origins

        arrays = golden.check(self.graph, self._wires(x))
        given = origins.Given(model, calibration, custom_objects)
        origin = origins.of(self, self.origin, given, arrays, progress)
        progress("comparing each layer")
        return deviation.measure(origin.real, origin.lowered, self.graph, arrays)
