"""Integers, their wire codes and their packing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bnn2hw.backends.design import SUFFIXES, identifiers, pack, unpack
from bnn2hw.backends.verilog import hex_words
from bnn2hw.ir import BIPOLAR, Ints, Memory, Tensor


@st.composite
def ints(draw: st.DrawFn) -> Ints:
    lo = draw(st.integers(-300, 300))
    step = draw(st.integers(1, 5))
    return Ints(lo, lo + step * draw(st.integers(0, 300)), step)


@pytest.mark.parametrize(
    ("shape", "words"),
    [((1,), "1 value 0…9"), ((10,), "10 values 0…9"), ((28, 28, 1), "28×28×1 values 0…9")],
)
def test_a_stream_in_words(shape: tuple[int, ...], words: str) -> None:
    assert Tensor(shape, Ints(0, 9)).words == words


@pytest.mark.parametrize(
    ("type_", "bits"),
    [
        (BIPOLAR, 1),
        (Ints(-1, 1), 2),
        (Ints(0, 255), 8),
        (Ints(0, 3), 2),
        (Ints(-64, 64, step=2), 7),
        (Ints(-128, 127), 8),
        (Ints(-129, 0), 9),
        (Ints(0, 0), 1),
        (Ints(5, 6), 3),
    ],
)
def test_bits(type_: Ints, bits: int) -> None:
    assert type_.bits == bits


@pytest.mark.parametrize("args", [(1, 0), (0, 3, 2), (0, 1, 0)])
def test_ranges_that_are_none(args: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"no integers from {args[0]} to {args[1]} in steps of"):
        Ints(*args)


@given(ints())
def test_codes_are_consecutive_fit_and_come_back(type_: Ints) -> None:
    values = type_.values()
    codes = type_.encode(values)

    assert np.array_equal(codes, type_.first_code + np.arange(type_.count))
    assert np.array_equal(type_.decode(codes % 2**type_.bits), values)
    assert type_.contains(values)
    assert not type_.contains(values + 1 if type_.step > 1 else values + type_.count)


@given(st.integers(1, 20), st.integers(1, 9), st.integers(0, 7), st.integers(0, 2**32 - 1))
@example(bits=8, lanes=1, count=0, seed=0)
def test_packing_is_undone(bits: int, lanes: int, count: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 2**bits, (count, lanes))

    words = pack(codes, bits)

    assert words.shape == (count, -(-bits * lanes // 8))
    assert np.array_equal(unpack(words, bits, lanes), codes)
    numbers = [int.from_bytes(word.tobytes(), "little") for word in words]
    assert numbers == [sum(int(c) << (bits * i) for i, c in enumerate(row)) for row in codes]


def test_hex_words_have_lane_0_in_the_lowest_digits() -> None:
    assert hex_words(Memory(np.array([[1, 2, 3], [-1, 0, 7]]), 4)) == "321\n70f\n"


@given(st.lists(st.text(max_size=6), unique=True, max_size=12))
def test_identifiers_are_distinct_with_all_suffixes(names: list[str]) -> None:
    chosen = identifiers(names)
    signals = [(chosen[n] + s).lower() for n in names for s in SUFFIXES]

    assert len(signals) == len(set(signals))
    assert all(s.isascii() and s.isidentifier() and "__" not in s for s in signals)


def test_outer_axes() -> None:
    assert Tensor((3, 4, 5)).outer(20, 2) == (3,)
    assert Tensor((1, 1, 5)).outer(5, 3) == ()
    with pytest.raises(ValueError, match=r"the last 2 axes of shape \(3, 4, 5\) do not hold 12 values"):
        Tensor((3, 4, 5)).outer(12, 2)


@given(ints())
def test_the_dtype_is_the_narrowest_that_holds_all_values(type_: Ints) -> None:
    kinds = [kind for kind in (np.int8, np.int16, np.int32, np.int64) if holds(np.iinfo(kind), type_)]

    assert type_.dtype == kinds[0]


def holds(kind: np.iinfo[Any], type_: Ints) -> bool:
    return bool(kind.min <= type_.lo and type_.hi <= kind.max)
