"""Waveforms of a simulation: their files, what a simulator needs to write them, and lists of signals for viewers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bnn2hw import exchange, folders, tools
from bnn2hw.backends.design import Design, Port
from bnn2hw.errors import InputError, MissingToolError, storing

VARIABLE = "BNN2HW_WAVES"
"""Variable of the environment in which a simulator finds the path of the file."""

HEX, BIT, NOTE = "@22", "@28", "@200"
"""Lines of a list for GTKWave in front of signals in hexadecimal, of single bits, and of words."""


@dataclass(frozen=True)
class Format:
    """A format of waveforms.

    Attributes:
        name: Name of the format.
        source: File of Verilator's run-time library that writes it.
        headers: Headers that this file needs beside those of C++.
        libraries: Arguments of the linker.
        packages: Packages that have these headers, in words.
    """

    name: str
    source: str
    headers: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    packages: str = ""

    @property
    def flag(self) -> str:
        """Verilator's argument."""
        return f"--trace-{self.name}"

    @property
    def macro(self) -> str:
        """Line of C++ that chooses the format in sim/design.cpp."""
        return f"#define BNN2HW_WAVES_{self.name.upper()}\n"


FORMATS = {
    ".vcd": Format("vcd", "verilated_vcd_c.cpp"),
    ".fst": Format(
        "fst",
        "verilated_fst_c.cpp",
        ("zlib.h", "lz4.h"),
        ("-llz4", "-lz"),
        "zlib and lz4 (zlib1g-dev, liblz4-dev)",
    ),
}
"""By ending of a file."""


def check(path: Path) -> Format:
    """Return the format of a file of waveforms that can be written.

    Args:
        path: The file, which ends in .vcd or .fst.

    Raises:
        InputError: It has another ending, or is a folder.
        MissingToolError: A header is missing that the format needs.
        StorageError: It cannot be written.
    """
    found = FORMATS.get(path.suffix)
    if found is None:
        raise InputError(f"waveforms are written to a .vcd or .fst file, not to '{path}'")
    for file in (path, *lists(path)):
        folders.claim_file(file)
    missing = [header for header in found.headers if not has_header(header)]
    if missing:
        raise MissingToolError(
            f"waveforms in a .fst file need {' and '.join(missing)} of {found.packages}; install them, "
            "or name a .vcd file"
        )
    return found


@cache
def has_header(header: str) -> bool:
    """True if the C++ compiler finds a header."""
    command = [tools.cxx().command, "-E", "-x", "c++", "-", "-o", "/dev/null"]
    return not subprocess.run(
        command, input=f"#include <{header}>\n", text=True, capture_output=True, check=False
    ).returncode


def lists(path: Path) -> tuple[Path, Path]:
    """Return the lists of signals beside a file of waveforms, for GTKWave and for Surfer."""
    return path.with_suffix(".gtkw"), path.with_suffix(".sucl")


@contextmanager
def written(design: Design, path: Path | None) -> Iterator[dict[str, str]]:
    """Let a simulator write waveforms, and the lists of the signals that matter, which viewers open beside them.

    Every file is there as a whole, or as it was before. Lists that a user saved from a viewer stay.

    Args:
        design: The design.
        path: The waveforms; None for none.

    Yields:
        What the environment of the simulator says of the file.

    Raises:
        StorageError: A file cannot be written.
    """
    if path is None:
        yield {}
        return
    with storing(path), exchange.draft(path) as fresh:
        yield {VARIABLE: str(fresh)}
    groups = list(_groups(design))
    for file, lines in zip(lists(path), (_of_gtkwave(path, groups), _of_surfer(groups)), strict=True):
        text = "\n".join(lines) + "\n"
        if not file.is_file() or _is_list(file, text):
            folders.write_text(file, text)


def _is_list(file: Path, text: str) -> bool:
    """True if a file begins as a list of ours does: viewers save what a user arranged under the same name."""
    start = text.split(" ")[0].encode()
    with storing(file, "read"), file.open("rb") as there:
        return there.read(len(start)) in (start, b"")


def _groups(design: Design) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Yield the clock, the ports and the streams: a name, and signals with the bits of vectors, or 0."""
    yield "clock and reset", [("aclk", 0), ("aresetn", 0), ("frame_error", 0)]
    for side, streams in (("s", design.inputs), ("m", design.outputs)):
        for port in Port.of(streams):
            name = f"{side}_axis{port.suffix}"
            handshake = [(f"{name}_t{part}", 0) for part in ("valid", "ready", "last")]
            yield name, [(f"{name}_tdata", port.axis_bits), *handshake]
    for s in design.streams:
        yield s.name, [(f"{s.id}_data", s.bits), (f"{s.id}_valid", 0), (f"{s.id}_ready", 0)]


def _of_gtkwave(path: Path, groups: list[tuple[str, list[tuple[str, int]]]]) -> Iterator[str]:
    yield f'[dumpfile] "{path.resolve()}"'
    for title, signals in groups:
        yield from (NOTE, f"-{title}")
        for name, bits in signals:
            span = "" if not bits else "[0]" if bits == 1 else f"[{bits - 1}:0]"
            yield from (HEX if bits > 1 else BIT, f"{PLACE}{name}{span}")


def _of_surfer(groups: list[tuple[str, list[tuple[str, int]]]]) -> Iterator[str]:
    for title, signals in groups:
        yield f"divider_add {title}"
        yield from (f"variable_add {PLACE}{name}" for name, _ in signals)
    yield "zoom_fit"


PLACE = "TOP.bnn2hw_top."
"""Path of the top level's signals in the waveforms."""
