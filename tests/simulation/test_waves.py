"""Waveforms of a simulation, and the lists of signals that viewers open beside them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw.cli.main import main
from bnn2hw.errors import InputError, MissingToolError, StorageError
from bnn2hw.simulation import waves
from tests.support import plain, random_frames


@pytest.fixture(scope="module")
def accelerator() -> bnn2hw.Accelerator:
    return plain.accelerator()


def declared(vcd: Path) -> dict[str, tuple[int, str]]:
    """Bits and mark of each signal of the top level in waveforms, as its name and range."""
    top = vcd.read_text().split("$scope module bnn2hw_top $end")[1].split("$scope")[0]
    found = re.findall(r"\$var wire +(\d+) (\S+) (\S+)(?: (\[\S+\]))? \$end", top)
    return {name + span: (int(bits), mark) for bits, mark, name, span in found}


def changes(vcd: Path, mark: str) -> list[str]:
    return re.findall(rf"^([01]){re.escape(mark)}$", vcd.read_text(), re.MULTILINE)


def last_beats(vcd: Path, marks: dict[str, str]) -> int:
    """Rising edges of the clock at which the last beat of a frame leaves the design."""
    taken = [marks[name] for name in ("aresetn", "m_axis_tvalid", "m_axis_tready", "m_axis_tlast")]
    state: dict[str, str] = {}
    count = 0
    for moment in vcd.read_text().split("\n#")[1:]:
        changed = {line[1:]: line[0] for line in moment.splitlines()[1:]}
        count += changed.get(marks["aclk"]) == "1" and all(state.get(mark) == "1" for mark in taken)
        state.update(changed)
    return count


def test_waveforms_show_the_run(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    run = accelerator.simulate(random_frames(accelerator.graph, 3), trace=tmp_path / "w.vcd")
    signals = declared(tmp_path / "w.vcd")

    assert run.exact
    assert run.cycles is not None
    assert changes(tmp_path / "w.vcd", signals["aclk"][1]).count("1") == run.cycles + 8  # and the reset
    assert last_beats(tmp_path / "w.vcd", {name: mark for name, (_, mark) in signals.items()}) == 3
    assert "$timescale 1ns $end" in (tmp_path / "w.vcd").read_text()


def test_the_lists_name_signals_of_the_waveforms(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    accelerator.simulate(random_frames(accelerator.graph, 1), trace=str(tmp_path / "w.vcd"))
    signals = declared(tmp_path / "w.vcd")
    gtkw, sucl = (path.read_text().splitlines() for path in waves.lists(tmp_path / "w.vcd"))
    listed = [line.removeprefix(waves.PLACE) for line in gtkw if line.startswith(waves.PLACE)]

    # GTKWave calls the only bit of a vector name[0].
    assert set(listed) <= {name.replace("[0:0]", "[0]") for name in signals}
    assert {f"{s.id}_valid" for s in accelerator.design.streams} <= set(listed)
    assert [f"variable_add {waves.PLACE}{name.partition('[')[0]}" for name in listed] == [
        line for line in sucl if line.startswith("variable_add")
    ]
    assert gtkw[0] == f'[dumpfile] "{tmp_path / "w.vcd"}"'


@pytest.mark.skipif(
    not all(map(waves.has_header, waves.FORMATS[".fst"].headers)), reason="needs zlib.h and lz4.h"
)
def test_compressed_waveforms(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    run = accelerator.simulate(random_frames(accelerator.graph, 1), trace=tmp_path / "w.fst")

    assert run.exact
    assert (tmp_path / "w.fst").read_bytes()[:1] == b"\0"  # the block with the header
    assert (tmp_path / "w.sucl").is_file()


def test_compressed_waveforms_need_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waves, "has_header", lambda header: header != "lz4.h")

    with pytest.raises(
        MissingToolError, match=r"\.fst file need lz4\.h of zlib and lz4 .* or name a \.vcd file$"
    ):
        waves.check(tmp_path / "w.fst")
    assert waves.check(tmp_path / "w.vcd").name == "vcd"


@pytest.mark.parametrize("name", ["w.txt", "w", "w.vcd.gz"])
def test_other_endings_are_refused(accelerator: bnn2hw.Accelerator, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"waveforms are written to a \.vcd or \.fst file"):
        accelerator.simulate(random_frames(accelerator.graph, 1), trace=tmp_path / name)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that nobody can make")
def test_the_place_is_checked_before_the_work(
    accelerator: bnn2hw.Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waves.tools, "cxx", lambda: pytest.fail("the work has begun"))

    with pytest.raises(StorageError, match="cannot be written"):
        accelerator.simulate(random_frames(accelerator.graph, 1), trace="/proc/nowhere/w.vcd")


def test_cpp_has_no_waveforms(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    from dataclasses import replace

    with pytest.raises(InputError, match="C\\+\\+ sources have no clock and no waveforms; leave out trace"):
        replace(accelerator, backend="hls").simulate(
            random_frames(accelerator.graph, 1), trace=tmp_path / "w.vcd"
        )


def test_the_command_line_traces_the_run_without_stalls(
    accelerator: bnn2hw.Accelerator, tmp_path: Path
) -> None:
    folder, path = accelerator.write(tmp_path / "b"), tmp_path / "w.vcd"
    done = CliRunner().invoke(main, ["simulate", str(folder), "--frames", "2", "--trace", str(path)])

    assert done.exit_code == 0, done.output
    assert f"open them with 'gtkwave {tmp_path / 'w.gtkw'}' or 'surfer --command-file" in done.stdout
    smooth = int(re.search(r"smooth: .* (\d+) cycles", done.stdout)[1])  # type: ignore[index]
    assert changes(path, declared(path)["aclk"][1]).count("1") == smooth + 8


def test_a_virtual_board_computes_the_results(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    x = random_frames(accelerator.graph, 3)
    np.save(tmp_path / "x.npy", x)
    command = [
        "predict",
        str(accelerator.write(tmp_path / "b")),
        "--images",
        str(tmp_path / "x.npy"),
        "--virtual",
    ]
    done = CliRunner().invoke(main, command)
    both = CliRunner().invoke(main, [*command, "--port", "p"])

    assert (done.exit_code, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()] == accelerator.golden(x).astype(str).tolist()
    assert (both.exit_code, both.stderr) == (
        2,
        "error: a simulated board has its own port; give --virtual or --port, not both\n",
    )


def test_waveforms_of_a_run_that_is_stopped_leave_the_file_as_it_was(
    accelerator: bnn2hw.Accelerator, tmp_path: Path
) -> None:
    (tmp_path / "w.vcd").write_text("before")

    def stopped() -> None:
        with waves.written(accelerator.design, tmp_path / "w.vcd") as environment:
            Path(environment[waves.VARIABLE]).write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()

    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("w.vcd", "before")]


def test_what_a_user_saved_from_a_viewer_stays(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    saved, ours = tmp_path / "w.gtkw", tmp_path / "w.sucl"
    saved.write_text("[*] GTKWave Analyzer\n")
    for _ in range(2):
        with waves.written(accelerator.design, tmp_path / "w.vcd"):
            pass
        assert ours.read_text().endswith("zoom_fit\n")
        ours.write_text(
            ours.read_text().replace("zoom_fit", "zoom_in")
        )  # an earlier list of ours is replaced

    assert saved.read_text() == "[*] GTKWave Analyzer\n"
