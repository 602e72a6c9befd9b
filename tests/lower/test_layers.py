"""Every node knows its layer, whatever layers are called and however often they are used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import bnn2hw
from bnn2hw import pipeline
from bnn2hw.backends import verilog
from bnn2hw.errors import Bnn2hwError
from bnn2hw.folders import MANIFEST
from bnn2hw.importers.imported import Imported
from bnn2hw.ir import BIPOLAR, Graph, HardwareOp, Node, Tensor
from bnn2hw.ops import Fifo, Source
from bnn2hw.targets import devices
from tests.support import layerwise
from tests.support import networks as net

SIGNS = bnn2hw.Input("bipolar")


def compiled(model: keras.Model, **options: object) -> bnn2hw.Accelerator:
    return bnn2hw.compile(model, **{"input": SIGNS, "target": "xc7z045", **options})


def lowered(accelerator: bnn2hw.Accelerator) -> Graph:
    assert accelerator.origin
    return accelerator.origin.lowered.graph


def rows(accelerator: bnn2hw.Accelerator) -> dict[str, str]:
    """The fidelity that the report shows, by row."""
    lines = [line.split("│") for line in str(accelerator).splitlines() if line.count("│") > 5]
    return {cells[1].strip(): cells[5].strip() for cells in lines if len(cells) > 6}


def used_twice() -> keras.Model:
    """The layer "act" in front of a quantizer, and again in front of a layer of real numbers."""
    x = keras.Input((9,), name="image")
    act = layers.Activation("hard_tanh", name="act")
    first = net.dense(4, name="first")(x)
    second = net.dense(4, name="second", kernel_quantizer=None)(x)
    exact = net.dense(3, name="binary")(act(first))
    rounded = net.dense(3, name="real", input_quantizer=None, kernel_quantizer=None)(act(second))
    return net.shake(keras.Model(x, layers.Concatenate(name="both")([exact, rounded])), 3)


def test_a_layer_that_is_used_twice_is_reported_by_its_worse_use() -> None:
    accelerator = compiled(used_twice())

    assert accelerator.fidelity["act"].kind == "rounded"
    assert [n.name for n in lowered(accelerator) if n.layer == "act"][:1] == ["act#2.fixed"]
    shown = rows(accelerator)
    assert shown["act#2.fixed"].split()[0] == "rounded"
    assert shown["first.threshold"] == "exact"


@pytest.mark.parametrize("bits", [5, 9])
def test_bits_hold_for_each_use_of_a_layer(bits: int) -> None:
    accelerator = compiled(used_twice(), bits={"act": bits})

    assert accelerator.graph.types["act#2.fixed"].ints.bits <= bits


def block(name: str) -> keras.Model:
    return keras.Sequential([keras.Input((6,)), net.dense(6, name="dense"), net.norm(name="norm")], name=name)


def nested() -> keras.Model:
    """Layers of one name in the model, in two nested models, and in a model within one of those."""
    x = keras.Input((6,), name="image")
    inner = keras.Sequential([keras.Input((6,)), block("deep"), layers.ReLU(name="act")], name="inner")
    y = net.dense(6, name="dense")(inner(block("outer")(x)))
    return net.shake(keras.Model(x, net.dense(3, name="last")(y)), 4)


def test_layers_of_nested_models_have_names_of_their_own() -> None:
    model = nested()

    accelerator = compiled(model)

    names = {
        *(
            "image",
            "outer/dense",
            "outer/norm",
            "inner/deep/dense",
            "inner/deep/norm",
            "act",
            "dense",
            "last",
        ),
    }
    assert set(accelerator.fidelity) == names
    assert {n.layer for n in lowered(accelerator)} <= names
    layerwise.check(model, accelerator, signs(accelerator))


def test_a_nested_model_that_is_called_twice() -> None:
    inner = keras.Sequential(
        [keras.Input((6,)), net.dense(6, name="dense"), layers.Activation("tanh", name="act")]
    )
    x = keras.Input((6,), name="image")
    once = inner(x)
    last = net.dense(3, name="last", input_quantizer=None, kernel_quantizer=None)
    model = net.shake(keras.Model(x, last(inner(once))), 5)

    accelerator = compiled(model)

    assert accelerator.fidelity["act"].kind == "rounded"
    assert {f for name, f in rows(accelerator).items() if name.startswith("act#2")} == {"rounded"}
    layerwise.check(model, accelerator, signs(accelerator))


def signs(accelerator: bnn2hw.Accelerator) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sources = [n for n in accelerator.graph if isinstance(n.op, Source)]
    return {n.name: rng.choice([-1, 1], (40, *accelerator.graph.types[n.name].shape)) for n in sources}


NAMES = {
    "dots": ("a.b", "a.b.c", "a", "a.b.threshold"),
    "numbers": ("a", "a#2", "a#2.threshold", "a.threshold#2"),
    "those of passes": ("a", "a.threshold", "a.bias", "a.window"),
    "outputs": ("class", "top1", "class#2", "scores"),
    "plain": ("first", "second", "third", "fourth"),
}


def of_four(names: tuple[str, ...], first: str = "image") -> keras.Model:
    """Two convolutions with border, bias and pooling, and a dense layer that is used twice."""
    a, b, c, d = names
    x = keras.Input((6, 5, 2), name=first)
    y = net.conv(3, name=a, padding="same", use_bias=True)(x)
    y = layers.MaxPooling2D(2)(y)
    y = net.conv(4, 2, name=b, use_bias=True)(y)
    y = net.norm(name=c)(layers.Flatten()(y))
    dense = net.dense(y.shape[-1], name=d, use_bias=True)
    return net.shake(keras.Model(x, layers.Softmax()(net.dense(3)(dense(dense(y))))), 6)


@cache
def of_plain_names() -> bnn2hw.Accelerator:
    return compiled(of_four(NAMES["plain"]))


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_names_that_look_like_those_of_nodes(names: tuple[str, ...], tmp_path: Path) -> None:
    model = of_four(names)

    accelerator, other = compiled(model), of_plain_names()

    expected = dict(zip(NAMES["plain"], names, strict=True))
    mine, others = [
        [n.layer for n in lowered(a) if n.layer.split("_")[0] not in ("max", "flatten", "quant", "softmax")]
        for a in (accelerator, other)
    ]
    assert mine == [expected.get(layer, layer) for layer in others]
    for graph in (lowered(accelerator), accelerator.graph):
        assert all(accelerator.fidelity_of(node) for node in graph)
    layerwise.check(model, accelerator, signs(accelerator))
    loaded = bnn2hw.load(accelerator.write(tmp_path / "build"))
    assert [n.layer for n in loaded.graph] == [n.layer for n in accelerator.graph]
    assert str(loaded) == str(accelerator)


@pytest.mark.parametrize("name", ["first.threshold", "first#2", "second.bias", "class"])
def test_inputs_keep_their_names(name: str) -> None:
    """Also where a pass would give that name to a node of its own, before the input is read."""
    a, b = keras.Input((6,), name="one"), keras.Input((4,), name=name)
    first = net.dense(6, name="first")
    y = net.dense(4, name="second", use_bias=True)(first(first(a)))
    last = layers.Softmax()(net.dense(3, name="last")(layers.Concatenate()([y, net.dense(2)(b)])))
    model = net.shake(keras.Model([a, b], last), 7)

    accelerator = compiled(model, input={"one": SIGNS, name: SIGNS})

    assert [n.name for n in accelerator.graph if isinstance(n.op, Source)] == ["one", name]
    layerwise.check(model, accelerator, signs(accelerator))


def test_a_shared_pool_with_several_readers() -> None:
    """Each use becomes nodes of the same layer, under names of their own."""
    x = keras.Input((4, 4, 2), name="image")
    pool = layers.MaxPooling2D(2, name="pool")
    y, z = pool(net.conv(3, 1, name="a")(x)), pool(net.conv(3, 1, name="b")(x))
    ends = [net.dense(2)(layers.Flatten()(net.norm()(v))) for v in (y, y, z, z)]
    model = net.shake(keras.Model(x, ends), 8)

    accelerator = compiled(model)

    pools = [n for n in accelerator.graph if n.op.__class__.__name__ == "Pool"]
    assert len(pools) > 1
    assert {n.layer for n in pools} == {"pool"}
    layerwise.check(model, accelerator, signs(accelerator))


def slashed(imported: Imported) -> Imported:
    """A model as another importer may name its nodes: "main/block.0/dense"."""

    def name(text: str) -> str:
        return f"main/block.0/{text}"

    nodes = [
        replace(n, name=name(n.name), layer=name(n.layer), inputs=tuple(map(name, n.inputs)))
        for n in imported.graph
    ]
    return replace(imported, graph=Graph(tuple(nodes), tuple(map(name, imported.graph.outputs))))


def test_slashes() -> None:
    imported = slashed(pipeline.read(of_four(NAMES["plain"])))

    how = pipeline.recipe(imported, None, None, loadable=False)
    made = pipeline.lower(imported, SIGNS, how).lowered
    graph = pipeline.lay_out(pipeline.Layout(made.graph, devices.device("ecp5-85k")))

    assert "main/block.0/first" in made.fidelity
    assert {n.layer for n in graph} <= set(made.fidelity)
    assert all("/" not in name for name in verilog.render(graph).files)


def test_loadable_layers_are_those_that_are_named() -> None:
    accelerator = compiled(of_four(("a", "a.b", "a.b.c", "a#2")), loadable=["a", "a#2"])

    ops = {n.name: n for n in accelerator.graph if isinstance(n.op, HardwareOp) and n.op.writable}
    assert {n.layer for n in ops.values()} == {"a", "a#2"}


def test_a_pass_that_forgets_the_layer_is_caught() -> None:
    x = Node("x", Source(Tensor((4,), BIPOLAR)), layer="image")

    with pytest.raises(Bnn2hwError, match="node 'y' does not say which layer it was made from"):
        Graph((x, Node("y", Fifo(), ("x",))), ("y",))


def test_a_layer_of_which_nothing_is_known_is_not_taken_for_exact() -> None:
    accelerator = compiled(used_twice())
    fewer = {name: f for name, f in accelerator.fidelity.items() if name != "act"}

    with pytest.raises(
        Bnn2hwError, match=r"node 'act#2.fixed' comes from layer 'act', whose fidelity is not"
    ):
        str(replace(accelerator, fidelity=fewer))


@pytest.mark.parametrize("model", [used_twice, nested, lambda: of_four(NAMES["numbers"])])
def test_a_build_folder_without_layers_still_loads(model: object, tmp_path: Path) -> None:
    accelerator = compiled(model())
    folder = accelerator.write(tmp_path / "build")
    graph = json.loads((folder / "graph.json").read_text())
    for node in graph["nodes"]:
        del node["layer"]
    (folder / "graph.json").write_text(json.dumps(graph))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["graph.json"] = hashlib.sha256((folder / "graph.json").read_bytes()).hexdigest()
    manifest["format"] = 1
    manifest["fidelity"] = {k: v for k, v in manifest["fidelity"].items() if k in ("act", "last")}
    (folder / MANIFEST).write_text(json.dumps(manifest))

    loaded = bnn2hw.load(folder)

    assert all(loaded.fidelity_of(node) for node in loaded.graph)
    shown = rows(loaded)
    assert all(shown[name] == fidelity for name, fidelity in rows(accelerator).items() if "act" in name)
