"""Files of Keras that hold no whole model: each is refused with what it is, and what to save instead."""

from __future__ import annotations

from pathlib import Path

import h5py
import keras
import pytest

import bnn2hw
from bnn2hw.errors import InputError
from tests.support import networks as net


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    model = net.chain((6,), net.dense(2, name="last"))
    for suffix in ("keras", "h5"):
        model.save(made / f"whole.{suffix}")
        whole = (made / f"whole.{suffix}").read_bytes()
        (made / f"cut.{suffix}").write_bytes(whole[: len(whole) // 4])
        (made / f"empty.{suffix}").write_bytes(b"")
        (made / f"text.{suffix}").write_bytes(b"no model\n" * 100)
    model.save_weights(made / "last.weights.h5")
    with h5py.File(made / "old.h5", "w") as file:
        file.attrs["keras_version"] = "1.2.2"
        file.attrs["model_config"] = "{}"
    return made


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("kind", ["cut", "empty", "text"])
def test_no_whole_file(folder: Path, kind: str, suffix: str) -> None:
    with pytest.raises(InputError, match=r"it is cut off, or Keras did not write it; save the whole model"):
        bnn2hw.compile(folder / f"{kind}.{suffix}")


def test_weights_alone(folder: Path) -> None:
    with pytest.raises(
        InputError, match=r"holds weights and no model; save the whole model with model\.save"
    ):
        bnn2hw.compile(folder / "last.weights.h5")


def test_weights_in_bfloat16_that_keras_cannot_read_again(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, dtype="bfloat16")])
    model.save(tmp_path / "it.h5")
    model.save(tmp_path / "it.keras")

    with pytest.raises(InputError, match=r"kernel' has the type .*bfloat16.*; save the model with Keras 3"):
        bnn2hw.compile(tmp_path / "it.h5", input=bnn2hw.Input("int8"))
    assert bnn2hw.compile(tmp_path / "it.keras", input=bnn2hw.Input("int8")).name == model.name


def test_a_file_of_keras_1(folder: Path) -> None:
    with pytest.raises(InputError, match=r"Keras 1\.2\.2 wrote it; load it with Keras 2 and save it again"):
        bnn2hw.compile(folder / "old.h5")
