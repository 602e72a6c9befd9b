"""The commands that make a design again."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping

from bnn2hw.compiled import CompiledModel
from bnn2hw.ops.source import Input
from bnn2hw.report.records import Explored

FILES = {"folding": "--folding FOLDING.toml", "calibrated": "--calibration IMAGES.npz"}
"""Options whose files a design does not keep."""

PLAIN = {"fps": "--fps", "latency": "--latency", "output": "--output", "bits": "--bits", "board": "--board"}
FLAGS = {"loadable": "--loadable"}


def commands(accelerator: CompiledModel, explored: Explored | None = None) -> list[str]:
    """Return the commands that compile, simulate and synthesize a design.

    Args:
        accelerator: The design.
        explored: The study that it is a point of.
    """
    given = [f"--from {shlex.quote(explored.table)} --point {explored.point}"] if explored else []
    words = ["bnn2hw compile MODEL", *(given or _options(accelerator)), "-o BUILD"]
    made = [" ".join(words), "bnn2hw simulate BUILD"]
    board = accelerator.options.get("board")
    if accelerator.backend == "verilog":
        made.append(f"bnn2hw synth BUILD{f' --board {shlex.quote(board)}' if board else ''} -o SYNTH")
    return made


def _options(accelerator: CompiledModel) -> Iterator[str]:
    options = accelerator.options
    yield from _input(accelerator)
    if "board" not in options:
        yield f"--target {shlex.quote(accelerator.device.name)}"
    for name, option in PLAIN.items():
        if name in options:
            yield f"{option} {shlex.quote(options[name])}"
    for name, option in FLAGS.items():
        if options.get(name):
            every = options[name] == "yes"
            layers = options[name].split(", ")
            yield option if every else " ".join(f"--loadable-layer {shlex.quote(n)}" for n in layers)
    yield from (option for name, option in FILES.items() if name in options)
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
