"""Build folders that somebody changed: each is refused in a sentence or loaded; nothing runs, nothing is written elsewhere."""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import sys
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw.artifacts import build_folder
from bnn2hw.artifacts.build_folder import ARRAYS, GRAPH
from bnn2hw.backends import native
from bnn2hw.backends.text import Header
from bnn2hw.cli import image_files
from bnn2hw.cli.main import main
from bnn2hw.errors import Bnn2hwError, InputError
from bnn2hw.folders import MANIFEST
from bnn2hw.targets import boards
from tests.artifacts.test_old_formats import FORMAT_1
from tests.support import graphs
from tests.support.confined import MIB, confined

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and measures memory as Linux does")

Facts = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with tarfile.open(FORMAT_1) as packed:
        packed.extractall(tmp_path / "b", filter="data")
    return tmp_path / "b"


def put(folder: Path, name: str, data: bytes) -> None:
    """Replace a file and its hash in the manifest."""
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = hashlib.sha256(data).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))


def manifest(change: Callable[[Facts], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        facts = json.loads((folder / MANIFEST).read_text())
        change(facts)
        (folder / MANIFEST).write_text(json.dumps(facts))

    return apply


def graph(change: Callable[[list[Facts]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        facts = json.loads((folder / GRAPH).read_text())
        change(facts["nodes"])
        put(folder, GRAPH, json.dumps(facts).encode())

    return apply


def text(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (
        put(folder, name, data) if name != MANIFEST else (folder / name).write_bytes(data) and None
    )


def pickled(folder: Path) -> None:
    held = io.BytesIO()
    np.savez(held, a0=np.array([print], object))
    put(folder, ARRAYS, held.getvalue())


def inflated(folder: Path) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a0.npy", bytes(160 * MIB))
    put(folder, ARRAYS, held.getvalue())


def promised(folder: Path) -> None:
    """An array that says it is of a TiB, and is not."""
    held, header = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<i8", "fortran_order": False, "shape": (1 << 37,)}
    )
    with zipfile.ZipFile(held, "w") as archive:
        for i in range(40):
            archive.writestr(f"a{i}.npy", header.getvalue())
    put(folder, ARRAYS, held.getvalue())


def linked(folder: Path) -> None:
    (folder / "up").symlink_to(folder.parent)
    (folder.parent / "x").write_text("x")
    put(folder, "up/x", b"x")


def wired(**serial: object) -> Callable[[Path], None]:
    """A folder for a board whose wiring says something else."""

    def change(facts: Facts) -> None:
        facts["board"] = boards.facts(boards.board("ulx3s"))
        facts["board"]["serial"] |= serial

    return manifest(change)


def shaped(nodes: list[Facts]) -> None:
    nodes[0]["fields"]["tensor"]["tensor"][0] = [1 << 20, 1 << 20]


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a file of the system in the manifest": (
        manifest(lambda f: f["files"].update({"/etc/passwd": ""})),
        "outside of it",
    ),
    "a device in the manifest": (manifest(lambda f: f["files"].update({"/dev/zero": ""})), "outside of it"),
    "a file above the folder": (manifest(lambda f: f["files"].update({"../x": ""})), "outside of it"),
    "a folder behind a link": (linked, "outside of it"),
    "files that are a number": (manifest(lambda f: f.update(files=3)), "cannot be read"),
    "a format that is a list": (manifest(lambda f: f.update(format=[1])), "expected 1 or 2"),
    "a manifest 100,000 deep": (text(MANIFEST, b'{"generator":' * 100_000), "is not a build folder"),
    "a manifest that is a list": (text(MANIFEST, b"[]"), "is not a build folder"),
    "a graph 100,000 deep": (text(GRAPH, b"[" * 100_000), "nested too deeply"),
    "a graph of nothing": (text(GRAPH, b"{}"), "cannot be read"),
    "a graph of text": (text(GRAPH, b'{"nodes": "text", "outputs": []}'), "cannot be read"),
    "an op that is not there": (graph(lambda n: n[1].update(op="system")), "cannot be read"),
    "a field that is not there": (graph(lambda n: n[1]["fields"].update(evil=1)), "cannot be read"),
    "a node that reads itself": (graph(lambda n: n[1].update(inputs=[n[1]["name"]])), "cannot be read"),
    "a name with a line break": (graph(lambda n: n[-1].update(name="x\nendmodule")), "cannot be read"),
    "a stream of a TiB": (graph(shaped), "cannot be read"),
    "arrays that are pickled": (pickled, "cannot be read"),
    "arrays that unpack to 160 MiB": (inflated, "unpacks from"),
    "arrays that declare a TiB each": (promised, "cannot be read"),
    "arrays that are no archive": (text(ARRAYS, b"no archive"), "cannot be read"),
    "a board that runs a script in nextpnr": (
        wired(package=["--run", "evil.py"]),
        "cannot stand in a script",
    ),
    "a pin that ends a line": (wired(clock="A1\nexec id"), "cannot stand in a script"),
    "a pin that runs a command of Tcl": (wired(rx="[exec id]"), "cannot stand in a script"),
    "an option of a placer in a value": (
        wired(package=["--package", "--pre-pack=evil.py"]),
        "cannot stand in a script",
    ),
    "a program that is a shell": (wired(program="sh -c 'id' ; rm -rf $HOME"), "cannot stand in a script"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
def test_a_folder(folder: Path, damage: Callable[[Path], None], reason: str) -> None:
    damage(folder)

    with confined() as peak, pytest.raises(InputError, match=re.escape(reason)) as caught:
        bnn2hw.load(folder)

    assert "\n" not in str(caught.value)
    assert peak.added < 128 * MIB


def test_every_board_of_the_package_is_read_back() -> None:
    for each in boards.known().values():
        assert boards.from_facts(json.loads(json.dumps(boards.facts(each)))) == each


@pytest.mark.parametrize("seed", range(3))
def test_a_byte_of_every_file_is_changed_and_its_hash_too(folder: Path, seed: int) -> None:
    """Whoever changes a file can change its hash. What is loaded then, or refused, is so in our own words."""
    rng = random.Random(seed)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name, data = str(path.relative_to(folder)), bytearray(path.read_bytes())
        kept = bytes(data), (folder / MANIFEST).read_bytes()
        for _ in range(rng.choice((1, 8))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if name == MANIFEST:
            path.write_bytes(bytes(data))
        else:
            put(folder, name, bytes(data))
        with confined(), suppress(Bnn2hwError):
            bnn2hw.load(folder)
        path.write_bytes(kept[0])
        (folder / MANIFEST).write_bytes(kept[1])
    build_folder.read(folder)


EVIL = 'x"];[exec touch pwned] $(touch pwned) `touch pwned` <script>alert(1)</script> */ int e = system("id"); /* {%'


def test_names_end_nothing(folder: Path, tmp_path: Path) -> None:
    """The names of the model and of all its layers, in the sources, scripts and reports of all backends."""
    manifest(lambda f: f.update(name=EVIL))(folder)
    graph(lambda nodes: [n.update(layer=f"{EVIL} {i}") for i, n in enumerate(nodes)])(folder)
    manifest(lambda f: f.update(fidelity={f"{EVIL} {i}": ["exact", EVIL] for i in range(200)}))(folder)

    bnn2hw.load(folder).write(tmp_path / "w")

    for path in (p for p in (tmp_path / "w").rglob("*") if p.is_file() and p.name != GRAPH):
        content = path.read_text("latin-1")
        assert EVIL not in path.name
        if path.suffix == ".html":
            assert "<script>alert" not in content
        for line in content.splitlines():
            if "touch pwned" in line and path.suffix in (".tcl", ".sv", ".hpp", ".cpp", ".h"):
                assert line.lstrip().startswith(("//", "#", "*")), f"{path}: {line}"
    assert not list(tmp_path.rglob("pwned"))


def test_a_name_ends_no_comment_of_c() -> None:
    design = native.render(graphs.chain(0), header=Header(model=EVIL))

    sources = [
        content for name, content in design.files.items() if name.endswith((".h", ".hpp", ".cpp", ".c"))
    ]
    assert any("* / int e" in content for content in sources)
    for line in "\n".join(sources).splitlines():
        assert "*/ int e" not in line or line.startswith("//")


def test_images_that_unpack_to_too_much(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(160 * MIB))
    np.savez(tmp_path / "p.npz", x=np.array([print], object))

    with confined() as peak:
        with pytest.raises(InputError, match="unpacks from"):
            image_files.read(tmp_path / "x.npz", None)
        with pytest.raises(InputError, match="plain arrays"):
            image_files.read(tmp_path / "p.npz", None)
    assert peak.added < 64 * MIB


def test_the_command_line_says_so(folder: Path) -> None:
    manifest(lambda f: f["files"].update({"/dev/zero": ""}))(folder)

    done = CliRunner().invoke(main, ["report", str(folder)])

    assert done.exit_code == 2
    assert "outside of it" in done.stderr
