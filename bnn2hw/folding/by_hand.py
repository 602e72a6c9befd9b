"""Foldings that a user gives by hand: which of an op's foldings they leave to the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bnn2hw import checks, deprecation
from bnn2hw.errors import FoldingError
from bnn2hw.folding import accumulators
from bnn2hw.ir import USUAL, Graph, HardwareOp, Tensor, hardware_nodes
from bnn2hw.targets.devices import Device

Folding = Mapping[str, Mapping[str, int | str]]
"""Values of `pe`, `simd`, `packed`, `lanes`, `pixels` and `accumulators` by name of an op.

`bnn2hw.folding.unroll` takes out the key `style` first."""

PAIR = frozenset({"pe", "simd"})
"""Knobs of a matrix-vector unit that share its work: where a user gives one, the search sets the other."""

SIZES = PAIR | {"pixels"}
"""Knobs that are numbers of lanes of such a unit."""


def knobs_of(op: HardwareOp) -> dict[str, int | str]:
    """Return the folding of an op by its knobs."""
    return {knob: getattr(op, knob) for knob in op.knobs}


def restricted(graph: Graph, folding: Folding, device: Device) -> dict[str, list[HardwareOp]]:
    """Return the foldings that a user's folding leaves to the ops that it names.

    Args:
        graph: Graph in hardware form.
        folding: The user's values.
        device: Device whose family decides which knobs there are.

    Raises:
        FoldingError: It names an unknown layer or knob, or a value that is not legal.
    """
    foldable = {n.name: (n, op) for n, op in hardware_nodes(graph) if knobs_of(op)}
    checks.known("the folding", folding, foldable, FoldingError)
    ops: dict[str, list[HardwareOp]] = {}
    for name, knobs in folding.items():
        node, op = foldable[name]
        ops[name] = _refolded(name, op, graph.inputs_of(node), _today(name, op, knobs), device)
    return ops


def _today(name: str, op: HardwareOp, knobs: Mapping[str, int | str]) -> Mapping[str, int | str]:
    """Return a user's folding with `lanes` where it says `simd` of an op that moves values."""
    if "simd" not in knobs or "lanes" not in op.knobs:
        return knobs
    deprecation.renamed(f"layer '{name}': 'simd'", "'lanes'")
    return {"lanes" if knob == "simd" else knob: value for knob, value in knobs.items()}


def _wrong(knob: str, value: object, legal: Sequence[int | str]) -> str:
    """Say why a value of a knob is not legal."""
    numbers = [v for v in legal if isinstance(v, int)]
    if not numbers:
        return "is not known"
    if not isinstance(value, int) or isinstance(value, bool):
        return "is not a whole number"
    if knob == "packed":
        return "is not possible with the widths of these weights and inputs and the neurons in parallel"
    if not 1 <= value <= numbers[-1]:
        return "is too small" if value < 1 else "is more than there is to do"
    fewer = max((v for v in numbers if v < value), default=0)
    if knob == "pixels" or not fewer or fewer == numbers[-1] or all(numbers[-1] % v == 0 for v in numbers):
        return "does not divide"
    return f"takes as many folds as {fewer} does"


def _offered(knobs: Sequence[str], options: Sequence[HardwareOp]) -> list[str]:
    """Return the knobs that some folding sets to another value than the usual one."""
    return [k for k in knobs if k not in USUAL or any(getattr(o, k, USUAL[k]) != USUAL[k] for o in options)]


def _refolded(
    name: str, op: HardwareOp, inputs: Sequence[Tensor], wanted: Mapping[str, int | str], device: Device
) -> list[HardwareOp]:
    """Return the foldings of an op with the wanted values.

    If just one of `pe` and `simd` is wanted, the other one is free. If only `accumulators` is wanted, all others
    are; if only `packed` is wanted, `pe` and `simd` are. All other knobs stay as near to the op's own as possible.

    Raises:
        FoldingError: An unknown knob, a value that is not legal, or values that exclude each other.
    """
    options = list(op.allowed(*inputs))
    here = [o for o in options if accumulators.possible(device) or getattr(o, accumulators.KNOB, "") != "dsp"]
    known = list(dict.fromkeys(knob for o in (op, *options) for knob in o.knobs))
    for knob, value in wanted.items():
        if knob not in known:
            raise FoldingError(f"layer '{name}' has no '{knob}'; it has {', '.join(_offered(known, here))}")
        legal = sorted({getattr(o, knob, 1) for o in options})
        if value not in legal:
            reason = accumulators.why_not(op, inputs) if (knob, value) == accumulators.IN_DSPS else ""
            wrong = f"is not possible: {reason}" if reason else _wrong(knob, value, legal)
            ways = ", ".join(map(str, sorted({getattr(o, knob, 1) for o in here})))
            raise FoldingError(f"layer '{name}': {knob}={value!r} {wrong}; use one of {ways}")
    fitting = [o for o in options if all(getattr(o, knob, 1) == value for knob, value in wanted.items())]
    if not fitting:
        values = ", ".join(f"{knob}={value}" for knob, value in wanted.items())
        why = "several pixels per beat must be whole"
        if wanted.get("packed", 1) != 1:
            why = "only neurons in parallel can share a multiplication, and constant weights have no products"
        if accumulators.IN_DSPS in wanted.items():
            sizes: dict[str, Any] = {knob: value for knob, value in wanted.items() if knob in SIZES}
            why = accumulators.why_not(replace(op, **sizes), inputs) or why
        raise FoldingError(f"layer '{name}': {values} do not go together; {why}")
    free = PAIR - set(wanted) if len(PAIR & set(wanted)) == 1 else set()
    if set(wanted) == {accumulators.KNOB}:
        free = SIZES
    elif set(wanted) == {"packed"}:
        free = PAIR
    now = {knob: getattr(op, knob, 1) for knob in known if knob not in free}

    def nearness(option: HardwareOp) -> int:
        return sum(getattr(option, knob, 1) == value for knob, value in now.items())

    nearest = max(map(nearness, fitting))
    found = [o for o in fitting if nearness(o) == nearest]
    return found if free else found[:1]
