"""The registers of loadable accelerators: an AXI4-Lite master in Verilator, new weights between frames, and what is refused."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import bnn2hw
from bnn2hw.backends import loading
from bnn2hw.deploy import amd
from bnn2hw.simulation import verilator
from tests.support import ROOT
from tests.support import networks as net

PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1.0)
DESIGN, STATUS, FRAMES, IMAGE, WORDS, LOAD, CONTROL = range(0, 0x1C, 4)
OKAY, SLVERR = 0, 2


@cache
def network() -> tuple[bnn2hw.Accelerator, bnn2hw.Accelerator]:
    """A loadable accelerator, and the same hardware with other weights."""
    made = bnn2hw.compile(net.tutorial_like(), input=PIXELS, target="xc7z020", fps=50_000, loadable=True)
    return made, made.reload(net.tutorial_like(seed=1))


def run(script: list[str], folder: Path, seed: int) -> list[str]:
    """Run a script of the AXI master and return what it prints."""
    made, _ = network()
    files = amd.files(made.design, made.graph, made.device, made.name, made.input_specs)
    sources = {n.removeprefix("amd/ip/rtl/"): t for n, t in files.items() if n.startswith("amd/ip/rtl/")}
    for name, text in sources.items():
        if name.endswith(".hex"):
            (folder / name).write_text(text)
    verilog = {n: t for n, t in sorted({**sources, **made.design.bench}.items()) if n.endswith(".sv")}
    binary = verilator.build("bnn2hw_axi", verilog, str(ROOT / "tests" / "deploy" / "axi.cpp"), header="")
    (folder / "script").write_text("\n".join(script) + "\n")
    done = subprocess.run(
        [str(binary), "script", str(seed)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    lines = done.stdout.splitlines()
    assert lines[-1:] == ["done"], done.stdout + done.stderr
    return lines[:-1]


def write(address: int, data: int, strobe: int = 15) -> str:
    return f"write {address:x} {data:x} {strobe:x}"


def read(address: int) -> str:
    return f"read {address:x}"


def frames(folder: Path, name: str, x: np.ndarray) -> str:
    x.astype(np.uint8).tofile(folder / name)
    return f"frames {name} {x[0].size}"


@pytest.mark.parametrize("seed", [1, 2])
def test_new_weights_through_registers(seed: int, tmp_path: Path) -> None:
    old, new = network()
    x = np.random.default_rng(seed).integers(0, 256, (12, 11, 11, 1))
    (tmp_path / "image.bin").write_bytes(new.weight_image().astype("<u4").tobytes())
    number, words = loading.numbered(new.weight_image())[1], len(new.weight_image())

    said = run(
        [
            *map(read, (DESIGN, WORDS, STATUS, IMAGE, FRAMES)),
            frames(tmp_path, "before", x[:6]),
            "drain 2",  # the others are under way when the image comes
            "image image.bin",
            frames(tmp_path, "after", x[6:]),
            "drain 12",
            *map(read, (STATUS, IMAGE, FRAMES)),
        ],
        tmp_path,
        seed,
    )

    assert old.design.load
    assert said[:5] == [f"{old.design.load.design:x} 0", f"{words:x} 0", "0 0", "0 0", "0 0"]
    results = np.array([int(v) for line in said[5:7] for v in line.split()])
    # Frames that had gone in when the image came meet the old weights, all others the new ones.
    switches = [np.concatenate([old.golden(x[:k]), new.golden(x[k:])]) for k in range(2, 7)]
    assert any(np.array_equal(results, s) for s in switches)
    assert not np.array_equal(old.golden(x[6:]), new.golden(x[6:]))
    assert said[7:] == ["0 0", f"{number:x} 0", "c 0"]


def test_what_registers_refuse(tmp_path: Path) -> None:
    old, _ = network()
    x = np.random.default_rng(0).integers(0, 256, (3, 11, 11, 1))
    refused = [
        *(write(a, 1) for a in (DESIGN, STATUS, FRAMES, IMAGE, WORDS, 0x1C, 0x16, 0xFFC)),
        *(write(LOAD, 1, strobe) for strobe in (0, 7, 14)),
        *map(read, (LOAD, CONTROL, 0x1C, 0x3, 0x800)),
    ]

    said = run([*refused, read(STATUS), frames(tmp_path, "x", x), "drain 3"], tmp_path, 3)

    assert said[:11] == [str(SLVERR)] * 11
    assert said[11:16] == [f"0 {SLVERR}"] * 5
    assert said[16] == "0 0", "a refused word took effect"
    assert [int(v) for v in said[17].split()] == old.golden(x).tolist()


def test_a_frame_that_ends_too_early_stays_in_the_status(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(bytes(11 * 11 - 1))  # the last pixel decides nothing

    said = run([read(STATUS), f"frames short {11 * 11 - 1}", *[read(STATUS)] * 4000, "drain 1"], tmp_path, 4)

    status = said[:-1]
    first = status.index("1 0")
    assert set(status[:first]) == {"0 0"}
    assert set(status[first:]) == {"1 0"}


def test_an_image_that_breaks_off(tmp_path: Path) -> None:
    """Refused where the design is another; else all stands still until a whole image has come."""
    old, new = network()
    x = np.random.default_rng(0).integers(0, 256, (2, 11, 11, 1))
    image = new.weight_image()
    whole, torn, late = (tmp_path / n for n in ("whole", "torn", "late"))
    whole.write_bytes(image.astype("<u4").tobytes())
    torn.write_bytes(image[:50].astype("<u4").tobytes())
    late.write_bytes(image[:-1].astype("<u4").tobytes())
    foreign = [write(LOAD, int(image[0]) ^ 1), read(STATUS), write(CONTROL, 0), write(CONTROL, 1)]

    said = run(
        [
            *foreign,
            *[read(STATUS)] * 4000,  # in which the word is taken
            write(CONTROL, 1),
            *[read(STATUS)] * 10,
            read(IMAGE),
            frames(tmp_path, "x", x),
            "drain 2",
            "image torn",
            write(CONTROL, 1),
            *[read(STATUS)] * 10,
            read(IMAGE),
            "image late",
            write(CONTROL, 1),
            *[read(STATUS)] * 10,
            read(IMAGE),
            frames(tmp_path, "x", x),
            "image whole",
            "drain 4",
            read(STATUS),
        ],
        tmp_path,
        4,
    )

    assert said[:4] == ["0", "c 0", str(SLVERR), str(SLVERR)], "a word waits, and there is no room"
    assert said[4003:4005] == ["8 0", "0"]
    refused, torn_status, late_status = said[4014], said[4027], said[4039]
    assert (refused, said[4015]) == ("2 0", "0 0"), "the memories are as they were"
    assert [int(v) for v in said[4016].split()] == old.golden(x).tolist()
    assert (torn_status, said[4028], late_status, said[4040]) == ("2 0", "ffffffff 0") * 2
    assert [int(v) for v in said[-2].split()] == new.golden(x).tolist()
    assert said[-1] == "0 0"
