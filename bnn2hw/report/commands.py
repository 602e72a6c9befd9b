"""The commands that make a design again."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bnn2hw.compiled import CompiledModel
from bnn2hw.ops.source import Input
from bnn2hw.report.records import Explored, Measured, Simulation
from bnn2hw.targets import boards

FILES = {"folding": ("folding", "FOLDING.toml"), "calibrated": ("calibration", "IMAGES.npz")}
"""Options with files: the option, and a name in place of that of its file, if that is not known."""

PLAIN = {"fps": "--fps", "latency": "--latency", "output": "--output", "bits": "--bits", "board": "--board"}
FLAGS = {"loadable": "--loadable"}

STALLS = 0.25
"""Share of stalls that `bnn2hw simulate` has by default."""


def commands(
    accelerator: CompiledModel,
    explored: Explored | None = None,
    runs: Sequence[Simulation] = (),
    measured: Measured | None = None,
) -> list[str]:
    """Return the commands that compile, simulate and synthesize a design.

    Args:
        accelerator: The design.
        explored: The study that it is a point of.
        runs: Its simulations.
        measured: The result of its synthesis.
    """
    model = accelerator.made_from.get("model", "MODEL")
    stem = Path(model).stem if "model" in accelerator.made_from else accelerator.name
    folder = f"build/{re.sub(r'[^A-Za-z0-9_-]+', '_', stem)}"
    given = [f"--from {shlex.quote(explored.table)} --point {explored.point}"] if explored else []
    words = [f"bnn2hw compile {shlex.quote(model)}", *(given or _options(accelerator)), f"-o {folder}"]
    made = [" ".join(words), " ".join([f"bnn2hw simulate {folder}", *_frames(runs)])]
    if accelerator.backend == "verilog":
        board = _board(accelerator, measured)
        made.append(" ".join([f"bnn2hw synth {folder}", *board, f"-o {folder}_synth"]))
    return made


def _frames(runs: Sequence[Simulation]) -> Iterator[str]:
    """Yield the options of the command that simulates, as far as a design keeps them."""
    if not runs:
        return
    last = max(runs, key=lambda run: run.stalls)
    if last.images:
        yield f"--images {shlex.quote(last.images)}"
    yield f"--frames {last.frames}"
    if last.stalls not in (0.0, STALLS):
        yield f"--stalls {last.stalls:g}"
    if last.seed:
        yield f"--seed {last.seed}"


def _board(accelerator: CompiledModel, measured: Measured | None) -> list[str]:
    """Return the option that names the board of a synthesis, if there is one."""
    own = accelerator.made_from.get("board") or accelerator.options.get("board")
    name = measured.place if measured and measured.place in boards.known() else own
    return [f"--board {shlex.quote(name)}"] if name else []


def _options(accelerator: CompiledModel) -> Iterator[str]:
    options, files = accelerator.options, accelerator.made_from
    yield from _input(accelerator)
    if "board" not in options:
        yield f"--target {shlex.quote(files.get('target', accelerator.device.name))}"
    for name, option in PLAIN.items():
        if name in options:
            yield f"{option} {shlex.quote(files.get(name, options[name]))}"
    for name, option in FLAGS.items():
        if options.get(name):
            every = options[name] == "yes"
            layers = options[name].split(", ")
            yield option if every else " ".join(f"--loadable-layer {shlex.quote(n)}" for n in layers)
    for name, (option, file) in FILES.items():
        if name in options:
            yield f"--{option} {shlex.quote(files.get(option, file))}"
    yield from (f"--import {shlex.quote(name)}" for name in files.get("import", "").split())
    if accelerator.backend != "verilog":
        yield f"--backend {accelerator.backend}"


def _input(accelerator: CompiledModel) -> Iterator[str]:
    spec = accelerator.input_specs
    if isinstance(spec, Mapping):
        return
    yield f"--input {spec.dtype}"
    for name, default in (("scale", Input().scale), ("offset", Input().offset)):
        value = getattr(spec, name)
        if value != default:
            numbers = value if isinstance(value, tuple) else (value,)
            yield f"--{name} {','.join(map(_number, numbers))}"


def _number(value: float) -> str:
    """Return a number, as a fraction of 1 if that is the same number and shorter."""
    plain, inverse = f"{value:.17g}" if float(f"{value:g}") != value else f"{value:g}", 0.0
    if value:
        inverse = float(f"{1 / value:.6g}")
    fraction = f"1/{inverse:g}"
    return fraction if inverse and 1 / inverse == value and len(fraction) < len(plain) else plain


def fingerprint(accelerator: CompiledModel) -> str:
    """Return a short hash of the sources without comments: equal hashes mean equal hardware.

    Args:
        accelerator: The design.
    """
    digest = hashlib.sha256()
    for name, text in sorted(accelerator.design.code.items()):
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()[:16]
