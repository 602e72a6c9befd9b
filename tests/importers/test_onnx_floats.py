"""Quantizers to floating point: those with evenly spaced levels compile as the executor of QONNX computes them."""

from __future__ import annotations

import numpy as np
import pytest

import bnn2hw
from bnn2hw.errors import UnsupportedError
from bnn2hw.importers.onnx import quantizers
from tests.importers.test_onnx_ops import real_form
from tests.support.machine import package_or_skip
from tests.support.onnx_graphs import Graph, hardware_equals_executor

package_or_skip("qonnx")

EVEN = [
    (1, 2, 0, 3.5),
    (1, 2, 0, 1e9),
    (1, 0, 0, 2),
    (2, 3, 1, 1.75),
    (4, 3, 7, 2**-5),
    (3, 1, -2, 16),
    (1, 6, 3, 0.5),
]
"""Bits of the exponent and of the mantissa, bias and largest value of formats with evenly spaced levels."""

UNEVEN = [(4, 3, 7, 240), (5, 2, 15, 57344), (2, 1, 1, 6), (3, 2, 3, 28), (2, 3, 1, 1.8), (2, 3, 1, 0)]
"""The same of formats with other levels, or whose largest value is none of them."""


REQUIRED = {"has_inf": 0, "has_nan": 0, "has_subnormal": 1, "saturation": 1}
"""Attributes that the executor demands."""


def graph_of(
    form: tuple[float, ...], scale: float | np.ndarray = 1.0, mode: str = "ROUND", **options: int
) -> Graph:
    graph = Graph((1, 4))
    numbers = [np.asarray(n, np.float32) for n in (scale, *form)]
    graph.add("FloatQuant", "x", *numbers, rounding_mode=mode, **{**REQUIRED, **options})
    return graph


@pytest.mark.parametrize("form", EVEN)
def test_values_are_those_of_the_executor(form: tuple[float, ...]) -> None:
    from qonnx.custom_op.general.floatquant import float_quant

    rng = np.random.default_rng(0)
    numbers = [np.float32(n) for n in form]
    top = min(form[3], (2 - 2.0 ** -form[1]) * 2 ** (2.0 ** form[0] - 1 - form[2]))
    for scale in (np.float32(1.0), np.float32(0.3), rng.uniform(0.1, 2, 4).astype(np.float32)):
        x = np.concatenate([rng.normal(0, 2 * top, (40, 4)), rng.integers(-40, 41, (40, 4)) * top / 16])
        x = (x * scale).astype(np.float32)
        for mode in sorted(quantizers.ROUNDINGS):
            expected = float_quant(x, scale, *numbers[:3], max_val=numbers[3], rounding_mode=mode)

            values = real_form(graph_of(form, scale, mode).model("FloatQuant_0_0"), x)

            assert np.array_equal(values, expected.astype(np.float32)), mode


@pytest.mark.parametrize("form", EVEN[:3])
def test_activations_and_weights_are_exact(form: tuple[float, ...]) -> None:
    graph = Graph((1, 6))
    numbers = [np.float32(n) for n in (0.25, *form)]
    rng = np.random.default_rng(0)
    kernel = graph.add("FloatQuant", rng.normal(0, 1, (6, 5)), *numbers, **REQUIRED)
    value = graph.add("MatMul", "x", kernel)
    value = graph.add("FloatQuant", value, *numbers, **REQUIRED)
    value = graph.add("MatMul", value, np.where(rng.random((5, 3)) < 0.5, -1.0, 1.0))

    accelerator = hardware_equals_executor(graph, value)

    assert {f.kind for f in accelerator.fidelity.values()} == {"exact"}


@pytest.mark.parametrize("form", UNEVEN)
@pytest.mark.parametrize("constant", [False, True])
def test_other_levels_are_refused_by_name(form: tuple[float, ...], constant: bool) -> None:
    graph = Graph((1, 6))
    numbers = [np.float32(n) for n in (1, *form)]
    read = graph.constant(np.ones((6, 2))) if constant else "x"
    made = graph.add("FloatQuant", read, *numbers, name="/act/FloatQuant")
    model = graph.model(graph.add("MatMul", "x", made) if constant else made)

    with pytest.raises(
        UnsupportedError, match=r"layer '/act/FloatQuant': FloatQuant.*not evenly spaced"
    ) as refused:
        bnn2hw.compile(model, input=bnn2hw.Input("int4"))

    assert "Way out: " in str(refused.value)


def test_a_quantizer_that_does_not_saturate_is_refused() -> None:
    model = graph_of(EVEN[0], saturation=0, has_inf=1).model("FloatQuant_0_0")

    with pytest.raises(UnsupportedError, match="not evenly spaced"):
        bnn2hw.compile(model, input=bnn2hw.Input("int4"))
