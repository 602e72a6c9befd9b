"""The end of a network: scores or classes."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np

from bnn2hw.errors import InputError
from bnn2hw.ir import Ints
from bnn2hw.lower.builder import Edge, Fidelity
from bnn2hw.lower.fixed_point import Requirement
from bnn2hw.lower.probe import NotPointwise, scores, uniform_levels
from bnn2hw.lower.requantize import Settler
from bnn2hw.ops.argmax import Argmax
from bnn2hw.ops.real import MaxPool, Pointwise, Softmax
from bnn2hw.ops.table import Table
from bnn2hw.ops.topk import TopK

Output = str
"""What a design gives out: "scores", "class", or "top3" for the three best classes from the best on (any number)."""


def best_of(output: Output) -> int | None:
    """The number in "top3"; None for other outputs.

    Raises:
        InputError: no output of ours.
    """
    match = re.fullmatch(r"top([1-9]\d*)", output)
    if not match and output not in ("class", "scores"):
        raise InputError(
            f"unknown output '{output}'; use 'class', 'scores' or 'top3' for the three best classes"
        )
    return int(match[1]) if match else None


TABLE_ENTRIES = 2**16
"""Largest table that scores may need."""

SCORE_BITS = 24
"""Bits of scores in fixed point, where a table of all values would be too large."""


LOADED_BITS = 32
"""Bits of scores in tables that can be written at run time, whatever the scores of the model at hand need."""


def leave(settler: Settler, edge: Edge, output: Output | None) -> str:
    """Integers for an output of the model, or the index of the largest.

    Args:
        settler: what makes integers.
        edge: the end of the model.
        output: see `Output`; None gives the class where the model ends in a softmax.
    """
    softmax = bool(edge.chain) and isinstance(edge.chain[-1].op, Softmax)
    layer = settler.b.layers[edge.last]
    if softmax:
        edge = replace(edge, chain=edge.chain[:-1])
    scored = settler.b.layers[edge.last]
    name = _scores(settler, edge)
    if softmax:
        settler.b.mark(layer, Fidelity("exact", "dropped: it keeps the order of the scores"))
    count = best_of(output or "class")
    if count:
        classes = settler.b.types[name].channels
        if count <= classes:
            return settler.b.append(f"top{count}", layer, TopK(count), name)
        settler.b.problem(
            scored, f"output 'top{count}' of {classes} classes", f"at most 'top{classes}'", "ask for fewer"
        )
    if output == "class" or (output is None and softmax):
        if settler.b.types[name].channels == 1:
            settler.b.problem(
                scored,
                "the class of a single score, which is 0 whatever comes in",
                "two classes or more",
                "end a model of one score without softmax, and compile it with output='scores'",
            )
        name = settler.b.append("class", layer, Argmax(), name)
    return name


def _scores(settler: Settler, edge: Edge) -> str:
    b = settler.b
    try:
        exact = _table(settler, edge)
        if exact is not None:
            return b.view(exact, b.real.types[edge.last].shape)
        name = settler.settle(edge, Requirement(single=True, zero=True), SCORE_BITS)
    except (FloatingPointError, NotPointwise):
        name = None
    if name is None:
        b.problem(
            b.layers[edge.last],
            "the scores cannot be evaluated value by value",
            "functions of single values, without NaN",
            "end the model with a BatchNormalization, a bias or an activation",
        )
        return edge.name
    b.match(name, edge.last)
    b.judge(edge)
    return name


def _table(settler: Settler, edge: Edge) -> str | None:
    """Scores that keep every order that Keras's have: the integers themselves, or a table of all values."""
    b = settler.b
    tensor = b.types[edge.name]
    if not any(isinstance(op, Pointwise | MaxPool) for op in edge.ops):
        if not isinstance(tensor.scale, float) or not isinstance(tensor.offset, float):
            return None
        b.judge(edge, tips=bool(b.errors.get(edge.name, 0.0)))
        b.match(edge.name, edge.last)
        return edge.name
    chain = b.chain(edge)
    if chain.features * tensor.ints.count > TABLE_ENTRIES:
        return None
    if any(isinstance(op, MaxPool) for op in edge.ops):
        edge = settler.pooled(edge)
        chain = b.chain(edge)
    values = chain.all()
    grid = uniform_levels(values)
    if grid is not None:
        table, scale, offset, kept, kind = grid.index(values), grid.scale, grid.offset, True, grid.type
    else:
        fixed = LOADED_BITS if b.loads(b.layers[edge.real]) else None
        table, fraction, kept = scores(values, fixed)
        scale, offset, kind = 2.0**-fraction, 0.0, Ints(int(table.min()), int(table.max()))
        if fixed:
            kind = Ints(-(2 ** (fixed - 1)), 2 ** (fixed - 1) - 1)
    b.judge(edge, tips=bool(b.errors.get(edge.name, 0.0)) or not kept)
    name = b.view(edge.name, (math.prod(tensor.shape),)) if chain.flat else edge.name
    rows = table.T[:1] if np.all(table == table[:, :1]) else table.T
    name = b.add(edge.real, Table(rows, chain.ints, kind, scale, offset), name, part="scores")
    b.match(name, edge.last)
    return name
