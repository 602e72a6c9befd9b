"""Layers whose weights are logic: the sums are those of the weights, and small networks take a frame every cycle."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw.backends import BACKENDS
from bnn2hw.cli.main import main
from bnn2hw.errors import FoldingError
from bnn2hw.estimate import gates
from bnn2hw.folding import logic, unroll
from bnn2hw.ir import BIPOLAR, Array, Tensor
from bnn2hw.ops import Unrolled, Xnor
from bnn2hw.ops.adder_graph.planes import digits, program
from bnn2hw.ops.adder_graph.plans import Cells, node_luts
from bnn2hw.ops.adder_graph.sharing import share
from bnn2hw.ops.adder_graph.sums import Count, Sums
from bnn2hw.targets import devices
from tests.support import networks as net


def signs(inputs: int, neurons: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (inputs, neurons))


def luts(weights: Array) -> int:
    sums, _ = share(weights)
    return sum(node_luts(sums, n, 6) for n in range(len(sums.nodes)))


def check(weights: Array, table: int) -> None:
    """Sums have the factors of the weights, and stay within what the program says of them."""
    sums, outputs = program(weights, Cells(table))
    factors, constants = sums.meaning(len(weights))
    read = [v for v in outputs if v.node >= 0]

    assert np.array_equal(
        factors[[v.node for v in read]].T * [v.sign for v in read], weights[:, weights.any(0)]
    )
    assert np.all(np.minimum(factors, 0).sum(1) + constants >= 0)
    assert np.all(np.maximum(factors, 0).sum(1) + constants <= sums.highest)
    again = Sums.decode(sums.encode())
    assert (again.nodes, again.highest, again.stages) == (sums.nodes, sums.highest, sums.stages)


@pytest.mark.parametrize("table", [4, 6])
@pytest.mark.parametrize("zeros", [0.3, 0.9, 1.0])
def test_zeros_add_nothing(zeros: float, table: int) -> None:
    rng = np.random.default_rng(5)

    check(signs(40, 12) * (rng.random((40, 12)) >= zeros), table)


@pytest.mark.parametrize("top", [3, 8, 127])
def test_weights_of_several_bits_are_shifted_signs(top: int) -> None:
    rng = np.random.default_rng(6)

    check(rng.integers(-top, top + 1, (15, 6)) << rng.integers(0, 3, 6), 6)


def test_digits_are_few() -> None:
    weights = np.arange(-300, 301)
    found = digits(weights)

    assert np.array_equal((found << np.arange(len(found))[:, None]).sum(0), weights)
    assert set(np.unique(found)) == {-1, 0, 1}
    assert not np.any(found[1:] & found[:-1] & 1)  # no two neighbours


def test_groups_of_bits_cost_a_lut_each() -> None:
    assert luts(np.repeat(np.eye(4, dtype=np.int8), 100, axis=0)) <= 400


def test_zeros_are_not_paid_for() -> None:
    rng = np.random.default_rng(7)

    def found(zeros: float) -> int:
        return luts(signs(64, 12) * (rng.random((64, 12)) >= zeros))

    assert found(0.9) < 0.2 * found(0.5)
    assert found(0.5) < found(0.0)


@pytest.mark.parametrize("table", [3, 4, 6])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7, 1), (13, 2), (40, 3), (33, 11), (96, 7)])
def test_sums_are_those_of_the_weights(shape: tuple[int, int], table: int) -> None:
    weights = signs(*shape)

    sums, outputs = share(weights, Cells(table))
    factors, constants = sums.meaning(shape[0])

    assert np.array_equal(factors[[v.node for v in outputs]].T * [v.sign for v in outputs], weights)
    assert max(len(n.lanes) for n in sums.nodes if isinstance(n, Count)) <= table
    lowest = np.minimum(factors, 0).sum(1) + constants
    assert lowest.min() >= 0
    assert np.all(np.maximum(factors, 0).sum(1) + constants <= sums.highest)


def test_sums_survive_their_encoding() -> None:
    sums, _ = share(signs(50, 8))

    again = Sums.decode(sums.encode())

    assert (again.nodes, again.highest, again.stages) == (sums.nodes, sums.highest, sums.stages)


def test_neurons_share() -> None:
    weights = signs(64, 12)
    alone = sum(luts(weights[:, [n]]) for n in range(12))

    together = luts(weights)

    assert together < 0.55 * alone
    assert luts(np.hstack([weights, -weights, weights])) == together


def test_a_program_of_other_weights_is_refused() -> None:
    op = Unrolled.of(Xnor(signs(10, 4)))
    other = Unrolled(signs(10, 4, seed=1), op.nodes, op.outputs)

    with pytest.raises(ValueError, match="a program that computes other sums than its weights"):
        other.infer(Tensor((10,), BIPOLAR))


LAYERS = ("quant_dense", "quant_dense_1", "quant_dense_2")


@cache
def model() -> keras.Model:
    layers = [net.dense(n, name=name) for n, name in zip((12, 10, 4), LAYERS, strict=True)]
    return net.chain((36,), layers[0], net.norm(), layers[1], net.norm(scale=False), layers[2], seed=11)


@cache
def compiled(backend: str = "verilog") -> bnn2hw.Accelerator:
    return bnn2hw.compile(
        model(),
        input=bnn2hw.Input("bipolar"),
        target="gw2ar-18",  # its form is the portable one, whose simulators compile fast
        fps=devices.device("gw2ar-18").clock_mhz * 1e6,
        folding={name: {"style": "unrolled"} for name in LAYERS},
        output="scores",
        backend=backend,
    )


@pytest.mark.parametrize("stalls", [0.0, 0.4])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_small_network_takes_a_frame_every_cycle(backend: str, stalls: float) -> None:
    accelerator = compiled(backend)
    predicted = accelerator.estimate().cycles
    frames = np.random.default_rng(3).choice([-1, 1], (200, 36))

    run = accelerator.simulate(frames, stalls=stalls, seed=2)

    run.check()
    assert predicted.interval == 1
    if backend == "verilog" and not stalls:
        assert (run.interval, run.latency) == (1, predicted.latency)


def test_inputs_that_no_weight_reads_are_no_fault() -> None:
    kernel = np.random.default_rng(5).choice([-1.0, 1.0, 2.0], (12, 5))
    kernel[[2, 5]] = 0
    model = net.chain((12,), keras.layers.Dense(5, use_bias=False, name="dense"))
    model.get_layer("dense").kernel.assign(kernel)
    frames = np.random.default_rng(6).choice([-1, 1], (30, 12))

    accelerator = bnn2hw.compile(
        model, input=bnn2hw.Input("bipolar"), folding={"dense": {"style": "unrolled"}}, output="scores"
    )

    assert any(isinstance(node.op, Unrolled) for node in accelerator.graph)
    accelerator.simulate(frames, stalls=0.3, seed=1).check()
    np.testing.assert_array_equal(accelerator.predict(frames), frames @ kernel)


def test_an_unrolled_network_is_that_of_the_folded_one() -> None:
    frames = np.random.default_rng(4).choice([-1, 1], (200, 36))
    folded = bnn2hw.compile(model(), input=bnn2hw.Input("bipolar"), output="scores")

    assert np.array_equal(compiled().golden(frames), folded.golden(frames))


def test_style_and_logic_survive_the_disk(tmp_path: Path) -> None:
    again = bnn2hw.load(compiled().write(tmp_path / "net"))

    assert again.folding() == compiled().folding()
    assert [again.folding()[name] for name in LAYERS] == [{"style": "unrolled"}] * 3
    assert again.design.files == compiled().design.files


def test_thresholds_go_into_the_layers() -> None:
    graph = compiled().graph

    assert [type(n.op).__name__ for n in graph] == [
        "Source",
        "Unrolled",
        "Unrolled",
        "Unrolled",
        "Fifo",
    ]
    [gate] = gates.of(graph)
    assert gate.ops == tuple(n.name for n in graph if isinstance(n.op, Unrolled))
    assert graph.types["quant_dense"].type == graph.types["quant_dense_1"].type == BIPOLAR


def test_the_command_line_takes_styles(tmp_path: Path) -> None:
    model().save(tmp_path / "net.keras")
    (tmp_path / "f.json").write_text(json.dumps({"quant_dense": {"style": "unrolled"}}))
    options = ["--input", "bipolar", "--folding", str(tmp_path / "f.json"), "--json"]

    report = CliRunner().invoke(main, ["estimate", str(tmp_path / "net.keras"), *options]).stdout

    assert json.loads(report)["folding"]["quant_dense"] == {"style": "unrolled"}


def refused(folding: dict[str, dict[str, int | str]], layer: keras.layers.Layer | None = None) -> str:
    wire = bnn2hw.Input("bipolar")
    inputs = (6, 6, 2) if layer else (36,)
    tested = net.chain(inputs, net.conv(2), layer, net.norm()) if layer else model()
    with pytest.raises(FoldingError) as caught:
        bnn2hw.compile(tested, input=wire, folding=folding)
    return str(caught.value)


def test_what_cannot_be_unrolled_is_refused() -> None:
    unrolled = {"style": "unrolled"}

    assert refused({"dense": unrolled}) == (
        "the folding names a layer 'dense', which the model does not have; layers: quant_dense, quant_dense_1, quant_dense_2"
    )
    assert refused({"quant_dense": {"style": "flat"}}) == (
        "layer 'quant_dense' has no style 'flat'; it is one of folded, unrolled"
    )
    assert refused({"quant_dense": {"style": "unrolled", "pe": 4}}) == (
        "layer 'quant_dense' is unrolled and answers in every cycle, so it has no pe"
    )
    assert refused({"quant_dense.threshold": unrolled}) == (
        "layer 'quant_dense.threshold' cannot be unrolled, as only layers with weights can: "
        "quant_dense, quant_dense_1, quant_dense_2"
    )
    assert refused({"padded": unrolled}, net.conv(3, padding="same", name="padded")) == (
        "layer 'padded' cannot be unrolled, as its inputs are -1…1 and not only ±1: "
        "zero padding puts zeros among them; padding with pad_values=1.0 does not"
    )


def test_too_many_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unroll, "MOST_WEIGHTS", 400)

    assert refused({"quant_dense": {"style": "unrolled"}}) == (
        "layer 'quant_dense' adds or subtracts 432 inputs, one for each digit of its weights other than 0; "
        "at most 400 can be unrolled: fold it, or give it fewer or shorter weights"
    )


def test_what_the_device_cannot_hold_is_refused_before_it_is_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logic, "LEAST", 10_000)

    assert re.fullmatch(
        "layer 'quant_dense' would take at least 4,320,000 LUTs as logic, and .* has [0-9,]*: "
        "fold it, or choose a larger target",
        refused({"quant_dense": {"style": "unrolled"}}),
    )


def test_what_is_to_be_loaded_is_no_logic() -> None:
    wire, styles = bnn2hw.Input("bipolar"), {"quant_dense": {"style": "unrolled"}}

    with pytest.raises(FoldingError, match="its weights are to be loadable: logic cannot be written"):
        bnn2hw.compile(model(), input=wire, folding=styles, output="scores", loadable=True)


def test_layers_before_a_window_unroll_too() -> None:
    layers = net.conv(4, 2, name="one"), net.norm(), net.conv(3, 2, name="two"), net.norm()
    tested = net.chain((5, 4, 2), *layers, seed=3)
    accelerator = bnn2hw.compile(
        tested,
        input=bnn2hw.Input("bipolar"),
        target="gw2ar-18",
        folding={"one": {"style": "unrolled"}, "two": {"style": "unrolled"}},
    )
    frames = np.random.default_rng(5).choice([-1, 1], (6, 5, 4, 2))

    run = accelerator.simulate(frames, stalls=0.3, seed=1)

    run.check()
    assert run.mismatches["one"] is None
