"""Tables as plain text."""

from __future__ import annotations

import pytest

from bnn2hw import tables
from bnn2hw.tables import Table

FIGURES = {"cycles per frame": "cycles", "LUT": "LUT"}


def residual() -> Table:
    """A table like the report of a network with branches: long names, words, and figures."""
    table = Table(
        "net",
        ("layer", "values", "op"),
        tuple(FIGURES),
        brief=FIGURES,
        drops=("values", "op"),
    )
    for block in range(3):
        name = f"stage1_block{block}_quant_conv2d_batch_normalization"
        table.add(name, "-123,456…123,456", "threshold", f"{73_728 + block:,}", f"{1_068 + block:,}")
    table.add_section()
    table.add("total", "", "", "73,730", "123,456,789")
    return table


@pytest.mark.parametrize("width", [42, 60, 80, 100, 120])
def test_figures_stay_at_every_width(width: int) -> None:
    text = residual().fitted(width)
    names = [line.split("│")[1].strip() for line in text.splitlines() if "stage" in line]

    assert all(tables.columns_of(line) <= width for line in text.splitlines() if line[0] in "┏┃┡│├└")
    assert all(figure in text for figure in ("73,728", "73,729", "73,730", "1,069", "123,456,789"))
    assert len(set(names)) == 3
    assert ("not shown at this width: " in text) == (width < 80)


def test_a_wide_terminal_gets_the_whole_table() -> None:
    assert residual().fitted(None) == residual().fitted(200) == str(residual())


def test_columns_are_left_out_in_their_order() -> None:
    text = residual().fitted(60)

    assert "not shown at this width: values\n" in text
    assert "threshold" in text


def test_a_table_that_cannot_fit_keeps_its_figures() -> None:
    text = residual().fitted(20)

    assert "123,456,789" in text
    assert "73,728" in text


def test_short_names_stay_distinct() -> None:
    names = [f"{start}_of_a_long_name_{end}" for start in "ab" for end in ("one", "two")]

    for limit in range(4, 22):
        short = tables.shortened(names, limit)
        assert all(len(name) <= limit for name in short)
        assert len(set(short)) == 4 or limit < 6


def test_names_that_differ_in_their_middle_stay_distinct() -> None:
    """One cut would take the number of the block away, which alone tells these names apart."""
    start = "encoder_stage_with_an_extremely_long_prefix_block"
    kinds = ("convolution_three_by_three.pad", "convolution_three_by_three", "batch_normalization.fixed")
    names = ["class", f"{start}_stem", *(f"{start}_{n:02}_{kind}" for n in range(18) for kind in kinds)]

    short = tables.shortened(names, 21)

    assert all(len(name) <= 21 for name in short)
    assert len(set(short)) == len(names)
    assert short[:2] == ["class", "…stem"]
    assert "…07_batch_norma.fixed" in short


def test_titles_and_words_are_no_wider_than_the_terminal() -> None:
    table = Table(f"{'a_long_name_' * 8}of_a_network on ecp5-85k", ("layer",), ("LUT",))
    table.add("dense", "1,234")
    lines = [*table.fitted(40).splitlines(), *tables.wrapped([f"{'x' * 99}: rounded"], 40).splitlines()]

    assert max(map(len, lines)) <= 40
    assert "xxx…xxx" in lines[-2]
    assert lines[-1] == "    rounded"


@pytest.mark.parametrize(
    ("told", "width"), [("80", 80), ("0", None), ("", None), ("wide", None), ("-5", None)]
)
def test_the_width_of_the_terminal(told: str, width: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", told)

    assert tables.terminal_width() == width


def test_lines_break_between_words() -> None:
    assert tables.wrapped(["one two-three four"], 16) == "one two-three\n    four"


def test_a_table_with_a_section() -> None:
    table = Table("title", ("layer", "op"), ("LUT",))
    table.add("größe", "xnor", "1,234")
    table.add("層", "add", "5")
    table.add_section()
    table.add("total", "", "1,239")

    assert str(table) == (
        "title\n"
        "┏━━━━━━━┳━━━━━━┳━━━━━━━┓\n"
        "┃ layer ┃ op   ┃   LUT ┃\n"
        "┡━━━━━━━╇━━━━━━╇━━━━━━━┩\n"
        "│ größe │ xnor │ 1,234 │\n"
        "│ 層    │ add  │     5 │\n"
        "├───────┼──────┼───────┤\n"
        "│ total │      │ 1,239 │\n"
        "└───────┴──────┴───────┘\n"
    )


@pytest.mark.parametrize(("number", "words"), [(0, "0 cycles"), (1, "1 cycle"), (2048, "2,048 cycles")])
def test_a_number_and_its_noun(number: int, words: str) -> None:
    assert tables.counted(number, "cycle") == words
