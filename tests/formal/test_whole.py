"""Proofs of the ops of a user's design, and where they are kept and shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw.accelerator import Accelerator
from bnn2hw.cli.main import main
from bnn2hw.errors import InputError, MismatchError
from bnn2hw.formal import prove as proving
from bnn2hw.formal import whole
from bnn2hw.formal.engine import BOUNDED, PROVED, REFUTED, Verdict
from bnn2hw.formal.harness import Harness
from bnn2hw.formal.prove import NOT_TRIED, PROPERTIES, Proof
from bnn2hw.formal.whole import OpProofs, Proofs
from bnn2hw.ir import BIPOLAR, Ints, Tensor
from bnn2hw.ops import Fifo, Pool, Threshold, Xnor
from tests.support import networks as net

pytestmark = pytest.mark.usefixtures("yosys", "abc")


@pytest.fixture(scope="module")
def dense() -> Accelerator:
    x = keras.Input((4,), name="x")
    y = net.dense(2, name="last")(net.norm(name="norm")(net.dense(2, name="first")(x)))
    model = net.shake(keras.Model(x, y))
    return bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), target="xc7z020")


def test_each_op_of_a_design_is_proved_with_the_cells_of_its_target(dense: Accelerator) -> None:
    found = dense.prove(seconds=5)

    assert [op.node for op in found.ops] == [s.name for s in dense.design.streams if s.name != "x"]
    assert not found.problems
    assert found.count(PROVED) > 4 * len(found.ops)
    assert "proved for all inputs and all stalls" in str(found)


def test_a_changed_weight_is_refuted(dense: Accelerator) -> None:
    text = dense.design.files["first.weights.hex"]
    word = text.split("\n")[0]
    other = text.replace(word, f"{int(word, 16) ^ 1:0{len(word)}x}", 1)
    changed = replace(dense.design, files={**dense.design.files, "first.weights.hex": other})
    [node] = [n for n in dense.graph if n.name == "first"]
    alone = replace(
        dense.graph, nodes=tuple(n for n in dense.graph if not n.inputs or n is node), outputs=("first",)
    )

    found = whole.prove(changed, alone, seconds=20)

    assert [p.name for op in found.ops for p in op.proofs if p.kind == REFUTED] == ["value"]
    with pytest.raises(MismatchError, match=r"op 'first' .xnor.: each beat of any frame carries"):
        found.check()


WRONG = Proofs(
    (
        OpProofs(
            "first",
            "xnor",
            "1×4",
            (
                Proof("value", REFUTED, 4, 0.5, trace="cycle 0"),
                Proof("steady", NOT_TRIED, reason="too large"),
            ),
        ),
    ),
    10,
    "Yosys 0.70",
)


def test_the_command_keeps_the_result_and_the_report_shows_it(
    dense: Accelerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense.write(tmp_path / "build")
    monkeypatch.setattr(Accelerator, "prove", lambda *_, **__: WRONG)

    done = CliRunner().invoke(main, ["prove", str(tmp_path / "build")])

    assert done.exit_code == 1
    assert "op 'first' (xnor): each beat of any frame carries" in done.output
    assert Proofs.from_plain(json.loads((tmp_path / "build" / "proofs.json").read_text())) == WRONG
    page = (tmp_path / "build" / "report.html").read_text()
    assert "<h3>Proofs</h3>" in page
    assert "1 refuted, 0 of 2 properties of 1 ops proved" in page


def test_results_name_what_is_wrong_and_what_was_not_tried() -> None:
    assert "not tried: too large" in str(WRONG)
    with pytest.raises(MismatchError, match=r"op 'first' .xnor.: each beat"):
        WRONG.check()


def test_large_ops_are_not_tried_and_say_why() -> None:
    unit = Xnor(np.ones((64, 64), np.int8), pe=4, simd=8)

    assert "its memories 4,096, together more than 2,048" in whole.too_large(unit, Tensor((64,), BIPOLAR))
    assert not whole.too_large(Fifo(), Tensor((3,), BIPOLAR))


def test_an_op_that_does_not_know_the_frame_is_proved_with_a_small_one() -> None:
    image = Tensor((28, 28, 4), Ints(-3, 3))
    cuts = np.array([[0], [1], [2], [3]])

    assert whole.small(Threshold(cuts, pe=2), image)[0].shape == (1, 1, 4)
    assert whole.small(Fifo(lanes=2, depth=4), image)[0].shape == (1, 1, 4)
    assert whole.small(Pool(np.zeros(4, bool)), image) == (image,)


def test_values_that_are_too_many_to_compare_leave_the_other_properties() -> None:
    harness = Harness.of(Fifo(lanes=2, depth=2), Tensor((4,), Ints(0, 255)), function=False)

    found = {p.name: p.kind for p in proving.prove(harness, seconds=20, properties=("last", "value"))}

    assert found == {"last": PROVED, "value": NOT_TRIED}


def test_an_op_of_which_no_frame_is_seen_in_time_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving.Model, "decide", lambda *_: Verdict(BOUNDED, 3, 0.0))

    found = proving.prove(Harness.of(Fifo(), Tensor((2,), BIPOLAR)), seconds=7)

    assert {str(p) for p in found} == {
        "not tried: fifo: no frame that passes was found in 7 seconds of processor time"
    }


def test_what_cannot_be_proved_is_refused(dense: Accelerator) -> None:
    with pytest.raises(InputError, match="seconds"):
        dense.prove(seconds=0)
    with pytest.raises(InputError, match="proofs need a Verilog design"):
        whole.prove(replace(dense.design, backend="hls"), dense.graph, seconds=1)


def test_every_property_has_a_column() -> None:
    found = Proofs((), 1, "")
    assert tuple(found.table().right) == tuple(PROPERTIES)
