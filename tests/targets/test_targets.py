"""The records of families, devices and boards: how they are read, and what each of them owes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bnn2hw.backends import verilog
from bnn2hw.data_files import data_dir
from bnn2hw.deploy import pll, serial_shell
from bnn2hw.errors import InputError
from bnn2hw.ir import BIPOLAR, Tensor
from bnn2hw.ops import HARDWARE_OPS, Fifo, Xnor
from bnn2hw.synthesis import toolchains
from bnn2hw.targets import boards, devices, families
from bnn2hw.targets.records import DATA, read
from tests.support import alone

FAMILIES = families.known().values()


# ---- the reader


@dataclass(frozen=True)
class Inner:
    depth: int = field(metadata={"least": 1})
    kind: str = "plain"


@dataclass(frozen=True)
class Outer:
    name: str
    size: float
    pair: tuple[int, int]
    inner: Inner | None = None
    words: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)


def made(text: str, folder: Path) -> Outer:
    path = folder / "thing.toml"
    path.write_text(text)
    return read(path, Outer)


def test_a_record_is_read_with_its_types(tmp_path: Path) -> None:
    text = 'size = 2\npair = [3, 4]\nwords = ["a"]\ninner = {depth = 1}\n[figures]\nadd.state = 1\nmac.sum = 0.5\n'

    found = made(text, tmp_path)

    assert found == Outer("thing", 2.0, (3, 4), Inner(1), ("a",), {"add.state": 1.0, "mac.sum": 0.5})
    assert isinstance(found.size, float)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pair = [1, 2]", ["size: missing; allowed: a number"]),
        ("size = 'x'\npair = [1, 2]", ["size = 'x'; allowed: a number"]),
        ("size = true\npair = [1, 2]", ["size = True; allowed: a number"]),
        ("size = 1\npair = [1]", ["pair = [1]; allowed: a list of 2: a whole number, a whole number"]),
        ("size = 1\npair = [1, 2.5]", ["pair[1] = 2.5; allowed: a whole number"]),
        (
            "size = 1\npair = [1, 2]\nlut = 3",
            ["lut: unknown key; allowed: size, pair, inner, words, figures"],
        ),
        ("size = 1\npair = [1, 2]\nname = 'x'", ["name: not allowed; the file's own name is the name"]),
        ("size = 1\npair = [1, 2]\ninner = {}", ["inner.depth: missing; allowed: a whole number"]),
        (
            "size = 1\npair = [1, 2]\ninner = {depth = 0}",
            ["inner.depth = 0; allowed: a whole number of at least 1"],
        ),
        (
            "size = 1\npair = [1, 2]\ninner = {depth = 1, kind = 2}",
            ["inner.kind = 2; allowed: a text in quotes"],
        ),
        ("size = 1\npair = [1, 2]\nwords = 'x'", ["words = 'x'; allowed: a list, each a text in quotes"]),
        ("size = 1\npair = [1, 2]\nfigures = 3", ["figures = 3; allowed: a table, each value a number"]),
        ("size = 1\npair = [1, 2]\n[figures]\na.b = 'x'", ["figures.a.b = 'x'; allowed: a number"]),
        ("pair = 1\nlut = 2", ["size: missing", "pair = 1; allowed: a list of 2", "lut: unknown key"]),
    ],
)
def test_all_that_is_wrong_with_a_record_is_named(text: str, told: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        made(text, tmp_path)

    assert str(caught.value).startswith(f"'{tmp_path / 'thing.toml'}' cannot be used:\n  - ")
    for part in told:
        assert f"  - {part}" in str(caught.value)


def test_a_file_that_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"thing\.toml' is not valid TOML: "):
        made("size = ", tmp_path)
    with pytest.raises(InputError, match=r"none\.toml' cannot be read: No such file"):
        read(tmp_path / "none.toml", Outer)


# ---- families


def test_every_coefficient_of_a_record_is_asked_for() -> None:
    """A misspelled role would be ignored in silence."""
    asked: set[str] = set()

    class Spy(families.Family):
        def coefficient(self, role: str, four: float, six: float) -> float:
            asked.add(role)
            return super().coefficient(role, four, six)

    for family in FAMILIES:
        spy = Spy(**vars(family))
        for kind in HARDWARE_OPS:
            for op, x in kind.examples():
                for other in (op, *list(op.foldings(*x))[:20]):
                    other.cost(spy, *x)

    assert {role for f in FAMILIES for role in f.coefficients} <= asked


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_what_a_record_names_is_there(family: families.Family) -> None:
    templates = data_dir("templates")

    assert family.mapper is None or toolchains.mapper(family) is family.mapper
    models = (templates / "verilog" / "cells", templates / "blocks")
    assert all(any((m / f"{cell}.sv.j2").is_file() for m in models) for cell in family.cells)
    assert all(
        (templates / "blocks" / f"{cell}.sv.j2").is_file()
        for cell in (family.mapper.blocks if family.mapper else ())
    )
    assert all((templates / "boards" / "pll" / f"{name}.sv.j2").is_file() for name in family.plls)
    if family.router:
        assert (templates / "boards" / f"board{family.router.constraints_suffix}.j2").is_file()
    if family.calibration:
        assert set(family.calibration.ops) <= {op.kind for op in HARDWARE_OPS}


def test_a_familys_own_coefficient_comes_before_that_of_its_luts() -> None:
    small, large = families.family("ice40"), families.family("xilinx")

    assert small.coefficient("affine.clamp", 1.0, 0.3) == 1.5
    assert small.coefficient("affine.control", 3, 1) == 3
    assert large.coefficient("affine.clamp", 1.0, 0.3) == 0.3


def test_sources_for_any_maker_name_no_cell() -> None:
    """The target "generic" has the portable form of every module."""
    generic, portable = families.family("generic"), None
    cells = {cell for f in FAMILIES for cell in f.cells}

    for kind in HARDWARE_OPS:
        op, x = next(iter(kind.examples()))
        files = verilog.render(alone(op, *x), family=generic).files
        assert not cells & set(re.findall(r"\w+", " ".join(files.values())))
        bare = {n: text.split("\n\n", 1)[-1] for n, text in files.items()}
        other = verilog.render(alone(op, *x), family=portable).files
        assert bare.keys() == other.keys()
    with pytest.raises(InputError, match="no synthesis for the family 'generic'; there is one for "):
        toolchains.mapper(generic)


def test_memories_carry_the_attribute_of_their_maker() -> None:
    op, x = next(iter(Xnor.examples()))
    amd, lattice = (
        verilog.render(alone(op, *x), family=families.family(f)).files["bnn2hw_xnor.sv"]
        for f in ("xilinx", "ecp5")
    )

    assert '(* rom_style = FOLDS > 64 && FOLDS * W_BEAT >= 2048 ? "block" : "distributed" *)' in amd
    assert '(* shreg_extract = "no" *) logic [X_BEAT-1:0] group_x;' in amd
    assert "rom_style =" not in lattice.replace("syn_romstyle", "")
    assert "shreg_extract" not in lattice


# ---- devices


def record(kind: str, name: str, folder: Path, *changes: tuple[str, str]) -> Path:
    """A copy of a record of the package with changes."""
    text = (DATA / kind / f"{name}.toml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_a_device_can_be_read_from_any_file(tmp_path: Path) -> None:
    mine = devices.read_device(record("devices", "gw1nr-9", tmp_path))

    assert mine == replace(devices.device("gw1nr-9"), name="mine")


ROUTED = {f.name: d.name for f in FAMILIES if f.router for d in devices.known().values() if d.family is f}


@pytest.mark.parametrize("family", ROUTED)
def test_a_device_without_pll_data_gets_no_pll(family: str, tmp_path: Path) -> None:
    """In each family: the PLL of another device may have other parameters."""
    text = (DATA / "devices" / f"{ROUTED[family]}.toml").read_text()
    path = tmp_path / "third.toml"
    path.write_text(text.split("[pll]")[0])
    device = devices.read_device(path)
    board = next(b for b in boards.known().values() if b.serial and b.device.family.name == family)
    board = replace(board, device=device)
    design = verilog.render(alone(Fifo(), Tensor((4,), BIPOLAR)))
    oscillator = board.wiring.oscillator_mhz

    told = rf"^device 'third' has no PLL data, so its clock is that of the oscillator, {oscillator:g} MHz, not 19 MHz; "
    with pytest.raises(InputError, match=told):
        serial_shell.on_board(design, board, clock_mhz=19, baud=9600)
    made = serial_shell.on_board(design, board, clock_mhz=oscillator, baud=9600)
    assert " pll (" not in made.design.files["bnn2hw_board.sv"]
    assert pll.solve(device, oscillator, oscillator) is None


@pytest.mark.parametrize("family", ROUTED)
def test_a_pll_that_the_family_has_not_is_refused(family: str, tmp_path: Path) -> None:
    [primitive] = families.family(family).plls
    path = record("devices", ROUTED[family], tmp_path, (f'primitive = "{primitive}"', 'primitive = "PLLA"'))

    with pytest.raises(InputError, match=rf"- pll\.primitive = 'PLLA'; allowed: \"{primitive}\"$"):
        devices.read_device(path)


def test_the_parameters_of_a_pll_are_those_that_it_needs(tmp_path: Path) -> None:
    old = 'parameters = { DEVICE = "GW1NR-9C" }'
    with pytest.raises(InputError, match=r"- pll\.parameters\.DEVICE: missing; the primitive rPLL needs it$"):
        devices.read_device(record("devices", "gw1nr-9", tmp_path, (old, "")))
    path = record("devices", "gw1nr-9", tmp_path, ('-9C" }', '-9C", SPEED = "6" }'))
    with pytest.raises(InputError, match=r"- pll\.parameters\.SPEED: unknown key; allowed: DEVICE$"):
        devices.read_device(path)


def test_an_unknown_family_of_a_device(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"- family = 'ecp6'; allowed: {', '.join(families.known())}$"):
        devices.read_device(record("devices", "ecp5-25k", tmp_path, ('"ecp5"', '"ecp6"')))


# ---- boards


def test_a_board_can_be_read_from_any_file(tmp_path: Path) -> None:
    mine = boards.read_board(record("boards", "pynq-z2", tmp_path))

    assert mine == replace(boards.board("pynq-z2"), name="mine")


def test_a_board_that_nothing_can_be_done_with(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('title = "Mine"\ndevice = "xc7z020"\n')
    with pytest.raises(InputError, match=r"it needs a table \[serial\] or a table \[vivado\]$"):
        boards.read_board(path)

    path = record("boards", "ulx3s", tmp_path, ('"ecp5-85k"', '"xc7z020"'))
    with pytest.raises(InputError, match=r"no open tools make a bitstream for device 'xc7z020'$"):
        boards.read_board(path)


@pytest.mark.parametrize("name", [b.name for b in boards.known().values() if b.vivado])
def test_a_board_for_vivado_says_so_when_a_bitstream_is_asked_for(name: str) -> None:
    design = verilog.render(alone(Fifo(), Tensor((4,), BIPOLAR)))

    with pytest.raises(
        InputError, match=rf"^no open tools make a bitstream for board '{name}'; compile with "
    ):
        serial_shell.on_board(design, boards.board(name))
