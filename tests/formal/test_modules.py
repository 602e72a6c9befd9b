"""Modules that are no op are proved for all inputs, or up to a bound that is long enough for all that they do."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from bnn2hw.formal import engine
from tests.support import module_proofs
from tests.support.module_proofs import REACHED, SUBJECTS

pytestmark = pytest.mark.usefixtures("yosys", "abc")

BOUNDED = {"uart_tx to uart_rx, 4 cycles per bit": 90}
"""Cycles to which properties are decided at least, where no proof is found in time; a byte takes 40."""

QUICK = ("loader, 2 words of 2 slices", "resync_input, 3 beats")
"""Subjects of the default run."""

SECONDS = 60


def check(name: str) -> None:
    found = module_proofs.decide(SUBJECTS[name], SECONDS)

    assert found.pop(REACHED).kind == engine.REFUTED, "nothing happens in the harness"
    assert len(found) >= 2
    for verdict in found.values():
        if name in BOUNDED and verdict.kind == engine.BOUNDED:
            assert verdict.cycles >= BOUNDED[name]
        else:
            assert verdict.kind == engine.PROVED


@pytest.mark.parametrize("name", QUICK)
def test_modules_are_proved(name: str) -> None:
    check(name)


@pytest.mark.soak
@pytest.mark.parametrize("name", [n for n in SUBJECTS if n not in QUICK])
def test_more_modules_are_proved(name: str) -> None:
    check(name)


class Fault(NamedTuple):
    """A change of one place of a module.

    Attributes:
        subject: Name of the proof.
        property: The property that it breaks.
        module: The module.
        old: Text that it has once.
        new: Text in its place.
    """

    subject: str
    property: str
    module: str
    old: str
    new: str


FAULTS = (
    Fault(
        "loader, 2 words of 2 slices", "bad_pass", "loader", "WORD_BITS'(WORDS - 1)", "WORD_BITS'(WORDS - 2)"
    ),
    Fault("loader, 2 words of 2 slices", "bad_write", "loader", "take && last_slice", "take"),
    Fault("resync_input, 3 beats", "bad_verdict", "resync_input", "filling || !s_last", "filling"),
    Fault("resync_input, 3 beats", "bad_filled", "resync_input", "filling ? '0 : s_data", "s_data"),
    Fault("crc32", "bad_value", "crc32", "32'hedb88320", "32'hedb88321"),
    Fault("crc32", "bad_busy", "crc32", "left <= '0;", "left <= left;"),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.module}-{f.property}")
def test_faults_are_refuted(fault: Fault) -> None:
    subject = SUBJECTS[fault.subject]
    file = f"bnn2hw_{fault.module}.sv"
    text = subject.files[file]
    assert text.count(fault.old) == 1

    changed = {file: text.replace(fault.old, fault.new)}
    found = module_proofs.decide(subject, SECONDS, changed, properties=(fault.property,))

    assert found[fault.property].kind == engine.REFUTED
