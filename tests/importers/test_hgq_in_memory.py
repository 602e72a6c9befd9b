"""Models of HGQ2 in memory compile, and compute what the package computes, bit for bit."""

from __future__ import annotations

import keras
import pytest

from tests.support import long_runs
from tests.support.in_memory import agree, shake
from tests.support.machine import package_or_skip

package_or_skip("hgq")


# By default, the other overflows are those of `test_quantizers_of_weights_and_data_alike`.
@pytest.mark.parametrize("overflow", long_runs.after(1, ["WRAP", "SAT", "SAT_SYM"]))
def test_models_of_hgq2(overflow: str) -> None:
    from hgq.config import QuantizerConfigScope
    from hgq.layers import QAdd, QBatchNormDense, QDense

    with QuantizerConfigScope(place="datalane", overflow_mode=overflow):
        inputs = keras.Input((6,))
        hidden = QDense(5, activation="relu", name="a")(inputs)
        other = QBatchNormDense(5, name="b")(inputs)
        outputs = QDense(3, name="c")(QAdd(name="d")([hidden, other]))

    agree(shake(keras.Model(inputs, outputs)))


# By default, each overflow once, in one of the two kinds.
@pytest.mark.parametrize(
    ("kind", "overflow"),
    long_runs.rows_after(
        3,
        [
            ("kif", "WRAP"),
            ("kbi", "SAT"),
            ("kif", "SAT_SYM"),
            ("kbi", "WRAP"),
            ("kif", "SAT"),
            ("kbi", "SAT_SYM"),
        ],
    ),
)
def test_quantizers_of_weights_and_data_alike(kind: str, overflow: str) -> None:
    """Weights that wrap have an infinite speed of decay, which only training reads."""
    from hgq.config import QuantizerConfigScope
    from hgq.layers import QDense

    with QuantizerConfigScope(place="all", q_type=kind, overflow_mode=overflow):
        inputs = keras.Input((6,))
        outputs = QDense(3, name="b")(QDense(5, activation="relu", name="a")(inputs))

    agree(shake(keras.Model(inputs, outputs)))


def test_every_option_of_a_quantizer_is_known() -> None:
    """An option that a new version adds is refused until somebody reads it, so this fails."""
    from hgq.quantizer.config import all_quantizer_keys

    from bnn2hw.nn.hgq_quantizers import KNOWN

    assert set(all_quantizer_keys) == KNOWN
