"""Designs of logic for `cost.py`: truth tables, unrolled products, and heads that take a frame per cycle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

import numpy as np

from bnn2hw.ir import BIPOLAR, Cost, HardwareOp, Ints, Tensor
from bnn2hw.ops import Argmax, Lut, Mac, TopK, Unrolled, Xnor
from bnn2hw.ops.adder_graph.plans import Cells
from bnn2hw.ops.base.packing import NARROWEST
from bnn2hw.targets.families import Family

PRODUCTS = ("xilinx", "ultrascale", "ecp5")
"""Families with unrolled products among their designs."""
Case = tuple[str, HardwareOp, *tuple[Tensor, ...]]


def tables() -> Iterator[Case]:
    """Random tables: of bits and of two-bit values, up to eight bits wide."""
    rng = np.random.default_rng(3)
    crumb = Ints(0, 3)
    for outputs, inputs, domain, found in (
        (200, 6, BIPOLAR, BIPOLAR),
        (100, 4, BIPOLAR, BIPOLAR),
        (60, 3, crumb, BIPOLAR),
        (40, 8, BIPOLAR, BIPOLAR),
        (50, 5, BIPOLAR, crumb),
    ):
        wires = np.stack([rng.choice(120, inputs, replace=False) for _ in range(outputs)])
        rows = rng.choice(found.values(), (outputs, 2 ** (inputs * domain.bits)))
        name = f"{outputs} tables of {inputs} values of {domain.bits} for {found.bits}"
        yield name, Lut(wires, rows, domain, found), Tensor((120,), domain)


def products(family: Family) -> Iterator[Case]:
    """Unrolled products of signs, of signs with zeros and of four bits, and counters of groups."""
    rng, cells = np.random.default_rng(4), Cells.of(family)
    for mw, mh in ((64, 16), (32, 24)):
        weights = rng.choice(np.array([-1, 1], np.int8), (mw, mh))
        op = Unrolled.of(Xnor(weights), 2 * rng.integers(-4, 5, mh) + mw % 2, cells=cells)
        yield f"{mw}×{mh} of signs, compared", op, Tensor((mw,), BIPOLAR)
    few = rng.choice(np.array([-1, 1]), (96, 16)) * (rng.random((96, 16)) < 0.25)
    compared = Unrolled.of(Mac(few, domain=BIPOLAR), rng.integers(-3, 4, 16), cells=cells)
    yield "96×16, three quarters zeros, compared", compared, Tensor((96,), BIPOLAR)
    nibbles = Mac(rng.integers(-8, 8, (24, 8)), domain=BIPOLAR)
    yield "24×8 of 4 bits", Unrolled.of(nibbles, cells=cells), Tensor((24,), BIPOLAR)
    groups = Mac(np.repeat(np.eye(10, dtype=np.int64), 50, axis=0), domain=BIPOLAR)
    yield "10 groups of 50 bits", Unrolled.of(groups, cells=cells), Tensor((500,), BIPOLAR)


def packings(family: Family) -> Iterator[Case]:
    """Units whose products are sums in LUTs (packed 0) or share multiplications that fit a DSP block."""
    for mw, mh, pe, simd, weights, inputs, packed in (
        (32, 16, 4, 4, 4, 4, 0),
        (64, 16, 8, 8, 2, 3, 0),
        (32, 16, 8, 4, 4, 8, 0),
        (32, 16, 4, 4, 4, 4, 2),
        (64, 16, 8, 8, 2, 3, 4),
        (32, 16, 8, 4, 4, 8, 2),
        (36, 12, 6, 6, 3, 4, 3),
        (32, 16, 4, 4, 8, 8, 2),
    ):
        reach = 2 ** (weights - 1)
        chosen = np.random.default_rng(3).integers(-reach, reach, (mw, mh))
        op, x = Mac(chosen, pe=pe, simd=simd, packed=packed), Tensor((2, mw), Ints(0, 2**inputs - 1))
        if packed > most_packed(op, x, family):
            continue
        name = f"{mw}×{mh} pe {pe} simd {simd} weights {weights} inputs {inputs} packed {packed}"
        yield name, op, x


def most_packed(op: Mac, x: Tensor, family: Family) -> int:
    """Neurons whose weights fit the wide operand of one DSP block of a family."""
    shared = op.packing(x)
    return 1 + (family.dsp_bits[0] - shared.digit_bits) // shared.field_bits


LAYERS = ((128, 64, 8, 8, 3, 4), (128, 64, 8, 8, 4, 4), (128, 128, 16, 8, 8, 8))
"""Synapses, neurons, PE, SIMD, bits of weights and of inputs of layers for `product_table`, with ROMs in block RAMs."""


def layers(family: Family) -> Iterator[Case]:
    """Layers in each form of their products: a multiplication for each, as many as a DSP block takes, sums in LUTs."""
    for layer in LAYERS if family.name in PRODUCTS else ():
        mw, mh, pe, simd, weights, inputs = layer
        reach = 2 ** (weights - 1)
        chosen = np.random.default_rng(4).integers(-reach, reach, (mw, mh))
        op, x = Mac(chosen, pe=pe, simd=simd), Tensor((2, mw), Ints(0, 2**inputs - 1))
        in_luts = (0,) if min(weights, inputs) <= NARROWEST else ()
        for packed in dict.fromkeys((1, most_packed(op, x, family), *in_luts)):
            yield layer_name(layer, packed), replace(op, packed=packed), x


def layer_name(layer: tuple[int, ...], packed: int) -> str:
    """Name of the design of a layer in one form of its products."""
    mw, mh, pe, simd, weights, inputs = layer
    return f"layer {mw}×{mh} pe {pe} simd {simd} weights {weights} inputs {inputs} packed {packed}"


def product_table(measured: Mapping[tuple[str, str], Cost]) -> str:
    """Measured DSP blocks and LUTs of each layer in the forms of its products, as a Markdown table.

    Args:
        measured: What synthesis made of a design, by the names of its family and of itself.
    """
    lines = [
        "| layer | weights × inputs | PE × SIMD | family | per lane: DSP, LUT | shared by | DSP, LUT | in LUTs: LUT |",
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for layer, family in product(LAYERS, PRODUCTS):
        mw, mh, pe, simd, weights, inputs = layer
        forms = {n: measured.get((family, layer_name(layer, n))) for n in range(9)}
        made = {n: cost for n, cost in forms.items() if cost is not None}
        most, alone = max(made), made[1]
        cells = [f"{mw}×{mh}", f"{weights} × {inputs} bits", f"{pe} × {simd}", family]
        cells += [f"{alone.dsp:.0f}, {alone.lut:,.0f}"]
        cells += [f"{most}", f"{made[most].dsp:.0f}, {made[most].lut:,.0f}"] if most > 1 else ["–", "–"]
        cells += [f"{made[0].lut:,.0f}" if 0 in made else "–"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def heads() -> Iterator[Case]:
    """Heads that read all values of a vector in a beat."""
    score = Ints(-100, 100, step=2)
    yield "10 channels ±100 lanes 10 in one beat", Argmax(lanes=10), Tensor((10,), score)
    for channels, k, ints in ((10, 3, score), (16, 2, Ints(0, 15)), (6, 6, Ints(-512, 511))):
        name = f"the {k} best of {channels} {ints} at once"
        yield name, TopK(k, lanes=channels), Tensor((2, channels), ints)
