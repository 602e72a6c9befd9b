"""Random networks, foldings and inputs. Every failure that was ever found becomes a named case."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw.accelerator import Accelerator
from bnn2hw.backends import verilog
from bnn2hw.dataflow import connect
from bnn2hw.errors import UnsupportedError
from bnn2hw.estimate import cycles
from bnn2hw.folding import search
from bnn2hw.ir import Graph, HardwareOp, hardware_nodes
from bnn2hw.ops import MatVec
from bnn2hw.simulation.simulate import simulate
from tests.support import layerwise, long_runs
from tests.support import networks as net
from tests.support.random_networks import Random

WIRES = (
    bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0),
    bnn2hw.Input("uint8", scale=1 / 255),
    bnn2hw.Input("int4"),
    bnn2hw.Input("bipolar"),
    bnn2hw.Input("bit"),
)


def random_model(rng: np.random.Generator) -> tuple[keras.Model, bnn2hw.Input]:
    """An image or vector network with random sizes, strides, poolings, norms, biases and activations."""
    wire = WIRES[rng.integers(len(WIRES))]
    first = {} if wire.dtype == "bipolar" else {"input_quantizer": None}
    layers: list[keras.layers.Layer] = []
    shape: tuple[int, ...] = (int(rng.integers(3, 30)),)
    if rng.random() < 0.6:
        shape = (*rng.integers(5, 12, 2).tolist(), int(rng.integers(1, 4)))
        layers, first = _convolutions(rng, shape, first)
    for _ in range(rng.integers(1, 4)):
        units = int(rng.integers(1, 14))
        layers.append(net.dense(units, use_bias=bool(rng.random() < 0.4), **first))
        first = {}
        layers.extend(_around(rng))
    if rng.random() < 0.4 and units > 1:
        layers.append(keras.layers.Softmax())
    return net.chain(shape, *layers, seed=int(rng.integers(2**31))), wire


def _convolutions(
    rng: np.random.Generator, shape: tuple[int, ...], first: dict
) -> tuple[list[keras.layers.Layer], dict]:
    layers = []
    height, width = shape[:2]
    for _ in range(rng.integers(1, 3)):
        kernel = (int(rng.integers(1, min(3, height) + 1)), int(rng.integers(1, min(3, width) + 1)))
        stride = tuple(int(s) for s in rng.integers(1, 3, 2))
        # A border of zeros in front of the first layer needs a 0 on the wire; ±1 and later layers always have one.
        same = (
            {"padding": "same", "pad_values": float(rng.integers(-1, 2))}
            if not first and rng.random() < 0.4
            else {}
        )
        layers.append(net.conv(int(rng.integers(1, 9)), kernel, strides=stride, **first, **same))
        first = {}
        sizes = zip((height, width), kernel, stride, strict=True)
        height, width = (-(-n // s) if same else (n - k) // s + 1 for n, k, s in sizes)
        pool = tuple(int(rng.integers(1, 3)) for _ in range(2))
        pools = (
            [keras.layers.MaxPooling2D(pool)]
            if height >= pool[0] and width >= pool[1] and rng.random() < 0.6
            else []
        )
        if pools:
            height, width = height // pool[0], width // pool[1]
        around = _around(rng)
        layers.extend([*pools, *around] if rng.random() < 0.5 else [*around, *pools])
    behind = [net.norm()] if rng.random() < 0.3 else []
    return [*layers, keras.layers.Flatten(), *behind], first


def _around(rng: np.random.Generator) -> list[keras.layers.Layer]:
    layers = []
    if rng.random() < 0.3:
        layers.append(keras.layers.ReLU())
    if rng.random() < 0.8:
        layers.append(net.norm(scale=bool(rng.random() < 0.6), center=bool(rng.random() < 0.7)))
    if rng.random() < 0.2:
        layers.append(keras.layers.Activation("tanh"))
    return layers


def random_folding(graph: Graph, rng: np.random.Generator) -> Graph:
    """Any folding that a user may ask for; half of the ops that may hang on a unit have its lanes."""
    ops: dict[str, HardwareOp] = {}
    for node, op in hardware_nodes(graph):
        choices = list(op.allowed(*graph.inputs_of(node)))
        before = ops.get(graph.wire(node.inputs[0]))
        if isinstance(before, MatVec) and op.one_to_one and rng.random() < 0.5:
            same = [o for o in choices if (o.pe, o.pixels) == (before.pe, before.pixels)]
            choices = same or choices
        ops[node.name] = choices[rng.integers(len(choices))]
    return graph.map_ops(ops)


def check_golden(seed: int) -> tuple[Accelerator, np.ndarray]:
    rng = np.random.default_rng(seed)
    model, wire = random_model(rng)
    try:
        accelerator = bnn2hw.compile(model, input=wire, target="xc7z045")
    except UnsupportedError as refusal:
        # tanh in float32 falls by a last place here and there, so that pooling over it is refused.
        if all("neither rises nor falls" in p.found for p in refusal.problems):
            pytest.skip(str(refusal))
        raise
    x = rng.choice(wire.ints.values(), (100, *accelerator.input.shape))
    lowered = accelerator.origin.lowered.graph
    for deviation in accelerator.deviation(x):
        exact = accelerator.fidelity_of(lowered[deviation.edge]).kind == "exact"
        assert deviation.different == 0 or not exact, deviation
        if deviation.different:
            break  # what a rounded layer tips, the layers behind it see
    return accelerator, x


@pytest.mark.parametrize("seed", long_runs.after(6, range(40)))
def test_golden_equals_keras(seed: int) -> None:
    check_golden(seed)


def test_a_first_layer_that_rounds_is_said_to() -> None:
    """Sums of pixels that are 0 in real numbers, but not in float32, at a threshold at 0 (found as seed 2065)."""
    accelerator, x = check_golden(2065)

    assert next(iter(accelerator.fidelity.values())).kind == "rounded"
    assert sum(d.different for d in accelerator.deviation(x)) > 0


def check_hardware(seed: int) -> None:
    accelerator, x = check_golden(seed)
    rng = np.random.default_rng(seed)
    lowered = accelerator.origin.lowered
    graph = connect.connect(random_folding(lowered.graph, rng))
    design, predicted = verilog.render(graph), cycles.cycles(graph)

    smooth = simulate(design, graph, x[:8], predicted)
    stalled = simulate(design, graph, x[:8], predicted, stalls=float(rng.uniform(0.05, 0.6)), seed=seed)

    smooth.check()
    stalled.check()
    assert (smooth.interval, smooth.latency) == (predicted.interval, predicted.latency)


@pytest.mark.parametrize("seed", long_runs.after(5, range(1000, 1014)))
def test_hardware_equals_golden(seed: int) -> None:
    check_hardware(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2000, 2500))
def test_golden_equals_keras_for_many(seed: int) -> None:
    check_golden(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3000, 3100))
def test_hardware_equals_golden_for_many(seed: int) -> None:
    check_hardware(seed)


@pytest.mark.parametrize("fps", [2e4, 1e5, 3e5])
def test_every_rate_that_is_promised_is_kept(fps: float) -> None:
    model = net.tutorial_like(seed=3)
    accelerator = bnn2hw.compile(model, input=WIRES[0])
    graph = accelerator.origin.lowered.graph
    period = max(int(1e8 / fps), search.fastest(graph))

    folded = search.for_rate(graph, period, accelerator.device)

    assert cycles.interval(folded) <= period


# ---- networks over everything that compiles


def compiled_network(seed: int) -> tuple[Accelerator, np.ndarray]:
    """A random network that golden computes as Keras does, layer by layer."""
    draw = Random(seed)
    model, wire = draw.network()
    accelerator = bnn2hw.compile(model, input=wire, target="xc7z045")
    x = draw.rng.choice(wire.ints.values(), (60, *accelerator.input.shape))
    layerwise.check(model, accelerator, x)
    return accelerator, x


def run_network(seed: int) -> None:
    accelerator, x = compiled_network(seed)
    graph = connect.connect(random_folding(accelerator.origin.lowered.graph, np.random.default_rng(seed)))
    design, predicted = verilog.render(graph), cycles.cycles(graph)

    smooth = simulate(design, graph, x[:5], predicted)
    stalled = simulate(design, graph, x[:5], predicted, stalls=0.35, seed=seed)

    smooth.check()
    stalled.check()
    assert (smooth.interval, smooth.latency) == (predicted.interval, predicted.latency)


@pytest.mark.parametrize("seed", long_runs.after(3, range(14)))
def test_any_network_equals_keras(seed: int) -> None:
    compiled_network(seed)


@pytest.mark.parametrize("seed", long_runs.after(3, range(1000, 1006)))
def test_any_hardware_equals_golden(seed: int) -> None:
    run_network(seed)


FOUND = {
    "a quantizer's sign that a sum reads in its own scale": 9,
    "a BatchNorm over rows behind a pooling of them": 28,
    "an activation that was put behind a pooling": 324,
    "a hump that is narrow beside the range": 122,
    "a concatenation of coarse and fine streams": 15,
    "scores of more values than a table may hold": 5,
    "a sum of a curve in a channel that hardly moves": 320,
    "a curve whose channels have steps far apart": 593,
    "a value that one integer among very many has": 215,
    "a pooling before the curve that stood before it": 272,
    "a layer that is read in fixed point and straight": 266,
    "a zero between equal values": 5127,
    "a curve within the rounding of values that it cuts off": 5036,
}


@pytest.mark.parametrize("seed", FOUND.values(), ids=FOUND)
def test_what_was_found_once(seed: int) -> None:
    compiled_network(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5000, 5500))
def test_any_network_equals_keras_for_many(seed: int) -> None:
    compiled_network(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(6000, 6050))
def test_any_hardware_equals_golden_for_many(seed: int) -> None:
    run_network(seed)
