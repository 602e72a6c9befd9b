"""Neurons that nothing reads, and constant ones, take no hardware; all other values stay what they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

import bnn2hw
from bnn2hw import golden, pipeline
from bnn2hw.importers.imported import Imported
from bnn2hw.lower.pruning import pruned
from bnn2hw.ops.real import Convolution, Dense, Pointwise
from tests.support import shared
from tests.support.machine import package_or_skip
from tests.support.onnx_graphs import PIXELS, Graph

package_or_skip("onnxruntime")

VECTOR, IMAGE = (1, 6), (1, 4, 6, 6)


def weights(*shape: int, rows: tuple[int, ...] = (), columns: tuple[int, ...] = ()) -> np.ndarray:
    """Weights of ±1 of a matrix, some of whose rows and columns are 0."""
    made = np.random.default_rng(sum(shape)).choice([-1.0, 1.0], shape)
    made[list(rows)], made[:, list(columns)] = 0.0, 0.0
    return made


def filters(*shape: int, none: tuple[int, ...] = ()) -> np.ndarray:
    """A kernel of ±1, some of whose filters are 0."""
    return weights(*shape, rows=none)


def quantized(g: Graph, x: str) -> str:
    return g.quant(g.add("Relu", x), 0.5, 0, 4, signed=0)


def unread(g: Graph) -> str:
    """Two neurons that the second layer does not read."""
    hidden = quantized(g, g.add("MatMul", "x", weights(6, 8)))
    return g.add("MatMul", hidden, weights(8, 4, rows=(0, 3)))


def constant(g: Graph) -> str:
    """A neuron whose weights are 0 and whose bias is 1.5, and one that is 0."""
    bias = np.zeros(8)
    bias[2] = 1.5
    hidden = quantized(g, g.add("Add", g.add("MatMul", "x", weights(6, 8, columns=(2, 5))), bias))
    return g.add("Add", g.add("MatMul", hidden, weights(8, 4)), np.ones(4))


def constant_at_the_end(g: Graph) -> str:
    """The same in front of an output that no sum follows: the constant stays a neuron."""
    bias = np.zeros(8)
    bias[2] = 1.5
    hidden = quantized(g, g.add("Add", g.add("MatMul", "x", weights(6, 8, columns=(2,))), bias))
    return g.add("MatMul", hidden, weights(8, 4))


def deep(g: Graph) -> str:
    """A neuron of the first layer that only an unread one of the second reads."""
    first = quantized(g, g.add("MatMul", "x", weights(6, 5)))
    only = weights(5, 5)
    only[1] = [1, 0, 0, 0, 0]
    second = quantized(g, g.add("MatMul", first, only))
    return g.add("MatMul", second, weights(5, 3, rows=(0,)))


def image(g: Graph) -> str:
    """A channel that no position of a dense layer reads, and one that some positions read."""
    factors = np.array([0.5, -1, 2, 1, 0.25]), np.arange(5.0), np.zeros(5), np.ones(5)
    made = g.add("BatchNormalization", g.add("Conv", "x", filters(5, 4, 3, 3)), *factors)
    pooled = g.add("MaxPool", quantized(g, made), kernel_shape=[2, 2], strides=[2, 2])
    flat = weights(20, 3, rows=(4, 5, 6, 7, 12, 13))  # channel 1 as a whole, and two positions of channel 3
    return g.add("MatMul", g.add("Flatten", pooled), flat)


def bordered(g: Graph) -> str:
    """A filter of zeros in front of a border of another value: it is no constant image."""
    bias = np.full(4, 1.0)
    hidden = quantized(g, g.add("Conv", "x", filters(4, 4, 3, 3, none=(2,)), bias))
    return g.add("Relu", g.add("Conv", hidden, filters(3, 4, 3, 3), pads=[1, 1, 1, 1]))


def shared_neurons(g: Graph) -> str:
    """Neurons that one reader leaves out and another one reads."""
    hidden = quantized(g, g.add("MatMul", "x", weights(6, 8)))
    return g.add("Add", g.add("MatMul", hidden, weights(8, 8, rows=(0, 3))), hidden)


GRAPHS: Mapping[str, tuple[tuple[int, ...], Callable[[Graph], str], list[int]]] = {
    "unread": (VECTOR, unread, [6, 4]),
    "constant": (VECTOR, constant, [6, 4]),
    "constant at the end": (VECTOR, constant_at_the_end, [8, 4]),
    "deep": (VECTOR, deep, [4, 4, 3]),
    "image": (IMAGE, image, [4, 3]),
    "bordered": (IMAGE, bordered, [4, 3]),
    "shared": (VECTOR, shared_neurons, [8, 8]),
}
"""Models, with the neurons that remain of each layer."""


def model(name: str) -> object:
    shape, grow, _ = GRAPHS[name]
    graph = Graph(shape)
    return graph.model(grow(graph))


def neurons(imported: Imported) -> list[int]:
    return [n.op.kernel.shape[-1] for n in imported.graph if isinstance(n.op, Dense | Convolution)]


@pytest.mark.parametrize("name", GRAPHS)
def test_the_outputs_are_the_same_float_for_float(name: str) -> None:
    whole = pipeline.read(model(name))
    lean = pipeline.lean(whole)
    shape = whole.graph.types["x"].shape
    x = {"x": np.random.default_rng(0).integers(-8, 8, (40, *shape)).astype(np.float32) / 2}

    first, second = golden.run(whole.graph, x), golden.run(lean.graph, x)

    assert neurons(lean) == GRAPHS[name][2]
    assert lean.graph.outputs == whole.graph.outputs
    assert all(np.array_equal(first[o], second[o]) for o in whole.graph.outputs)
    assert pruned(lean.graph) is lean.graph


@pytest.mark.parametrize("name", GRAPHS)
def test_the_integers_are_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lean = bnn2hw.compile(model(name), input=PIXELS, target="xc7z045")
    monkeypatch.setattr(pipeline, "lean", lambda imported: imported)
    whole = bnn2hw.compile(model(name), input=PIXELS, target="xc7z045")
    x = np.random.default_rng(1).choice(PIXELS.ints.values(), (40, *GRAPHS[name][0][1:]))

    assert np.array_equal(lean.dequantize(lean.golden(x)), whole.dequantize(whole.golden(x)))
    assert {f.kind for f in lean.fidelity.values()} == {"exact"}
    assert lean.compared.outputs[0].equal == lean.compared.outputs[0].count


def test_an_image_in_simulation() -> None:
    accelerator = bnn2hw.compile(model("image"), input=PIXELS)

    accelerator.simulate(np.random.default_rng(0).integers(-8, 8, (6, 4, 6, 6)), stalls=0.3).check()


def test_a_wrong_pass_is_seen() -> None:
    """A layer that loses a neuron which is read computes something else."""
    whole = pipeline.read(model("unread"))
    last = [n for n in whole.graph if isinstance(n.op, Dense)][-1]
    kernel = last.op.kernel.copy()
    kernel[1] = 0
    wrong = pruned(whole.graph.map_ops({last.name: replace(last.op, kernel=kernel)}))
    x = {"x": np.random.default_rng(0).integers(-8, 8, (40, 6)).astype(np.float32) / 2}

    [name] = wrong.outputs

    assert not np.array_equal(golden.run(whole.graph, x)[name], golden.run(wrong, x)[name])


def test_designs_that_take_other_weights_keep_all_neurons() -> None:
    accelerator = bnn2hw.compile(model("unread"), input=PIXELS, loadable=True)

    assert accelerator.graph.types["/MatMul.0"].shape == (8,)


def test_the_jets_network_has_fewer_neurons() -> None:
    package_or_skip("keras")
    whole = pipeline.read(shared("foreign/hgq2_jets_mlp.keras"))
    lean = pipeline.lean(whole)

    assert (neurons(whole), neurons(lean)) == ([32, 32, 5], [23, 22, 5])
    assert [n.op.fixed.signs.shape[0] for n in lean.graph if isinstance(n.op, Pointwise) and n.op.fixed] == [
        16,
        23,
        22,
    ]


@pytest.mark.parametrize("fps", [pytest.param(100_000, marks=pytest.mark.soak), 1_000_000])
def test_the_jets_network_takes_less(fps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a million frames per second: 1,484 LUTs and 8 DSP blocks in place of 1,968 and 13."""
    lean = bnn2hw.compile(shared("foreign/hgq2_jets_mlp.keras"), fps=fps).estimate().cost
    monkeypatch.setattr(pipeline, "lean", lambda imported: imported)
    monkeypatch.setenv("BNN2HW_MODEL_CACHE", "off")
    whole = bnn2hw.compile(shared("foreign/hgq2_jets_mlp.keras"), fps=fps).estimate().cost

    assert lean.lut < 0.85 * whole.lut
    assert lean.dsp <= whole.dsp
