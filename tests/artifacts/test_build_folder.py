"""Build folders: the manifest, and folders that another version of bnn2hw wrote."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw.artifacts import build_folder, write
from bnn2hw.artifacts.manifest import Manifest
from bnn2hw.cli.main import main
from bnn2hw.errors import InputError
from bnn2hw.folders import MANIFEST
from tests.artifacts.test_old_formats import FORMAT_1
from tests.support import networks as net


@pytest.fixture
def accelerator() -> bnn2hw.Accelerator:
    model = net.chain((6,), net.dense(4, name="first"), net.norm(name="norm"), net.dense(2, name="last"))
    return bnn2hw.compile(model, input=bnn2hw.Input("bipolar"), loadable=True)


def test_facts_of_an_accelerator_are_read_back(accelerator: bnn2hw.Accelerator, tmp_path: Path) -> None:
    folder = accelerator.write(tmp_path / "b")

    _, manifest = build_folder.read(folder)

    assert manifest == Manifest.of(accelerator)
    assert manifest.recipe is not None
    assert Manifest.of(bnn2hw.load(folder)) == manifest
    assert not build_folder.changed_sources(folder, write.sources(accelerator))


@pytest.mark.parametrize("fact", ["name", "fidelity", "cycles", "input_specs"])
def test_a_manifest_that_lacks_a_fact_is_refused(
    accelerator: bnn2hw.Accelerator, tmp_path: Path, fact: str
) -> None:
    folder = accelerator.write(tmp_path / "b")
    facts = json.loads((folder / MANIFEST).read_text())
    del facts[fact]
    (folder / MANIFEST).write_text(json.dumps(facts))

    with pytest.raises(
        InputError, match=r"cannot be read: '(units|\w+)' is missing; compile the model again$"
    ):
        bnn2hw.load(folder)


def test_sources_that_another_version_wrote(tmp_path: Path) -> None:
    with tarfile.open(FORMAT_1) as packed:
        packed.extractall(tmp_path / "old", filter="data")
    simulate = ["simulate", str(tmp_path / "old"), "--frames", "2"]

    old = CliRunner().invoke(main, simulate)
    bnn2hw.load(tmp_path / "old").write(tmp_path / "old")
    new = CliRunner().invoke(main, simulate)

    assert old.exit_code == new.exit_code == 0
    assert old.stderr.startswith("warning: this version of bnn2hw renders the graph in ")
    assert "other sources than those in the folder (" in old.stderr
    assert new.stderr == ""
    assert old.stdout == new.stdout
    assert "stalled: 2 random frames, no clock, 50 streams bit-exact" in new.stdout
