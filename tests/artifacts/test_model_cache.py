"""Lowered models on disk: what counts as the same model, what is never kept, and damaged entries."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import bnn2hw
from bnn2hw import compile_cache, compiler, frameworks, pipeline
from bnn2hw.artifacts import model_cache, model_key
from bnn2hw.errors import InputError

ROOT = Path(__file__).parents[2]
PIXELS = bnn2hw.Input("uint8", scale=1 / 255)
SIGNS: dict[str, Any] = {
    "kernel_quantizer": "ste_sign",
    "kernel_constraint": "weight_clip",
    "use_bias": False,
}

AGAIN = """
import sys, bnn2hw
made = bnn2hw.compile(sys.argv[1], input=bnn2hw.Input("uint8", scale=1 / 255), fps=float(sys.argv[3]))
made.write(sys.argv[2])
loaded = {"keras", "tensorflow", "jax", "torch", "h5py", "onnx"} & set(sys.modules)
assert not loaded, loaded
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BNN2HW_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(model_key.SWITCH, raising=False)
    registered = keras.saving.get_custom_objects()
    for name, there in list(registered.items()):  # other tests may have left theirs
        if model_key.package_key(there.__module__) not in model_key.SELF_CONTAINED:
            monkeypatch.delitem(registered, name)
    return tmp_path / "cache" / model_cache.KIND


@pytest.fixture
def lowered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one element with each model that is lowered."""
    calls: list[int] = []

    def counted(*given: Any, original: Callable[..., Any] = compiler.prepare) -> Any:
        calls.append(1)
        return original(*given)

    monkeypatch.setattr(compiler, "prepare", counted)
    return calls


def _save(path: Path, seed: int = 1, quantizer: Any = "ste_sign") -> Path:
    keras.utils.set_random_seed(seed)
    layers = [
        keras.Input((6,)),
        bnn2hw.nn.layers.QuantDense(8, name="first", **SIGNS),
        keras.layers.BatchNormalization(name="norm"),
        bnn2hw.nn.layers.QuantDense(3, name="last", input_quantizer=quantizer, **SIGNS),
    ]
    keras.Sequential(layers, name="small").save(path)
    return path


def _compile(path: Path, **options: Any) -> bnn2hw.Accelerator:
    return bnn2hw.compile(path, **{"input": PIXELS, **options})


def _entries(cache: Path) -> list[Path]:
    return sorted(cache.iterdir()) if cache.is_dir() else []


@pytest.mark.parametrize(
    ("name", "fps"), [("model.keras", 1_000_000), pytest.param("model.h5", 1000, marks=pytest.mark.soak)]
)
def test_no_framework_is_imported_again_and_the_folder_is_the_same(
    name: str, fps: float, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _save(tmp_path / name)
    _compile(file, fps=1000)
    assert _entries(cache)
    again = [sys.executable, "-c", AGAIN, str(file), str(tmp_path / "again"), str(fps)]
    subprocess.run(again, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    monkeypatch.setenv(model_key.SWITCH, "off")
    _compile(file, fps=float(fps)).write(tmp_path / "fresh")
    assert _contents(tmp_path / "again") == _contents(tmp_path / "fresh")


def _contents(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


OPTIONS: list[dict[str, Any]] = [
    {"input": bnn2hw.Input("uint8", scale=1 / 128)},
    {"input": bnn2hw.Input("uint4", scale=1 / 255)},
    {"output": "class"},
    {"output": "top2"},
    {"bits": 7},
    {"bits": {"first": 7}},
    {"loadable": True},
    {"loadable": ["last"]},
    {"calibration": np.zeros((2, 6), np.uint8)},
    {"calibration": np.zeros((3, 6), np.uint8)},
    {"calibration": np.ones((2, 6), np.uint8)},
]


def test_each_option_of_the_lowering_is_another_model(
    tmp_path: Path, cache: Path, lowered: list[int]
) -> None:
    path = _save(tmp_path / "model.keras")
    for count, options in enumerate([{}, *OPTIONS], start=1):
        first, second = _compile(path, **options), _compile(path, fps=2000, **options)
        assert len(lowered) == len(_entries(cache)) == count, options
        assert first.fidelity == second.fidelity
        assert first.input_specs == second.input_specs
        assert first.recipe == second.recipe
        assert list(first.measured.values()) == list(second.measured.values())


def test_other_weights_settings_and_versions_are_another_model(
    tmp_path: Path, lowered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.keras"
    _compile(_save(path))
    _compile(_save(path, seed=2))
    assert len(lowered) == 2
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "7")
    _compile(path)
    assert len(lowered) == 3
    monkeypatch.setattr(model_key, "installed_packages", lambda: ["keras-0.dist-info"])
    _compile(path)
    assert len(lowered) == 4
    monkeypatch.setattr(model_key, "product_key", lambda: ["0", ""])
    _compile(path)
    assert len(lowered) == 5
    monkeypatch.setattr(keras.config, "epsilon", lambda: 1e-3)
    _compile(path)
    assert len(lowered) == 6
    _compile(path)
    assert len(lowered) == 6


def test_settings_are_those_with_which_keras_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "")
    monkeypatch.setattr(frameworks, "installed_backends", lambda: list(frameworks.BACKENDS))
    assert model_key.keras_key()["backend"] == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "jax", "epsilon": 0.5}')
    assert (model_key.keras_key()["backend"], model_key.keras_key()["epsilon"]) == ("jax", 0.5)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert model_key.keras_key()["backend"] == "torch"
    (tmp_path / "keras.json").write_text("{")
    assert model_key.keras_key()["floatx"] == "float32"


def _cut(folder: Path) -> None:
    (folder / model_cache.ARRAYS).write_bytes((folder / model_cache.ARRAYS).read_bytes()[:-40])


def _empty(folder: Path) -> None:
    (folder / model_cache.HASHES).write_text("")


def _gone(folder: Path) -> None:
    (folder / model_cache.FACTS).unlink()


def _signed(change: Callable[[Path], object]) -> Callable[[Path], None]:
    """A change of an entry that fits its hashes."""

    def changed(folder: Path) -> None:
        change(folder)
        names = (model_cache.FACTS, model_cache.ARRAYS)
        hashes = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names]
        (folder / model_cache.HASHES).write_text(json.dumps(hashes))

    return changed


def _other_facts(folder: Path, **change: Any) -> None:
    facts = json.loads((folder / model_cache.FACTS).read_text())
    (folder / model_cache.FACTS).write_text(json.dumps({**facts, **change}))


def _pickled(folder: Path) -> None:
    names = json.loads((folder / model_cache.FACTS).read_text())["types"]
    arrays: dict[str, Any] = {name: np.array([print], object) for name in names}
    np.savez(folder / model_cache.ARRAYS, **arrays)


DAMAGES = {
    "cut": _cut,
    "empty": _empty,
    "gone": _gone,
    "unsigned facts": partial(_other_facts, name="other"),
    "another op": _signed(
        partial(_other_facts, graph={"nodes": [{"name": "a", "op": "System"}], "outputs": []})
    ),
    "no graph": _signed(partial(_other_facts, graph=None)),
    "other arrays": _signed(partial(_other_facts, types={"a0": "object"})),
    "pickled": _signed(_pickled),
    "no arrays": _signed(lambda folder: (folder / model_cache.ARRAYS).write_bytes(b"PK")),
    "deep": _signed(lambda folder: (folder / model_cache.FACTS).write_text("[" * 100_000)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_entries_are_made_anew(
    damage: Callable[[Path], None], tmp_path: Path, cache: Path, lowered: list[int]
) -> None:
    path = _save(tmp_path / "model.keras")
    made = _compile(path)
    [entry] = _entries(cache)
    damage(entry)
    assert _compile(path).design.files == made.design.files
    assert len(lowered) == 2
    assert _compile(path).design.files == made.design.files
    assert len(lowered) == 2, "the entry that was made anew is used"


def test_warnings_are_given_again(
    tmp_path: Path, lowered: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def warns(*given: Any, original: Callable[..., Any] = pipeline.check_whole) -> None:
        warnings.warn("a layer is odd", stacklevel=2)
        logging.getLogger("bnn2hw.nn").warning("a layer has no %s", "bounds")
        original(*given)

    monkeypatch.setattr(pipeline, "check_whole", warns)
    path = _save(tmp_path / "model.keras")
    for _ in range(2):
        caplog.clear()
        with pytest.warns(UserWarning, match="a layer is odd"):
            _compile(path)
        assert [(r.name, r.getMessage()) for r in caplog.records] == [("bnn2hw.nn", "a layer has no bounds")]
    assert len(lowered) == 1


class Own(bnn2hw.nn.quantizers.SteSign):  # type: ignore[misc]
    pass


def test_code_of_the_users_own_is_never_kept(
    tmp_path: Path, cache: Path, lowered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _save(tmp_path / "own.keras", quantizer=Own())
    plain = _save(tmp_path / "model.keras")
    for _ in range(2):
        _compile(path, custom_objects={"Own": Own})
    with keras.saving.CustomObjectScope({"Own": Own}):
        _compile(path)
        _compile(plain)
    monkeypatch.setitem(keras.saving.get_custom_objects(), "Own", Own)
    _compile(path)
    _compile(plain)
    assert len(lowered) == 6
    assert not _entries(cache)
    monkeypatch.delitem(keras.saving.get_custom_objects(), "Own")
    _compile(plain)
    assert _entries(cache)


CONFIGS = {
    "keras": ({"module": "keras.layers", "class_name": "Dense"}, True),
    "no module": ({"module": None, "class_name": "Dense"}, True),
    "bytecode": ({"module": "builtins", "class_name": "__lambda__"}, False),
    "another module": ({"module": "own_code.layers", "class_name": "Own"}, False),
}


@pytest.mark.parametrize(("config", "expected"), CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_files_that_name_other_code(config: Any, expected: bool, suffix: str, tmp_path: Path) -> None:
    path, text = tmp_path / f"model.{suffix}", json.dumps({"config": {"layers": [config]}})
    if suffix == "keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", text)
    else:
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = text
    assert model_key.self_contained(path) == expected


def test_data_sets_are_never_kept(cache: Path, tmp_path: Path) -> None:
    path = _save(tmp_path / "model.keras")
    _compile(path, calibration=[[0] * 6, [1] * 6])
    assert not _entries(cache)


def test_onnx_files_whose_weights_are_elsewhere_are_never_kept(tmp_path: Path) -> None:
    given = model_key.Given(None, None, None, False, None, None)
    for content, kept in ((b"weights", True), (b"\x0a\x08location\x12\x01w", False)):
        (tmp_path / "model.onnx").write_bytes(content)
        assert (model_key.key(tmp_path / "model.onnx", given) is not None) == kept


def test_the_switch(tmp_path: Path, cache: Path, lowered: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    path = _save(tmp_path / "model.keras")
    monkeypatch.setenv(model_key.SWITCH, "off")
    for _ in range(2):
        _compile(path)
    assert len(lowered) == 2
    assert not _entries(cache)


def test_a_cache_that_cannot_be_written(
    tmp_path: Path, lowered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BNN2HW_CACHE", str(tmp_path / "file"))
    path = _save(tmp_path / "model.keras")
    assert _compile(path).design.files == _compile(path).design.files
    assert len(lowered) == 2


def test_the_deviation_is_measured_on_the_file_itself(tmp_path: Path, lowered: list[int]) -> None:
    path = _save(tmp_path / "model.keras")
    x = np.random.default_rng(0).integers(0, 256, (5, 6))
    expected = _compile(path).deviation(x)
    again = _compile(path)
    assert again.deviation(x) == expected
    assert len(lowered) == 1
    again = _compile(path)
    _save(path, seed=2)
    with pytest.raises(InputError, match="has changed since it was compiled"):
        again.deviation(x)


def test_several_writers_at_once(tmp_path: Path, cache: Path) -> None:
    made = compiler.prepare(
        _save(tmp_path / "model.keras"),
        model_key.Given(PIXELS, None, None, False, None, None),
        lambda _: None,
    )
    entry = model_cache.Entry(made, (("UserWarning", "odd"),), ())

    def write(_: int) -> bool:
        write_entry = partial(model_cache.write_entry, entry)
        compile_cache.keep(model_cache.KIND, ["key"], model_cache.FILES, write_entry, model_cache.LIMIT)
        found = model_cache.found_entry(["key"], made.made.read)
        return found is not None and found.model.measured == made.measured and found.warned == entry.warned

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(write, range(24)))
    [folder] = _entries(cache)
    assert {p.name for p in folder.iterdir()} == set(model_cache.FILES)


def test_entries_that_are_not_used_make_room(cache: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "file").write_bytes(bytes(100))

    for age, name in enumerate("abc"):
        compile_cache.keep(cache.name, [name], ["file"], write, 350)
        folder = compile_cache.find(cache.name, [name], ["file"])
        assert folder
        os.utime(folder, (age, age))
    assert compile_cache.find(cache.name, ["a"], ["file"])  # now the last that was used
    compile_cache.keep(cache.name, ["d"], ["file"], write, 350)
    assert [n for n in "abcd" if compile_cache.find(cache.name, [n], ["file"])] == ["a", "c", "d"]
    compile_cache.keep(cache.name, ["e"], ["file"], write, 50)
    assert not compile_cache.find(cache.name, ["e"], ["file"])
    assert len(_entries(cache)) == 3


def test_files_of_other_tools_are_not_kept(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", kernel=np.ones(3))
    h5py.File(tmp_path / "b.h5", "w").close()
    (tmp_path / "c.txt").write_text("kernels: 3")
    assert not any(map(model_key.self_contained, tmp_path.glob("?.*")))


@pytest.mark.parametrize("high", [0, 127, 128, 255, 2**15, 2**31, 2**40, 2**63 - 1])
@pytest.mark.parametrize("low", [0, -1, -(2**15) - 1, -(2**62) - 1])
def test_integers_are_kept_in_the_smallest_type_that_holds_them(low: int, high: int) -> None:
    values = np.array([low, high], np.int64)

    kept = model_cache.smallest(values)

    assert kept.dtype.kind in "iu"
    assert [int(v) for v in kept] == [low, high]
