"""The data of a compiled model, which reports, build folders, deployment and reloading read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from bnn2hw import backends, golden, inputs
from bnn2hw.backends.design import Design
from bnn2hw.backends.text import Header
from bnn2hw.comparison import Comparison
from bnn2hw.deviation import Deviation
from bnn2hw.errors import Bnn2hwError, InputError
from bnn2hw.estimate import estimate as estimating
from bnn2hw.estimate.estimate import Estimate
from bnn2hw.golden import Batch
from bnn2hw.ir import Array, AxisOrder, Graph, Node, Tensor
from bnn2hw.lower.fidelity import Fidelity
from bnn2hw.lower.recipe import Recipe
from bnn2hw.ops.source import InputSpecs
from bnn2hw.targets.boards import Board
from bnn2hw.targets.devices import Device


@dataclass(frozen=True)
class CompiledModel:
    """A model as hardware.

    Attributes:
        name: Name of the model.
        graph: Streamed graph. It alone determines the hardware. For native code: the graph in hardware form.
        device: Device that the design is planned for; the default one for native code, which needs none.
        fidelity: By layer of the model, whether the hardware is exact or rounded, and why.
        input_specs: Integers on the input and the real values that they stand for, real = v * scale
            + offset; a mapping by name if the inputs differ.
        backend: "verilog", "hls" or "native".
        recipe: Options of the lowering, if other weights can be loaded; None otherwise.
        measured: By edge, the deviation from Keras on calibration data, or on random frames without them.
        compared: Comparison of the outputs with those of the executor of the model's format, on the same frames;
            None if they were not compared.
        options: Options of the compilation by name, without those that have their default.
        layouts: Order of the values in the stream by input and output, where the arrays of the model
            have their axes in another order: images with their channels first, for example.
        board: Board that the design is planned for, if one was named.
        made_from: Names of the files that it was made from, by option, and the beginning of the hash of the model file.
    """

    name: str
    graph: Graph
    device: Device
    fidelity: Mapping[str, Fidelity]
    input_specs: InputSpecs
    backend: str = "verilog"
    recipe: Recipe | None = None
    measured: Mapping[str, Deviation] = field(default_factory=dict, repr=False, kw_only=True)
    compared: Comparison | None = field(default=None, repr=False, kw_only=True)
    options: Mapping[str, str] = field(default_factory=dict, repr=False, kw_only=True)
    layouts: Mapping[str, AxisOrder] = field(default_factory=dict, repr=False, kw_only=True)
    board: Board | None = field(default=None, repr=False, kw_only=True)
    made_from: Mapping[str, str] = field(default_factory=dict, repr=False, kw_only=True)

    def fidelity_of(self, node: Node) -> Fidelity:
        """Return the fidelity of the layer that a node of the graph comes from.

        Raises:
            Bnn2hwError: Nothing is known of that layer.
        """
        if node.layer not in self.fidelity:
            raise Bnn2hwError(
                f"node '{node.name}' comes from layer '{node.layer}', whose fidelity is not known"
            )
        return self.fidelity[node.layer]

    def to_streams(self, x: Batch) -> Batch:
        """Return frames with their axes in the order of the streams.

        Args:
            x: Arrays of shape (frames, *shape in the model); by name if there are several inputs. Axes
                of length 1 may be missing.

        Raises:
            InputError: An array has another shape than the model.
        """
        if not self.layouts:
            return x
        names = tuple(n.name for n in self.graph.sources)
        return golden.batch(
            {n: inputs.to_stream(n, a, self.layouts) for n, a in golden.by_name(names, x).items()}
        )

    def from_streams(self, y: Batch, names: tuple[str, ...]) -> Batch:
        """Return values of streams with their axes in the order of the model.

        Args:
            y: Arrays of shape (frames, *shape of the stream); by name if there are several.
            names: The streams. Arrays of other shapes, such as classes, are returned as they are.
        """
        if not self.layouts:
            return y
        return golden.batch({n: self._from_stream(n, a) for n, a in golden.by_name(names, y).items()})

    def _from_stream(self, name: str, y: Array) -> Array:
        layout = self.layouts.get(name)
        return layout.from_stream(y) if layout is not None and y.shape[1:] == layout.stream else y

    def shaped(self, outputs: Batch) -> Batch:
        """Return outputs of the design in the order of the model, without the axis of single values.

        Args:
            outputs: Arrays of shape (frames, *shape of the stream); by name if there are several.
        """
        arrays = golden.by_name(self.graph.outputs, self.from_streams(outputs, self.graph.outputs), "output")
        single = {n for n in arrays if self.graph.types[n].size == 1}
        return golden.batch({n: a.reshape(len(a)) if n in single else a for n, a in arrays.items()})

    @property
    def input(self) -> Tensor:
        """Type of the stream that enters the design; of several, the first."""
        return self.graph.types[self.graph.sources[0].name]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(n.name for n in self.graph.sources)

    @property
    def output(self) -> Tensor:
        """Type of the stream that leaves the design; of several, the first."""
        return self.graph.types[self.graph.outputs[0]]

    @cached_property
    def design(self) -> Design:
        """The generated sources and the streams that they implement."""
        return backends.render(self.backend, self.graph, header=self.header)

    @property
    def header(self) -> Header:
        """Facts for the headers of the sources."""
        options = {**self.options, **self.axes}
        if self.is_native:
            return Header(self.name, options=options, anywhere="any processor")
        return Header(self.name, self.device, options)

    @property
    def is_native(self) -> bool:
        """True if the model is code for a processor, which has no cycles and no resources."""
        return self.backend == backends.NATIVE

    def need_hardware(self, what: str) -> None:
        """Refuse native code where hardware is needed.

        Args:
            what: What needs hardware, as the beginning of a sentence.

        Raises:
            InputError: The model is native code.
        """
        if self.is_native:
            raise InputError(
                f"{what} needs hardware, and '{self.name}' is native code for a processor; compile the model "
                "with backend='verilog'"
            )

    @property
    def axes(self) -> dict[str, str]:
        """The order of axes in words, for the inputs and outputs whose arrays have another than the stream."""
        return {f"axes of '{name}'": str(layout) for name, layout in self.layouts.items()}

    @cached_property
    def _estimate(self) -> Estimate:
        return estimating.estimate(self.graph, self.device)

    def estimate(self) -> Estimate:
        """Return the exact cycles and the predicted resources.

        Raises:
            InputError: The model is native code.
        """
        self.need_hardware("an estimate")
        return self._estimate
