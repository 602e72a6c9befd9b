"""What lies between two ops, or an op and a port: FIFOs, and converters where beats differ."""

from __future__ import annotations

from functools import lru_cache
from math import lcm

from bnn2hw.ir import Beats
from bnn2hw.ops.fifo import Fifo
from bnn2hw.ops.width_converter import WidthConverter


def between(have: Beats, want: Beats, *, queued: bool) -> list[Fifo | WidthConverter]:
    """What lies between an op that gives such beats and one that takes others.

    That is a FIFO, and converters, each with a FIFO behind it. No converter needs more cycles than both ops do.
    """
    ops: list[Fifo | WidthConverter] = [_fifo(have)] if queued else []
    for converter in _converters(have, want):
        ops += [converter, _fifo(converter.beats()[1])]
    return ops


@lru_cache(2**12)
def _fifo(beats: Beats) -> Fifo:
    return Fifo.of(beats)


def outgoing(have: Beats, *, queued: bool) -> list[Fifo | WidthConverter]:
    """What lies between an op and an output of the design, which gives ragged beats as whole vectors."""
    ops = between(have, have.whole, queued=queued or have.vector > 0)
    return ops[:-1] if have.vector else ops


@lru_cache(2**18)
def _converters(have: Beats, want: Beats) -> tuple[WidthConverter, ...]:
    """One converter where one width divides the other, else several by way of whole vectors or a common multiple."""
    if have.serves(want):
        return ()
    narrow, wide = sorted((have.lanes, want.lanes))
    vectors = {beats.vector for beats in (have, want)} - {0}
    vector = max(vectors, default=0)
    # Beats without padding must end where vectors do; who wants zeros takes padding only if it is that.
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
    """From ragged beats to whole vectors, or back."""
    return WidthConverter(ragged.lanes, ragged.count(ragged.vector), widens, ragged.vector, ragged.zeros)
