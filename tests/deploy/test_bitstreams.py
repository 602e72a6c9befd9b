"""From a model to a bitstream for a board of each family, with the real tools; and what is said when it fails."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import bnn2hw
from bnn2hw import tools
from bnn2hw.backends.design import Design
from bnn2hw.cli.main import main
from bnn2hw.dataflow import connect, insert
from bnn2hw.deploy import bitstream, pll, serial_shell
from bnn2hw.errors import DoesNotFitError, InputError
from bnn2hw.folding import search
from bnn2hw.simulation import simulate
from bnn2hw.synthesis import fit, gate_level, synthesize, toolchains
from bnn2hw.synthesis.usage import Cells, Usage
from bnn2hw.targets import boards, devices, families
from bnn2hw.targets.boards import Board
from tests.support import EXAMPLES
from tests.support import networks as net
from tests.support.machine import found_or_skip, package_or_skip

LONG = ("tangnano9k", "ulx3s")
"""Boards of the long runs. The tools of their families run by default in
`test_a_device_without_a_board_is_measured_through_few_pins` and in tests/synthesis."""

ONE_OF_EACH = ("icebreaker", *(pytest.param(name, marks=pytest.mark.soak) for name in LONG))


@pytest.fixture(scope="module")
def tiny() -> bnn2hw.Accelerator:
    model = net.chain((8,), net.dense(4, input_quantizer=None), net.norm(), net.dense(3), name="tiny")
    return bnn2hw.compile(model, input=bnn2hw.Input("uint4"), output="class", fps=1000)


def need(board: Board) -> None:
    router, _ = toolchains.router(board.device)
    found_or_skip(tools.yosys)
    found_or_skip(lambda: tools.nextpnr(router.architecture))
    found_or_skip(lambda: tools.packer(router.packer, router.packer_package))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_bitstream_in_one_command(tiny: bnn2hw.Accelerator, name: str, tmp_path: Path) -> None:
    need(boards.board(name))
    tiny.write(tmp_path / "built")

    done = run("synth", tmp_path / "built", "--board", name, "-o", tmp_path / "out", "--json")

    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["fmax_mhz"] >= facts["clock_mhz"] == pytest.approx(boards.board(name).clock_mhz)
    assert facts["lut"] == sum(layer["lut"] for layer in facts["layers"].values()) > 0
    written = tmp_path / "out" / facts["bitstream"]
    assert written.stat().st_size > 10_000
    assert json.loads((tmp_path / "out" / "usage.json").read_text())["state"] == "done"
    assert json.loads((tmp_path / "out" / "link.json").read_text())["board"] == name
    assert {p.name for p in (tmp_path / "out").glob("*.log")} >= {"yosys.log", "nextpnr.seed1.log"}


# By default, tests of sources and of seeds compare the bytes of each step.
@pytest.mark.soak
def test_two_clean_runs_give_the_same_bytes(tmp_path: Path) -> None:
    need(boards.board("icebreaker"))
    net.chain((8,), net.dense(4, input_quantizer=None), net.norm(), net.dense(3)).save(tmp_path / "m.keras")
    made = []
    for name in ("one", "two"):
        accelerator = bnn2hw.compile(
            tmp_path / "m.keras", input=bnn2hw.Input("uint4"), output="class", fps=1000
        )
        used = accelerator.synthesize(tmp_path / name, board="icebreaker")
        made.append(
            {p.name: p.read_bytes() for p in (tmp_path / name).glob("*.sv")}
            | {"": used.bitstream.read_bytes()}
        )

    assert made[0] == made[1]
    assert len(made[0]) > 10


def test_a_device_without_a_board_is_measured_through_few_pins(
    tiny: bnn2hw.Accelerator, tmp_path: Path
) -> None:
    need(boards.board("tangnano9k"))

    used = tiny.synthesize(tmp_path, target="gw1nr-9")

    assert used.fmax_mhz > 20
    assert used.bitstream.name == "design.fs"
    assert not (tmp_path / "link.json").exists()


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.soak)], ids=["counts given", "mapped"])
def mapped(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """False where Yosys does not map, and the counts of all cells are given. The long runs map.

    tests/synthesis maps designs for these families by default.
    """
    given = Usage(900, 40, 0, 0, 0, {"LUT4": 900, "FDRE": 40}, {"x": Cells(900, 40, 0, 0, 0)})
    if not request.param:
        monkeypatch.setattr(synthesize, "area", lambda *_, **__: given)
    return request.param


@pytest.mark.usefixtures("mapped")
def test_xilinx_is_an_area_and_says_so(tiny: bnn2hw.Accelerator, tmp_path: Path) -> None:
    need(boards.board("ulx3s"))
    tiny.write(tmp_path / "built")

    done = run("synth", tmp_path / "built", "--target", "xc7z020", "-o", tmp_path / "out")

    assert done.exit_code == 0, done.output
    assert "area only: the vendor's tool places and routes this family" in done.output
    assert "MHz" not in done.output
    used = json.loads((tmp_path / "out" / "usage.json").read_text())
    assert used["ff"] == sum(n for cell, n in used["cells"].items() if cell.startswith("FD")) > 0
    assert used["lut"] >= sum(n for cell, n in used["cells"].items() if re.fullmatch("LUT[1-6]", cell)) > 0
    assert sum(layer["lut"] for layer in used["layers"].values()) == used["lut"]


@pytest.mark.parametrize(
    ("name", "cell", "luts"), [("xc7z020", "CARRY4", 4), ("xczu5ev", "CARRY8", 8), ("xczu5ev", "CARRY4", 4)]
)
def test_a_slice_has_one_carry_cell(name: str, cell: str, luts: int) -> None:
    """A short chain takes the carry cell of a whole slice, so a device may run out of these before it does of LUTs."""
    device = devices.device(name)
    most = device.lut // luts

    fit.check_mapped(Usage(2 * most, 0, most, 0, 0, cells={cell: most}, layers={}), device)

    with pytest.raises(
        DoesNotFitError, match=rf"needs [\d,]+ LUT in slices with a carry cell of {device.lut:,} of {name}"
    ):
        fit.check_mapped(Usage(2 * most, 0, most, 0, 0, cells={cell: most + 1}, layers={}), device)


def test_what_does_not_fit_names_a_rate_that_does(mapped: bool, tmp_path: Path) -> None:
    need(boards.board("icebreaker"))
    model = net.chain((64,), net.dense(32, input_quantizer=None), net.norm(), net.dense(10))
    large = bnn2hw.compile(model, input=bnn2hw.Input("uint4"), fps=200_000, target="ice40-up5k")
    cramped = replace(devices.device("ice40-up5k"), lut=int(0.8 * large.estimate().cost.lut))

    with pytest.raises(DoesNotFitError) as caught:
        bitstream.implement(large, cramped, tmp_path)

    told = str(caught.value)
    found = re.search(
        r"needs [\d,]+ LUT of [\d,]+ of ice40-up5k; a folding for ([\d,]+) fps at 24 MHz is pred", told
    )
    assert found, told
    fps = float(found[1].replace(",", ""))
    smaller = bnn2hw.compile(model, input=bnn2hw.Input("uint4"), fps=fps, target="ice40-up5k")
    if mapped:
        assert synthesize.area(smaller.design, cramped.family, tmp_path / "smaller").lut <= cramped.lut
    assert smaller.estimate().cost.lut < cramped.lut
    assert json.loads((tmp_path / "usage.json").read_text())["state"] == "unfinished"
    assert not list(tmp_path.glob("design.*"))


def test_what_the_placer_finds_too_large_is_told_from_its_log() -> None:
    log = (
        "Info: \t         ICESTORM_LC:    5564/   5280   105%\nInfo: \t        ICESTORM_RAM:      28/     30    93%\n"
        "ERROR: Failed to expand region (0, 0) |_> (25, 31) of 5564 ICESTORM_LCs\n"
    )

    with pytest.raises(
        DoesNotFitError, match=r"^the design needs 5,564 ICESTORM_LC of 5,280 of ice40-up5k; "
    ):
        fit.check_placed(log, devices.device("ice40-up5k"))

    log = (
        "Info: \t         ICESTORM_LC:    3907/   5280    73%\n"
        "ERROR: Unable to find legal placement for all cells, design is probably at utilisation limit.\n"
    )
    with pytest.raises(
        DoesNotFitError, match=r"3,907 ICESTORM_LC of 5,280 of ice40-up5k, and nextpnr found no place"
    ):
        fit.check_placed(log, devices.device("ice40-up5k"))


def test_fifos_are_removed_and_inserted_again(tiny: bnn2hw.Accelerator) -> None:
    bare = insert.remove_fifos(tiny.graph)

    assert len(bare.nodes) < len(tiny.graph.nodes)
    assert search.of(connect.connect(bare)) == search.of(tiny.graph)


@pytest.mark.parametrize("board", [b for b in boards.known().values() if b.serial], ids=lambda b: b.name)
def test_every_pin_of_every_board_is_placed(tiny: bnn2hw.Accelerator, board: Board) -> None:
    made = serial_shell.on_board(tiny.design, board)
    top = made.design.files["bnn2hw_board.sv"]
    ports = set(re.findall(r"^    (?:input  logic|output logic) (\w+)", top, re.MULTILINE))
    constraints, wiring = made.design.files[made.constraints], board.wiring

    placed = dict(re.findall(r'(?:LOCATE COMP|IO_LOC) "(\w+)" (?:SITE )?"?(\w+)"?;', constraints))
    placed |= dict(re.findall(r"^set_io (?:-pullup yes )?(\w+) (\w+)$", constraints, re.MULTILINE))

    assert set(placed) == ports == {"clk_in", "rx", "tx", "led", *wiring.held_high}
    assert len(set(placed.values())) == len(placed)
    assert (placed["clk_in"], placed["rx"], placed["tx"]) == (wiring.clock, wiring.rx, wiring.tx)
    assert made.clock_mhz == pytest.approx(board.clock_mhz)


@pytest.mark.parametrize("name", ["ecp5-25k", "ice40-up5k", "gw1nr-9", "gw2ar-18"])
@pytest.mark.parametrize("clock", [20, 24, 33.3, 48, 66])
def test_pll_settings_make_the_clock_that_they_say(name: str, clock: float) -> None:
    found = pll.solve(devices.device(name), 25, clock)
    s = found.settings
    made = {
        "EHXPLLL": lambda: 25 / s["CLKI_DIV"] * s["CLKFB_DIV"],
        "SB_PLL40": lambda: 25 / (s["DIVR"] + 1) * (s["DIVF"] + 1) / 2 ** s["DIVQ"],
        "rPLL": lambda: 25 / (s["IDIV_SEL"] + 1) * (s["FBDIV_SEL"] + 1),
    }[found.primitive]()

    assert made == pytest.approx(found.mhz)
    assert 0.9 * clock <= found.mhz <= clock + 1e-6


def test_a_clock_that_is_the_oscillators_needs_no_pll_and_some_cannot_be_made() -> None:
    assert pll.solve(devices.device("ecp5-25k"), 25, 25) is None
    with pytest.raises(
        InputError, match=r"^no setting of the SB_PLL40 PLL of ice40-up5k makes 5000 MHz from 12"
    ):
        pll.solve(devices.device("ice40-up5k"), 12, 5000)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--board", "nexys"), "error: unknown board 'nexys'; known boards: "),
        (
            ("--target", "ecp5-25k", "--baud", "9600"),
            "error: a baud rate is for a board's serial line; name a board",
        ),
        (
            ("--board", "ulx3s", "--baud", "20000000"),
            "error: 20,000,000 bit/s are too fast for a clock of 75 MHz",
        ),
        (
            ("--board", "ulx3s", "--clock", "5"),
            "error: no setting of the EHXPLLL PLL of ecp5-85k makes 5 MHz",
        ),
    ],
)
def test_options_that_cannot_be(
    tiny: bnn2hw.Accelerator, options: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    tiny.write(tmp_path / "built")

    done = run("synth", tmp_path / "built", *options, "-o", tmp_path / "out")

    assert done.exit_code == 2
    assert expected in done.stderr
    assert "Traceback" not in done.output


def test_a_folder_with_other_files_is_left_alone(tiny: bnn2hw.Accelerator, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")

    with pytest.raises(
        InputError, match=r"is not empty and was not written by synthesis; name another or empty it$"
    ):
        tiny.synthesize(tmp_path, board="icebreaker")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_boards_are_listed() -> None:
    rows = json.loads(run("boards", "--json").stdout)

    assert [r["name"] for r in rows] == list(boards.known())
    assert all(name in run("boards").output for name in boards.known())
    assert {r["name"]: r["uses"] for r in rows}["pynq-z2"] == ["Vivado project, PYNQ driver"]
    assert {r["name"]: r["uses"] for r in rows}["ulx3s"] == ["bitstream with a serial line"]


# By default, tests/synthesis/test_gate_level.py simulates a netlist of a layer of this family, and whole networks of others.
# A run of all 450 images is so long that the simulator is worth an optimization.
@pytest.mark.soak
@pytest.mark.parametrize(("count", "right"), [(60, 0.9), (450, 0.95)])
def test_the_netlist_of_a_digits_network_is_exact_on_the_test_set(
    count: int, right: float, tmp_path: Path
) -> None:
    """The netlist for iCE40, with Yosys' models of the cells, computes what was verified."""
    need(boards.board("icebreaker"))
    sklearn = package_or_skip("sklearn.datasets")
    from sklearn.model_selection import train_test_split

    data = sklearn.load_digits()
    x = data.images.astype("uint8")[..., None]
    _, x, _, y = train_test_split(x, data.target, test_size=0.25, random_state=1, stratify=data.target)
    x, y = x[:count], y[:count]
    accelerator = bnn2hw.compile(
        EXAMPLES / "digits.keras", input=bnn2hw.Input("uint5"), target="ice40-up5k", fps=20_000
    )
    netlist: Design = gate_level.of(accelerator.design, families.family("ice40"), tmp_path)

    run = simulate.simulate(
        netlist, accelerator.graph, accelerator.integers(x), accelerator.estimate().cycles, stalls=0.1
    )

    assert "SB_LUT4" in netlist.files["netlist.sv"]
    run.check()
    assert len(x) == count
    assert (run.outputs.reshape(-1) == y).mean() > right
