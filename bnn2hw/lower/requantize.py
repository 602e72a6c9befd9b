"""From integers and the layers that follow them to integers again: thresholds, tables, or fixed point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2hw.ir import Array, Ints, Op, Tensor, View
from bnn2hw.lower.builder import Builder, Edge
from bnn2hw.lower.fixed_point import (
    ANY,
    Requirement,
    affine,
    fixed_step,
    kind_of,
    meaning,
    shared,
    stairs,
    whole,
)
from bnn2hw.lower.interpolate import TABLE_BITS, gridded, interpolated, tabled, worded
from bnn2hw.lower.piecewise import Pieces, active, fit
from bnn2hw.lower.probe import (
    Breakpoints,
    Chain,
    NotPointwise,
    UniformLevels,
    breakpoints,
    cuts,
    direction,
    uniform_levels,
)
from bnn2hw.ops.affine import MOST
from bnn2hw.ops.base.matvec import MatVec
from bnn2hw.ops.interpolation import Interpolation
from bnn2hw.ops.pad import Pad
from bnn2hw.ops.pool import Pool
from bnn2hw.ops.real import Flatten, MaxPool, Pointwise, Reshape, Softmax
from bnn2hw.ops.sliding_window import SlidingWindow
from bnn2hw.ops.table import Table
from bnn2hw.ops.threshold import Threshold

TABLE_ENTRIES = 2**16
"""Largest table that stands for a function of few values that neither rises nor falls."""

LINEAR = 2.0**-20
"""Largest deviation of a function from a line, as a share of its largest value, that Keras's own rounding explains."""


class Settler:
    """Makes integers of edges that are followed by layers."""

    def __init__(self, builder: Builder) -> None:
        self.b = builder

    def settle(self, edge: Edge, requirement: Requirement = ANY, bits: int | None = None) -> str | None:
        """The integers of an edge after the layers that follow it, in the shape of the model.

        Args:
            edge: integers and layers.
            requirement: what the reader needs.
            bits: of the result where it must be rounded; by the layer where None.

        Returns:
            The name of an edge, or None where a layer is no function of single values.
        """
        shape = self.b.real.types[edge.last].shape
        try:
            name = self._settled(edge, requirement, bits)
        except (FloatingPointError, NotPointwise):
            return None
        name = self.b.view(name, shape)
        if requirement.scale is not None and self.b.types[name].scale != requirement.scale:
            # Equal but for the last place of a float: sums ask for the very same.
            name = self.b.add(name, View(shape, requirement.scale), name, part="scale")
        return name

    def _settled(self, edge: Edge, requirement: Requirement, bits: int | None) -> str:
        if any(isinstance(op, Softmax) for op in edge.ops):
            raise NotPointwise("softmax is no function of single values")
        if not any(isinstance(op, Pointwise | MaxPool) for op in edge.ops):
            return self._meet(edge, requirement, bits)
        chain = self.b.chain(edge)
        if chain.flat and any(isinstance(op, MaxPool) for op in edge.ops):
            return self._settled(self.pooled(edge), requirement, bits)
        if not any(isinstance(op, Pointwise) for op in edge.ops):
            return self._settled(self.pooled(edge), requirement, bits)
        few = self._few(edge, chain)
        if few is not None:
            few = self.b.view(few, self.b.real.types[edge.last].shape)
            return self._meet(Edge(few, edge.last), requirement, bits)
        if any(isinstance(op, MaxPool) for op in edge.ops):
            return self._settled(self.pooled(edge), requirement, bits)
        return self._affine(edge, requirement, bits)

    # ---- few values: thresholds and tables

    def _few(self, edge: Edge, chain: Chain) -> str | None:
        """Thresholds, or a table, where the layers give few values."""
        if not chain.enumerable:
            return self._few_of_many(edge, chain)
        values = chain.all()
        grid = uniform_levels(values)
        if grid is None or self._pool_ways(edge, chain) is None:
            return None
        steps = None
        if np.all(direction(values) != 0):
            edge, chain, values = self._risen(edge, chain, values)
        elif shared(values.T).size > TABLE_ENTRIES:
            steps = stairs(grid.index(values), chain.ints, grid)
            if steps is None:
                return None
        ways = self._pool_ways(edge, chain) or []
        levels = grid.index(values)
        error = self.b.errors.get(edge.name, 0.0)
        moved = [np.any(grid.index(chain.all(s)) != levels) for s in (-error, error)] if error else []
        name = self._flat(edge, chain)
        domain, way = chain.ints, direction(levels)
        self.b.judge(edge, tips=any(moved))
        if grid.type == domain and np.array_equal(
            levels, np.broadcast_to(domain.values()[:, None], levels.shape)
        ):
            return self._relabelled(edge, name, grid)
        if np.all(way != 0):
            rising = np.where(way < 0, grid.type.lo + grid.type.hi - levels, levels)
            return self._thresholds(edge, name, grid, cuts(rising, domain, grid.type), way < 0, ways)
        name = self._poolings(edge, name, [w == -1 for w in ways])
        rows = shared(levels.T)
        if steps is not None:
            name = self.b.add(edge.real, steps, name, part="stairs")
            rows, domain = grid.type.values()[None], steps.type
        op = Table(rows, domain, grid.type, grid.scale, grid.offset)
        name = self.b.add(edge.real, op, name, part="table")
        self.b.match(name, edge.last)
        return name

    def _relabelled(self, edge: Edge, name: str, grid: UniformLevels) -> str:
        tensor = self.b.types[name]
        ways = self._pool_ways(edge, self.b.chain(edge)) or []
        name = self._poolings(edge, name, [w == -1 for w in ways])
        if (tensor.scale, tensor.offset) == (grid.scale, grid.offset):
            return name
        view = View(self.b.types[name].shape, grid.scale, grid.offset)
        return self.b.add(edge.real, view, name, part="same")

    def _few_of_many(self, edge: Edge, chain: Chain) -> str | None:
        """Thresholds over more integers than can be asked for, found by bisection."""
        found = breakpoints(chain)
        grid = None if found is None else uniform_levels(found.distinct)
        ways = self._pool_ways(edge, chain)
        if found is None or grid is None or ways is None:
            return None
        error = self.b.errors.get(edge.name, 0.0)
        thresholds = found.cuts(grid, chain.ints)
        tips = any(
            self._moved(chain, shift, grid, thresholds) for shift in ((-error, error) if error else ())
        )
        name = self._flat(edge, chain)
        self.b.judge(edge, tips=tips)
        return self._thresholds(edge, name, grid, thresholds, found.direction < 0, ways)

    @staticmethod
    def _moved(chain: Chain, shift: float, grid: UniformLevels, thresholds: Array) -> bool:
        other: Breakpoints | None = breakpoints(chain, shift)
        return other is None or not np.array_equal(other.cuts(grid, chain.ints), thresholds)

    def _risen(self, edge: Edge, chain: Chain, values: Array) -> tuple[Edge, Chain, Array]:
        """Negate the weights of neurons whose function falls, where nothing else reads them."""
        falls = direction(values) == -1
        node = self.b.wire(edge.name)
        if not falls.any() or chain.flat or not isinstance(node.op, MatVec) or not self.b.sole(edge):
            return edge, chain, values
        if node.op.mh != falls.size:
            return edge, chain, values
        self.b.replace(node, node.op.negated(falls))
        self.b.matches.pop(node.name, None)
        chain = replace(self.b.chain(edge), sign=np.where(falls, -1.0, 1.0))
        return edge, chain, chain.all()

    def _thresholds(
        self, edge: Edge, name: str, grid: UniformLevels, thresholds: Array, falls: Array, ways: list[Array]
    ) -> str:
        rows = shared(np.concatenate([thresholds, falls[:, None]], 1))
        thresholds, falls = rows[:, :-1], rows[:, -1].astype(bool)
        op: Op = Threshold(
            thresholds, grid.type, grid.scale, grid.offset, falls=falls if falls.any() else None
        )
        name = self.b.add(edge.real, op, name, part="threshold")
        name = self._poolings(edge, name, [(w == -1) != falls for w in ways])
        self.b.match(name, edge.last)
        return name

    def _flat(self, edge: Edge, chain: Chain) -> str:
        """The edge with a channel for each function."""
        if not chain.flat:
            return edge.name
        return self.b.view(edge.name, (chain.tensor.size,))

    # ---- pooling

    def _pool_ways(self, edge: Edge, chain: Chain) -> list[Array] | None:
        """For each pooling of a chain, the direction of what lies before it; None where one has none."""
        pools = [op for op in edge.ops if isinstance(op, MaxPool)]
        ways = [chain.until(op).direction() for op in pools]
        return None if any(np.any(w == 0) for w in ways) else ways

    def _poolings(self, edge: Edge, name: str, minima: list[Array]) -> str:
        pools = [(n.name, n.op) for n in edge.chain if isinstance(n.op, MaxPool)]
        for (node, op), minimum in zip(pools, minima, strict=True):
            name = self._pool(node, op, minimum, name)
        return name

    def _pool(self, name: str, op: MaxPool, minimum: Array, edge: str) -> str:
        """The extreme of each window; what lies around the image never is one."""
        edge = self.b.view(edge, self.b.real.types[self.b.real[name].inputs[0]].shape)
        tensor = self.b.types[edge]
        minimum = np.broadcast_to(minimum, (tensor.channels,)).copy()
        if any((*op.rows, *op.columns)):
            ends = tuple(int(v) for v in np.where(minimum, tensor.ints.hi, tensor.ints.lo))
            value = ends[0] if len(set(ends)) == 1 else ends
            edge = self.b.add(name, Pad(op.rows, op.columns, value), edge, part="border")
        if op.stride == op.size:
            return self.b.add(name, Pool(minimum, op.size), edge)
        edge = self.b.add(name, SlidingWindow(op.size, op.stride), edge, part="window")
        return self.b.add(name, Pool(minimum, op.size, windowed=True), edge)

    def pooled(self, edge: Edge) -> Edge:
        """The edge with its poolings done on integers, and the rest of its layers behind them."""
        while True:
            pools = [(i, n.name, n.op) for i, n in enumerate(edge.chain) if isinstance(n.op, MaxPool)]
            if not pools:
                return edge
            place, pool, op = pools[0]
            before = edge.until(place)
            way = self.b.chain(before).direction()
            if np.any(way == 0):
                name = self._settled(before, Requirement(), None)
                edge = Edge(
                    self.b.view(name, self.b.real.types[before.last].shape), before.last, edge.chain[place:]
                )
                continue
            name = self._pool(pool, op, way == -1, edge.name)
            self.b.errors[name] = self.b.errors.get(edge.name, 0.0)
            rest = [n for n in before.chain if not isinstance(n.op, Reshape)]
            if not rest:
                self.b.judge(Edge(edge.name, edge.real, edge.chain[: place + 1]))
                edge = Edge(name, pool, edge.chain[place + 1 :])
                continue
            self.b.moved.update(n.name for n in rest)
            behind = edge.chain[place + 1 :]
            edge = Edge(name, pool, (*rest, *behind), edge.end if behind else pool)

    # ---- many values: fixed point

    def _meet(self, edge: Edge, requirement: Requirement, bits: int | None) -> str:
        """Integers without layers behind them, in the scale that a reader needs."""
        tensor = self.b.types[edge.name]
        if requirement.met(tensor):
            return edge.name
        op = None if requirement.scale is not None else whole(tensor, single=requirement.single)
        if op is not None and requirement.met(op.infer(tensor)):
            name = self.b.add(edge.last, op, edge.name, part="whole")
            self.b.errors[name] = self.b.errors.get(edge.name, 0.0)
            return name
        return self._affine(edge, requirement, bits)

    def range(self, edge: Edge) -> tuple[Array, Array]:
        """Smallest and largest real value by channel, after the layers that follow an edge.

        Proved where functions have their ends at the samples that are asked for, as straight pieces have but for their
        bends; or seen on calibration data, where that is narrower.

        Raises:
            FloatingPointError: a layer gives NaN.
            NotPointwise: a layer is no function of single values.
        """
        chain = self.b.chain(edge)
        values = chain(chain.samples(257)).astype(np.float64)
        low, high = self.b.seen(edge.last)
        return np.maximum(values.min(0), low), np.minimum(values.max(0), high)

    def step(self, edge: Edge, bits: int | None = None, *, single: bool = False) -> Array:
        """The steps, by channel or one for all, with which an edge fits into its bits."""
        low, high = self.range(edge)
        steps = fixed_step(low, high, bits or self._bits(edge))
        return np.full(steps.shape, steps.max()) if single else steps

    @staticmethod
    def _pieces(chain: Chain, step: Array) -> Pieces | None:
        """Straight pieces that follow a chain to an eighth of a step, or to what may be rounding within its layers."""
        return fit(chain, np.maximum(np.abs(step) / 8, chain.rounding()))

    def _bits(self, edge: Edge) -> int:
        return self.b.precision.of_stream(edge.layers[-1] if edge.chain else self.b.layers[edge.last])

    def _affine(self, edge: Edge, requirement: Requirement, bits: int | None) -> str:
        """Fixed point: no hardware where the layers only give the integers another meaning, else straight pieces."""
        chain = self.b.chain(edge)
        if chain.flat:
            return self._settled(self._flattened(edge), requirement, bits)
        values = chain(chain.samples(257)).astype(np.float64)
        largest = np.abs(values).max(0)
        line = fit(chain, largest * LINEAR + 1e-30)
        if line is not None and line.straight and np.all(line.slopes != 0):
            tensor = meaning(self.b.types[edge.name], line)
            if requirement.met(tensor):
                return self._absorbed(edge, tensor, float(line.error.max() + largest.max() * 2.0**-23))
        if requirement.scale is not None:
            step = np.broadcast_to(np.asarray(requirement.scale, np.float64), (chain.features,))
        else:
            step = self.step(edge, bits, single=requirement.single)
        low, high = self.b.seen(edge.last)
        chain = chain.within(low, high)
        pieces = self._pieces(chain, step)
        if pieces is None:
            return self._curve(edge, requirement, bits)
        kind = kind_of(np.maximum(pieces.lowest, low), np.minimum(pieces.highest, high), step)
        held = Ints(max(kind.lo, -MOST), min(kind.hi, MOST))
        op, error = affine(chain, pieces, step, held)
        name = self.b.add(edge.last, op, edge.name, part="fixed")
        tried = "" if pieces.straight else " where tried"
        off = f"off by at most {error:.2g}{tried}" if held == kind else "its largest values clamped"
        self.b.judge(edge, rounded=f"fixed point of {held.bits} bits, {off}")
        self.b.match(name, edge.last)
        return name

    def _flattened(self, edge: Edge) -> Edge:
        """The edge with what lies before its Flatten settled, and the rest behind it."""
        place = next(i for i, op in enumerate(edge.ops) if isinstance(op, Flatten))
        name = self._settled(edge.until(place), Requirement(), None)
        flat = self.b.view(name, (self.b.types[name].size,))
        return Edge(flat, edge.chain[place].name, edge.chain[place + 1 :])

    def _absorbed(self, edge: Edge, tensor: Tensor, error: float) -> str:
        before = self.b.errors.get(edge.name, 0.0)
        ratio = np.max(np.abs(np.asarray(tensor.scale) / np.asarray(self.b.types[edge.name].scale)))
        shape = self.b.types[edge.name].shape
        name = self.b.add(edge.last, View(shape, tensor.scale, tensor.offset), edge.name, part="scaled")
        self.b.errors[name] = before * float(ratio) + error
        self.b.judge(edge)
        self.b.match(name, edge.last)
        return name

    def _curve(self, edge: Edge, requirement: Requirement, bits: int | None) -> str:
        """A curved function: its input in fixed point where it is not constant, then short lines or a table."""
        place = self._curved(edge)
        node, before = edge.chain[place], edge.until(place)
        if not isinstance(node.op, Pointwise):
            raise NotPointwise("no function of single values")
        lows, highs = self.range(before)
        shape = self.b.real.types[before.last].shape
        ends = active(node.op, shape, *map(float, (lows.min(), highs.max())))
        wanted = bits or self.b.precision.of_stream(node.layer)
        step, grid = gridded(*ends, wanted)
        ask = requirement if place == len(edge.chain) - 1 else ANY
        op: Interpolation | Table | None = None
        if node.op.uniform and wanted > TABLE_BITS:
            op = interpolated(node.op, grid, step, ask, wanted)
        if op is None:
            step, grid = gridded(*ends, TABLE_BITS)
        name = self._fixed(before, edge.name, ends, step, grid)
        if op is None:
            rows = self.b.chain(Edge(name, before.last, (node,))).all().T
            op = tabled(rows[:1] if node.op.uniform else rows, grid, ask, min(wanted, TABLE_BITS + 2))
        name = self.b.add(node.name, op, name, part=op.kind)
        self.b.judge(edge.until(place + 1), rounded=f"{worded(op)}, {self.b.types[name].ints.bits} bits out")
        self.b.match(name, node.name)
        return self._settled(Edge(name, node.name, edge.chain[place + 1 :]), requirement, bits)

    def _fixed(self, edge: Edge, name: str, ends: tuple[float, float], step: float, grid: Ints) -> str:
        """Layers in front of a curve, in one step for all channels."""
        chain = self.b.chain(edge).within(*map(np.array, ends))
        pieces = self._pieces(chain, np.array(step))
        if pieces is None:
            raise NotPointwise("curved before the curve")
        op, _ = affine(chain, pieces, np.full(len(pieces.error), step), grid)
        return self.b.add(edge.last, op, name, part="fixed")

    def _curved(self, edge: Edge) -> int:
        """Index of the first op of a chain that straight pieces do not follow."""
        for i in range(len(edge.chain)):
            part = edge.until(i + 1)
            if not isinstance(edge.chain[i].op, Pointwise):
                continue
            if self._pieces(self.b.chain(part).within(*self.b.seen(part.last)), self.step(part)) is None:
                return i
        return len(edge.chain) - 1
