"""No pass changes what a model computes, and `deviation` sees a pass that does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import keras
import numpy as np
import pytest
from keras import layers

import bnn2hw
from bnn2hw import deviation, golden, pipeline
from bnn2hw.errors import UnsupportedError
from bnn2hw.ir import Graph, HardwareOp, Ints, Tensor, View
from bnn2hw.lower.hardware import Lowered
from bnn2hw.lower.probe import Chain, breakpoints
from bnn2hw.lower.pruning import pruned
from bnn2hw.ops import Source, Threshold
from bnn2hw.ops.real import Border, Dense, Pointwise, Refold, Reshape, Sum
from bnn2hw.targets import devices
from tests.support import networks as net

PIXELS, SIGNS = bnn2hw.Input("uint8", scale=1 / 255), bnn2hw.Input("bipolar")
FRAMES = 40
SIMPLIFY = ["pruned", "hoist_uniform"]
LAY_OUT = ["trimmed", "unrolled", "folded", "streamed"]
PASSES = [*SIMPLIFY, "to_hardware", *LAY_OUT]


def several_branches() -> keras.Model:
    """A border, a sum, a pool with two readers, a quantizer behind a Flatten, and two outputs."""
    x = keras.Input((6, 6, 2), name="image")
    y = net.norm()(net.conv(4, input_quantizer=None, padding="same")(x))
    y = layers.Add()([y, net.norm()(net.conv(4, padding="same")(y))])
    y = layers.MaxPooling2D(2)(y)
    z = layers.Flatten(name="flat")(net.norm()(y))
    rounded = layers.Dense(3, name="rounded")(layers.GlobalAveragePooling2D()(y))
    return net.shake(keras.Model(x, [net.dense(5, name="last")(layers.Activation("hard_tanh")(z)), rounded]))


def unrollable() -> keras.Model:
    """Binary layers; the first becomes logic, together with its thresholds."""
    named = [net.dense(8, name="first"), net.norm(), net.dense(7, name="second"), net.norm(), net.dense(4)]
    return net.chain((12,), *named, seed=3)


def outputs_around_a_flatten() -> keras.Model:
    """A Flatten and a function of it are both outputs, so the function must stay behind it."""
    x = keras.Input((3, 3, 2), name="image")
    y = layers.Flatten(name="flat")(net.conv(2, 2)(x))
    return net.shake(keras.Model(x, [y, layers.ReLU(name="relu")(y)]))


def function_behind_a_flatten() -> keras.Model:
    """The output is a function of a Flatten, which moves in front of it."""
    return net.chain((3, 3, 2), net.conv(2, 2), layers.Flatten(), layers.ReLU())


NETWORKS: Mapping[str, tuple[Callable[[], keras.Model], bnn2hw.Input, Mapping | None]] = {
    "tutorial": (net.tutorial_like, PIXELS, None),
    "several branches": (several_branches, PIXELS, None),
    "outputs around a Flatten": (outputs_around_a_flatten, SIGNS, None),
    "a function behind a Flatten": (function_behind_a_flatten, SIGNS, None),
    "unrolled": (unrollable, SIGNS, {"first": {"style": "unrolled"}, "second": {"pe": 7, "simd": 2}}),
}


@cache
def stages(network: str) -> dict[str, tuple[Graph, Graph | Lowered]]:
    """Return the graph before each pass and its result, by the name of the pass."""
    build, wire, folding = NETWORKS[network]
    imported = pipeline.read(build())
    found: dict[str, tuple[Graph, Graph | Lowered]] = {}
    graph = imported.graph
    for simplify in (pruned, *pipeline.SIMPLIFY):
        found[simplify.__name__] = graph, simplify(graph)
        graph = simplify(graph)
    how = pipeline.recipe(imported, None, None, loadable=False)
    lowered = pipeline.lower(imported, wire, how).lowered
    found["to_hardware"] = graph, lowered
    layout = pipeline.Layout(lowered.graph, devices.device("xc7z045"), folding=folding)
    for step in pipeline.LAY_OUT:
        before, layout = layout, step(layout)
        found[step.__name__] = before.graph, layout.graph
    return found


def inputs(network: str) -> dict[str, np.ndarray]:
    graph = stages(network)["to_hardware"][1].graph
    rng = np.random.default_rng(0)
    types = {n.name: graph.types[n.name] for n in graph if isinstance(n.op, Source)}
    return {name: rng.choice(t.ints.values(), (FRAMES, *t.shape)) for name, t in types.items()}


def reals(network: str) -> dict[str, np.ndarray]:
    types = stages(network)["to_hardware"][1].graph.types
    return {name: types[name].real(x).astype(np.float32) for name, x in inputs(network).items()}


def test_the_passes() -> None:
    assert [step.__name__ for step in pipeline.PASSES] == PASSES
    assert all(list(stages(network)) == PASSES for network in NETWORKS)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", SIMPLIFY)
def test_passes_over_the_real_form(name: str, network: str) -> None:
    before, after = stages(network)[name]
    x = reals(network)
    first, second = golden.run(before, x), golden.run(after, x)

    for edge, other in zip(before.outputs, after.outputs, strict=True):
        assert np.array_equal(first[edge], second[other])
    for node in before:
        if node.name in second and not isinstance(node.op, Reshape | Refold):
            values = second[node.name].reshape(first[node.name].shape)
            assert np.array_equal(first[node.name], values), node.name


@pytest.mark.parametrize("network", NETWORKS)
def test_the_pass_to_the_hardware_form(network: str) -> None:
    before, lowered = stages(network)["to_hardware"]

    found = deviation.measure(before, lowered, lowered.graph, inputs(network))

    kinds = {edge: lowered.fidelity[lowered.graph[edge].layer].kind for edge in lowered.graph.types}
    assert all(d.different == 0 or kinds[d.edge] == "rounded" for d in found)
    assert all(d.share < 1e-3 for d in found)
    assert len(found) >= len(before.outputs)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", LAY_OUT)
def test_passes_over_the_hardware_form(name: str, network: str) -> None:
    before, after = stages(network)[name]
    x = inputs(network)
    first, second = golden.run(before, x), golden.run(after, x)

    for edge, other in zip(before.outputs, after.outputs, strict=True):
        assert before.types[edge] == after.types[other]
        assert np.array_equal(first[edge], second[other])
    same = [e for e in first if after.types.get(e) == before.types[e]]
    assert len(same) > len(first) // 2
    assert all(np.array_equal(first[e], second[e]) for e in same)


# ---- passes that are wrong


BEYOND = "its integers differ from the layer by up to .* and rounding explains"


def identity(graph: Graph) -> Graph:
    """Drop a function of single values."""
    node = [n for n in graph if isinstance(n.op, Pointwise)][1]
    return graph.map_ops({node.name: replace(node.op, apply=lambda x: x)})


def negated(graph: Graph) -> Graph:
    node = next(n for n in graph if isinstance(n.op, Dense))
    kernel = -node.op.kernel
    return graph.map_ops({node.name: replace(node.op, kernel=kernel, apply=lambda x: x @ kernel)})


def other_border(graph: Graph) -> Graph:
    node = next(n for n in graph if isinstance(n.op, Border))
    (top, bottom), (left, right) = node.op.sides
    pads = ((0, 0), (top, bottom), (left, right), (0, 0))
    op = replace(node.op, value=1.0, apply=lambda x: np.pad(x, pads, constant_values=1.0))
    return graph.map_ops({node.name: op})


def without_shortcut(graph: Graph) -> Graph:
    """Add a stream to itself instead of to the other one."""
    nodes = [replace(n, inputs=n.inputs[:1] * 2) if isinstance(n.op, Sum) else n for n in graph]
    return Graph(tuple(nodes), graph.outputs)


@pytest.mark.parametrize("wrong", [identity, negated, other_border, without_shortcut])
def test_deviation_sees_a_wrong_pass_over_the_real_form(
    wrong: Callable[[Graph], Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "SIMPLIFY", (*pipeline.SIMPLIFY, wrong))

    with pytest.raises(UnsupportedError, match=BEYOND):
        bnn2hw.compile(several_branches(), input=PIXELS, target="xc7z045")


def test_deviation_sees_nothing_wrong_in_the_passes_themselves() -> None:
    x = inputs("several branches")["image"]

    found = bnn2hw.compile(several_branches(), input=PIXELS, target="xc7z045").deviation(x)

    assert sum(d.different for d in found) == 0


def shifted(graph: Graph) -> Graph:
    """Raise the thresholds of an op."""
    node = next(n for n in graph if isinstance(n.op, Threshold))
    [x] = graph.inputs_of(node)
    higher = np.minimum(node.op.thresholds + 3 * x.ints.step, x.ints.hi + x.ints.step)
    return graph.map_ops({node.name: replace(node.op, thresholds=higher)})


def swapped(graph: Graph) -> Graph:
    """Let the last op read its input under exchanged rows and columns of weights."""
    node = [n for n in graph if isinstance(n.op, HardwareOp) and hasattr(n.op, "weights")][-1]
    return graph.map_ops({node.name: replace(node.op, weights=node.op.weights[::-1].copy())})


@pytest.mark.parametrize("wrong", [shifted, swapped])
@pytest.mark.parametrize("place", ["to_hardware", "LAY_OUT"])
def test_deviation_sees_a_wrong_pass_over_the_hardware_form(
    wrong: Callable[[Graph], Graph], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def to_hardware(*args: object, **options: object) -> Lowered:
        made = pipeline_to_hardware(*args, **options)
        return replace(made, graph=wrong(made.graph))

    def step(layout: pipeline.Layout) -> pipeline.Layout:
        return replace(layout, graph=wrong(layout.graph))

    x = inputs("unrolled")["image"]
    pipeline_to_hardware = pipeline.to_hardware
    changed = to_hardware if place == "to_hardware" else (*pipeline.LAY_OUT, step)
    monkeypatch.setattr(pipeline, place, changed)

    if place == "to_hardware":
        with pytest.raises(UnsupportedError, match=BEYOND):
            bnn2hw.compile(unrollable(), input=SIGNS, fps=1e5)
        return
    seen = bnn2hw.compile(unrollable(), input=SIGNS, fps=1e5).deviation(x)
    assert sum(d.beyond for d in seen) > 0


def test_stated_rounding_beyond_the_granted_bits_does_not_excuse_a_wrong_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pass that is wrong may also state that it rounds as much as it is off."""

    def to_hardware(*args: object, **options: object) -> Lowered:
        made = pipeline_to_hardware(*args, **options)
        stated = {node: np.array([1e3]) for node in made.matches.values()}
        return replace(made, graph=swapped(made.graph), own=stated)

    pipeline_to_hardware = pipeline.to_hardware
    monkeypatch.setattr(pipeline, "to_hardware", to_hardware)

    with pytest.raises(UnsupportedError, match="values by more than rounding to its bits explains"):
        bnn2hw.compile(unrollable(), input=SIGNS, fps=1e5)


def test_deviation_measures_views() -> None:
    """A change of meaning is compared too, although the design has no edge for it."""
    model = net.chain((12,), net.dense(8), net.norm(scale=False), layers.Dense(3))
    accelerator = bnn2hw.compile(model, input=SIGNS, target="xc7z045")
    views = [n.name for n in accelerator.origin.lowered.graph if isinstance(n.op, View)]

    measured = {d.edge for d in accelerator.deviation(inputs("unrolled")["image"])}

    assert measured & set(views)
    assert not measured & set(views) & set(accelerator.graph.types)


def test_deviation_is_measured_a_few_frames_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = bnn2hw.compile(several_branches(), input=PIXELS, target="xc7z045")
    x = np.random.default_rng(0).integers(0, 256, (10, 6, 6, 2))
    whole = accelerator.deviation(x)

    monkeypatch.setattr(deviation, "AT_ONCE", 3 * 2 * 1000)
    parts = accelerator.deviation(x)

    for one, many in zip(whole, parts, strict=True):
        # The framework rounds sums otherwise in batches of another size, by a few of float32's steps.
        near = {"rel": 1e-4, "abs": one.size * 2.0**-20}
        close = {f: pytest.approx(getattr(one, f), **near) for f in ("largest", "mean", "steady", "bound")}
        assert many == replace(one, **close, size=pytest.approx(one.size))


def test_a_sample_that_is_rounded_in_two_ways_is_no_change() -> None:
    """Kernels of a framework may round the last values of a batch otherwise; the search must still end."""

    def last_differs(x: np.ndarray) -> np.ndarray:
        y = np.where(x < 0, np.float32(-1), np.float32(1))
        y[: len(y) // 2] += np.float32(2.0**-20) * (x[: len(y) // 2] >= 0)
        return y

    ints = Ints(-(2**40), 2**40)
    chain = Chain(
        (Pointwise(last_differs, (1,), uniform=True),),
        Tensor((1,), ints),
        (1,),
        np.array([0]),
        np.array([ints.hi]),
    )

    found = breakpoints(chain)

    assert found is None or len(found.at[0]) <= 3
