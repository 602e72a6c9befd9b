"""Files that bnn2hw did not write survive whatever it writes beside them."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import bnn2hw
from bnn2hw import folders
from bnn2hw.artifacts import build_folder
from bnn2hw.deploy import bitstream
from bnn2hw.errors import InputError, StorageError
from bnn2hw.folders import MANIFEST
from tests.support import networks as net


@pytest.fixture(scope="module")
def accelerator() -> bnn2hw.Accelerator:
    model = net.chain((6,), net.dense(4, name="first"), net.norm(name="norm"), net.dense(2, name="last"))
    return bnn2hw.compile(model, input=bnn2hw.Input("bipolar"))


def files(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text("latin-1") for p in folder.rglob("*") if p.is_file()}


def test_writing_again_keeps_the_files_of_others(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    accelerator.write(tmp_path)
    accelerator.write(tmp_path / "mnist")
    before = files(tmp_path)
    mine = {"ulx3s/design.bit": "bits", "rtl/own.sv": "module own; endmodule", "notes.txt": "years of work"}
    for name, text in mine.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    accelerator.write(tmp_path)

    assert files(tmp_path) == before | mine
    assert bnn2hw.load(tmp_path).name == bnn2hw.load(tmp_path / "mnist").name == accelerator.name


def test_files_of_the_design_before_are_deleted(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    facts = build_folder.Manifest.of(accelerator)
    build_folder.write(tmp_path, {"old/a.sv": "a", "rtl/b.sv": "b"}, accelerator.graph, facts)
    (tmp_path / "rtl" / "mine").write_text("mine")

    accelerator.write(tmp_path)

    found = files(tmp_path)
    assert "rtl/b.sv" not in found
    assert found["rtl/mine"] == "mine"
    assert not (tmp_path / "old").exists()


@pytest.mark.parametrize("name", ["../precious", "/precious", "link/precious", "rtl/../../precious"])
def test_a_manifest_cannot_name_files_elsewhere(
    accelerator: bnn2hw.Accelerator, tmp_path: Path, name: str
) -> None:
    precious, folder = tmp_path / "precious", accelerator.write(tmp_path / "b")
    precious.write_text("precious")
    (folder / "link").symlink_to(tmp_path)
    facts = json.loads((folder / MANIFEST).read_text())
    listed = {name.replace("/precious", str(precious)) if name[0] == "/" else name: ""}
    (folder / MANIFEST).write_text(json.dumps({**facts, "files": facts["files"] | listed}))

    accelerator.write(folder)

    assert precious.read_text() == "precious"
    assert (folder / "link").is_symlink()


def unlisted(folder: Path) -> None:
    facts = json.loads((folder / MANIFEST).read_text())
    del facts["files"]["report.txt"]
    (folder / MANIFEST).write_text(json.dumps(facts))


def linked(folder: Path) -> None:
    (folder / "rtl").rename(folder.parent / "elsewhere")
    (folder / "rtl").symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize(("change", "blocked"), [(unlisted, "report.txt"), (linked, "rtl/")])
def test_files_of_others_in_the_way_are_refused(
    accelerator: bnn2hw.Accelerator, tmp_path: Path, change: Callable[[Path], None], blocked: str
) -> None:
    folder = accelerator.write(tmp_path / "b")
    change(folder)
    before = files(tmp_path)

    with pytest.raises(
        InputError, match="was not written by bnn2hw and would be replaced; move it"
    ) as caught:
        accelerator.write(folder)

    assert str(caught.value).startswith(f"'{folder}/{blocked}")
    assert files(tmp_path) == before


def test_an_interrupted_exchange_is_undone(
    accelerator: bnn2hw.Accelerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = accelerator.write(tmp_path / "b")
    (folder / "notes.txt").write_text("mine")
    before, replace, count = files(tmp_path), folders.os.replace, 0

    def stopping(source: Path, target: Path) -> None:
        nonlocal count
        count += 1
        if count == len(before) + 3:  # all old files are out of the way, and some new ones are in
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(folders.os, "replace", stopping)
    with pytest.raises(KeyboardInterrupt):
        accelerator.write(folder)

    assert count > len(before) + 3
    assert files(tmp_path) == before
    bnn2hw.load(folder)


def failing(folder: Path) -> None:
    with folders.replacing(folder) as work:
        (work / "x").write_text("x")
        raise OSError(28, "No space left on device")


def test_a_new_folder_disappears_again_when_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No space left"):
        failing(tmp_path / "a" / "b")

    assert not list(tmp_path.iterdir())


def test_synthesis_deletes_what_it_made_and_nothing_else(tmp_path: Path) -> None:
    facts = {"generator": "bnn2hw", "name": "n"}
    with bitstream.workplace(tmp_path, facts) as result:
        (tmp_path / "netlist.json").write_text("{}")
        result |= {"state": "done"}
    (tmp_path / "pins.txt").write_text("mine")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine").write_text("mine")

    with bitstream.workplace(tmp_path, facts):
        assert sorted(files(tmp_path)) == ["pins.txt", "sub/mine", "usage.json"]
        (tmp_path / "yosys.log").write_text("failed")

    usage = json.loads((tmp_path / "usage.json").read_text())
    assert (usage["state"], usage["files"]) == ("unfinished", ["yosys.log"])


def test_a_synthesis_that_waits_for_another_one_says_so(tmp_path: Path) -> None:
    facts = {"generator": "bnn2hw", "name": "n"}
    told = threading.Event()

    def second() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, *_, **__: (texts.append(str(message)), told.set())
            with bitstream.workplace(tmp_path, facts) as result:
                result |= {"state": "done"}

    texts: list[str] = []
    waiting = threading.Thread(target=second)
    with bitstream.workplace(tmp_path, facts):
        waiting.start()
        assert told.wait(60)
    waiting.join(60)

    assert texts == [f"another synthesis writes into '{tmp_path}'; waiting until it ends"]
    assert json.loads((tmp_path / "usage.json").read_text())["state"] == "done"


def test_a_synthesis_alone_does_not_speak_of_waiting(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    with bitstream.workplace(tmp_path, {"generator": "bnn2hw"}):
        pass

    assert not recwarn.list


def test_paths_that_no_system_could_have(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")

    with pytest.raises(StorageError, match="Too many levels of symbolic links"):
        accelerator.write(tmp_path / "loop")
    with pytest.raises(StorageError, match="Too many levels of symbolic links"):
        accelerator.report(tmp_path / "loop" / "r.html")
    for call in (accelerator.write, accelerator.report, bnn2hw.load):
        with pytest.raises(InputError, match="must be a path"):
            call("a\0b")
