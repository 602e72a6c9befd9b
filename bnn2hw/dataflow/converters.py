"""The FIFOs and width converters that lead from one layout of beats to another."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from math import lcm

from bnn2hw.ir import Beats
from bnn2hw.ops.fifo import Fifo
from bnn2hw.ops.width_converter import WidthConverter


def between(have: Beats, want: Beats, *, fifo: bool) -> list[Fifo | WidthConverter]:
    """Return the FIFOs and converters between a producer and a reader, in the order of the stream.

    Each converter has a FIFO behind it. No converter needs more cycles per frame than the slower of producer and
    reader. On the wide side of a converter beats are far apart, so a FIFO there has one place.

    Args:
        have: The beats that the producer writes.
        want: The beats that the reader takes.
        fifo: Whether a FIFO follows the producer directly.
    """
    ops: list[Fifo | WidthConverter] = []
    for before, after in pairwise((None, *_converters(have, want), None)):
        if before:
            ops += [before, _fifo(before.beats()[1], before, after)]
        elif fifo:
            ops.append(_fifo(have, None, after))
    return ops


def to_output(have: Beats, *, fifo: bool) -> list[Fifo | WidthConverter]:
    """Return the FIFOs and converters between a producer and an output of the design.

    The design writes whole vectors, so ragged beats are converted.

    Args:
        have: The beats that the producer writes.
        fifo: Whether a FIFO follows the producer directly.
    """
    ops = between(have, have.whole, fifo=fifo or have.vector > 0)
    return ops[:-1] if have.vector else ops


@lru_cache(2**12)
def _fifo(beats: Beats, before: WidthConverter | None, after: WidthConverter | None) -> Fifo:
    """Return the FIFO between two converters, or between a converter and another op."""
    wide = (before and before.widens and before) or (after and not after.widens and after)
    apart = wide and wide.parts >= 2 * wide.wide_beats
    return replace(Fifo.of(beats), depth=1 if apart else 2)


@lru_cache(2**18)
def _converters(have: Beats, want: Beats) -> tuple[WidthConverter, ...]:
    """One converter if one width divides the other, else several over whole vectors or a common multiple."""
    if have.serves(want):
        return ()
    narrow, wide = sorted((have.lanes, want.lanes))
    vectors = {beats.vector for beats in (have, want)} - {0}
    vector = max(vectors, default=0)
    # Beats without padding must end where vectors end. A reader that needs zeros as padding takes no other padding.
    ends = len(vectors) < 2 and all(beats.vector or vector % beats.lanes == 0 for beats in (have, want))
    zeros = have.zeros or not (have.vector and want.zeros)
    if wide % narrow == 0 and wide > narrow and ends and zeros:
        return (WidthConverter(narrow, wide // narrow, want.lanes == wide, vector, have.zeros),)
    if have.vector:
        return (_vectors(have, widens=True), *_converters(have.whole, want))
    if want.vector:
        return (*_converters(have, want.whole), _vectors(want._replace(zeros=False), widens=False))
    common = Beats(lcm(narrow, wide))
    return (*_converters(have, common), *_converters(common, want))


@lru_cache(2**12)
def _vectors(ragged: Beats, *, widens: bool) -> WidthConverter:
    """The converter from ragged beats to whole vectors if `widens`, else from whole vectors to ragged beats."""
    return WidthConverter(ragged.lanes, ragged.count(ragged.vector), widens, ragged.vector, ragged.zeros)
