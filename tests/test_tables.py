"""Tables as plain text."""

from __future__ import annotations

from bnn2hw.tables import Table


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
