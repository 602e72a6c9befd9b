"""Exact minimization of a sum of tables, each over a few variables of finitely many values.

`eliminate` removes the variables one by one (dynamic programming over the graph that the tables make). It is exact, and
fast if that graph is close to a tree, as for chains and residual networks. `Program` states the same problem as an
integer program, which may bound further sums; HiGHS solves it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bnn2hw.ir import Array

MOST = 2**24
"""Entries of the largest table that elimination may make; 128 MiB."""

SECONDS = 30.0
"""Time limit of an integer program; after it, the best solution so far is used without a proof."""


@dataclass(frozen=True)
class CostTable:
    """A term of the sum: the cost of each combination of values of its variables, infinite if it is not allowed.

    Attributes:
        of: The variables, without repetition.
        costs: The costs, one axis per variable.
    """

    of: tuple[int, ...]
    costs: Array


def order(sizes: Sequence[int], scopes: Sequence[tuple[int, ...]]) -> list[int] | None:
    """Find an order of elimination that keeps tables small; None if a table would exceed `MOST` entries.

    Args:
        sizes: Number of values by variable.
        scopes: Variables by table.
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
    """An eliminated variable: the sum of the tables that contained it.

    Attributes:
        scope: The other variables of the sum, then this one.
        total: The sum, one axis per variable of `scope`.
        tables: Numbers of the summed tables. Numbers beyond the given tables denote the results of earlier buckets.
    """

    scope: tuple[int, ...]
    total: Array
    tables: tuple[int, ...]


def _buckets(sizes: Sequence[int], tables: Sequence[CostTable], turns: Sequence[int]) -> list[_Bucket]:
    """Eliminate all variables in turn; the minimum of a bucket over its variable is a table of a later bucket."""
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
    """Return the values of all variables that minimize the sum of the tables; small indices win ties.

    Args:
        sizes: Number of values by variable.
        tables: The terms; at least one combination must be finite in all of them.
        turns: Order of all variables, from `order`.
    """
    values = [0] * len(sizes)
    for bucket in reversed(_buckets(sizes, tables, turns)):
        *others, variable = bucket.scope
        values[variable] = int(np.argmin(bucket.total[tuple(values[v] for v in others)]))
    return values


def least_with(sizes: Sequence[int], tables: Sequence[CostTable], turns: Sequence[int]) -> list[Array]:
    """Return, for each entry of each table, the smallest sum of all tables that contains that entry.

    Args:
        sizes: As for `eliminate`.
        tables: As for `eliminate`.
        turns: As for `eliminate`.
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
    """Minimize over all variables of a scope except some, which become the axes of the result in their order."""
    gone = tuple(i for i, v in enumerate(scope) if v not in kept)
    left = [v for v in scope if v in kept]
    least: Array = costs.min(gone).transpose([left.index(v) for v in kept])
    return least


def _spread(table: CostTable, scope: tuple[int, ...]) -> Array:
    """Return the costs of a table with one axis per variable of a larger scope."""
    places = [scope.index(v) for v in table.of]
    costs = table.costs.transpose(np.argsort(places))
    shape = [1] * len(scope)
    for place, size in zip(sorted(places), costs.shape, strict=True):
        shape[place] = size
    spread: Array = costs.reshape(shape)
    return spread


@dataclass
class Program:
    """An integer program: take one choice of each group, and of each link the entry that its two choices select.

    Each choice has a vector of costs. The program minimizes their weighted sum within a bound for each component.

    Attributes:
        costs: One vector of costs per variable of the program: choices, then entries of links.
        whole: By variable, 1 if it must be 0 or 1. Entries of links follow from the choices.
    """

    costs: list[Array] = field(default_factory=list)
    whole: list[Array] = field(default_factory=list)
    _rows: list[Array] = field(default_factory=list)
    _columns: list[Array] = field(default_factory=list)
    _factors: list[Array] = field(default_factory=list)
    _sides: list[float] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Number of variables so far."""
        return sum(len(c) for c in self.costs)

    def group(self, costs: Array) -> Array:
        """Add a group of choices with costs of shape (choices, resources); return their variables."""
        mine = self._variables(costs, 1)
        self._equal(mine, np.ones(len(mine)), 1.0)
        return mine

    def link(self, costs: Array, ends: tuple[tuple[Array, Array], tuple[Array, Array]]) -> None:
        """Add a table of costs over the choices of two groups.

        Args:
            costs: Costs of shape (values of the first, values of the second, resources).
            ends: For each group its variables, and for each of these the value that it stands for.
        """
        mine = self._variables(costs.reshape(-1, costs.shape[-1]), 0).reshape(costs.shape[:2])
        for axis, (choices, values) in enumerate(ends):
            for value in range(costs.shape[axis]):
                entries, chosen = mine.take(value, axis), choices[values == value]
                factors = np.concatenate([np.ones(len(entries)), -np.ones(len(chosen))])
                self._equal(np.concatenate([entries, chosen]), factors, 0.0)

    def solve(self, weights: Array, bounds: Array, gap: float = 0.0) -> tuple[Array | None, bool, float]:
        """Return the variables of the cheapest solution, or None if none was found, and whether this is proved.

        The last value is the solver's lower bound on the cost of every solution.

        Args:
            weights: Weight by resource.
            bounds: Upper bound by resource.
            gap: Share by which the solution may exceed the cheapest one.
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
        least = found.get("mip_dual_bound")
        return found.x, found.status in (0, 2) and not gap, -np.inf if least is None else float(least)

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
    """Maximize the Lagrangian lower bound over multipliers on the scarce resources, by cutting planes.

    Args:
        least: For one multiplier per resource, the minimum of cost plus multiplier * excess, and the excess at that
            minimum (negative if something of the resource is left).
        limit: Cost that no solution within the capacities exceeds. A bound above it proves that there is none.
        count: Number of resources.
        rounds: Largest number of cutting planes.

    Returns:
        The bound, and the multipliers that give it.
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
