"""The picture and the page of a study."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bnn2hw.errors import InputError
from bnn2hw.studies import page, picture, table
from bnn2hw.studies.points import Row
from bnn2hw.studies.study import Study


def row(number: int, **more: str | float) -> Row:
    empty: Row = dict.fromkeys(table.COLUMNS)
    facts: Row = {"point": number, "target": "ecp5-85k", "style": "folded", "state": "fits", "front": 0}
    return {**empty, **facts, "deviation": 2e-5, **more}


ROWS = (
    row(0, fps=1e3, lut=500, front=1, synth_lut=550),
    row(1, fps=1e4, lut=2500, front=1, style="<b>"),
    row(2, fps=1e3, lut=900),
    row(3, state="refused", reason="too fast"),
)


def study(folder: Path, *, rows: tuple[Row, ...] = ROWS) -> Study:
    return Study(rows, ("fps", "lut"), folder / "s.csv")


def labels(svg: str) -> list[str]:
    """The words of the points."""
    return re.findall(r'aria-label="(point [^"]*)"', svg)


def test_each_point_that_fits_and_each_measured_one_has_words(tmp_path: Path) -> None:
    assert sorted(labels(study(tmp_path).plot().svg)) == [
        "point 0: 1,000 frames/s, 500 LUT, folded, ecp5-85k",
        "point 0: 550 LUT measured",
        "point 1: 10,000 frames/s, 2,500 LUT, &lt;b&gt;, ecp5-85k",
        "point 2: 1,000 frames/s, 900 LUT, folded, ecp5-85k",
    ]


def test_axes_are_the_objectives() -> None:
    assert picture.axes(["deviation", "bram", "fps"]) == ("deviation", "bram")
    assert picture.axes(["lut"]) == ("lut", "fps")
    assert picture.axes(["fps"]) == ("fps", "lut")


def test_a_study_in_which_nothing_fits(tmp_path: Path) -> None:
    none = study(tmp_path, rows=ROWS[3:])

    assert "no point fits" in none.plot().svg
    assert "no point fits" in none.page().read_text()
    assert "No point fits within the limits." in none.page().read_text()
    assert str(none).startswith("no point fits within the limits\n")
    assert "<p>no point fits within the limits</p>" in none._repr_html_()


def test_a_picture_is_a_file_of_its_own(tmp_path: Path) -> None:
    study(tmp_path).plot().save(tmp_path / "s.svg")
    text = (tmp_path / "s.svg").read_text()

    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert "var(--" not in text


def test_a_page_has_all_points_and_loads_nothing(tmp_path: Path) -> None:
    text = study(tmp_path).page().read_text()

    assert text.count('<tr><th scope="row">') == len(ROWS) + 2
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert "20\u202fppm" in text
    assert not re.search(r'(?:src|href)="(?!#)', text)


def test_a_page_replaces_pages_of_studies_only(tmp_path: Path) -> None:
    made = study(tmp_path)
    assert made.page() == made.page() == tmp_path / "s.html"

    (tmp_path / "s.html").write_text("mine")
    with pytest.raises(InputError, match="exists and is not the page of a study"):
        made.page()
    assert (tmp_path / "s.html").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("fps", 0.25, "0.25"), ("fps", 1234.5, "1,234"), ("accuracy", 0.987, "99\u202f%"), ("lut", None, "")],
)
def test_figures(name: str, value: float | None, expected: str) -> None:
    assert page.cell(value, name) == expected
