"""Files of devices and boards that are wrong: each is refused as it is read, with the key and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bnn2hw.errors import Bnn2hwError, InputError
from bnn2hw.targets import boards, devices
from bnn2hw.targets.records import DATA

DEVICE = (DATA / "devices" / "ecp5-25k.toml").read_text()
GOWIN = (DATA / "devices" / "gw1nr-9.toml").read_text()
BOARD = (DATA / "boards" / "ulx3s.toml").read_text()
VIVADO = (DATA / "boards" / "pynq-z2.toml").read_text()


def with_line(text: str, key: str, line: str) -> str:
    """A file in which the first line of a key is another one."""
    changed = re.sub(rf"^{key} = .*$", lambda _: line, text, count=1, flags=re.MULTILINE)
    assert changed != text
    return changed


def refusal(path: Path) -> str:
    """The words in which a file is refused, as a device or as a board."""
    with pytest.raises(Bnn2hwError) as caught:
        boards.board(path) if path.stem == "board" else devices.device(path)
    assert isinstance(caught.value, InputError)
    return str(caught.value)


CLOCKS = "a number of at least 1 and at most 10,000"


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("clock_mhz", "inf", f"clock_mhz = inf; allowed: {CLOCKS}"),
        ("clock_mhz", "nan", f"clock_mhz = nan; allowed: {CLOCKS}"),
        ("clock_mhz", "100_000_000", f"clock_mhz = 100000000; allowed: {CLOCKS}"),
        ("clock_mhz", "1" + 400 * "0", f"; allowed: {CLOCKS}"),
        ("clock_mhz", "true", f"clock_mhz = True; allowed: {CLOCKS}"),
        ("lut", "1" + 400 * "0", "; allowed: a whole number of at least 1 and at most 1,000,000,000"),
        ("bram", "-1", "bram = -1; allowed: a whole number of at least 0"),
        ("family", "'virtex'\nvitis_part = 'a; b'", "vitis_part = 'a; b' cannot stand in a script"),
        ("package", "['--package', '\\\\u0000']", "cannot stand in a script; allowed: letters, digits"),
        ("arguments", "['--25k']\npins = ['1', '2']", "part.pins = ['1', '2']; allowed: 3 different pins"),
        (
            "arguments",
            "['--25k']\npins = ['1', '2', '1']",
            "allowed: 3 different pins, the first one for a clock",
        ),
    ],
)
def test_a_device(tmp_path: Path, key: str, value: str, told: str) -> None:
    (tmp_path / "own.toml").write_text(with_line(DEVICE, key, f"{key} = {value}"))

    assert told in refusal(tmp_path / "own.toml")


def test_a_part_without_a_name_for_its_packer(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(with_line(GOWIN, "packed_as", ""))

    assert "part.packed_as: missing; gowin_pack needs it" in refusal(tmp_path / "own.toml")


def test_missing_keys_are_told_with_their_limits(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("")

    assert f"clock_mhz: missing; allowed: {CLOCKS}" in refusal(tmp_path / "own.toml")


@pytest.mark.parametrize(
    ("key", "line", "told"),
    [
        ("tx", 'tx = "M1"', "serial.tx = 'M1': serial.rx has this pin; each pin is placed once"),
        ("tx", 'tx = "m1"', "serial.tx = 'm1': serial.rx has this pin"),
        ("led", 'led = "G2"', "serial.led = 'G2': serial.clock has this pin"),
        ("held_high", 'held_high = { a = "B2" }', "serial.held_high.a = 'B2': serial.led has this pin"),
        ("held_high", 'held_high = { "a b" = "L2" }', "serial.held_high.a b: allowed: a name for the port"),
        (
            "held_high",
            'held_high = { locked = "L2" }',
            "serial.held_high.locked: allowed: a name for the port",
        ),
        ("rx", 'rx = ""', "serial.rx = ''; allowed: the name of a pin, such as G2 or 35"),
        ("rx", 'rx = "M1 M2"', "serial.rx = 'M1 M2'; allowed: the name of a pin"),
        ("rx", "rx = 'M1\"'", "serial.rx = 'M1\"' cannot stand in a script"),
        ("oscillator_mhz", "oscillator_mhz = nan", f"serial.oscillator_mhz = nan; allowed: {CLOCKS}"),
        ("title", 'title = "a\\nendmodule"', "allowed: a line of text without a backslash"),
        ("title", "title = 'a\\'", "allowed: a line of text without a backslash"),
        ("program", "program = 'sh -c \"x; y\"'", "cannot stand in a script; allowed: letters, digits"),
        ("device", "device = 'nope'", "xczu5ev, or the path of a device's .toml file"),
    ],
)
def test_a_board(tmp_path: Path, key: str, line: str, told: str) -> None:
    (tmp_path / "board.toml").write_text(with_line(BOARD, key, line))

    assert told in refusal(tmp_path / "board.toml")


def test_a_board_and_a_device_that_are_mixed_up(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(VIVADO)
    (tmp_path / "board.toml").write_text(DEVICE)

    assert refusal(tmp_path / "own.toml").endswith("own.toml' describes a board; give it as board=")
    assert refusal(tmp_path / "board.toml").endswith("board.toml' describes a device; give it as target=")


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    for coding in ("utf-16", "latin-1"):
        (tmp_path / "own.toml").write_bytes(f"# é\n{DEVICE}".encode(coding))
        assert refusal(tmp_path / "own.toml").endswith("save it in UTF-8")


def test_a_mark_of_the_encoding_is_read_over(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(DEVICE, "utf-8-sig")
    (tmp_path / "board.toml").write_text(BOARD.replace("ecp5-85k", "own.toml"), "utf-8-sig")

    assert boards.board(tmp_path / "board.toml").device == devices.device(tmp_path / "own.toml")


def test_whatever_is_read_from_a_file_is_read_back_from_a_build(tmp_path: Path) -> None:
    """Nothing is compiled that its own build folder refuses: a title may have any letters."""
    title = "title = \"Bürö's board (№ 2) <&>\"\nmemory = '64 MB − 2 µs'"
    (tmp_path / "own.toml").write_text(DEVICE)
    lines = with_line(with_line(BOARD, "memory", ""), "title", title)
    (tmp_path / "board.toml").write_text(lines.replace("ecp5-85k", "own.toml"))

    made = boards.board(tmp_path / "board.toml")

    assert boards.from_facts(boards.facts(made)) == made
    assert devices.from_facts(devices.facts(made.device)) == made.device
