"""Exact minimization of a sum of tables, each over a few variables of finitely many values.

`eliminate` takes the variables out one by one (dynamic programming over the graph that the tables make): exact and
fast where that graph is close to a tree, as chains and residual networks are. `Program` is the same as an integer
program, which may have bounds on further sums beside; HiGHS solves it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import optimize, sparse

from bnn2hw.ir import Array

MOST = 2**24
"""Entries of the largest table that elimination may make; 128 MiB."""

SECONDS = 30.0
"""Of an integer program, after which the best that was found is taken, without a proof."""


@dataclass(frozen=True)
class Table:
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


def eliminate(sizes: Sequence[int], tables: Sequence[Table], turns: Sequence[int]) -> list[int]:
    """The values of all variables at which the sum of the tables is least; of equal ones those with small indices.

    Args:
        sizes: by variable, how many values it has.
        tables: the terms; some combination must be finite in all.
        turns: an order of all variables, from `order`.
    """
    holding: list[dict[int, Table]] = [{} for _ in sizes]
    for number, table in enumerate(tables):
        for variable in table.of:
            holding[variable][number] = table
    number = len(tables)
    steps: list[tuple[int, tuple[int, ...], Array]] = []
    for variable in turns:
        mine = holding[variable]
        others = tuple(sorted({v for t in mine.values() for v in t.of} - {variable}))
        scope = (*others, variable)
        total = np.zeros([sizes[v] for v in scope])
        for key, table in mine.items():
            total += _spread(table, scope)
            for other in table.of:
                if other != variable:
                    del holding[other][key]
        steps.append((variable, others, np.argmin(total, -1)))
        rest = Table(others, total.min(-1))
        for other in others:
            holding[other][number] = rest
        number += 1
    values = [0] * len(sizes)
    for variable, others, best in reversed(steps):
        values[variable] = int(best[tuple(values[v] for v in others)])
    return values


def _spread(table: Table, scope: tuple[int, ...]) -> Array:
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

    def solve(self, weights: Array, bounds: Array) -> tuple[Array | None, bool]:
        """The variables of the cheapest solution, or None where none was found; and whether that is proved."""
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
            # HiGHS' presolve has lost the best solution of a feasible program (soak case 151 of tests/test_fold.py).
            options={"time_limit": SECONDS, "mip_rel_gap": 0.0, "presolve": False},
        )
        return found.x, found.status in (0, 2)

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
) -> tuple[float, list[Array]]:
    """The largest lower bound that prices on overdrawn resources give (Lagrange's dual, by cutting planes).

    Args:
        least: for a price per unit overdrawn of each resource: the least of cost plus price · overdraft, and at which
            overdraft it lies (negative where something is left).
        limit: a cost above which no solution without overdraft lies; a bound above it proves that there is none.
        count: resources.
        rounds: at most.

    Returns:
        The bound and the prices that were tried.
    """
    prices, best = np.zeros(count), -np.inf
    tried, cuts, sides = [], [], []
    for _ in range(rounds):
        value, over = least(prices)
        tried.append(prices)
        best = max(best, value)
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
    return best, tried
