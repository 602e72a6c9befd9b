"""Lower the outputs of a model: scores or classes."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np

from bnn2hw.errors import InputError
from bnn2hw.ir import Op, Tensor, View
from bnn2hw.lower import unfit_layers
from bnn2hw.lower.binary_point import exact
from bnn2hw.lower.builder import Builder
from bnn2hw.lower.fidelity import Fidelity
from bnn2hw.lower.fixed_point import Requirement, merge_equal_rows
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.pooling import pool_all
from bnn2hw.lower.probe import NotPointwise
from bnn2hw.lower.requantize import requantize
from bnn2hw.lower.scores import (
    FIXED_BITS,
    ScoreTable,
    Straight,
    Use,
    fixed_bits,
    note,
    straight,
    table_of,
)
from bnn2hw.lower.strategy import Strategies, Task
from bnn2hw.ops.affine import Affine
from bnn2hw.ops.argmax import Argmax
from bnn2hw.ops.real import Softmax
from bnn2hw.ops.table import Table
from bnn2hw.ops.topk import TopK

Output = str
"""Output of a design: "scores", "class", or "top3" for the three best classes, best first (any
number)."""

TABLE_ENTRIES = 2**16
"""Size of the largest table of scores."""

DROPPED = Fidelity("exact", "dropped: it keeps the order of the scores")

LEFT_OUT = Fidelity("rounded", "left out: the scores are the values in front of it")


def best_of(output: Output) -> int | None:
    """Return the number in "top3", or None for other outputs.

    Raises:
        InputError: The output is unknown.
    """
    match = re.fullmatch(r"top([1-9]\d*)", output) if isinstance(output, str) else None
    if not match and output not in ("class", "scores"):
        raise InputError(
            f"unknown output {output!r}; use 'class', 'scores' or 'top3' for the three best classes"
        )
    return int(match[1]) if match else None


def finish(work: Strategies, pending: Pending, output: Output | None) -> str:
    """Return the edge that leaves the design for an output of the model.

    Args:
        work: The strategies that reduce layers to integers.
        pending: The output of the model.
        output: The output of the design; None for the class if the model ends in a softmax, else
            the scores.
    """
    b = work.builder
    softmax = bool(pending.chain) and isinstance(pending.chain[-1].op, Softmax)
    layer = b.layers[pending.end]
    if softmax:
        pending = replace(pending, chain=pending.chain[:-1])
    count = best_of(output or "class")
    classified = output == "class" or (output is None and softmax)
    use: Use = "order" if count or classified else "values"
    edge = _scores(work, pending, use)
    if softmax:
        b.mark(layer, DROPPED if use == "order" else LEFT_OUT)
    classes, scored = b.types[edge].channels, b.layers[pending.end]
    if count and count <= classes:
        return b.append(f"top{count}", layer, TopK(count), edge)
    if count:
        b.problem(
            scored, f"output 'top{count}' of {classes} classes", f"at most 'top{classes}'", "ask for fewer"
        )
    if classified:
        if classes == 1:
            b.problem(
                scored,
                "the class of a single score, which is always 0",
                "two classes or more",
                "end a model of one score without softmax, and compile it with output='scores'",
            )
        edge = b.append("class", layer, Argmax(), edge)
    return edge


def _scores(work: Strategies, pending: Pending, use: Use) -> str:
    """The scores as integers, in the shape that the model has."""
    b = work.builder
    if b.refuse_softmax(pending):
        return pending.edge
    bits = b.precision.of_scores(b.layers[pending.end])
    try:
        edge = _exact(b, pending, bits)
        if edge is None:
            edge = _score_table(work, pending, use, bits)
        if edge is not None:
            return b.view(edge, b.real.types[pending.end].shape)
        edge = requantize(work, _fixed(b, pending, use, bits))
    except (FloatingPointError, NotPointwise):
        edge = None
    if edge is None and unfit_layers.refuse_without_number(b, pending):
        return pending.edge
    if edge is None:
        b.problem(
            b.layers[pending.end],
            "the scores combine several values, or are NaN or infinite",
            "functions of single values",
            "end the model with a BatchNormalization, a bias or an activation",
        )
        return pending.edge
    b.match(edge, pending.end)
    b.record_fidelity(pending)
    return edge


def _exact(b: Builder, pending: Pending, bits: int | None) -> str | None:
    """The integers of scores that are lines on a grid; None if there are none, or a table is wanted."""
    if not pending.maps or b.loads(b.layers[pending.start]):
        return None
    if any(b.loads(layer) for layer in pending.layers):
        return None
    edge = exact(b, pending, bits or FIXED_BITS)
    return None if edge is None else b.view(edge, b.real.types[pending.end].shape)


def _op_of(made: ScoreTable, lines: Straight | None, x: Tensor) -> Op:
    """The op that gives scores: a table; of lines a sum, or only another meaning of the integers."""
    if lines is None:
        return Table(merge_equal_rows(made.entries.T), x.ints, made.type, made.scale, made.offset)
    if lines.relabels:
        return View(x.shape, made.scale, made.offset)
    rows = merge_equal_rows(np.stack([np.full_like(lines.biases, lines.factor), lines.biases], 1))
    none = np.zeros((len(rows), 0), np.int64)
    return Affine(rows[:, :1], rows[:, 1:], none, 0, made.type, made.scale, made.offset)


def _fixed(b: Builder, pending: Pending, use: Use, bits: int | None) -> Task:
    """The task to bring scores to fixed point, where a table of all values would be too large."""
    if use == "order":
        return Task(pending, Requirement(single=True, zero=True), FIXED_BITS)
    count, single = fixed_bits(b, pending, bits)
    return Task(pending, Requirement(single=single, zero=True, own=True), count)


def _score_table(work: Strategies, pending: Pending, use: Use, bits: int | None) -> str | None:
    """The integers of the scores themselves, or a table of all values.

    Returns:
        An edge; None if the table would be too large.
    """
    b = work.builder
    tensor = b.types[pending.edge]
    if not pending.maps and not pending.pools:
        if not isinstance(tensor.scale, float) or not isinstance(tensor.offset, float):
            return None
        b.record_fidelity(pending, unsafe=bool(b.error(pending.edge)))
        b.match(pending.edge, pending.end)
        return pending.edge
    chain = b.chain(pending)
    if chain.features * tensor.ints.count > TABLE_ENTRIES:
        return None
    if pending.pools:
        pending = pool_all(work, pending)
        tensor, chain = b.types[pending.edge], b.chain(pending)
        if chain.features * tensor.ints.count > TABLE_ENTRIES:
            return None
    values = chain.all()
    apart = not chain.by_position or b.real.types[pending.end].channels == chain.features
    loadable = b.loads(b.layers[pending.start])
    made = table_of(values, use, bits, loadable=loadable, apart=apart)
    lines = None if loadable else straight(values, chain.ints)
    if lines is not None and lines.table.type.bits > max(made.type.bits, chain.ints.bits):
        lines = None
    made = made if lines is None else lines.table
    if use == "values":
        note(b, pending, chain, made, values)
    else:
        b.record_fidelity(pending, unsafe=bool(b.error(pending.edge)) or not made.ordered)
    edge = b.view(pending.edge, (math.prod(tensor.shape),)) if chain.by_position else pending.edge
    edge = b.add(pending.start, _op_of(made, lines, b.types[edge]), edge, part="scores")
    b.match(edge, pending.end)
    b.rounds(pending.end, made.distance(values).max(0))
    return edge
