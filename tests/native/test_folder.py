"""The folder of C++ that `backend="native"` writes: clean in two compilers and under sanitizers, exact, and frugal."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw import tools
from bnn2hw.backends import native as backend
from bnn2hw.backends.design import Design
from bnn2hw.backends.text import Header
from bnn2hw.cli.main import main
from bnn2hw.dataflow.insert import remove_fifos
from bnn2hw.errors import InputError, ToolError
from bnn2hw.ir import Graph
from bnn2hw.native import sources
from bnn2hw.ops import HARDWARE_OPS
from bnn2hw.simulation import native_check
from tests.support import long_runs, mlp, ops
from tests.support import networks as net
from tests.support.machine import tool_or_skip

PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1)
STRICT = ("-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Iinclude", "-Isrc")
CODE = Path(__file__).parent / "programs"


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def laid(design: Design, folder: Path) -> Path:
    """Write the sources of a design."""
    for name, text in design.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def every_op(most: int) -> Graph:
    """The first examples of each op, side by side in one graph."""
    kinds = itertools.groupby(ops.every(), lambda e: e[1].kind)
    return remove_fifos(ops.side_by_side([e for _, same in kinds for e in itertools.islice(same, most)]))


@pytest.fixture(scope="module")
def accelerator() -> bnn2hw.Accelerator:
    return bnn2hw.compile(net.tutorial_like(), input=PIXELS, backend="native")


@pytest.fixture(scope="module")
def folder(accelerator: bnn2hw.Accelerator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return accelerator.write(tmp_path_factory.mktemp("native") / "build")


@pytest.fixture(scope="module")
def plain(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The objects of the small network, with the kernels in one version."""
    out = tmp_path_factory.mktemp("objects")
    texts = [str(p.resolve()) for p in (folder / "native/src").glob("*.cpp")]
    run(tool_or_skip("g++"), *STRICT, "-O0", f"-I{folder}/native/include", "-c", *texts, cwd=out)
    return out


def linked(plain: Path, folder: Path, program: str, *flags: str) -> Path:
    """Compile a program of tests/native/programs with the small network."""
    made = plain / Path(program).stem
    include = f"-I{folder}/native/include", f"-I{folder}/native/check"
    objects = [p.name for p in plain.glob("*.o")]
    run(tool_or_skip("g++"), *STRICT, *include, *flags, CODE / program, *objects, "-o", made, cwd=plain)
    return made


@pytest.mark.parametrize(
    "name", ["string", "Time", "stdint", "timer", "pthread", "main", "std", "class", "größe"]
)
def test_models_with_the_names_of_headers_and_functions_of_systems(name: str, tmp_path: Path) -> None:
    graph = remove_fifos(mlp(6, 4, 3))
    folder = laid(backend.render(graph, header=Header(name)), tmp_path)
    texts = [str(p) for p in folder.rglob("*.cpp") if p.name != "kernels.cpp"]

    run(tool_or_skip("g++"), *STRICT, "-Icheck", "-fsyntax-only", *texts, cwd=folder)


# `test_native.py` compares all examples, without sanitizers.
@pytest.mark.parametrize("examples", long_runs.after(1, [1, 2, 1000]))
def test_every_op_is_exact_and_clean_under_sanitizers(examples: int, tmp_path: Path) -> None:
    design = backend.render(every_op(examples), header=Header("every op"))
    assert len(design.inputs) > min(60, examples * (len(HARDWARE_OPS) - 4))
    laid(design, tmp_path)
    flags = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

    texts = sorted(str(p) for p in (tmp_path / "src").glob("*.cpp"))
    run(tool_or_skip("g++"), *STRICT, *flags, *texts, "check/check.cpp", "-o", "selfcheck", cwd=tmp_path)

    assert "plain: 8 frames equal" in run(tmp_path / "selfcheck", cwd=tmp_path)


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize("version", sources.versions())
def test_no_warnings(folder: Path, compiler: str, version: str) -> None:
    flags = ("-fsyntax-only", "-DBNN2HW_VERSIONS", f"-DBNN2HW_VERSION={version}", *sources.VERSIONS[version])
    root = folder / "native"
    texts = sorted(root.rglob("*.cpp"))
    assert len(texts) == 8
    if version != "plain":  # the others do not depend on it
        texts = [p for p in texts if "BNN2HW_VERSION" in p.read_text() and p.stem != "choose"]
        assert [p.name for p in texts] == ["kernels.cpp"]

    run(tool_or_skip(compiler), *STRICT, *flags, *texts, cwd=root)


def test_the_header_is_c(plain: Path, folder: Path) -> None:
    flags = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{folder}/native/include")
    objects = [p.name for p in plain.glob("*.o")]
    run(tool_or_skip("gcc"), *flags, "-c", CODE / "interface.c", "-o", "interface.obj", cwd=plain)
    run(tool_or_skip("g++"), "interface.obj", *objects, "-o", "interface", cwd=plain)

    run(plain / "interface", cwd=plain)


# `test_a_build_folder_loads_simulates_and_predicts` compiles the same sources with the flags of a release.
@pytest.mark.parametrize(
    "flags",
    [("-DCMAKE_BUILD_TYPE=Debug",), pytest.param((), marks=pytest.mark.soak)],
    ids=len,
)
def test_cmake_builds_the_folder_and_its_check_passes(
    flags: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    cmake = tool_or_skip("cmake")
    run(cmake, "-S", folder / "native", "-B", tmp_path, "-DCMAKE_CXX_FLAGS=-Werror", *flags, cwd=tmp_path)
    run(cmake, "--build", tmp_path, "-j2", "--target", "net_check", cwd=tmp_path)

    told = run(tmp_path / "net_check", cwd=tmp_path)

    assert [line.split(":")[0] for line in told.splitlines()] == list(reversed(sources.VERSIONS))
    assert "plain: 8 frames equal" in told
    assert "DIFFER" not in told


def test_nothing_is_allocated_after_the_start(plain: Path, folder: Path) -> None:
    """The program counts calls of malloc: some when networks are made, none when they run."""
    made, running = map(int, run(linked(plain, folder, "allocations.cpp", "-O1"), cwd=plain).split())

    assert made > 0
    assert running == 0


def test_two_threads(folder: Path, tmp_path: Path) -> None:
    """Under the thread sanitizer, which reports shared memory that is written."""
    root = folder / "native"
    texts = sorted(str(p) for p in (root / "src").glob("*.cpp"))
    flags = ("-O0", "-fsanitize=thread", f"-I{root}/check", "-pthread")
    run(
        tool_or_skip("g++"),
        *STRICT,
        *flags,
        *texts,
        CODE / "threads.cpp",
        "-o",
        tmp_path / "threads",
        cwd=root,
    )

    assert run(tmp_path / "threads", cwd=tmp_path) == "2000 frames right\n"


def test_a_build_folder_loads_simulates_and_predicts(accelerator: bnn2hw.Accelerator, folder: Path) -> None:
    x = np.random.default_rng(1).integers(0, 256, (21, *accelerator.input.shape))
    loaded = bnn2hw.load(folder)

    run = loaded.simulate(x)

    run.check()
    assert list(run.mismatches) == ["class"]
    assert np.array_equal(np.ravel(run.outputs), accelerator.golden(x))
    assert np.array_equal(loaded.predict(x), accelerator.golden(x))
    assert (folder / "native/README.md").is_file()
    assert "cycles" not in (folder / "report.txt").read_text()


def test_only_what_changed_is_compiled(
    accelerator: bnn2hw.Accelerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []

    def compile_nothing(command: Sequence[str], folder: Path, what: str) -> str:
        compiled.extend(word for word in command if word.endswith(".cpp"))
        (folder / command[-1]).touch()
        return what

    def changed(name: str, change: Callable[[str], str] = lambda text: f"{text}int more;\n") -> list[str]:
        compiled.clear()
        files = accelerator.design.files
        native_check.build(
            replace(accelerator.design, files={**files, name: change(files[name])}), lambda _: None
        )
        return compiled

    tools.processor(), tools.cxx()
    monkeypatch.setenv("BNN2HW_CACHE", str(tmp_path))
    monkeypatch.setattr(tools, "run", compile_nothing)

    everything = list(changed("src/kernels.hpp", str))

    assert {"src/kernels.cpp", "src/weights.cpp"} <= set(everything)
    assert changed("src/weights.cpp") == ["src/weights.cpp"]
    assert changed("src/weights.cpp", lambda text: f"{text}// a comment\n") == []
    assert changed("src/vectors.hpp") == ["src/kernels.cpp"]
    assert changed("src/kernels.hpp") == [n for n in everything if n != "src/weights.cpp"]


def test_a_wrong_weight_is_found(accelerator: bnn2hw.Accelerator) -> None:
    design = accelerator.design
    text = design.files["check/frames.hpp"]
    head, _, tail = text.rpartition("{")
    values = tail.split("}")[0].split(",")
    wrong = f"{head}{{{','.join([str((int(values[0]) + 1) % 5), *values[1:]])}}};\n"
    other = replace(accelerator)
    object.__setattr__(other, "design", replace(design, files={**design.files, "check/frames.hpp": wrong}))

    with pytest.raises(ToolError, match=r"out_class: frame 0, value 0: expected"):
        other.simulate(np.zeros((1, *accelerator.input.shape), int))


@pytest.mark.parametrize(
    ("option", "value"),
    [("target", "ecp5-85k"), ("board", "ulx3s"), ("fps", 100), ("folding", {"conv": {"pe": 1}})],
)
def test_options_of_hardware_are_refused(option: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{option} has no effect with the backend 'native'"):
        bnn2hw.compile(net.tutorial_like(), backend="native", **{option: value})


def test_what_needs_hardware_is_refused(accelerator: bnn2hw.Accelerator) -> None:
    x = np.zeros((1, *accelerator.input.shape), int)
    for call in (
        accelerator.estimate,
        accelerator.folding,
        accelerator.weight_image,
        accelerator.synthesize,
        lambda: accelerator.emulate(x),
        lambda: accelerator.reload(net.tutorial_like()),
        lambda: bnn2hw.pareto(accelerator),
    ):
        with pytest.raises(InputError, match=r"needs hardware, and 'net' is native code for a processor"):
            call()
    with pytest.raises(InputError, match="native code has no streams that could stall"):
        accelerator.simulate(x, stalls=0.5)


def test_the_command_line(tmp_path: Path) -> None:
    model = net.tutorial_like()
    model.save(tmp_path / "net.keras")
    out = tmp_path / "out"

    def bnn(*arguments: str | Path, status: int = 0) -> str:
        done = CliRunner().invoke(main, list(map(str, arguments)))
        assert done.exit_code == status, done.output
        return done.output

    told = bnn("compile", tmp_path / "net.keras", "--input", "uint8", "--backend", "native", "-o", out)
    assert f"written to {out}: native/, report.txt" in told
    assert "native: 5 random frames, no clock, 1 stream bit-exact" in bnn("simulate", out, "--frames", "5")
    assert "an estimate needs hardware" in bnn("estimate", out, status=2)
    assert "--stalls has no effect" in bnn("simulate", out, "--stalls", "0.5", status=2)
    refused = bnn("compile", tmp_path / "net.keras", "--backend", "native", "--fps", "9", "-o", out, status=2)
    assert "fps has no effect with the backend 'native'" in refused
