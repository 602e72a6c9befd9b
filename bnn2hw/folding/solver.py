"""Exact minimization of a sum of tables, each over a few variables of finitely many values.

`eliminate` takes the variables out one by one (dynamic programming over the graph that the tables make): exact and
fast where that graph is close to a tree, as chains and residual networks are. `Program` is the same as an integer
program, which may have bounds on further sums beside; HiGHS solves it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bnn2hw.ir import Array

MOST = 2**24
"""Entries of the largest table that elimination may make; 128 MiB."""

SECONDS = 30.0
"""Of an integer program, after which the best that was found is taken, without a proof."""


@dataclass(frozen=True)
class CostTable:
    """A term of the sum: what each combination of values of its variables costs, infinite where there is none.

    Attributes:
        of: the variables, without repetition.
        costs: an axis per variable.
    """

    of: tuple[int, ...]
    costs: Array


def order(sizes: Sequence[int], scopes: Sequence[tuple[int, ...]]) -> list[int] | None:
    """An order of elimination that keeps tables small, or None where one would have more than `MOST` entries.

    Args:
        sizes: by variable, how many values it has.
        scopes: by table, its variables.
    """
    near: list[set[int]] = [set() for _ in sizes]
    for scope in scopes:
        for variable in scope:
            near[variable] |= set(scope) - {variable}

    def weight(variable: int) -> int:
        return int(np.prod([sizes[v] for v in (variable, *near[variable])], dtype=object))

    left = {v: weight(v) for v in range(len(sizes))}
    found = []
    while left:
        variable = min(left, key=left.__getitem__)
        if left.pop(variable) > MOST:
            return None
        found.append(variable)
        around = near[variable]
        for other in around:
            near[other] |= around
            near[other] -= {other, variable}
        for other in around:
            left[other] = weight(other)
    return found


@dataclass(frozen=True)
class _Bucket:
    """A variable that was taken out: the sum of the tables that held it, over a scope of which it is the last.

    Attributes:
        scope: the other variables, then this one.
        total: that sum.
        tables: the numbers of the tables in it; those from the last given table on are the rests of earlier buckets.
    """

    scope: tuple[int, ...]
    total: Array
    tables: tuple[int, ...]


def _buckets(sizes: Sequence[int], tables: Sequence[CostTable], turns: Sequence[int]) -> list[_Bucket]:
    """All variables taken out in turn; of each bucket, the least over its variable is a table for a later one."""
    holding: list[dict[int, CostTable]] = [{} for _ in sizes]
    for number, table in enumerate(tables):
        for variable in table.of:
            holding[variable][number] = table
    buckets = []
    for number, variable in enumerate(turns, len(tables)):
        mine = holding[variable]
        others = tuple(sorted({v for t in mine.values() for v in t.of} - {variable}))
        scope = (*others, variable)
        total = np.zeros([sizes[v] for v in scope])
        for key, table in mine.items():
            total += _spread(table, scope)
            for other in table.of:
                if other != variable:
                    del holding[other][key]
        buckets.append(_Bucket(scope, total, tuple(mine)))
        rest = CostTable(others, total.min(-1))
        for other in others:
            holding[other][number] = rest
    return buckets


def eliminate(sizes: Sequence[int], tables: Sequence[CostTable], turns: Sequence[int]) -> list[int]:
    """The values of all variables at which the sum of the tables is least; of equal ones those with small indices.

    Args:
        sizes: by variable, how many values it has.
        tables: the terms; some combination must be finite in all.
        turns: an order of all variables, from `order`.
    """
    values = [0] * len(sizes)
    for bucket in reversed(_buckets(sizes, tables, turns)):
        *others, variable = bucket.scope
        values[variable] = int(np.argmin(bucket.total[tuple(values[v] for v in others)]))
    return values


def least_with(sizes: Sequence[int], tables: Sequence[CostTable], turns: Sequence[int]) -> list[Array]:
    """For each table, and each of its entries, the least sum of all tables in which that entry is.

    Args are those of `eliminate`.
    """
    buckets = _buckets(sizes, tables, turns)
    into = {number: at for at, bucket in enumerate(buckets) for number in bucket.tables}
    least = sum(float(b.total.min()) for b in buckets if len(b.scope) == 1)
    found: list[Array] = [np.zeros(0)] * len(buckets)
    for at in range(len(buckets) - 1, -1, -1):
        scope, total = buckets[at].scope, buckets[at].total
        if len(scope) == 1:
            found[at] = total + (least - float(total.min()))
            continue
        parent, rest = into[len(tables) + at], total.min(-1)
        outside = _least_over(found[parent], buckets[parent].scope, scope[:-1])
        around = np.full(rest.shape, np.inf)
        np.subtract(outside, rest, out=around, where=np.isfinite(rest))
        found[at] = total + around[..., None]
    at_tables = ((t, into[number]) for number, t in enumerate(tables))
    return [_least_over(found[at], buckets[at].scope, t.of) for t, at in at_tables]


def _least_over(costs: Array, scope: tuple[int, ...], kept: tuple[int, ...]) -> Array:
    """The least over all variables of a scope but some, with an axis for each of these, in their order."""
    gone = tuple(i for i, v in enumerate(scope) if v not in kept)
    left = [v for v in scope if v in kept]
    least: Array = costs.min(gone).transpose([left.index(v) for v in kept])
    return least


def _spread(table: CostTable, scope: tuple[int, ...]) -> Array:
    """The costs of a table with an axis per variable of a larger scope."""
    places = [scope.index(v) for v in table.of]
    costs = table.costs.transpose(np.argsort(places))
    shape = [1] * len(scope)
    for place, size in zip(sorted(places), costs.shape, strict=True):
        shape[place] = size
    spread: Array = costs.reshape(shape)
    return spread


@dataclass
class Program:
    """Of each group one of its choices is taken, and of each link the entry that the choices at its ends select.

    Choices have vectors of cost; the weighted sum of all is minimized while each component keeps a bound.

    Attributes:
        costs: a vector of cost per variable of the program: choices, and entries of links.
        whole: by variable, 1 where it must be 0 or 1; entries of links follow from the choices.
    """

    costs: list[Array] = field(default_factory=list)
    whole: list[Array] = field(default_factory=list)
    _rows: list[Array] = field(default_factory=list)
    _columns: list[Array] = field(default_factory=list)
    _factors: list[Array] = field(default_factory=list)
    _sides: list[float] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Variables so far."""
        return sum(len(c) for c in self.costs)

    def group(self, costs: Array) -> Array:
        """Choices with such costs, shape (choices, resources), one of which is to be taken; their variables."""
        mine = self._variables(costs, 1)
        self._equal(mine, np.ones(len(mine)), 1.0)
        return mine

    def link(self, costs: Array, ends: tuple[tuple[Array, Array], tuple[Array, Array]]) -> None:
        """A table of costs over what two groups have chosen.

        Args:
            costs: shape (values of the first, values of the second, resources).
            ends: of each group its variables, and for each of these the value that it stands for.
        """
        mine = self._variables(costs.reshape(-1, costs.shape[-1]), 0).reshape(costs.shape[:2])
        for axis, (choices, values) in enumerate(ends):
            for value in range(costs.shape[axis]):
                entries, chosen = mine.take(value, axis), choices[values == value]
                factors = np.concatenate([np.ones(len(entries)), -np.ones(len(chosen))])
                self._equal(np.concatenate([entries, chosen]), factors, 0.0)

    def solve(self, weights: Array, bounds: Array, gap: float = 0.0) -> tuple[Array | None, bool]:
        """The variables of the cheapest solution, or None where none was found; and whether that is proved.

        Args:
            weights: of the resources.
            bounds: by resource, at most how much of it.
            gap: by which share a solution may be dearer that is taken for the cheapest.
        """
        from scipy import optimize, sparse  # slow to import, and only the search needs it

        costs = np.concatenate(self.costs)
        shape = (len(self._sides), len(costs))
        rows, columns = np.concatenate(self._rows), np.concatenate(self._columns)
        equal = sparse.csr_array((np.concatenate(self._factors), (rows, columns)), shape)
        constraints = [optimize.LinearConstraint(equal, self._sides, self._sides)]
        if np.isfinite(bounds).any():
            kept = np.isfinite(bounds)
            constraints.append(
                optimize.LinearConstraint(sparse.csr_array(costs.T[kept]), -np.inf, bounds[kept])
            )
        found = optimize.milp(
            costs @ weights,
            integrality=np.concatenate(self.whole),
            bounds=optimize.Bounds(0, 1),
            constraints=constraints,
            # HiGHS presolve lost the best solution of a feasible program (tests/folding/test_search.py, soak case 151).
            options={"time_limit": SECONDS, "mip_rel_gap": gap, "presolve": False},
        )
        return found.x, found.status in (0, 2) and not gap

    def _variables(self, costs: Array, whole: int) -> Array:
        first = self.size
        self.costs.append(costs)
        self.whole.append(np.full(len(costs), whole))
        return np.arange(first, first + len(costs))

    def _equal(self, columns: Array, factors: Array, side: float) -> None:
        self._rows.append(np.full(len(columns), len(self._sides)))
        self._columns.append(columns)
        self._factors.append(factors)
        self._sides.append(side)


def relax(
    least: Callable[[Array], tuple[float, Array]], limit: float, count: int, rounds: int = 60
) -> tuple[float, Array]:
    """The largest lower bound that prices on overdrawn resources give (Lagrange's dual, by cutting planes).

    Args:
        least: for a price per unit overdrawn of each resource: the least of cost plus price · overdraft, and at which
            overdraft it lies (negative where something is left).
        limit: a cost above which no solution without overdraft lies; a bound above it proves that there is none.
        count: resources.
        rounds: at most.

    Returns:
        The bound, and the prices that give it.
    """
    from scipy import optimize

    prices, best, at = np.zeros(count), -np.inf, np.zeros(count)
    cuts, sides = [], []
    for _ in range(rounds):
        value, over = least(prices)
        if value > best:
            best, at = value, prices
        cuts.append([*(-over), 1.0])
        sides.append(value - float(prices @ over))
        top = optimize.linprog(
            [*[0.0] * count, -1.0],
            A_ub=cuts,
            b_ub=sides,
            bounds=[*[(0.0, 1e4 * limit)] * count, (None, 1e9 * limit)],
        )
        if top.x is None or best > limit or -top.fun - best <= 1e-9 * abs(best):
            break
        prices = top.x[:count]
    return best, at
