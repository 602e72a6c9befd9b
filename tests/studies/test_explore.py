"""Studies: many designs of one model, their front, and what survives an interruption."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import bnn2hw
from bnn2hw.cli.main import main
from bnn2hw.errors import InputError, StorageError
from bnn2hw.studies import points, space, study, table
from tests.support import EXAMPLES

RATES = (20_000.0, 300_000.0, 1e15)
PIXELS = bnn2hw.Input("uint8")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module", autouse=True)
def model_cache() -> Iterator[None]:
    """Lowered models are kept, as they are for users: each point compiles the same model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BNN2HW_MODEL_CACHE", "on")
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model `m.keras`, another file `n.keras` of it, and a study `s.csv`."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copy(EXAMPLES / "digits.keras", folder / "m.keras")
    shutil.copy(EXAMPLES / "mnist.keras", folder / "n.keras")
    bnn2hw.explore(
        folder / "m.keras", folder / "s.csv", input=PIXELS, fps=RATES, styles=["folded", "quant_dense"]
    )
    return folder


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The rates of the points that are evaluated."""
    seen: list[float] = []
    evaluate = points.Evaluator.__call__

    def counted(self: points.Evaluator, task: space.Task) -> points.Row:
        seen.append(task.fps)
        return evaluate(self, task)

    monkeypatch.setattr(points.Evaluator, "__call__", counted)
    return seen


def test_points_have_the_figures_of_their_designs(place: Path) -> None:
    rows = table.read(place / "s.csv")
    made = bnn2hw.compile(place / "m.keras", input=PIXELS, fps=RATES[1]).estimate()

    assert [(r["style"], r["asked_fps"]) for r in rows] == [
        (s, f) for s in ("folded", "quant_dense") for f in RATES
    ]
    assert (rows[1]["fps"], rows[1]["interval"], rows[1]["lut"]) == (
        made.fps,
        made.cycles.interval,
        round(made.cost.lut),
    )
    assert [r["state"] for r in rows[:3]] == ["fits", "fits", "refused"]
    assert "ask for" in str(rows[2]["reason"])
    assert json.loads(str(rows[3]["folding"]))["quant_dense"]["style"] == "unrolled"


def test_no_point_of_the_front_is_beaten(place: Path) -> None:
    rows = [r for r in table.read(place / "s.csv") if r["state"] == "fits"]
    costs = np.array([[-float(r["fps"] or 0), float(r["lut"] or 0)] for r in rows])
    best = [not any((other <= one).all() and (other < one).any() for other in costs) for one in costs]

    assert [bool(r["front"]) for r in rows] == best
    assert sum(best) >= 2


def test_rates_and_bits_that_lead_to_one_design_are_one_point_of_the_front(
    place: Path, tmp_path: Path
) -> None:
    rates = (RATES[0], RATES[0] * 1.0001)
    found = bnn2hw.explore(place / "m.keras", tmp_path / "s.csv", input=PIXELS, fps=rates, bits=[None, 12])

    assert len({row["folding"] for row in found}) == 1
    assert [row["front"] for row in found] == [1, 0, 0, 0]


def test_finished_points_are_kept(place: Path, tmp_path: Path, compiled: list[float]) -> None:
    """An interrupted study has some whole lines, and perhaps a part of one."""
    text = (place / "s.csv").read_text()
    lines = text.splitlines(keepends=True)
    (tmp_path / "s.csv").write_text("".join(lines[:3]) + lines[3][: len(lines[3]) // 2])

    options = {"input": PIXELS, "fps": RATES, "styles": ["folded", "quant_dense"]}
    again = bnn2hw.explore(place / "m.keras", tmp_path / "s.csv", **options)  # type: ignore[arg-type]

    assert len(compiled) == 4
    assert (tmp_path / "s.csv").read_text() == text
    assert repr(again).startswith("<Study of 6 points, ")
    assert again._repr_html_().count("<tr>") == len(again.front) + 1
    assert (tmp_path / "s.html").is_file()


def test_a_point_is_built(place: Path, tmp_path: Path) -> None:
    row = table.read(place / "s.csv")[3]
    done = run("compile", place / "m.keras", "--from", place / "s.csv", "--point", "3", "-o", tmp_path / "b")
    made = bnn2hw.load(tmp_path / "b")
    report = (tmp_path / "b" / "report.html").read_text()

    assert "Point 3 of s.csv. 4 of its 6 points are designs that fit ecp5-85k" in report
    assert "bnn2hw compile m.keras --from s.csv --point 3 -o build/m" in report
    assert report.count("this design") > 2
    assert (done.exit_code, done.stderr) == (0, "")
    assert made.folding() == json.loads(str(row["folding"]))
    assert (made.estimate().fps, round(made.estimate().cost.lut)) == (row["fps"], row["lut"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("{p}/n.keras", "--from", "{p}/s.csv", "--point", "0"),
            "'{p}/s.csv' is a study of another model than",
        ),
        (
            ("{p}/m.keras", "--from", "{p}/s.csv", "--point", "99"),
            "'{p}/s.csv' has no point 99; its points are 0 to 5",
        ),
        (("{p}/m.keras", "--from", "{p}/s.csv", "--point", "2"), "point 2 of '{p}/s.csv' was refused: "),
        (("{p}/m.keras", "--from", "{p}/s.csv"), "--from and --point belong together"),
        (
            ("{p}/m.keras", "--from", "{p}/s.csv", "--point", "0", "--bits", "4"),
            "--bits has no effect: the point",
        ),
        (
            ("{p}/m.keras", "--from", "{p}/none.csv", "--point", "0"),
            "the study '{p}/none.csv' cannot be read",
        ),
        (("{p}/m.keras", "--from", "{p}/m.keras", "--point", "0"), "'{p}/m.keras' holds no study of bnn2hw"),
    ],
)
def test_other_studies_and_points_are_refused(place: Path, arguments: tuple[str, ...], expected: str) -> None:
    done = run("compile", *(a.format(p=place) for a in arguments), "-o", place / "none")

    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {expected.format(p=place)}")
    assert done.stderr.count("\n") == 1


def test_a_study_of_another_model_is_not_continued(place: Path, compiled: list[float]) -> None:
    before = (place / "s.csv").read_text()
    with pytest.raises(InputError, match="is a study of another model"):
        bnn2hw.explore(place / "n.keras", place / "s.csv", input=PIXELS, fps=[1000.0])

    assert not compiled
    assert (place / "s.csv").read_text() == before


def test_limits_accuracy_and_the_command_line(place: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 17, (20, 8, 8), np.uint8)
    made = bnn2hw.compile(place / "m.keras", input=PIXELS)
    np.savez(tmp_path / "x.npz", x=images, y=np.asarray(made.predict(images)))
    done = run(
        *(
            "explore",
            place / "m.keras",
            "--input",
            "uint8",
            "-o",
            tmp_path / "t.csv",
            "--images",
            tmp_path / "x.npz",
        ),
        *("--fps", "20e3", "--fps", "300e3", "--min-fps", "250e3", "--min-accuracy", "0.5", "--json"),
    )
    rows = json.loads(done.stdout)

    assert done.exit_code == 0, done.output
    assert [r["accuracy"] for r in rows] == [1.0, 1.0]
    assert [r["front"] for r in rows] == [0, 1]


@pytest.mark.parametrize(
    ("options", "error", "expected"),
    [
        ({"objectives": ["speed"]}, InputError, "there is no objective 'speed'"),
        ({"objectives": []}, InputError, "name an objective"),
        ({"limits": {"max_power": 1}}, InputError, "there is no limit 'max_power'"),
        ({"limits": {"min_accuracy": 0.9}}, InputError, "measured on images with labels"),
        ({"limits": {"max_deviation": 0.1}}, InputError, "measured on your images; give some"),
        ({"objectives": ["fps", "deviation"]}, InputError, "measured on your images; give some"),
        (
            {"styles": ["nosuch"]},
            InputError,
            "'nosuch' is not a layer that can be unrolled; those are quant_dense",
        ),
        ({"targets": ["nosuch"]}, InputError, "unknown target 'nosuch'"),
        ({"scheduler": "here"}, InputError, "scheduler must be 'local' or an address"),
        ({"out": "study.txt"}, InputError, r"written to a \.csv or \.parquet file"),
        ({"out": "/proc/nowhere/s.csv"}, StorageError, "cannot be written"),
        ({"out": "{p}/m.csv"}, InputError, "holds no study of bnn2hw"),
    ],
)
def test_what_makes_no_sense_is_refused(
    place: Path, tmp_path: Path, compiled: list[float], options: dict[str, object], error: type, expected: str
) -> None:
    shutil.copy(place / "m.keras", place / "m.csv")
    given = {"out": tmp_path / "s.csv", "input": PIXELS, "fps": [1000.0], **options}
    given["out"] = str(given["out"]).format(p=place)
    with pytest.raises(error, match=expected):
        bnn2hw.explore(place / "m.keras", **given)

    assert not compiled


def test_rates_in_pixels(place: Path, tmp_path: Path) -> None:
    made = bnn2hw.explore(place / "m.keras", tmp_path / "s.csv", input=PIXELS, pixels=[0.5, 1, 2])
    estimate = bnn2hw.compile(place / "m.keras", input=PIXELS).estimate()
    clock = estimate.fps * estimate.cycles.interval

    assert [row["asked_fps"] for row in made] == [pytest.approx(n * clock / 64) for n in (0.5, 1, 2)]
    assert [int(row["interval"] or 0) <= 64 / n for row, n in zip(made, (0.5, 1, 2), strict=True)] == [
        True
    ] * 3
    assert made.rows[2]["pixels"] == 2


def test_a_worker_with_another_model_is_refused(place: Path, tmp_path: Path) -> None:
    shutil.copy(place / "m.keras", tmp_path / "m.keras")
    setting = space.Setting(str(tmp_path / "m.keras"), PIXELS)
    assert setting.content
    shutil.copy(place / "n.keras", tmp_path / "m.keras")

    with pytest.raises(InputError, match="is another model than where the study was started"):
        points.Evaluator(setting)(space.Task("ecp5-85k", None, "folded", RATES[0]))


def test_parquet_files(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="Parquet files need pyarrow")
    table.write(tmp_path / "s.parquet", table.read(place / "s.csv"))

    assert table.read(tmp_path / "s.parquet") == table.read(place / "s.csv")


def test_synthesized_points_are_spread_over_the_front() -> None:
    front: list[points.Row] = [{"point": n} for n in (3, 5, 6, 9, 11)]

    assert [row["point"] for row in study.spread(front, 3)] == [3, 6, 11]
    assert study.spread(front[:2], 7) == front[:2]
    assert study.spread(front[:2], 0) == []


@pytest.mark.soak
def test_workers_of_dask_that_die_lose_nothing(place: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="needs Dask")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        seen: list[str] = []

        def told(text: str) -> None:
            seen.append(text)
            if text.startswith("1 of"):
                [first, *_] = client.run(lambda: __import__("os").getpid()).values()
                client.run_on_scheduler(lambda pid=first: __import__("os").kill(pid, 9))

        made = bnn2hw.explore(
            *(place / "m.keras", tmp_path / "s.csv"),
            input=PIXELS, fps=RATES, styles=["folded", "quant_dense"], scheduler=cluster.scheduler_address, progress=told,
        )  # fmt: skip

    assert [row["key"] for row in made] == [row["key"] for row in table.read(place / "s.csv")]
    assert [row["lut"] for row in made] == [row["lut"] for row in table.read(place / "s.csv")]
