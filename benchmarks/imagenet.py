"""All fourteen networks of the zoo at their ImageNet size, whole in Verilator, and op by op.

    python benchmarks/figures.py imagenet                   simulate what is stale; a second run resumes
    python benchmarks/imagenet.py QuickNetSmall             one network, without the record; exit status 1 if not equal
    python benchmarks/imagenet.py QuickNetSmall --verify    op by op instead
    python benchmarks/imagenet.py QuickNetSmall --size 32 --width 0.125    smaller

Weights and images are random. Each network is a process of its own, whose memory is reported, and that of the largest
program that it started: compilers and the simulator.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import keras  # noqa: E402
import numpy as np  # noqa: E402
import records  # noqa: E402
import zoo as zoo_benchmark  # noqa: E402

import bnn2hw  # noqa: E402
from bnn2hw import compile_cache  # noqa: E402
from bnn2hw.accelerator import Accelerator  # noqa: E402
from bnn2hw.errors import Bnn2hwError  # noqa: E402
from bnn2hw.estimate import cycles  # noqa: E402
from bnn2hw.nn import zoo  # noqa: E402
from bnn2hw.simulation.run import Run  # noqa: E402

RECORD = "imagenet"

FRAMES = 2
STALLS = 0.3
SIZE = 224

DIGEST = "digest"
"""File of the cache that holds the hash of a network's hardware."""


def model(name: str, size: int, width: float) -> keras.Model:
    """Return a network with random weights."""
    keras.utils.set_random_seed(1)
    return getattr(zoo, name)(input_shape=(size, size, 3), width=width)


def compiled(name: str, size: int, width: float) -> tuple[Accelerator, np.ndarray, dict[str, str]]:
    """Compile a network; return it with frames and the first cells of its row."""
    made = model(name, size, width)
    started = time.perf_counter()
    accelerator = bnn2hw.compile(
        made,
        input=zoo_benchmark.PIXELS,
        target=zoo_benchmark.FULL_DEVICE,
        fps=zoo_benchmark.FULL_FPS,
        bits=zoo_benchmark.FULL_BITS.get(name),
    )
    seconds = time.perf_counter() - started
    x = np.random.default_rng(0).integers(0, 256, (FRAMES, size, size, 3), np.uint8)
    return accelerator, x, {"network": name, "compiled, s": f"{seconds:.0f}"}


def whole(name: str, size: int = SIZE, width: float = 1.0) -> dict[str, str]:
    """Simulate a network whole, without and with stalls; return the cells of its row."""
    accelerator, x, cells = compiled(name, size, width)
    predicted = accelerator.estimate().cycles
    between = cycles.pace(accelerator.graph, FRAMES).intervals
    started = time.perf_counter()
    smooth = accelerator.simulate(x)
    first = time.perf_counter() - started
    stalled = accelerator.simulate(x, stalls=STALLS, seed=1)
    streams = len(accelerator.design.streams)
    at_least = "≥ " * zoo_benchmark.bounded(accelerator)
    return {
        **cells,
        "streams": f"{streams:,}",
        "without stalls": verdict(smooth),
        "with stalls": verdict(stalled),
        "interval (predicted)": f"{_listed(smooth.intervals)} ({_listed(between)})",
        "later interval": f"{predicted.interval:,}",
        "latency (predicted)": f"{smooth.latency or 0:,} ({at_least}{predicted.latency:,})",
        "in time": "yes" if tuple(between) == smooth.intervals else "no",
        "cycles": f"{(smooth.cycles or 0) + (stalled.cycles or 0):,}",
        "simulator compiled and first run, s": f"{first:.0f}",
        "cycles per second": f"{(smooth.cycles or 0) / (smooth.seconds or 1):,.0f}",
        **memory(),
    }


def verdict(run: Run) -> str:
    """Return the comparison with golden: equal, or the first stream that is not."""
    return "equal" if run.exact else str(next(m for m in run.mismatches.values() if m))


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(f"{n:,}" for n in numbers)


def op_by_op(name: str, size: int = SIZE, width: float = 1.0) -> dict[str, str]:
    """Verify a network op by op; return the cells of its row."""
    accelerator, x, cells = compiled(name, size, width)
    started = time.perf_counter()
    found = accelerator.verify(x, stalls=STALLS)
    seconds = time.perf_counter() - started
    return {
        **cells,
        "ops": f"{len(found.ops):,}",
        "verified": "all equal" if found.exact else found.problems[0],
        "verified, s": f"{seconds:.0f}",
        **memory(),
    }


def memory() -> dict[str, str]:
    """Return the most memory that this process had, and the largest of those that it started, in GiB."""
    own, others = (
        resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {"peak GiB": f"{own:.1f}", "of a program, GiB": f"{others:.1f}"}


def equal(cells: dict[str, str]) -> bool:
    """Return True if a row says that all is as golden and the model of cycles say."""
    if "verified" in cells:
        return cells["verified"] == "all equal"
    return (
        cells.get("without stalls") == cells.get("with stalls") == "equal" and cells.get("in time") == "yes"
    )


TABLES: dict[str, Callable[..., dict[str, str]]] = {"whole": whole, "op by op": op_by_op}


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row: that of the rendered network and of its predicted cycles."""
    digests = {name: hardware(name) for name in zoo_benchmark.NETWORKS}
    return {table: dict(digests) for table in TABLES}


def hardware(name: str) -> str:
    """Return the hash of what Verilator reads of a network, and of its predicted cycles.

    It is kept until a source changes, since each network takes seconds to compile.
    """

    def build(folder: Path) -> None:
        accelerator, *_ = compiled(name, SIZE, 1.0)
        pace, made = cycles.pace(accelerator.graph, FRAMES).intervals, accelerator.design
        simulated = replace(made, files={**made.files, **made.fast})
        (folder / DIGEST).write_text(records.hardware(simulated, pace, records.sources(*records.SIMULATOR)))
        keras.utils.clear_session()

    ingredients = [name, FRAMES, records.sources("bnn2hw", "templates", "sim", "benchmarks/imagenet.py")]
    return (compile_cache.entry("figures", ingredients, (DIGEST,), build) / DIGEST).read_text()


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the cells of a row, from a process of its own, and the versions of the tools."""
    command = [sys.executable, __file__, row, *(["--verify"] if table == "op by op" else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if not lines:
        raise SystemExit(f"{row} ended with exit status {done.returncode}")
    return json.loads(lines[-1]), records.versions("keras", "verilator")


def main() -> int:
    """Print the row of a network as JSON; return 0 if all is equal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", choices=list(zoo_benchmark.NETWORKS))
    parser.add_argument("--verify", action="store_true", help="op by op")
    parser.add_argument("--size", type=int, default=SIZE, help="height and width of the images")
    parser.add_argument("--width", type=float, default=1.0, help="share of the channels")
    options = parser.parse_args()
    row = TABLES["op by op" if options.verify else "whole"]
    try:
        cells = row(options.network, options.size, options.width)
    except Bnn2hwError as error:
        cells = {"network": options.network, "without stalls": zoo_benchmark.flat(error)}
    print(json.dumps(cells, ensure_ascii=False))
    return 0 if equal(cells) else 1


if __name__ == "__main__":
    sys.exit(main())
