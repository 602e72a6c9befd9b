"""Verification op by op, and of the connections between the ops."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

import bnn2hw
from bnn2hw.accelerator import Accelerator
from bnn2hw.backends.design import Design
from bnn2hw.errors import InputError, MismatchError
from bnn2hw.ir import HardwareOp, View
from bnn2hw.simulation import simulate, verify, wiring
from tests.support import networks as net

FRAMES = np.random.default_rng(0).choice(np.array([-1, 1]), (2, 6, 6, 2))


@pytest.fixture(scope="module")
def residual() -> Accelerator:
    x = keras.Input((6, 6, 2), name="x")
    first = net.norm(name="first_norm")(net.conv(4, 3, padding="same", pad_values=1.0, name="first")(x))
    second = net.norm(name="second_norm")(
        net.conv(4, 3, padding="same", pad_values=1.0, name="second")(first)
    )
    y = net.dense(3, name="last")(layers.Flatten()(layers.Add(name="sum")([first, second])))
    return bnn2hw.compile(net.shake(keras.Model(x, y)), input=bnn2hw.Input("bipolar"), target="xc7z020")


def test_each_op_of_a_network_is_verified(residual: Accelerator) -> None:
    found = residual.verify(FRAMES)

    wanted = [n.name for n in residual.graph if n.inputs and not isinstance(n.op, View)]
    assert [op.node for op in found.ops] == wanted
    assert all(isinstance(residual.graph[name].op, HardwareOp) for name in wanted)
    assert found.exact
    assert "all connections are those of the graph" in str(found)


def test_connections_of_layers_with_long_names_are_followed() -> None:
    """Verilator shortens paths of more than 127 letters, if it is not told to keep them."""
    x = keras.Input((6,), name="x")
    first = net.norm(name=f"{'norm_' * 20}first")(net.dense(4, name=f"{'dense_' * 20}first")(x))
    second = net.dense(4, name=f"{'dense_' * 20}second")(first)
    model = keras.Model(x, layers.Add(name=f"{'add_' * 30}last")([first, second]))
    compiled = bnn2hw.compile(net.shake(model), input=bnn2hw.Input("bipolar"), target="xc7z020")

    assert max(len(stream.id) for stream in compiled.design.streams) > 100
    assert wiring.problems(compiled.design, compiled.graph) == []


def mutated(design: Design, file: str, old: str, new: str) -> Design:
    text = design.files[file]
    assert old in text
    return replace(design, files={**design.files, file: text.replace(old, new, 1)})


def checked(residual: Accelerator, design: Design) -> verify.Verification:
    return verify.verify(design, residual.graph, residual.to_streams(FRAMES))


def test_a_changed_weight_is_found_and_named(residual: Accelerator) -> None:
    word = residual.design.files["second.weights.hex"].split("\n")[0]
    other = f"{int(word, 16) ^ 1:0{len(word)}x}"

    found = checked(residual, mutated(residual.design, "second.weights.hex", word, other))

    assert [op.node for op in found.ops if op.problem] == ["second"]
    with pytest.raises(MismatchError, match=r"op 'second' \(xnor\): stream 'y': frame 0"):
        found.check()


def test_a_changed_module_is_found_and_named(residual: Accelerator) -> None:
    found = checked(
        residual, mutated(residual.design, "bnn2hw_add.sv", "Y_BITS'(A_FACTOR) * a", "Y_BITS'(A_FACTOR) * b")
    )

    assert {op.kind for op in found.ops if op.problem} == {"add"}


def test_a_simulation_of_the_whole_names_the_same_ops(residual: Accelerator) -> None:
    word = residual.design.files["second.weights.hex"].split("\n")[0]
    flipped = f"{int(word, 16) ^ 1:0{len(word)}x}"
    weight = mutated(residual.design, "second.weights.hex", word, flipped)
    module = mutated(residual.design, "bnn2hw_add.sv", "Y_BITS'(A_FACTOR)", "Y_BITS'(A_FACTOR + 1)")

    for design, first in ((weight, "second"), (module, "sum")):
        found = simulate.simulate(
            design, residual.graph, residual.to_streams(FRAMES), residual.estimate().cycles
        )
        assert next(m.stream for m in found.mismatches.values() if m) == first


WIRES = {
    "another stream": ("`BNN2HW_CONNECT(s, second_pad)", "`BNN2HW_CONNECT(s, first_threshold)"),
    "a width that does not fit": ("`BNN2HW_CONNECT(s, sum)", "`BNN2HW_CONNECT(s, first_pad)"),
    "another parameter": (".HEIGHT(6)", ".HEIGHT(7)"),
    "readers that do not wait": ("_ready = &", "_ready = |"),
    "a reader for another": ("(s, first, 0, 2'b01)", "(s, first, 1, 2'b01)"),
    "a reader that waits for itself": ("(s, first, 0, 2'b01)", "(s, first, 0, 2'b10)"),
    "a port of another stream": ("assign output_beat = ", "assign output_beat = 1 + "),
}


@pytest.mark.parametrize("change", WIRES)
def test_wrong_connections_are_found(residual: Accelerator, change: str) -> None:
    old, new = WIRES[change]
    text = residual.design.files["bnn2hw_top.sv"]
    if old not in text:
        pytest.fail(f"the top level has no {old}")

    found = wiring.problems(mutated(residual.design, "bnn2hw_top.sv", old, new), residual.graph)

    assert found


def test_right_connections_are_no_problem(residual: Accelerator) -> None:
    assert not wiring.problems(residual.design, residual.graph)


def test_options_out_of_range(residual: Accelerator) -> None:
    with pytest.raises(InputError, match=r"stalls must be at least 0 and below 1, not 1"):
        residual.verify(FRAMES, stalls=1)
    with pytest.raises(InputError, match=r"workers must be a positive whole number, not 0"):
        residual.verify(FRAMES, workers=0)
