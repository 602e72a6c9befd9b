"""The handler of truth tables: it appends the kernel call that computes them."""

from __future__ import annotations

import numpy as np

from bnn2hw.ir import Node
from bnn2hw.native.compiler import Compiler, places, words
from bnn2hw.native.registry import handles
from bnn2hw.ops.lut import Lut

NOTHING = "{nullptr, Type::i64}"


@handles(Lut)
def lut(c: Compiler, node: Node) -> None:
    """Look each output up in a table over its few inputs."""
    [edge] = node.inputs
    op = node.op
    if not isinstance(op, Lut):
        raise TypeError(f"node '{node.name}' is no Lut")
    x = c.type(edge)
    outputs, most = op.wires.shape
    vector = x.shape[-op.axes :]
    wires, tables = op.wires, op.tables.astype(np.int64)
    given: tuple[object, object]
    made: tuple[object, object]
    if c.has_bits(edge) and not c.is_only_numbers(edge):
        spread = 32 * words(x.channels)  # bits of a place, in whole words
        wires = np.where(wires < 0, -1, wires // x.channels * spread + wires % x.channels)
        given, size = (c.bits(edge), NOTHING), places(vector) * words(x.channels)
    else:
        given, size = ("nullptr", c.numbers(edge)), int(np.prod(vector))
    if c.has_bits(node.name):
        tables, made = (tables == op.type.hi).astype(np.int64), (c.make_bits(node.name), NOTHING)
    else:
        made = ("nullptr", c.make_numbers(node.name))
    data = c.constants.add(wires.astype(np.int32), "i32"), c.constants.add(tables, "i64")
    count = c.count(x.size // int(np.prod(vector)))
    domain = op.domain.lo, op.domain.step, op.domain.bits
    c.step("lut", *given, count, size, *domain, outputs, most, *data, *made)
