"""Say why layers cannot be reduced to integers: they combine values, or return no number for some value."""

from __future__ import annotations

from bnn2hw.lower.builder import Builder
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.probe import NotPointwise
from bnn2hw.ops.real import RealOp

SAMPLES = 1025
"""Integers at which layers are asked which of them returns no number."""


def refuse(b: Builder, reader: str, pending: Pending) -> None:
    """Note the problem of layers whose values no integers can follow.

    Args:
        b: The hardware form so far; the problem is noted in it.
        reader: The layer that needs the integers.
        pending: The layers.
    """
    if b.refuse_softmax(pending) or refuse_without_number(b, pending):
        return
    first = pending.chain[0].layer if pending.chain else reader
    b.problem(
        reader,
        f"the layers before it, from '{first}' on, combine several values, or return NaN or infinity",
        "functions of single values with finite results",
        "replace those layers",
    )


def refuse_without_number(b: Builder, pending: Pending) -> bool:
    """Note the problem of a layer that returns NaN or infinity for a number; false if none does.

    Args:
        b: The hardware form so far; the problem is noted in it.
        pending: The layers.
    """
    layers = [node.layer for node in pending.chain if isinstance(node.op, RealOp)]
    chain = b.chain(pending)
    try:
        found = chain.without_number(chain.samples(SAMPLES))
    except NotPointwise:
        return False
    if found is None:
        return False
    at, read, returned = found
    kind = "NaN" if returned != returned else "infinity"
    b.problem(
        layers[at],
        f"{kind} as the result for {read:.6g}, a value that reaches it",
        "layers that return a finite number for each value that can reach them",
        "keep such values from it, with a ReLU or a Rescaling before it, or correct its weights",
    )
    return True
