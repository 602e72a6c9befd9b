"""Model files of Keras that were made to harm: each is refused in a sentence, in little memory, and changes nothing."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw import importers
from bnn2hw.errors import Bnn2hwError
from tests.support import networks as net
from tests.support.confined import MIB, confined

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and measures memory as Linux does")

SIGNS = bnn2hw.Input("bipolar")
BOMB = 160 << 20
FOUR_GIB = (1 << 20, 1 << 10)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model as good.keras and good.h5, and a file that nobody may read."""
    folder = tmp_path_factory.mktemp("saved")
    model = net.chain((6,), net.dense(4, name="first"), net.norm(name="norm"), net.dense(2, name="last"))
    model.save(folder / "good.keras")
    model.save(folder / "good.h5")
    with h5py.File(folder / "secret.h5", "w") as file:
        file["x"] = np.ones((6, 4), np.float32)
    return folder


def archive(target: Path, source: Path, **members: Callable[[bytes], bytes]) -> Path:
    """A copy of an archive with members changed; the dot in a name is written as two underscores."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            change = members.get(name.replace(".", "__"), bytes)
            new.writestr(name, change(old.read(name)))
    return target


def described(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[bytes], bytes]:
    """A change of the layers in config.json."""

    def apply(text: bytes) -> bytes:
        facts = json.loads(text)
        change(facts["config"]["layers"])
        return json.dumps(facts).encode()

    return apply


def arrays(change: Callable[[Any, str], object]) -> Callable[[bytes], bytes]:
    """A change of the first array of shape (6, 4) in a file of HDF5, by the file and the name of the array."""

    def apply(data: bytes) -> bytes:
        held = io.BytesIO(data)
        with h5py.File(held, "r+") as file:
            found: list[str] = []
            file.visititems(
                lambda name, each: found.append(name) if getattr(each, "shape", 0) == (6, 4) else None
            )
            change(file, found[0])
        return held.getvalue()

    return apply


def external(file: Any, name: str) -> None:
    del file[name]
    file[name] = h5py.ExternalLink("secret.h5", "/x")


def soft(file: Any, name: str) -> None:
    del file[name]
    file[name] = h5py.SoftLink(f"/{name}")


def elsewhere(file: Any, name: str) -> None:
    del file[name]
    file.create_dataset(name, (6, 4), "f4", external=[("/etc/hostname", 0, 96)])


def virtual(file: Any, name: str) -> None:
    layout = h5py.VirtualLayout((6, 4), "f4")
    layout[...] = h5py.VirtualSource("secret.h5", "x", (6, 4))
    del file[name]
    file.create_virtual_dataset(name, layout)


def unwritten(file: Any, name: str) -> None:
    del file[name]
    file.create_dataset(name, FOUR_GIB, "f4", chunks=(1 << 10, 1 << 10), compression="gzip")


def circular(file: Any, name: str) -> None:
    file[f"{name}.loop"] = file["/"]
    unwritten(file, name)


def wide(layers: list[dict[str, Any]]) -> None:
    layers[1]["config"]["units"] = 200_000_000


def long(layers: list[dict[str, Any]]) -> None:
    layers[0]["config"]["batch_shape"] = [None, 300_000_000]
    layers[1].pop("build_config")


def of_module(name: str) -> Callable[[bytes], bytes]:
    return described(
        lambda layers: layers[1].update(module=name, class_name="Anything", registered_name="Anything")
    )


def nested(layers: list[dict[str, Any]]) -> None:
    inner = layers[1]["config"]
    for _ in range(900):
        inner["deeper"] = inner = {}


def renamed(name: str) -> Callable[[bytes], bytes]:
    def change(layers: list[dict[str, Any]]) -> None:
        layers[1]["name"] = layers[1]["config"]["name"] = name

    return described(change)


def compiled_code(layers: list[dict[str, Any]]) -> None:
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}
    layers[1] = {
        **layers[1],
        "module": "keras.layers",
        "class_name": "Lambda",
        "registered_name": None,
        "config": {"name": "sly", "function": code, "arguments": {}},
    }


ARCHIVES: dict[str, tuple[dict[str, Callable[[bytes], bytes]], str]] = {
    "a description that unpacks to 160 MiB": ({"config__json": lambda d: d + b" " * BOMB}, "unpacks from"),
    "metadata that unpack to 160 MiB": ({"metadata__json": lambda d: d + b" " * BOMB}, "unpacks from"),
    "weights that unpack to 160 MiB": ({"model__weights__h5": lambda d: d + bytes(BOMB)}, "unpacks from"),
    "braces 100,000 deep": (
        {"config__json": lambda d: b'{"a":' * 100_000 + b"1" + b"}" * 100_000},
        "nested too deeply",
    ),
    "an option 900 deep": ({"config__json": described(nested)}, "Unrecognized keyword arguments"),
    "a layer of more weights than the file": (
        {"config__json": described(wide)},
        "for which the file holds no values",
    ),
    "an input of more values than the file": (
        {"config__json": described(long)},
        "for which the file holds no values",
    ),
    "a class of a module beside the model": ({"config__json": of_module("beside")}, "Anything"),
    "a class of a module of Python": ({"config__json": of_module("antigravity")}, "Anything"),
    "code in a layer": ({"config__json": described(compiled_code)}, "a layer 'sly' holds Python code"),
    "a name with a line break": (
        {"config__json": renamed("a\nb")},
        "a name has at most 500 printable characters",
    ),
    "a name of a path": ({"config__json": renamed("../../up")}, "cannot contain character `/`"),
    "a name of 100,000 letters": ({"config__json": renamed("a" * 100_000)}, "a name has at most 500"),
    "weights behind a link to a file": ({"model__weights__h5": arrays(external)}, "is a link, to '/x'"),
    "weights behind a link to themselves": ({"model__weights__h5": arrays(soft)}, "is a link"),
    "weights in a raw file": ({"model__weights__h5": arrays(elsewhere)}, "keeps its values in another file"),
    "weights that another file holds": (
        {"model__weights__h5": arrays(virtual)},
        "keeps its values in another file",
    ),
    "weights of 4 GiB that take no room": (
        {"model__weights__h5": arrays(unwritten)},
        "at most 2,147,483,648 are read",
    ),
    "a group in itself": ({"model__weights__h5": arrays(circular)}, "at most 2,147,483,648 are read"),
    "weights cut short": (
        {"model__weights__h5": lambda d: d[: len(d) // 2]},
        "cannot be read as a Keras model",
    ),
}

HDF5 = {name: case for name, case in ARCHIVES.items() if list(case[0]) == ["model__weights__h5"]}


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that takes the model alone. Nothing appears beside it, and no module in it is imported."""
    (tmp_path / "beside.py").write_text("raise SystemExit('code of a model file runs')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    imported = set(sys.modules)
    yield tmp_path
    assert not {"beside", "antigravity"} & (set(sys.modules) - imported)
    assert len(list(tmp_path.iterdir())) == 2


def refused(path: Path, reason: str) -> None:
    with confined() as peak, pytest.raises(Bnn2hwError) as caught:
        bnn2hw.compile(path, input=SIGNS)
    assert re.search(re.escape(reason), str(caught.value)), caught.value
    assert len(str(caught.value)) < 3000
    assert peak.added < 128 * MIB


@pytest.mark.parametrize(("changes", "reason"), ARCHIVES.values(), ids=ARCHIVES)
def test_an_archive(saved: Path, watched: Path, changes: dict[str, Any], reason: str) -> None:
    refused(archive(watched / "m.keras", saved / "good.keras", **changes), reason)


@pytest.mark.parametrize("name", [n for n in HDF5 if "unpack" not in n])
def test_a_file_of_hdf5(saved: Path, watched: Path, name: str) -> None:
    changes, reason = HDF5[name]
    [change] = changes.values()
    (watched / "m.h5").write_bytes(change((saved / "good.h5").read_bytes()))

    refused(watched / "m.h5", reason)


@pytest.mark.parametrize("name", ["../../up", "/tmp/up", "assets/../../up", "C:up", "..\\..\\up"])
def test_a_member_that_leads_out(saved: Path, watched: Path, name: str) -> None:
    path = archive(watched / "m.keras", saved / "good.keras")
    with zipfile.ZipFile(path, "a") as changed:
        changed.writestr(name, "up")

    refused(path, "which leads out of a folder")


def test_code_in_a_file_of_hdf5(watched: Path) -> None:
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Lambda(lambda x: os.system("exit 1") or x, name="sly"), net.dense(2)]
    )
    model.save(watched / "m.h5")

    refused(watched / "m.h5", "a layer 'sly' holds Python code, which is not executed")


def test_a_pipe_and_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.keras")
    (tmp_path / "zero.onnx").symlink_to("/dev/zero")
    with (tmp_path / "huge.h5").open("wb") as file:
        file.truncate(1 << 42)

    for name, reason in (
        ("pipe.keras", "is not a regular file"),
        ("zero.onnx", "is not a regular file"),
        ("huge.h5", "has 4,398,046,511,104 bytes"),
    ):
        refused(tmp_path / name, reason)


def test_the_unchanged_files_compile(saved: Path, watched: Path) -> None:
    path = archive(watched / "m.keras", saved / "good.keras")

    assert bnn2hw.compile(path, input=SIGNS).golden(np.ones((1, 6), int)).shape == (1, 2)
    assert bnn2hw.compile(saved / "good.h5", input=SIGNS).name


def test_memory_for_weights_is_at_most_four_times_what_they_take(saved: Path, tmp_path: Path) -> None:
    model = net.chain((2048,), net.dense(4096, name="first"), net.dense(2, name="last"))
    model.save(tmp_path / "large.keras")
    declared = sum(w.nbytes for w in model.get_weights())
    importers.read(saved / "good.keras")  # brings the modules that it needs

    with confined(8 << 30) as peak:
        importers.read(tmp_path / "large.keras")

    assert declared > 32 * MIB
    assert peak.added < 4 * declared


def test_an_image_of_absurd_size() -> None:
    model = net.chain((30_000, 30_000, 3), net.conv(2, name="first"))

    with confined() as peak, pytest.raises(Bnn2hwError, match=r"30000×30000×3 = 2,700,000,000 values"):
        bnn2hw.compile(model, input=bnn2hw.Input("uint8", scale=1 / 255))
    assert peak.added < 64 * MIB


@pytest.mark.parametrize(
    "layer",
    [keras.layers.ZeroPadding2D(20_000), keras.layers.UpSampling2D(9_000)],
    ids=["padding", "repetition"],
)
def test_a_layer_that_makes_an_absurd_size(layer: keras.layers.Layer) -> None:
    model = net.chain((4, 4, 1), net.conv(2, 1, name="first"), layer, net.conv(2, 1, name="last"))

    with confined() as peak, pytest.raises(Bnn2hwError, match=r"at most 33,554,432 values in a frame"):
        bnn2hw.compile(model, input=SIGNS)
    assert peak.added < 64 * MIB
