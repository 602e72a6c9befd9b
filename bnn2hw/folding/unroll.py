"""Style `unrolled`: layers whose weights become logic, so that they take a vector in every cycle."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import numpy as np

from bnn2hw import checks
from bnn2hw.errors import FoldingError
from bnn2hw.folding import logic, search
from bnn2hw.folding.by_hand import Folding
from bnn2hw.folding.widths import MOST_INSIDE
from bnn2hw.ir import BIPOLAR, Array, Graph, Node, Op, View
from bnn2hw.ops import Mac, MatVec, Threshold, Unrolled, Xnor
from bnn2hw.targets.devices import Device

STYLES = ("folded", "unrolled")

MOST_WEIGHTS = 2**18
"""Largest number of digits of the weights of an unrolled layer: they fill a large device and take minutes to solve."""


def apply(graph: Graph, by_hand: Folding | None, device: Device) -> tuple[Graph, Folding | None]:
    """Unroll the layers whose style says so, together with the binary thresholds behind them.

    Args:
        graph: Graph in hardware form.
        by_hand: Style or knobs by layer.
        device: Device whose LUT size the logic is made for.

    Returns:
        The graph, and the folding without styles. A view keeps the name of a threshold that became part of its layer.

    Raises:
        FoldingError: An unknown layer or style, a layer that cannot be unrolled, or one with PE or SIMD too.
    """
    ops: dict[str, Op] = {}
    rest: dict[str, Mapping[str, int | str]] = {}
    for name, knobs in (by_hand or {}).items():
        style = knobs.get("style", "folded")
        if style not in STYLES:
            raise FoldingError(f"layer '{name}' has no style {style!r}; it is one of {', '.join(STYLES)}")
        others = {k: v for k, v in knobs.items() if k != "style"}
        if style == "folded":
            if others:
                rest[name] = others
            continue
        wrong = [knob for knob in others if knob != "pixels"]
        if wrong:
            raise FoldingError(
                f"layer '{name}' is unrolled and answers in every cycle, so it has no {' and '.join(wrong)}"
            )
        if others:
            rest[name] = others
        node, unit = _unit(graph, name)
        _check_size(name, unit, device)
        ops |= _unrolled(graph, node, unit, device)
    return graph.map_ops(ops), rest or None


def folding(graph: Graph) -> dict[str, dict[str, int | str]]:
    """Return the folding of a graph with its styles, in the form that `apply` takes."""
    found = search.of(graph)
    unrolled = [n.name for n in graph if isinstance(n.op, Unrolled)]
    return {**found, **{name: {"style": "unrolled", **found.get(name, {})} for name in unrolled}}


def able(graph: Graph) -> list[str]:
    """Return the layers of a graph in hardware form that can be unrolled."""
    found = []
    for node in graph:
        if isinstance(node.op, Xnor | Mac):
            with suppress(FoldingError):
                found.append(_unit(graph, node.name)[0].name)
    return found


def _unit(graph: Graph, name: str) -> tuple[Node, Xnor | Mac]:
    """Return the node of a layer that is to be unrolled, and its op.

    Raises:
        FoldingError: There is no such layer, or it cannot be unrolled.
    """
    units = [n.name for n in graph if isinstance(n.op, MatVec)]
    if name not in graph.types:
        checks.known("the folding", [name], units, FoldingError)
    node = graph[name]
    if not isinstance(node.op, Xnor | Mac):
        raise FoldingError(
            f"layer '{name}' cannot be unrolled, as only layers with weights can: "
            f"{', '.join(units) or 'this model has none'}"
        )
    [x] = graph.inputs_of(node)
    if isinstance(node.op, Mac) and not logic.bits(x):
        raise FoldingError(
            f"layer '{name}' cannot be unrolled, as its inputs are {x.ints}, and logic takes inputs of two values: "
            "put a sign or another quantizer to one bit in front of it"
        )
    if isinstance(node.op, Xnor) and x.ints != BIPOLAR:
        raise FoldingError(
            f"layer '{name}' cannot be unrolled, as its inputs are {x.ints} and not only ±1: "
            "zero padding puts zeros among them; padding with pad_values=1.0 does not"
        )
    if node.op.writable:
        raise FoldingError(
            f"layer '{name}' cannot be unrolled, as its weights are to be loadable: logic cannot be written"
        )
    if node.op.mw > MOST_INSIDE:
        raise FoldingError(
            f"layer '{name}' cannot be unrolled: it would take a beat of {node.op.mw:,} bits, "
            f"and at most {MOST_INSIDE:,} are possible"
        )
    return node, node.op


def _check_size(name: str, unit: Xnor | Mac, device: Device) -> None:
    """Refuse a layer whose logic is predicted to take more than the device has, or too long to find.

    Raises:
        FoldingError: It is too large.
    """
    digits = logic.count(unit.weights)
    if digits > MOST_WEIGHTS:
        raise FoldingError(
            f"layer '{name}' adds or subtracts {digits:,} inputs, one for each digit of its weights other than 0; "
            f"at most {MOST_WEIGHTS:,} can be unrolled: fold it, or give it fewer or shorter weights"
        )
    if logic.LEAST * digits > device.lut:
        raise FoldingError(
            f"layer '{name}' would take at least {logic.LEAST * digits:,.0f} LUTs as logic, and {device.name} has "
            f"{device.lut:,}: fold it, or choose a larger target"
        )


def _unrolled(graph: Graph, node: Node, unit: Xnor | Mac, device: Device) -> dict[str, Op]:
    """Return the ops that replace a unit and the binary threshold that alone reads it."""
    [x] = graph.inputs_of(node)
    readers = graph.consumers[node.name]
    reader = readers[0] if len(readers) == 1 and node.name not in graph.outputs else None
    if reader is None or not isinstance(reader.op, Threshold) or not _fits(reader.op, unit):
        return {node.name: logic.made(unit, x, device)}
    threshold = reader.op
    op = logic.made(unit, x, device, _each(threshold.thresholds[:, 0], unit), _each(threshold.falls, unit))
    shape = graph.types[reader.name].shape
    return {node.name: op, reader.name: View(shape, threshold.scale, threshold.offset)}


def _fits(threshold: Threshold, unit: MatVec) -> bool:
    """True if a threshold gives one sign per neuron of a unit."""
    return (
        not threshold.writable
        and threshold.type == BIPOLAR
        and threshold.axes == 1
        and len(threshold.thresholds) in (1, unit.mh)
    )


def _each(rows: Array | None, unit: MatVec) -> Array | None:
    """Return one value per neuron from one row per neuron or one row for all."""
    return None if rows is None else np.broadcast_to(rows, (unit.mh,)).copy()
