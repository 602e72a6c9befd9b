"""Profiles of models: parameters by precision, memory, multiply-accumulate operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import keras

from bnn2hw.nn.larq_files import load_larq
from bnn2hw.nn.tables import draw
from bnn2hw.nn.tables import number_as_readable_str as _number_as_readable_str
from bnn2hw.nn.utils import memory_as_readable_str

__all__ = [
    "LayerProfile",
    "ModelProfile",
    "OperationProfile",
    "WeightProfile",
    "load_larq",
    "profile",
    "summary",
]

_KILOBYTE = 8 * 1024

_MAC_LAYERS = (
    keras.layers.Conv1D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.Dense,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)
"""Layers with multiply-accumulate operations; their subclasses count too."""

_FREE_LAYERS = (
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.BatchNormalization,
    keras.layers.Flatten,
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
)
"""Layers without multiply-accumulate operations. For all other layers the count is unknown."""

_FOLDED = {"beta": "moving_mean", "gamma": "moving_variance"}
"""Parameters of a batch normalization that merge into another one for inference."""


@dataclass(frozen=True)
class WeightProfile:
    """One weight of a layer.

    Attributes:
        name: Name within the layer.
        count: Number of values.
        bitwidth: Bits per value.
        trainable: True if training changes it.
    """

    name: str
    count: int
    bitwidth: int
    trainable: bool

    @property
    def memory(self) -> int:
        """Bits of all values."""
        return self.bitwidth * self.count

    @property
    def fp_equivalent_memory(self) -> int:
        """Bits of all values at 32 bits per value."""
        return 32 * self.count

    @property
    def int8_fp_weights_memory(self) -> int:
        """Bits of all values at no more than 8 bits per value."""
        return min(self.bitwidth, 8) * self.count

    def is_bias(self) -> bool:
        """Return True if the weight is a bias."""
        return "bias" in self.name


@dataclass(frozen=True)
class OperationProfile:
    """A number of equal operations of a layer.

    Attributes:
        n: Number of operations per input.
        precision: Bits of the wider operand.
        op_type: Kind of operation, always ``"mac"``, a multiplication and an addition.
    """

    n: int
    precision: int
    op_type: str = "mac"


class _Profile:
    """Weights and operations of a layer or a model, with their sums.

    Attributes:
        name: Name of the layer or model.
        weight_profiles: The weights.
        op_profiles: The operations.
        input_precision: Bits of the quantized inputs, or None.
        output_shape: Shape of the output with -1 for unknown axes; a list for several; or None.
        counts_macs: True if the number of operations is known.
    """

    name: str
    weight_profiles: Sequence[WeightProfile]
    op_profiles: Sequence[OperationProfile]
    input_precision: int | None
    output_shape: Any
    counts_macs: bool

    @property
    def memory(self) -> int:
        """Bits of all weights."""
        return sum(weight.memory for weight in self.weight_profiles)

    @property
    def int8_fp_weights_memory(self) -> int:
        """Bits of all weights at no more than 8 bits per value."""
        return sum(weight.int8_fp_weights_memory for weight in self.weight_profiles)

    @property
    def fp_equivalent_memory(self) -> int:
        """Bits of all weights at 32 bits per value."""
        return sum(weight.fp_equivalent_memory for weight in self.weight_profiles)

    def weight_count(self, bitwidth: int | None = None, trainable: bool | None = None) -> int:
        """Count the values of the weights.

        Args:
            bitwidth: Count only weights with this number of bits; None for all.
            trainable: Count only trainable weights (True) or only the others (False); None for all.
        """
        return sum(
            weight.count
            for weight in self.weight_profiles
            if bitwidth in (None, weight.bitwidth) and trainable in (None, weight.trainable)
        )

    def op_count(self, op_type: str | None = None, precision: int | None = None) -> int | None:
        """Count the operations per input.

        Args:
            op_type: ``"mac"``.
            precision: Count only operations with this precision in bits; None for all.

        Returns:
            The count, or None if it is unknown for this kind of layer.

        Raises:
            ValueError: ``op_type`` is not ``"mac"``.
        """
        if op_type != "mac":
            raise ValueError(f"Only operations of the type 'mac' are counted. Received: op_type={op_type!r}")
        if not self.counts_macs:
            return None
        return sum(op.n for op in self.op_profiles if precision in (None, op.precision))

    @property
    def output_pixels(self) -> int | None:
        """Positions of one feature map of the output: 1 for a dense layer, None if unknown."""
        shape = self.output_shape
        if not isinstance(shape, tuple) or len(shape) not in (2, 3, 4):
            return None
        return prod(shape[1:-1])

    @property
    def unique_param_bidtwidths(self) -> list[int]:
        """Bit widths of the weights, ascending. The name, with its misspelling, is Larq's."""
        return sorted({weight.bitwidth for weight in self.weight_profiles})

    @property
    def unique_op_precisions(self) -> list[int]:
        """Precisions of the operations, ascending."""
        return sorted({op.precision for op in self.op_profiles})

    def row(self, bitwidths: Iterable[int], precisions: Iterable[int]) -> list[Any]:
        """Return one row of the layer table.

        Args:
            bitwidths: Bit widths of weights, one per column.
            precisions: Precisions of operations, one per column.
        """
        return [
            self.name,
            self.input_precision or "-",
            str(self.output_shape or "multiple"),
            *(self.weight_count(bitwidth) for bitwidth in bitwidths),
            self.memory / _KILOBYTE if self.memory else 0,
            *(self.op_count("mac", precision) for precision in precisions),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the profile as plain data."""
        return {
            "name": self.name,
            "input_precision": self.input_precision,
            "output_shape": self.output_shape,
            "weights": {str(bits): self.weight_count(bits) for bits in self.unique_param_bidtwidths},
            "memory_bits": self.memory,
            "macs": {str(bits): self.op_count("mac", bits) for bits in self.unique_op_precisions},
        }


class LayerProfile(_Profile):
    """Weights and operations of one layer.

    Args:
        layer: A built layer.
    """

    def __init__(self, layer: keras.layers.Layer) -> None:
        self.name = layer.name
        self.input_precision = getattr(getattr(layer, "input_quantizer", None), "precision", None)
        self.output_shape = _output_shape(layer)
        self.weight_profiles = [_weight(layer, weight) for weight in _inference_weights(layer)]
        pixels = self._pixels(layer)
        self.counts_macs = isinstance(layer, _MAC_LAYERS + _FREE_LAYERS) and bool(self.output_shape)
        self.op_profiles = []
        if isinstance(layer, _MAC_LAYERS) and pixels:
            self.op_profiles = [
                OperationProfile(weight.count * pixels, max(self.input_precision or 32, weight.bitwidth))
                for weight in self.weight_profiles
                if not weight.is_bias()
            ]

    def _pixels(self, layer: keras.layers.Layer) -> int | None:
        """Return the positions of one feature map, for either data format."""
        shape = self.output_shape
        if isinstance(shape, tuple) and getattr(layer, "data_format", None) == "channels_first":
            return prod(shape[2:]) if len(shape) in (3, 4) else None
        return self.output_pixels


def _output_shape(layer: keras.layers.Layer) -> Any:
    """Return the shape of the output, a list of shapes for several outputs, or None if it is unknown."""
    try:
        outputs = layer.output
    except (AttributeError, ValueError):
        return None
    shapes = [tuple(-1 if n is None else n for n in tensor.shape) for tensor in keras.tree.flatten(outputs)]
    return shapes[0] if len(shapes) == 1 else shapes


def _inference_weights(layer: keras.layers.Layer) -> list[Any]:
    """Return the weights of a layer without those that merge into others for inference."""
    names = {weight.name for weight in layer.weights}
    if not isinstance(layer, keras.layers.BatchNormalization):
        return list(layer.weights)
    return [weight for weight in layer.weights if _FOLDED.get(weight.name) not in names]


def _weight(layer: keras.layers.Layer, weight: Any) -> WeightProfile:
    """Return the profile of one weight."""
    trainable = any(weight is other for other in layer.trainable_weights)
    bitwidth = getattr(weight, "precision", None) or 32
    return WeightProfile(weight.name, prod(tuple(weight.shape)), bitwidth, trainable)


class ModelProfile(_Profile):
    """Weights and operations of a model by layer. A nested model counts as one layer.

    Args:
        model: A built model.

    Attributes:
        layer_profiles: Profiles of the layers, in order.
    """

    counts_macs = True

    def __init__(self, model: keras.Model) -> None:
        self.name = model.name
        self.layer_profiles: list[_Profile] = [
            ModelProfile(layer) if isinstance(layer, keras.Model) else LayerProfile(layer)
            for layer in model.layers
        ]
        self.weight_profiles = [w for layer in self.layer_profiles for w in layer.weight_profiles]
        self.op_profiles = [op for layer in self.layer_profiles for op in layer.op_profiles]
        self.input_precision = self.layer_profiles[0].input_precision if self.layer_profiles else None
        self.output_shape = self.layer_profiles[-1].output_shape if self.layer_profiles else None

    def mac_ratio(self, precision: int) -> float:
        """Return the fraction of all operations that have this precision.

        Args:
            precision: Bits of the wider operand.
        """
        return (self.op_count("mac", precision) or 0) / max(1, self.op_count("mac") or 0)

    def generate_table(self, include_macs: bool = True) -> list[list[Any]]:
        """Return the layer table: a header, one row per layer, and the totals.

        Args:
            include_macs: True to include the operations.
        """
        bitwidths = self.unique_param_bidtwidths
        precisions = self.unique_op_precisions if include_macs else []
        header = [
            "Layer",
            "Input prec.\n(bit)",
            "Outputs",
            *(f"# {bits}-bit\nx 1" for bits in bitwidths),
            "Memory\n(kB)",
            *(f"{bits}-bit MACs" for bits in precisions),
        ]
        total = ["Total", "", "", *self.row(bitwidths, precisions)[3:]]
        return [header, *(layer.row(bitwidths, precisions) for layer in self.layer_profiles), total]

    def generate_summary(self, include_macs: bool = True) -> list[list[Any]]:
        """Return the summary table: rows of a name and a value.

        Args:
            include_macs: True to include the operations.
        """
        rows: list[list[Any]] = [
            ["Total params", _number_as_readable_str(self.weight_count())],
            ["Trainable params", _number_as_readable_str(self.weight_count(trainable=True))],
            ["Non-trainable params", _number_as_readable_str(self.weight_count(trainable=False))],
            ["Model size", memory_as_readable_str(self.memory)],
            ["Model size (8-bit FP weights)", memory_as_readable_str(self.int8_fp_weights_memory)],
            ["Float-32 Equivalent", memory_as_readable_str(self.fp_equivalent_memory)],
            ["Compression Ratio of Memory", self.memory / max(1e-8, self.fp_equivalent_memory)],
        ]
        return rows + self._mac_rows() if include_macs else rows

    def _mac_rows(self) -> list[list[Any]]:
        """Return the rows of the summary table about operations."""
        rows = [["Number of MACs", _number_as_readable_str(self.op_count("mac") or 0)]]
        for precision, kind in ((1, "binarized"), (2, "ternarized")):
            if self.mac_ratio(precision) > 0:
                rows.append([f"Ratio of MACs that are {kind}", f"{self.mac_ratio(precision):.4f}"])
        return rows

    def as_dict(self) -> dict[str, Any]:
        """Return the profile as plain data."""
        return {**super().as_dict(), "layers": [layer.as_dict() for layer in self.layer_profiles]}


def _bitsize_as_str(bitsize: int) -> str:
    """Return the name of a unit by its number of bits."""
    names = {8: "byte", _KILOBYTE: "kB"}
    if bitsize not in names:
        raise NotImplementedError(f"There is no name for a unit of {bitsize} bits.")
    return names[bitsize]


def profile(model: keras.Model) -> ModelProfile:
    """Count the parameters, memory and operations of a model.

    Args:
        model: A built model.

    Raises:
        ValueError: The model is not built.
    """
    if not model.built:
        raise ValueError(
            f"The model '{model.name}' has not yet been built. Give its first layer an input shape, call "
            "`model.build(...)`, or call the model on some data."
        )
    return ModelProfile(model)


def summary(
    model: keras.Model, print_fn: Callable[[str], Any] | None = None, include_macs: bool = True
) -> None:
    """Print a table of the layers of a model and a table of totals.

    The row of a layer has the bits of the quantized inputs, the shape of the output, the number of
    weights by bit width, the memory (1 kB is 8 * 1024 bits), and the multiply-accumulate operations
    by precision. The precision of an operation is that of its wider operand. A batch normalization
    counts two values per channel, as in inference.

    Args:
        model: A built model.
        print_fn: Function that is called with each table; None for `print`.
        include_macs: True to include the operations.

    Raises:
        ValueError: The model is not built.
    """
    counted = profile(model)
    show = print_fn or print
    table = counted.generate_table(include_macs)
    show(draw(f"{model.name} stats", table, framed=True, right=True))
    show(draw(f"{model.name} summary", counted.generate_summary(include_macs), framed=False, right=False))
