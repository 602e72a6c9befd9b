"""Products that share multiplications: exact for all operands, and chosen where they cost least."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bnn2hw.backends import verilog
from bnn2hw.errors import FoldingError
from bnn2hw.estimate import cycles
from bnn2hw.folding import search
from bnn2hw.ir import BIPOLAR, Array, Graph, Ints, Node, Tensor
from bnn2hw.ops import Mac, Source
from bnn2hw.ops.base.packing import Packing
from bnn2hw.simulation import simulate
from bnn2hw.targets import devices, families
from tests.support import alone

ENDS = (Ints(-2, 1), Ints(-1, 1), Ints(-3, 3), Ints(-1, 0), Ints(-8, 7))
INPUTS = (Ints(0, 3), Ints(-4, 3), Ints(0, 15), Ints(-1, 0), Ints(3, 5), Ints(-5, -2))


@pytest.mark.parametrize("neurons", [2, 3])
def test_fields_hold_the_products_of_all_operands(neurons: int) -> None:
    """Integers without a limit, so that only the widths of the fields can be wrong."""
    for weights, inputs in itertools.product(ENDS, INPUTS):
        packing = Packing(neurons, weights, inputs, simd=1)
        spacing, digit = packing.field_bits, packing.digit_bits
        ends = sorted({weights.lo, weights.lo + 1, 0, weights.hi})
        for w in itertools.product(ends, repeat=neurons):
            wide = sum(value << (i * spacing) for i, value in enumerate(w))
            top = wide >> ((neurons - 1) * spacing)
            assert -(1 << (digit - 1)) <= top < 1 << (digit - 1)
            for x in inputs.values().tolist():
                assert apart(wide * x, neurons, spacing) == [value * x for value in w]


def apart(total: int, neurons: int, spacing: int) -> list[int]:
    """Take the fields of a number apart as the hardware does."""
    half = 1 << (spacing - 1)
    found = []
    for i in range(neurons):
        below = total >> (i * spacing - 1) & 1 if i else 0
        field = ((total >> (i * spacing)) + below) & (2 * half - 1)
        found.append(field - 2 * half if field >= half else field)
    return found


def all_frames(x: Tensor) -> Array:
    """Return all values of a vector, of shape (frames, synapses)."""
    return np.array(list(itertools.product(x.ints.values().tolist(), repeat=x.size)))


def every_weight(values: Ints, mw: int, pe: int) -> Array:
    """Return all weights of `pe` neurons with `mw` synapses each, of shape (mw, neurons)."""
    rows = itertools.product(values.values().tolist(), repeat=mw * pe)
    return np.array(list(rows)).reshape(-1, mw).T.copy()


@pytest.mark.parametrize(
    ("values", "inputs", "mw", "pe", "packed"),
    [
        (Ints(-4, 3), Ints(0, 7), 1, 2, 2),
        (Ints(-4, 3), Ints(-4, 3), 1, 2, 2),
        (Ints(-2, 1), Ints(-2, 1), 1, 3, 3),
        (Ints(-2, 1), Ints(0, 3), 2, 2, 2),
        (Ints(-2, 1), Ints(-4, 3), 2, 1, 0),
        (Ints(-8, 7), Ints(0, 3), 1, 1, 0),
    ],
)
def test_hardware_is_exact_for_all_weights_and_inputs(
    values: Ints, inputs: Ints, mw: int, pe: int, packed: int
) -> None:
    x = Tensor((mw,), inputs)
    op = Mac(every_weight(values, mw, pe), pe=pe, simd=mw, packed=packed)
    graph = alone(op, x)
    design = verilog.render(graph)
    assert "bnn2hw_mac_products.sv" in design.files

    run = simulate.simulate(design, graph, {"x": all_frames(x)}, cycles.cycles(graph))

    run.check()
    assert run.exact


@pytest.mark.parametrize("family", ["generic", "xilinx", "ice40"])
def test_extreme_operands_of_eight_bits(family: str) -> None:
    rng = np.random.default_rng(1)
    x = Tensor((6,), Ints(-128, 127))
    op = Mac(rng.choice([-128, -1, 0, 127], (6, 8)), pe=4, simd=3, packed=2)
    graph = alone(op, x)
    design = verilog.render(graph, family=families.family(family))
    frames = {"x": rng.choice([-128, -127, -1, 0, 1, 127], (64, 6))}

    run = simulate.simulate(design, graph, frames, cycles.cycles(graph), stalls=0.3, seed=2, cells=True)

    run.check()
    assert run.exact


def layer(weight_bits: int = 4, input_bits: int = 4) -> Graph:
    """A layer in hardware form."""
    reach = 2 ** (weight_bits - 1)
    weights = np.random.default_rng(0).integers(-reach, reach, (32, 16))
    x = Tensor((32,), Ints(0, 2**input_bits - 1))
    return Graph((Node("x", Source(x)), Node("y", Mac(weights), ("x",))), ("y",))


def folded(device: devices.Device, graph: Graph, folding: search.Folding | None = None) -> Mac:
    op = search.for_rate(graph, 16, device, folding)["y"].op
    assert isinstance(op, Mac)
    return op


def test_products_are_made_where_they_cost_least() -> None:
    """Few DSP blocks, no DSP block, and few LUTs, on a device that is the same otherwise."""
    device, graph = devices.device("ecp5-25k"), layer()

    assert folded(replace(device, dsp=0), graph).packed == 0
    assert folded(replace(device, lut=10**7, dsp=28), graph).packed == 0
    assert folded(replace(device, lut=5000, dsp=1000), graph).packed == 1
    assert folded(replace(device, lut=24000, dsp=600), graph).packed == 2


def test_signs_and_constants_have_their_own_products() -> None:
    x = Tensor((4, 8), Ints(0, 15))
    rng = np.random.default_rng(0)

    for op in (Mac(rng.choice(np.array([-1, 1]), (8, 4))), Mac(rng.integers(-4, 4, (8, 4)))):
        for option in op.allowed(x):
            whole = option.synapse_folds * option.neuron_folds == 1
            assert option.packed == 1 or (op.weight_type != BIPOLAR and not whole)
    with pytest.raises(ValueError, match="packed=2 needs"):
        Mac(rng.integers(-4, 4, (8, 4)), pe=4, simd=8, packed=2).infer(x)
    with pytest.raises(ValueError, match="packed=3 needs"):
        Mac(rng.integers(-4, 4, (8, 4)), pe=2, simd=4, packed=3).infer(x)


def test_weights_of_other_kinds_take_over_what_fits_of_a_folding() -> None:
    rng = np.random.default_rng(0)
    other = Mac(rng.integers(-4, 4, (8, 4)), pe=2, simd=4, packed=2)

    assert Mac(rng.integers(-4, 4, (8, 4))).folded_like(other).packed == 2
    assert Mac(rng.choice(np.array([-1, 1]), (8, 4))).folded_like(other).packed == 1


def test_a_user_can_choose() -> None:
    device, graph = devices.device("ecp5-85k"), layer()

    op = folded(device, graph, {"y": {"packed": 2}})
    assert op.packed == 2
    assert op.pe >= 2
    assert folded(device, graph, {"y": {"pe": 4, "simd": 8, "packed": 0}}).packed == 0
    assert folded(device, graph, {"y": {"pe": 4, "simd": 8}}).packed == 1
    assert search.of(search.for_rate(graph, 16, device, {"y": {"packed": 2}}))["y"]["packed"] == 2


@pytest.mark.parametrize(
    ("by_hand", "message"),
    [
        ({"packed": 9}, "layer 'y': packed=9 is not possible with the widths"),
        ({"packed": 2.5}, "layer 'y': packed=2.5 is not a whole number"),
        ({"packed": 2, "pe": 1}, "do not go together; only neurons in parallel can share"),
    ],
)
def test_what_is_not_possible_is_refused(by_hand: dict[str, int], message: str) -> None:
    with pytest.raises(FoldingError, match=message):
        search.for_rate(layer(), 16, devices.device("ecp5-85k"), {"y": by_hand})
