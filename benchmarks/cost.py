"""Errors of the cost models against synthesis: one op per design, over a spread of shapes and four families.

    python benchmarks/cost.py             compare with the figures kept in cost.json
    python benchmarks/cost.py --measure   synthesize again what has changed since, and keep the figures

Only Yosys runs; LUTs are counted as `bnn2hw.synthesis.synthesize` counts them.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cost_logic
import cost_pixels
import numpy as np
import records

from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.ir import BIPOLAR, Array, Cost, Graph, HardwareOp, Ints, Node, Tensor
from bnn2hw.ops import (
    Add,
    Affine,
    Argmax,
    Concat,
    Depthwise,
    Fifo,
    Interpolation,
    Mac,
    Multiply,
    Pad,
    ParallelWindow,
    Pool,
    SlidingWindow,
    Source,
    Table,
    Threshold,
    TopK,
    WidthConverter,
    Xnor,
)
from bnn2hw.ops.interpolation import FINE
from bnn2hw.synthesis import synthesize, toolchains
from bnn2hw.targets import families

KEPT = Path(__file__).with_suffix(".json")
FAMILIES = tuple(f for f in families.known().values() if f.mapper)
"""Families that Yosys maps to."""
TOTALS = ("all fitted", "of 50 LUTs and more", "unseen")
SIZEABLE = 50
RESOURCES = ("lut", "ff", "bram", "dsp")
Case = tuple[str, HardwareOp, *tuple[Tensor, ...]]


@dataclass(frozen=True)
class Result:
    """One design in one family: what was predicted and what synthesis made."""

    kind: str
    name: str
    family: str
    predicted: Cost
    measured: Cost

    def error(self, resource: str) -> float:
        """Predicted over measured, minus one; 0 where both are 0."""
        wanted, found = getattr(self.predicted, resource), getattr(self.measured, resource)
        return (wanted - found) / found if found else float(wanted > 0)


def signs(mw: int, mh: int) -> Array:
    return np.random.default_rng(mw * mh).choice(np.array([-1, 1], np.int8), (mw, mh))


def dot(synapses: int) -> Ints:
    return Ints(-synapses, synapses, step=2)


def xnors() -> Iterator[Case]:
    for mw, mh, pe, simd in (
        (32, 8, 2, 8),
        (64, 16, 4, 16),
        (128, 16, 16, 4),
        (144, 16, 1, 9),
        (288, 32, 4, 16),
        (288, 32, 2, 36),
        (576, 64, 8, 32),
        (256, 10, 10, 16),
        (64, 4, 4, 64),
        (1152, 64, 16, 12),
        *((256, 10, 1, 1), (288, 10, 1, 4), (576, 10, 1, 4), (576, 16, 1, 16)),
        *((576, 16, 2, 8), (1152, 16, 4, 4), (1152, 16, 2, 16), (288, 64, 2, 288), (400, 48, 2, 400)),
    ):
        yield (
            f"{mw}×{mh} pe {pe} simd {simd}",
            Xnor(signs(mw, mh), pe=pe, simd=simd),
            Tensor((2, mw), BIPOLAR),
        )


def banks() -> Iterator[Case]:
    """Binary units whose sums are in DSP blocks: full and other blocks, and sums of more than 12 bits."""
    for mw, mh, pe, simd in (
        (64, 16, 4, 16),
        (288, 32, 6, 16),
        (576, 64, 8, 32),
        (228, 9, 9, 19),
        (4608, 32, 5, 36),
    ):
        op = Xnor(signs(mw, mh), pe=pe, simd=simd, accumulators="dsp")
        yield f"{mw}×{mh} pe {pe} simd {simd} sums in DSP blocks", op, Tensor((2, mw), BIPOLAR)


def macs() -> Iterator[Case]:
    pixel, rng = Ints(0, 255), np.random.default_rng(1)
    for mw, mh, pe, simd, bits in (
        (9, 16, 4, 3, 1),
        (27, 32, 8, 3, 1),
        (9, 8, 8, 9, 1),
        (75, 16, 2, 15, 1),
        (64, 10, 1, 1, 1),
        (16, 8, 2, 4, 4),
        (32, 10, 2, 2, 8),
    ):
        reach = 2 ** (bits - 1)
        weights = signs(mw, mh) if bits == 1 else rng.integers(-reach, reach, (mw, mh))
        op = Mac(weights, pe=pe, simd=simd)
        yield f"{mw}×{mh} pe {pe} simd {simd} weights {bits}", op, Tensor((2, mw), pixel)


def thresholds() -> Iterator[Case]:
    rng = np.random.default_rng(2)
    for channels, synapses, levels, pe in (
        (16, 64, 1, 1),
        (64, 288, 1, 4),
        (64, 576, 1, 64),
        (128, 1152, 1, 8),
        (256, 100, 1, 2),
        (16, 288, 3, 4),
        (32, 64, 7, 2),
    ):
        kind = BIPOLAR if levels == 1 else Ints(0, levels)
        cuts = np.sort(rng.choice(dot(synapses).values(), (channels, levels)), 1)
        name = f"{channels} channels ±{synapses} levels {levels} pe {pe}"
        yield name, Threshold(cuts, kind, pe=pe), Tensor((2, channels), dot(synapses))


def tables() -> Iterator[Case]:
    rng = np.random.default_rng(3)
    for channels, synapses, reach, pe in (
        *((10, 64, 128, 1), (16, 64, 100, 2), (4, 15, 8, 4), (16, 9, 2, 1)),
        (10, 127, 2**18, 1),  # rows of block RAMs that share a block
    ):
        values = rng.integers(-reach, reach, (channels, synapses + 1))
        op = Table(values, dot(synapses), Ints(-reach, reach - 1), pe=pe)
        yield f"{channels} channels ±{synapses} to ±{reach} pe {pe}", op, Tensor((2, channels), dot(synapses))


def windows() -> Iterator[Case]:
    for (h, w, c), kernel, stride, lanes, ints in (
        ((8, 8, 4), 3, 1, 4, BIPOLAR),
        ((8, 28, 16), 3, 1, 16, BIPOLAR),
        ((28, 28, 1), 3, 1, 1, Ints(0, 255)),
        ((32, 32, 3), 3, 1, 3, Ints(0, 255)),
        ((16, 32, 64), 3, 1, 32, BIPOLAR),
        ((14, 14, 32), 3, 1, 4, BIPOLAR),
        ((16, 16, 8), 5, 2, 8, BIPOLAR),
        ((30, 30, 64), 3, 1, 64, BIPOLAR),
        ((8, 160, 2), 3, 1, 2, BIPOLAR),
    ):
        name = f"{h}×{w}×{c} kernel {kernel} stride {stride} lanes {lanes} of {ints.bits}"
        yield name, SlidingWindow((kernel, kernel), (stride, stride), lanes=lanes), Tensor((h, w, c), ints)


def pads() -> Iterator[Case]:
    for (h, w, c), border, value, lanes, ints in (
        ((8, 8, 16), 1, 0, 4, BIPOLAR),
        ((28, 28, 64), 1, -1, 64, BIPOLAR),
        ((32, 32, 3), 2, 0, 1, Ints(0, 255)),
        ((14, 14, 32), 1, 0, 32, BIPOLAR),
    ):
        op = Pad((border, border), (border, border), value, lanes=lanes)
        yield (
            f"{h}×{w}×{c} by {border} with {value} lanes {lanes} of {ints.bits}",
            op,
            Tensor((h, w, c), ints),
        )
    for c, ints in ((16, BIPOLAR), (3, Ints(0, 255))):
        op = Pad((1, 1), (1, 1), lanes=c, pixels=2)
        yield f"16×16×{c} by 1 with 0 pixels 2 of {ints.bits}", op, Tensor((16, 16, c), ints)


def pools() -> Iterator[Case]:
    for (h, w, c), lanes, ints in (
        ((8, 28, 32), 8, BIPOLAR),
        ((8, 8, 16), 1, BIPOLAR),
        ((8, 28, 64), 64, BIPOLAR),
        ((8, 14, 16), 2, Ints(0, 15)),
        ((4, 8, 8), 8, Ints(-8, 7)),
    ):
        mask = np.random.default_rng(c).random(c) < 0.5
        yield f"{h}×{w}×{c} lanes {lanes} of {ints.bits}", Pool(mask, lanes=lanes), Tensor((h, w, c), ints)
    for pixels, ints in ((2, BIPOLAR), (4, Ints(0, 15))):
        op = Pool(np.random.default_rng(pixels).random(16) < 0.5, lanes=16, pixels=pixels)
        yield f"8×28×16 pixels {pixels} of {ints.bits}", op, Tensor((8, 28, 16), ints)


def argmaxes() -> Iterator[Case]:
    for channels, lanes, ints in (
        (10, 1, dot(64)),
        (10, 2, dot(256)),
        (10, 10, dot(64)),
        (100, 4, Ints(-500, 500)),
    ):
        yield f"{channels} channels {ints} lanes {lanes}", Argmax(lanes=lanes), Tensor((2, channels), ints)


def plumbing() -> Iterator[Case]:
    for narrow, ratio, widens in (
        (1, 8, True),
        (16, 4, True),
        (3, 5, True),
        (1, 8, False),
        (16, 4, False),
        (3, 5, False),
    ):
        name = f"{narrow} {'to' if widens else 'from'} {narrow * ratio}"
        yield name, WidthConverter(narrow, ratio, widens), Tensor((2, narrow * ratio), BIPOLAR)
    for narrow, ratio, widens, vector in (
        (4, 4, True, 100),
        (20, 3, True, 100),
        (16, 7, False, 100),
        (48, 3, False, 100),
        (16, 2, False, 0),
        (11, 5, False, 0),
        (24, 8, False, 0),
        (4, 25, False, 0),
    ):
        wide = min(narrow * ratio, vector) if vector else narrow * ratio
        name = f"{narrow} {'to' if widens else 'from'} {wide} of {f'vectors of {vector}' if vector else '4 bits'}"
        values = vector or narrow * ratio
        yield name, WidthConverter(narrow, ratio, widens, vector), Tensor((2, values), Ints(0, 15))
    for lanes, depth in (
        (32, 1),
        (8, 2),
        (64, 2),
        (16, 3),
        (8, 17),
        (8, 33),
        (4, 200),
        (32, 65),
        (8, 513),
        (64, 600),
        (1, 2000),
        (1, 100),
        (4, 513),
    ):
        yield f"{lanes} bits depth {depth}", Fifo(lanes, depth), Tensor((2, lanes), BIPOLAR)


def affines() -> Iterator[Case]:
    """Batch normalizations in fixed point, and functions of several straight pieces."""
    rng = np.random.default_rng(5)
    for rows, segments, pe, ints, slope, out in (
        (16, 1, 1, dot(288), 9, 12),
        (64, 1, 4, dot(576), 10, 16),
        (32, 1, 32, dot(144), 8, 12),
        (64, 1, 1, Ints(-(2**15), 2**15 - 1), 17, 18),
        (64, 1, 2, Ints(-(2**17), 2**17 - 1), 17, 18),
        (32, 3, 2, dot(288), 9, 12),
        (1, 4, 2, Ints(-128, 127), 8, 8),
        (16, 1, 4, BIPOLAR, 7, 8),
    ):
        slopes = rng.integers(-(2 ** (slope - 1)), 2 ** (slope - 1), (rows, segments))
        biases = rng.integers(-(2 ** (slope + 3)), 2 ** (slope + 3), (rows, segments))
        cuts = np.sort(rng.choice(ints.values(), (rows, segments - 1)), 1)
        op = Affine(slopes, biases, cuts, slope - 2, Ints(-(2 ** (out - 1)), 2 ** (out - 1) - 1), pe=pe)
        yield f"{rows} rows {segments} segments {ints} pe {pe}", op, Tensor((2, max(rows, 8)), ints)


def curves() -> Iterator[Case]:
    rng = np.random.default_rng(7)
    for bits, low, base, slope, pe in (
        (24, 13, 24, 17, 1),
        (24, 13, 24, 14, 2),
        (22, 12, 20, 12, 4),
        (18, 10, 18, 9, 1),
        (16, 11, 16, 12, 2),
        (16, 12, 12, 7, 4),
    ):
        ints, words = Ints(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1), 2 ** (bits - low)
        bases, slopes = (rng.integers(-(2 ** (b - 1)), 2 ** (b - 1), words) for b in (base, slope))
        top = 2 ** (max(base, slope) - FINE)
        op = Interpolation(bases, slopes, low, ints, Ints(-top, top - 1), pe=pe)
        yield f"{words} lines of {base} and {slope} bits over {low} pe {pe}", op, Tensor((2, 8), ints)


def depthwises() -> Iterator[Case]:
    rng = np.random.default_rng(6)
    for positions, channels, lanes, weights, ints in (
        (9, 16, 4, 1, BIPOLAR),
        (9, 32, 1, 4, Ints(0, 15)),
        (9, 64, 8, 8, Ints(-128, 127)),
        (9, 16, 16, 8, Ints(0, 255)),
        (4, 32, 2, 0, Ints(-512, 511)),
        (49, 64, 4, 0, Ints(0, 255)),
    ):
        reach = 2 ** max(weights - 1, 0)
        values = (
            rng.integers(-reach, reach, (positions, channels))
            if weights > 1
            else rng.choice([-1, 1], (positions, channels))
        )
        domain = ints if ints.step > 1 else None
        op = Depthwise(
            values if weights else np.ones((positions, channels), np.int64), domain=domain, lanes=lanes
        )
        name = f"{positions} positions {channels} channels lanes {lanes} of {ints} weights {weights}"
        yield name, op, Tensor((2, positions * channels), ints)


def patches() -> Iterator[Case]:
    for size, channels, kernel, bits in ((28, 1, 3, 8), (13, 16, 3, 1), (32, 3, 5, 8), (10, 64, 2, 1)):
        ints = BIPOLAR if bits == 1 else Ints(0, 255)
        op = ParallelWindow((kernel, kernel), lanes=kernel * kernel * channels)
        yield f"{size}×{size}×{channels} kernel {kernel} of {bits}", op, Tensor((size, size, channels), ints)
    for size, channels, kernel, windows, pixels in ((28, 1, 3, 2, 2), (32, 3, 3, 5, 4), (12, 16, 5, 4, 4)):
        op = ParallelWindow((kernel, kernel), lanes=windows * kernel * kernel * channels, pixels=pixels)
        name = f"{size}×{size}×{channels} kernel {kernel} of 4, {pixels} pixels to {windows} windows"
        yield name, op, Tensor((size, size, channels), Ints(0, 15))


def meetings() -> Iterator[Case]:
    """Ops of two inputs, and the best of many classes."""
    wide, byte = Ints(-(2**15), 2**15 - 1), Ints(-128, 127)
    for channels, lanes, first, a, b in (
        (64, 4, 0, wide, wide),
        (64, 64, 0, byte, byte),
        (32, 2, 16, wide, byte),
        (16, 1, 0, dot(64), BIPOLAR),
    ):
        name = f"add {channels} channels from {first} lanes {lanes} {a} and {b}"
        yield name, Add(first, lanes=lanes), Tensor((3, channels), a), Tensor((3, channels - first), b)
    for ours, theirs, lanes, a, b in (
        (64, 64, 8, BIPOLAR, BIPOLAR),
        (96, 32, 32, wide, wide),
        (16, 8, 4, BIPOLAR, Ints(-5, 7, step=4)),
        (48, 16, 1, byte, wide),
    ):
        name = f"concat {ours} and {theirs} channels lanes {lanes} {a} and {b}"
        yield name, Concat(lanes=lanes), Tensor((3, ours), a), Tensor((3, theirs), b)
    for shape, lanes, a, b in (
        ((16, 64), 4, wide, Ints(0, 255)),
        ((16, 32), 32, Ints(0, 15), Ints(0, 15)),
        ((9, 16), 2, BIPOLAR, byte),
        ((49, 128), 1, byte, byte),
    ):
        name = f"multiply {shape} lanes {lanes} {a} and {b}"
        yield name, Multiply(lanes=lanes), Tensor(shape, a), Tensor(shape[1:], b)
    for channels, k, ints in ((10, 3, dot(64)), (100, 5, Ints(-500, 500)), (1000, 3, wide), (10, 1, byte)):
        yield f"the {k} best of {channels} {ints}", TopK(k), Tensor((2, channels), ints)


def fitted() -> Iterator[Case]:
    """The designs to which the models' factors were fitted."""
    single = (
        xnors,
        macs,
        thresholds,
        tables,
        pads,
        windows,
        patches,
        pools,
        argmaxes,
        affines,
        curves,
        depthwises,
    )
    abreast = (cost_pixels.concats, cost_pixels.multiplications, cost_pixels.pools, cost_pixels.depthwises)
    for family in (*single, meetings, *abreast, plumbing, cost_logic.tables, cost_logic.heads):
        yield from family()


def unseen() -> Iterator[Case]:
    """Designs that no factor has seen; they were synthesized after the models stood."""
    rng = np.random.default_rng(9)
    pixel = Ints(0, 255)
    yield "400×40 pe 8 simd 20", Xnor(signs(400, 40), pe=8, simd=20), Tensor((2, 400), BIPOLAR)
    yield "784×32 pe 4 simd 49", Xnor(signs(784, 32), pe=4, simd=49), Tensor((2, 784), BIPOLAR)
    yield "96×12 pe 6 simd 8", Xnor(signs(96, 12), pe=6, simd=8), Tensor((2, 96), BIPOLAR)
    yield "27×64 pe 4 simd 9 weights 1", Mac(signs(27, 64), pe=4, simd=9), Tensor((2, 27), pixel)
    cuts = rng.choice(dot(432).values(), (96, 1))
    yield "96 channels ±432 levels 1 pe 6", Threshold(cuts, pe=6), Tensor((2, 96), dot(432))
    yield (
        "20×20×24 kernel 3 stride 1 lanes 12 of 1",
        SlidingWindow((3, 3), lanes=12),
        Tensor((20, 20, 24), BIPOLAR),
    )
    yield "26×26×32 lanes 16 of 1", Pool(rng.random(32) < 0.5, lanes=16), Tensor((26, 26, 32), BIPOLAR)
    yield "10 channels ±512 lanes 5", Argmax(lanes=5), Tensor((2, 10), dot(512))
    yield "24 bits depth 48", Fifo(24, 48), Tensor((2, 24), BIPOLAR)
    yield "12 bits depth 300", Fifo(12, 300), Tensor((2, 12), BIPOLAR)
    yield "7 from 84", WidthConverter(7, 12, widens=False), Tensor((2, 84), BIPOLAR)
    yield from cost_pixels.unseen()
    yield "54×24 pe 4 simd 18", Xnor(signs(54, 24), pe=4, simd=18), Tensor((2, 54), BIPOLAR)
    yield "512×128 pe 16 simd 16", Xnor(signs(512, 128), pe=16, simd=16), Tensor((2, 512), BIPOLAR)
    yield "25×16 pe 4 simd 5 weights 1", Mac(signs(25, 16), pe=4, simd=5), Tensor((2, 25), pixel)
    nibbles = rng.integers(-8, 8, (36, 12))
    yield "36×12 pe 3 simd 6 weights 4", Mac(nibbles, pe=3, simd=6), Tensor((2, 36), pixel)
    cuts = np.sort(rng.choice(dot(144).values(), (48, 3)), 1)
    yield "48 channels ±144 levels 3 pe 6", Threshold(cuts, Ints(0, 3), pe=6), Tensor((2, 48), dot(144))
    yield (
        "12×20×10 kernel 5 stride 1 lanes 10 of 4",
        SlidingWindow((5, 5), lanes=10),
        Tensor((12, 20, 10), Ints(0, 15)),
    )
    yield "16×16×2 kernel 3 of 8", ParallelWindow((3, 3), lanes=18), Tensor((16, 16, 2), pixel)
    yield "10×10×24 lanes 6 of 4", Pool(rng.random(24) < 0.5, lanes=6), Tensor((10, 10, 24), Ints(0, 15))
    yield "20 channels ±800 lanes 2", Argmax(lanes=2), Tensor((2, 20), dot(800))
    slopes, biases = rng.integers(-1024, 1024, (24, 1)), rng.integers(-9000, 9000, (24, 1))
    affine = Affine(slopes, biases, np.zeros((24, 0), np.int64), 9, Ints(-8192, 8191), pe=3)
    yield "24 rows 1 segments ±216 pe 3", affine, Tensor((2, 24), dot(216))
    bases, lines = rng.integers(-32000, 32000, 512), rng.integers(-512, 512, 512)
    curve = Interpolation(bases, lines, 11, Ints(-(2**19), 2**19 - 1), Ints(-(2**13), 2**13 - 1), pe=2)
    yield "512 lines of 16 and 10 bits over 11 pe 2", curve, Tensor((2, 8), Ints(-(2**19), 2**19 - 1))
    depthwise = Depthwise(rng.integers(-8, 8, (9, 24)), lanes=4)
    yield "9 positions 24 channels lanes 4 of 0…255 weights 4", depthwise, Tensor((2, 9 * 24), pixel)
    yield "the 5 best of 50 ±200", TopK(5), Tensor((2, 50), dot(200))


def unseen_names() -> set[str]:
    """Names of the designs that no factor has seen."""
    layers = (name for family in FAMILIES for name, *_ in cost_logic.layers(family))
    return {name for name, *_ in unseen()}.union(layers)


def cases() -> Iterator[Case]:
    """All designs, over shapes from the smallest of interest to a sizeable layer."""
    yield from fitted()
    yield from unseen()


def designs() -> Iterator[tuple[families.Family, Case]]:
    """All designs of each family. Tables of unrolled products are as large as its LUTs; packed ones fit its DSPs."""
    for family in FAMILIES:
        products = cost_logic.products(family) if family.name in cost_logic.PRODUCTS else ()
        sums = banks() if family.dsp_accumulators else ()
        packed = (*cost_logic.packings(family), *cost_logic.layers(family))
        for case in (*cases(), *sums, *products, *packed):
            yield family, case


def render(op: HardwareOp, x: tuple[Tensor, ...], family: families.Family) -> Design:
    names, lanes = (
        [f"x{i or ''}" for i in range(len(x))],
        [op.input_beats(i, *x).lanes for i in range(len(x))],
    )
    sources = [Node(name, Source(tensor, n)) for name, tensor, n in zip(names, x, lanes, strict=True)]
    return verilog.render(Graph((*sources, Node("y", op, tuple(names))), ("y",)), family=family)


def key(op: HardwareOp, x: tuple[Tensor, ...], design: Design, family: str) -> str:
    """Changes with whatever synthesis would see of the op: neither comments nor the top level count."""
    texts = {n: records.without_comments(text) for n, text in design.files.items()}
    wanted = [name for name in texts if name.startswith(f"bnn2hw_{op.kind}")]
    files = {n: text for n, text in texts.items() if not n.endswith(".sv")}
    while wanted:
        name = wanted.pop()
        files[name] = texts[name]
        inside = {f"bnn2hw_{module}.sv" for module in re.findall(r"\bbnn2hw_(\w+) #\(", texts[name])}
        wanted += inside - set(files)
    params = [(name, np.asarray(value).tolist()) for name, value in sorted(op.params(*x).items())]
    scripts = toolchains.scripts(toolchains.mapper(families.family(family)), design.files)
    passes = "; ".join(one for script in scripts for one in script)
    return records.hash_of(sorted(files.items()), params, passes)


def measure(kept: dict[str, Any]) -> None:
    """Synthesize every design whose figures are missing or out of date, and keep them one by one."""
    kept["machine"] = {"cpu": records.processor(), **records.yosys()}
    old: dict[str, Any] = kept.get("designs", {})
    new: dict[str, Any] = {}
    kept["designs"] = new
    for family, (name, op, *x) in designs():
        design = render(op, tuple(x), family)
        label, digest = f"{family.name} {op.kind} {name}", key(op, tuple(x), design, family.name)
        if old.get(label, {}).get("key") != digest:
            print("synthesizing", label, flush=True)
            with tempfile.TemporaryDirectory(prefix="bnn2hw-") as folder:
                usage = synthesize.area(design, family, Path(folder), only=f"bnn2hw_{op.kind}")
            figures = {r: getattr(usage, r) for r in RESOURCES}
            old[label] = {"key": digest, "date": datetime.now(UTC).date().isoformat(), **figures}
            keep(kept | {"designs": {**old, **new}})
        new[label] = old[label]
    keep(kept)


def keep(figures: dict[str, Any]) -> None:
    KEPT.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")


def results(kept: dict[str, Any]) -> Iterator[Result]:
    """Yield the predictions of today beside the figures that were kept."""
    for family, (name, op, *x) in designs():
        figures = kept["designs"].get(f"{family.name} {op.kind} {name}")
        if figures:
            measured = Cost(*(figures[r] for r in RESOURCES))
            yield Result(op.kind, name, family.name, op.cost(family, *x), measured)


def stale(kept: dict[str, Any]) -> list[str]:
    """Designs of calibrated families whose kept figures belong to other sources, or are missing."""
    labels = []
    for family, (name, op, *x) in designs():
        if not family.calibration:
            continue
        label = f"{family.name} {op.kind} {name}"
        digest = key(op, tuple(x), render(op, tuple(x), family), family.name)
        if kept["designs"].get(label, {}).get("key") != digest:
            labels.append(label)
    return labels


def load() -> dict[str, Any]:
    """The figures that were kept."""
    kept: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {"designs": {}}
    return kept


def table(found: list[Result]) -> str:
    """Every design: predicted / measured."""
    lines = [
        f"{'family':7} {'op':9} {'design':40} {'LUT':>13} {'error':>6} {'FF':>13} {'error':>6} {'BRAM':>7} {'DSP':>7}"
    ]
    for r in found:
        pairs = [f"{getattr(r.predicted, n):.0f} / {getattr(r.measured, n):.0f}" for n in RESOURCES]
        lines.append(
            f"{r.family:7} {r.kind:9} {r.name:40} {pairs[0]:>13} {r.error('lut'):+6.0%} {pairs[1]:>13} "
            f"{r.error('ff'):+6.0%} {pairs[2]:>7} {pairs[3]:>7}"
        )
    return "\n".join(lines)


def summary(found: list[Result]) -> str:
    """Mean and worst error by family and op, as a Markdown table."""
    groups: dict[tuple[str, str], list[Result]] = defaultdict(list)
    new = unseen_names()
    for r in found:
        sizeable = ("of 50 LUTs and more",) * (r.measured.lut >= SIZEABLE)
        for group in ("unseen",) if r.name in new else (r.kind, "all fitted", *sizeable):
            groups[r.family, group].append(r)
    lines = [
        "| family | op | designs | LUT mean | LUT worst | FF mean | FF worst | BRAM exact | DSP exact |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (family, kind), rows in sorted(
        groups.items(), key=lambda g: (g[0][0], TOTALS.index(g[0][1]) if g[0][1] in TOTALS else -1)
    ):
        cells = [family, kind, str(len(rows))]
        for resource in ("lut", "ff"):
            errors = [r.error(resource) for r in rows]
            cells += [f"{np.mean(np.abs(errors)):.1%}", f"{max(errors, key=abs):+.0%}"]
        cells += [f"{sum(r.error(n) == 0 for r in rows)} of {len(rows)}" for n in ("bram", "dsp")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def product_table(found: list[Result]) -> str:
    """Measured forms of products of several bits, as a Markdown table."""
    return cost_logic.product_table({(r.family, r.name): r.measured for r in found})


def main() -> None:
    kept = load()
    if "--measure" in sys.argv[1:]:
        measure(kept)
    found = list(results(load()))
    print(table(found), summary(found), product_table(found), sep="\n\n")
    outdated = stale(load())
    if outdated:
        print(f"\n{len(outdated)} figures are missing or out of date; run with --measure", file=sys.stderr)


if __name__ == "__main__":
    main()
