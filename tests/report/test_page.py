"""The HTML report: what it says, that it is the same each time, and that texts of models stay texts."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw import tables
from bnn2hw.cli.main import main
from bnn2hw.errors import InputError, StorageError
from bnn2hw.estimate import timeline
from bnn2hw.estimate.cycles import pace
from bnn2hw.folding.pareto import Point
from bnn2hw.ir import Cost
from bnn2hw.report import advice, charts, commands, dataflow, facts, rows, words
from bnn2hw.simulation.run import Run
from bnn2hw.synthesis.usage import Cells, Usage
from tests.support import networks as net

HOSTILE = "<script>alert(1)</script>&\\N\"'{{7*7}}"


def chain() -> keras.Model:
    return net.chain(
        (6, 6, 2),
        net.conv(4, name="first"),
        net.norm(name="norm"),
        keras.layers.Flatten(name="flat"),
        net.dense(3, name="last"),
    )


@pytest.fixture(scope="module")
def accelerator() -> bnn2hw.Accelerator:
    return bnn2hw.compile(chain(), input=bnn2hw.Input("bipolar"), fps=1000, output="class")


class Texts(HTMLParser):
    """The tags of a page, and its words."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def test_a_build_folder_has_the_report_and_it_is_the_same_each_time(
    accelerator: bnn2hw.Accelerator, tmp_path: Path
) -> None:
    folder = accelerator.write(tmp_path / "build")

    text = (folder / "report.html").read_text(encoding="utf-8")

    assert text == accelerator.report() == bnn2hw.load(folder).report(tmp_path / "again.html")
    assert text == (tmp_path / "again.html").read_text(encoding="utf-8")
    assert "http" not in re.sub(r'xmlns="http://www.w3.org/[^"]*"|http-equiv', "", text)


def test_the_page_has_every_layer_and_figure(accelerator: bnn2hw.Accelerator) -> None:
    page = Texts()
    page.feed(accelerator.report())
    estimate = accelerator.estimate()

    assert {"first", "last", "Bottleneck.", "Not simulated"} <= set(page.words)
    assert words.count(estimate.fps) in page.words
    assert page.words.count(words.count(estimate.cost.lut)) >= 1
    assert f"--target {accelerator.device.name} --fps 1000" in " ".join(page.words).replace("\\\n    ", "")


def test_names_of_models_are_texts() -> None:
    model = net.chain((4,), net.dense(3, name=HOSTILE.replace("/", "")), name=HOSTILE.replace("/", ""))
    made = bnn2hw.compile(model, input=bnn2hw.Input("bipolar"))
    page = Texts()

    page.feed(replace(made, name=HOSTILE).report())

    assert page.tags.count("script") == 1
    assert page.words.count(HOSTILE) == 1
    assert sum("alert(1)" in w for w in page.words) >= 4  # the heading, the graph and the tables
    assert not any("{{" not in w and "49" in w for w in page.words if "alert" in w)


def test_layers_with_long_names_are_told_apart_in_pictures() -> None:
    start = "encoder_stage_with_an_extremely_long_prefix_block"
    layers = [net.dense(4, name=f"{start}_{n}_dense_layer_of_the_encoder") for n in range(4)]
    model = net.chain((4,), *layers)
    made = facts.collect(bnn2hw.compile(model, input=bnn2hw.Input("bipolar")))

    graph = "".join(dataflow.by_layer(made)["LR"])
    pictures = (graph, "".join(charts.timeline(made, 700, 146)))

    for picture in pictures:
        labels = [text for text in re.findall(r">\W*([^<>]+)</text>", picture) if "_dense" in text]
        assert sorted({re.findall(r"\d", label)[0] for label in labels}) == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("loadable", "words"), [((), ""), (("first",), " --loadable-layer first"), (True, " --loadable")]
)
def test_the_command_that_makes_the_design_again(loadable: tuple[str, ...] | bool, words: str) -> None:
    made = bnn2hw.compile(chain(), input=bnn2hw.Input("bipolar"), fps=1000, folding={}, loadable=loadable)

    assert commands.commands(made)[0] == (
        f"bnn2hw compile MODEL --input bipolar --target {made.device.name} --fps 1000{words} -o build/{made.name}"
    )


def test_the_commands_name_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets").mkdir()
    chain().save("nets/my net.keras")
    np.save("x.npy", np.random.default_rng(0).choice([-1, 1], (3, 6, 6, 2)))
    done = CliRunner().invoke(
        main, ["compile", "nets/my net.keras", "--input", "bipolar", "--calibration", "x.npy", "-o", "b"]
    )
    ran = CliRunner().invoke(main, ["simulate", "b", "--images", "x.npy", "--seed", "5"])
    assert (done.exit_code, ran.exit_code) == (0, 0), done.stderr + ran.stderr
    page = Texts()
    page.feed((tmp_path / "b" / "report.html").read_text(encoding="utf-8"))
    made = bnn2hw.load("b")
    [told] = [t for t in page.words if t.startswith("bnn2hw compile")]

    assert told.replace(" \\\n   ", "").splitlines() == [
        "bnn2hw compile 'nets/my net.keras' --input bipolar --target ecp5-85k --calibration x.npy -o build/my_net",
        "bnn2hw simulate build/my_net --images x.npy --frames 3 --seed 5",
        "bnn2hw synth build/my_net -o build/my_net_synth",
    ]
    assert f"SHA-256 {made.made_from['sha256']}…" in page.words
    assert "keras" in page.words


def test_paths_from_the_root_and_weights_of_another_model_are_not_told(tmp_path: Path) -> None:
    chain().save(tmp_path / "m.keras")
    made = bnn2hw.compile(tmp_path / "m.keras", input=bnn2hw.Input("bipolar"), loadable=True)

    assert made.made_from["model"] == "m.keras"
    assert not made.reload(chain()).made_from


def test_a_smaller_design_has_fewer_luts(accelerator: bnn2hw.Accelerator) -> None:
    cycles = accelerator.estimate().cycles.interval

    def point(slower: int, lut: float) -> Point:
        return Point(cycles * slower, 1e8 / cycles / slower, Cost(lut=lut), {"lut": 0.1}, {}, 0.0)

    def told(*points: Point) -> list[str]:
        ways = advice.advice(facts.collect(accelerator, points)).ways
        return [way.text for way in ways if way.verb == "Smaller"]

    rate = words.count(1e8 / cycles / 4 - 0.5)
    assert told(point(4, 900), point(2, 1200), point(1, 1000)) == [f"{rate} frames/s for 100 LUT fewer"]
    assert told(point(2, 1200), point(1, 1000)) == ["no slower design of the front takes fewer LUTs"]


def test_a_negative_number_stays_with_its_option() -> None:
    command = f"bnn2hw compile {'m' * 40}.keras --offset -1 --fps 3"

    assert words.wrapped(command).splitlines()[1] == "    --offset -1 --fps 3"


def test_runs_and_synthesis_are_shown(accelerator: bnn2hw.Accelerator) -> None:
    streams = {s.name: None for s in accelerator.design.streams}
    run = Run(np.zeros((5, 1)), streams, accelerator.estimate().cycles, stalled=True, stalls=0.25, seed=7)
    used = Usage(98_765, 2, 3, 4, 5, {}, {"first": Cells(43_210, 1, 0, 0, 0)})
    page = Texts()

    page.feed(accelerator.report(runs=[run], usage=used))

    assert {"Bit-exact", "all equal", "98,765", "43,210", "With random stalls"} <= set(page.words)
    assert f"all {len(streams)} streams, 5 frames" in page.words


def test_a_run_that_differs_is_shown_as_such(accelerator: bnn2hw.Accelerator) -> None:
    run = Run(np.zeros((1, 1)), {"first": "stream 'first' differs"}, accelerator.estimate().cycles, False)  # type: ignore[dict-item]
    page = Texts()

    page.feed(accelerator.report(runs=[run]))

    assert {"Differs", "differs", "stream 'first' differs"} <= set(page.words)
    assert "Bit-exact" not in page.words


def test_the_front_is_drawn_where_it_is_given(accelerator: bnn2hw.Accelerator) -> None:
    front = bnn2hw.pareto(accelerator, 2)

    with_front, without = accelerator.report(front=front), accelerator.report()

    assert f"{len(front)} points in all" in with_front
    assert "Rate and size" not in without


def test_places_that_cannot_be_written_are_refused(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        accelerator.report(tmp_path)
    with pytest.raises(StorageError):
        accelerator.report(tmp_path / "missing" / "report.html")


def test_the_timeline_ends_where_the_first_frame_ends(accelerator: bnn2hw.Accelerator) -> None:
    cycles = accelerator.estimate().cycles
    made = timeline.timeline(accelerator.graph, cycles.latency, cycles.interval)
    last = accelerator.graph.wire(accelerator.graph.outputs[0])

    assert made.exact
    assert made.spans[last].last == pace(accelerator.graph, 2).ends[0]


def test_a_long_timeline_comes_in_pieces_that_fit_a_printed_page(
    accelerator: bnn2hw.Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = facts.collect(accelerator)
    monkeypatch.setattr(charts, "PIECE", 1)

    pieces = charts.timeline(found, 700, 146)

    assert len(pieces) == len(found.working) > 1
    assert all(layer.name in piece for layer, piece in zip(found.working, pieces, strict=True))


def test_one_is_told_as_one() -> None:
    model = net.chain((4,), net.dense(3, name="only"))
    made = bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), calibration=np.ones((1, 4)), output="class")

    assert "on 1 calibration frame:" in str(made)
    assert "1 of 1 decision equal" in str(made)


def test_advice_names_the_slowest_op_and_a_rate_that_is_reached(accelerator: bnn2hw.Accelerator) -> None:
    found = facts.collect(accelerator)
    said = advice.advice(found)
    faster = int(said.ways[0].how.removeprefix("--fps "))

    assert all(op.name in said.who for op in found.slow)
    again = bnn2hw.compile(chain(), input=bnn2hw.Input("bipolar"), fps=faster, output="class")
    assert again.estimate().cycles.interval < found.interval


def test_streams_as_busy_as_the_slowest_op_do_not_hide_a_faster_folding() -> None:
    made = bnn2hw.compile(
        chain(), input=bnn2hw.Input("bipolar"), folding={"first": {"pe": 4, "simd": 1}, "last": {"simd": 1}}
    )
    found = facts.collect(made)
    carriers = [(n, n.op) for n in made.graph if isinstance(n.op, facts.PLUMBING)]

    assert any(op.interval(*made.graph.inputs_of(n)) == found.interval for n, op in carriers)
    assert advice.advice(found).ways[0].how.startswith("--fps")


def test_streams_run_from_op_to_op(accelerator: bnn2hw.Accelerator) -> None:
    found = facts.collect(accelerator)
    names = {op.name for op in found.ops}

    assert {end for link in found.links for end in (link.source, link.reader)} <= names
    total = sum((o.cost.lut for o in found.ops), found.plumbing[1].lut)
    assert total == pytest.approx(accelerator.estimate().cost.lut)


def test_branches_stay_in_one_segment() -> None:
    image = keras.Input((4, 4, 2), name="image")
    a = net.conv(2, padding="same", pad_values=1.0, name="left")(image)
    b = net.conv(2, padding="same", pad_values=1.0, name="right")(image)
    model = net.shake(keras.Model(image, keras.layers.Add(name="sum")([a, b]), name="branches"))
    found = facts.collect(bnn2hw.compile(model, input=bnn2hw.Input("bipolar")))
    edges = rows.arrows(found, {op.name: op.layer for op in found.ops})
    names = rows.ordered([layer.name for layer in found.layers], edges)

    parts = rows.segments(names, edges)

    [joined] = [part for part in parts if "left" in part]
    assert {"left", "right"} <= set(joined)
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert len(dataflow.by_layer(found)["LR"]) == len(dataflow.by_layer(found)["TB"])


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (words.share(0.0), "0\u202f%"),
        (words.share(0.0849), "8.5\u202f%"),
        (words.share(0.21), "21\u202f%"),
        (words.share(1e-5), "<0.1\u202f%"),
        (words.deviation(0.012), "1.2\u202f%"),
        (words.deviation(4.2e-5), "42\u202fppm"),
        (words.deviation(None), ""),
        (words.time(113.39), "113.4\u00a0µs"),
        (words.time(1410.0), "1.41\u00a0ms"),
        (words.count(-1234.4), "−1,234"),
        (words.values("-2295…2040", 13), "−2,295…2,040"),
        (words.values("-1000000…1000000", 21), "21 bit"),
        (tables.short("batch_normalization_12", dataflow.LETTERS), "batch_norm_12"),
        (tables.short("a" * 40, dataflow.LETTERS), "a" * 9 + "…" + "a" * 9),
        (words.listed(["a", "b", "c"], 2), "a, b and 1 other"),
    ],
)
def test_figures_are_printed_for_people(printed: str, expected: str) -> None:
    assert printed == expected
