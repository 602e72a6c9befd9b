"""Apply an ordered list of strategies until the layers behind an edge are reduced to integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bnn2hw.lower.builder import Builder
from bnn2hw.lower.fixed_point import ANY, Requirement
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.probe import NotPointwise


@dataclass(frozen=True)
class Task:
    """Layers that must be reduced to integers.

    Attributes:
        pending: The integers so far and the layers that follow them.
        requirement: What the reader of the result needs.
        bits: Bits of the result if it must be rounded; the layer's own bits if None.
    """

    pending: Pending
    requirement: Requirement = ANY
    bits: int | None = None


class Strategies:
    """An ordered list of strategies over one builder.

    Attributes:
        builder: The hardware form that strategies extend.
    """

    def __init__(self, builder: Builder, strategies: Sequence[Strategy]) -> None:
        self.builder = builder
        self._strategies = tuple(strategies)

    def integers(self, task: Task) -> str:
        """Return an edge of integers for a task.

        Its shape may still differ from the one in the model. The first strategy that applies does
        its part. Then the list starts again with what is left.

        Raises:
            FloatingPointError: A layer returns NaN, or the result is infinite.
            NotPointwise: A layer is not a function of single values.
        """
        self._check_finite(task.pending)
        while task.pending.computes or not task.requirement.accepts(self.builder.types[task.pending.edge]):
            done = next(d for d in (strategy(self, task) for strategy in self._strategies) if d is not None)
            if isinstance(done, str):
                return done
            task = Task(done, task.requirement, task.bits)
        return task.pending.edge

    def _check_finite(self, pending: Pending) -> None:
        """Check that the layers return finite numbers: no integer follows an infinite one.

        Raises:
            FloatingPointError: They do not.
        """
        chain = self.builder.chain(pending)
        try:
            finite = not pending.maps or np.isfinite(chain(chain.samples(SAMPLES))).all()
        except NotPointwise:  # some strategies need no value of such layers
            return
        if not finite:
            raise FloatingPointError("infinite results")


SAMPLES = 257
"""Integers at which layers are tried before they are reduced."""

Strategy = Callable[[Strategies, Task], Pending | str | None]
"""Return the finished edge, the layers that are left behind what was made, or None if the strategy
does not apply."""
