"""Devices and boards of the user's own, from TOML files, in every call that takes a name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import bnn2hw
from bnn2hw.artifacts import build_folder
from bnn2hw.cli.main import main
from bnn2hw.deploy import board_plan, serial_shell
from bnn2hw.errors import DoesNotFitError, FoldingError, InputError
from bnn2hw.targets import boards, devices
from bnn2hw.targets.records import DATA
from tests.support import EXAMPLES
from tests.support import networks as net

SIGNS = bnn2hw.Input("bipolar")


def model() -> object:
    return net.chain((8,), net.dense(4, name="first"), net.norm(), net.dense(3, name="last"), name="m")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with own.toml, a smaller ECP5 at 40 MHz, and desk.toml, a board with it at 50 MHz."""
    device = (DATA / "devices" / "ecp5-25k.toml").read_text()
    lines = ["clock_mhz = 40" if n.startswith("clock_mhz") else n for n in device.splitlines()]
    (tmp_path / "own.toml").write_text("\n".join(["lut = 9999" if n.startswith("lut") else n for n in lines]))
    board = (DATA / "boards" / "ulx3s.toml").read_text().replace('"ecp5-85k"', '"own.toml"')
    (tmp_path / "desk.toml").write_text(board)
    return tmp_path


def test_a_device_by_its_path_is_kept_in_the_build(own: Path) -> None:
    acc = bnn2hw.compile(model(), input=SIGNS, target=str(own / "own.toml"))
    same = bnn2hw.compile(model(), input=SIGNS, target=own / "own.toml")
    folder = acc.write(own / "b")
    (own / "own.toml").unlink()

    loaded = bnn2hw.load(folder)

    assert (acc.device.name, acc.device.lut, acc.device.clock_mhz) == ("own", 9999, 40)
    assert acc.device == same.device == loaded.device == build_folder.read(folder)[1].device
    assert str(loaded) == str(acc)
    assert "at 40 MHz" in str(acc)


def test_a_board_by_its_path_plans_for_its_device_and_clock(own: Path) -> None:
    acc = bnn2hw.compile(model(), input=SIGNS, board=own / "desk.toml")
    board = boards.board(own / "desk.toml")

    assert acc.device == board_plan.device(board)
    assert (acc.device.name, acc.device.lut) == ("own", 9999)
    assert acc.device.clock_mhz == board.clock_mhz
    assert bnn2hw.load(acc.write(own / "b")).device == acc.device
    assert serial_shell.on_board(acc.design, board).link.board == "desk"
    assert boards.named(str(own / "desk.toml"), None, acc.device) == board


def test_a_vivado_board_of_ones_own_is_in_the_project(own: Path) -> None:
    board = (DATA / "boards" / "pynq-z2.toml").read_text().replace("xc7z020clg400-1", "xc7z020clg484-2")
    (own / "bench7.toml").write_text(board)

    acc = bnn2hw.compile(model(), input=SIGNS, board=own / "bench7.toml")
    written = acc.write(own / "b")
    again = bnn2hw.load(written).write(own / "c")

    for folder in (written, again):
        script = (folder / "amd" / "project.tcl").read_text()
        assert "  bench7 {\n    set part xc7z020clg484-2\n" in script
        assert '[lindex $argv 0] : "bench7"}' in script
        assert "  pynq-z2 {" in script


def test_the_command_line_takes_paths(own: Path) -> None:
    net.chain((8,), net.dense(4), net.norm(), net.dense(3)).save(own / "m.keras")
    bipolar = ("--input", "bipolar", "--json")

    device = run("estimate", own / "m.keras", *bipolar, "--target", own / "own.toml")
    board = run("estimate", own / "m.keras", *bipolar, "--board", own / "desk.toml")
    both = run("estimate", own / "m.keras", *bipolar, "--board", "ulx3s", "--target", "ecp5-85k")

    assert (json.loads(device.stdout)["device"], json.loads(device.stdout)["clock_mhz"]) == ("own", 40)
    assert json.loads(board.stdout)["device"] == "own"
    assert both.stderr == "error: name a board or a target, not both: a board has its device\n"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("lut = 9999", "lut = 0"), "lut = 0; allowed: a whole number of at least 1"),
        (('family = "ecp5"', 'family = "mine"'), "family = 'mine'; allowed: "),
        (("lut = 9999", "luts = 9999"), "luts: unknown key; allowed: "),
    ],
)
def test_own_files_get_the_checks_of_ours(own: Path, change: tuple[str, str], told: str) -> None:
    path = own / "own.toml"
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change))

    for options in ({"target": path}, {"board": own / "desk.toml"}):
        with pytest.raises(InputError) as caught:
            bnn2hw.compile(model(), input=SIGNS, **options)
        assert f"'{path}' cannot be used:" in str(caught.value)
        assert told in str(caught.value)


def test_files_that_are_not_there(own: Path) -> None:
    (own / "a b.toml").write_text((own / "own.toml").read_text())

    with pytest.raises(InputError, match=r"none.toml' cannot be read: No such file"):
        bnn2hw.compile(model(), input=SIGNS, target=str(own / "none.toml"))
    with pytest.raises(InputError, match=r"the name 'a b': allowed: letters, digits"):
        devices.device(own / "a b.toml")
    (own / "own.toml").unlink()
    with pytest.raises(InputError, match=r"own.toml' cannot be read: No such file"):
        boards.board(own / "desk.toml")


def test_a_plan_for_a_board_without_a_rate_is_for_its_line() -> None:
    acc = bnn2hw.compile(
        EXAMPLES / "mnist.keras", input=bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1), board="ulx3s"
    )
    line = board_plan.line_rate(boards.board("ulx3s"), acc.graph) or 0

    assert line <= acc.estimate().fps
    assert acc.estimate().cost.lut < 0.1 * acc.device.lut
    assert acc.device.clock_mhz == boards.board("ulx3s").clock_mhz


def test_a_model_is_planned_again_if_its_design_is_too_large(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net.chain((8,), net.dense(4), net.norm(), net.dense(3)).save(own / "m.keras")
    asked: list[float] = []

    def synthesize(acc: bnn2hw.Accelerator, *_: object, **__: object) -> object:
        asked.append(float(acc.options.get("fps", 0)))
        raise DoesNotFitError("d", {"LUT": (2, 1)}, fps=1000.0 / len(asked))

    monkeypatch.setattr(bnn2hw.Accelerator, "synthesize", synthesize)
    command = ("synth", own / "m.keras", "--input", "bipolar", "--board", "icebreaker", "-o", own / "out")
    free, bound = run(*command), len(asked)
    run(*command, "--fps", "500")

    assert free.exit_code == 2
    assert asked[:bound] == [0, 1000, 500]
    assert asked[bound:] == [500]


@pytest.mark.parametrize("clock", [24, 100, 66.6, 7.3])
@pytest.mark.parametrize("interval", [1, 3, 169, 784, 99_999, 123_456_789, 10**12])
def test_rates_in_messages_are_rates_that_are_reached(clock: float, interval: int) -> None:
    from bnn2hw.folding import search

    fps = float(search.rate(clock, interval))

    assert int(clock * 1e6 / fps) >= interval
    assert fps > 0.998 * clock * 1e6 / interval


def test_the_advice_of_a_message_is_followed() -> None:
    with pytest.raises(FoldingError) as caught:
        bnn2hw.compile(model(), input=SIGNS, fps=1e12)
    fps = float(str(caught.value).split("ask for at most ")[1].split()[0])

    assert bnn2hw.compile(model(), input=SIGNS, fps=fps).estimate().fps >= fps


def test_one_knob_leaves_the_other_to_the_search() -> None:
    made = net.chain((64,), net.dense(32, name="wide"), net.norm(), net.dense(4, name="last"))

    free = bnn2hw.compile(made, input=SIGNS, folding={"wide": {"pe": 2}})
    asked = bnn2hw.compile(made, input=SIGNS, folding={"wide": {"pe": 2}}, fps=100e6 / 100)
    both = bnn2hw.compile(made, input=SIGNS, folding={"wide": {"pe": 2, "simd": 1}})

    assert free.folding()["wide"] == {"pe": 2, "simd": 64}
    assert asked.folding()["wide"] == {"pe": 2, "simd": 11}
    assert both.folding()["wide"]["simd"] == 1
    assert free.estimate().cycles.interval == 16


def test_what_is_wrong_with_a_value() -> None:
    def told(value: object) -> str:
        with pytest.raises(FoldingError) as caught:
            bnn2hw.compile(model(), input=SIGNS, folding={"first": {"pe": value}})
        return str(caught.value).split(";")[0]

    assert told(0) == "layer 'first': pe=0 is too small"
    assert told(99) == "layer 'first': pe=99 is more than there is to do"
    assert told("2") == "layer 'first': pe='2' is not a whole number"
