"""The meanings that proofs compare with hardware: golden's values, in numbers and as text."""

from __future__ import annotations

import numpy as np
import pytest

from bnn2hw.formal import terms
from bnn2hw.formal.instances import instances
from bnn2hw.formal.meanings import MEANINGS
from bnn2hw.formal.terms import Term, Text
from bnn2hw.ir import HardwareOp, Tensor
from bnn2hw.ops import HARDWARE_OPS
from tests.support import ops


def test_every_op_has_a_meaning_and_an_instance() -> None:
    assert set(MEANINGS) == set(HARDWARE_OPS)
    assert {op.kind for op, _ in instances().values()} == {op.kind for op in HARDWARE_OPS}


def check(op: HardwareOp, x: tuple[Tensor, ...], frames: int) -> None:
    rng = np.random.default_rng(1)
    for _ in range(frames):
        values = [rng.choice(t.ints.values(), (1, *t.shape)) for t in x]
        expected = op.golden(*values).reshape(-1).tolist()

        assert MEANINGS[type(op)](op, x, [v.reshape(-1).tolist() for v in values]) == expected


@pytest.mark.parametrize(("op", "x"), ops.examples())
def test_a_meaning_is_what_golden_computes(op: HardwareOp, x: tuple[Tensor, ...]) -> None:
    op.infer(*x)
    check(op, x, 2)


@pytest.mark.parametrize("name", instances())
def test_the_instances_that_are_proved_mean_what_golden_computes(name: str) -> None:
    check(*instances()[name], 20)


def test_the_range_of_an_expression_holds_all_its_values() -> None:
    a, b = Term("a", (), -3, 4), Term("b", (), -2, 5)
    made = {
        "sum": (a + b, lambda p, q: p + q),
        "difference": (3 - a * 2 + b, lambda p, q: 3 - 2 * p + q),
        "product": (a * b, lambda p, q: p * q),
        "shift": (a >> 1, lambda p, q: p >> 1),
        "rest": (terms.modulo(b, 2), lambda p, q: q % 4),
        "larger": (terms.larger(a, b), lambda p, q: max(p, q)),
    }
    for name, (term, function) in made.items():
        values = [function(p, q) for p in range(-3, 5) for q in range(-2, 6)]
        assert isinstance(term, Term), name
        assert term.lo <= min(values), name
        assert max(values) <= term.hi, name


def test_an_expression_that_is_used_twice_is_declared_once() -> None:
    text = Text()
    a = Term("a", (), 0, 3)
    shared = a + 5

    names = [text.name(v) for v in (shared * shared, shared, shared - a)]

    assert len(set(names)) == 3
    assert sum(" + t" in line and "= a" in line for line in text.lines) == 1
