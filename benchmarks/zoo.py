"""All fourteen architectures of the zoo: miniatures that are bit-exact in Verilog and in HLS C++, and full size.

    python benchmarks/zoo.py [NETWORK ...] [--data mnist.npz] [--models folder]
    python benchmarks/zoo.py --full [NETWORK ...]

Without --full, each network is trained for a few epochs on MNIST at an eighth of its width (or taken from the folder
where that was done before), compiled, and compared: golden with Keras, Verilator and the HLS sources with golden on
every stream. With --full, each is taken at its ImageNet size with random weights as far as its estimate, in a process
of its own, whose peak memory is reported.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import records

import bnn2hw
from bnn2hw.errors import Bnn2hwError
from bnn2hw.estimate import cycles
from bnn2hw.ir import hardware_nodes
from bnn2hw.nn import zoo
from bnn2hw.simulation.run import Run

HERE = Path(__file__).parent
PIXELS = bnn2hw.Input("uint8", scale=1 / 255)

DEVICE, FPS = "xczu5ev", 2000
WIDTH = 0.125
CALIBRATION_IMAGES = 64
FRAMES = 3
STALLED_FRAMES = 2
STALLS = 0.3

FULL_DEVICE, FULL_FPS = "xcu250", 250
FULL_BITS = {"XNORNet": {"dense": 8}, "DoReFaNet": {"dense": 8}}
"""Where the default of 18 bits for a real classifier of 4096 x 1000 weights, 74 Mbit, is more than the card holds."""


@dataclass(frozen=True)
class Miniature:
    """A way to make a network small and to train it.

    Attributes:
        size: height and width of its images.
        phases: learning rates, and for how many epochs each.
        momentum: of all batch normalizations, where the network's own follows single batches too closely.
        images: on which it is trained.
        target: the device that it is compiled for.
    """

    size: int = 32
    phases: tuple[tuple[float, int], ...] = ((3e-3, 2), (5e-4, 1))
    momentum: float | None = None
    images: int = 12_000
    target: str = DEVICE


LONGER = Miniature(32, ((1e-2, 2), (3e-3, 2), (5e-4, 1)), 0.99)
SMALL = replace(LONGER, size=16, images=4_000)

NETWORKS = {
    "BinaryAlexNet": Miniature(64),
    "XNORNet": Miniature(64),
    "DoReFaNet": Miniature(64),
    "BiRealNet": LONGER,
    "BinaryResNetE18": Miniature(),
    "BinaryDenseNet28": Miniature(),
    "BinaryDenseNet37": Miniature(16),
    "BinaryDenseNet37Dilated": SMALL,
    "BinaryDenseNet45": replace(SMALL, momentum=0.9),
    "MeliusNet22": Miniature(),
    "RealToBinaryNet": replace(LONGER, images=8_000, target=FULL_DEVICE),
    "QuickNetSmall": LONGER,
    "QuickNet": LONGER,
    "QuickNetLarge": LONGER,
}


def mnist(path: Path | None) -> dict[str, np.ndarray]:
    """Training and test images and labels."""
    if path is None:
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
        return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    with np.load(path) as data:
        return dict(data)


def images(x: np.ndarray, size: int) -> np.ndarray:
    """Digits as uint8 images of 32x32 with a black border, or twice or half as large."""
    x = np.pad(x, ((0, 0), (2, 2), (2, 2)))
    if size == 64:
        x = x.repeat(2, 1).repeat(2, 2)
    if size == 16:
        x = x.reshape(-1, 16, 2, 16, 2).mean((2, 4)).astype(np.uint8)
    return x[..., None]


def trained(name: str, data: dict[str, np.ndarray], folder: Path) -> keras.Model:
    """A miniature from the folder, or trained now and put there."""
    path = folder / f"{name}.keras"
    if path.exists():
        return keras.models.load_model(path, compile=False)
    plan = NETWORKS[name]
    keras.utils.set_random_seed(1)
    model = getattr(zoo, name)(input_shape=(plan.size, plan.size, 1), num_classes=10, width=WIDTH)
    for layer in model.layers:
        if plan.momentum and isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = plan.momentum
    x = images(data["x_train"][: plan.images], plan.size).astype(np.float32) / 255
    model.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy")
    for rate, epochs in plan.phases:
        model.optimizer.learning_rate = rate
        model.fit(x, data["y_train"][: plan.images], epochs=epochs, batch_size=64, verbose=0)
    folder.mkdir(parents=True, exist_ok=True)
    model.save(path)
    return model


def miniature_row(name: str, data: dict[str, np.ndarray], folder: Path, count: int) -> list[str]:
    """Train, compile, compare; a row of the table."""
    model = trained(name, data, folder)
    start = time.perf_counter()
    size, target = NETWORKS[name].size, NETWORKS[name].target
    calibration = images(data["x_train"][:CALIBRATION_IMAGES], size)
    accelerator = bnn2hw.compile(model, input=PIXELS, target=target, fps=FPS, calibration=calibration)
    compiled = time.perf_counter() - start

    x, y = images(data["x_test"][:count], size), data["y_test"][:count]
    ours = accelerator.golden(x)
    theirs = model.predict(x / np.float32(255), verbose=0).argmax(1)
    kinds = Counter(f.kind for f in accelerator.fidelity.values())

    smooth = run(accelerator, x[:FRAMES])
    stalled = run(accelerator, x[:STALLED_FRAMES], stalls=STALLS, seed=1)
    hls = run(replace(accelerator, backend="hls"), x[:STALLED_FRAMES])
    cycles = accelerator.estimate().cycles
    return [
        name,
        f"{size}×{size}",
        f"{np.mean(theirs == y):.1%}",
        f"{np.mean(ours == y):.1%}",
        f"{np.sum(ours == theirs):,} of {count:,}",
        f"{kinds['exact']} / {kinds['rounded']}",
        f"{len(accelerator.design.streams)}",
        *map(verdict, (smooth, stalled, hls)),
        f"{measured(smooth, 'interval')} ({cycles.interval:,})",
        f"{measured(smooth, 'latency')} ({'≥ ' * bounded(accelerator)}{cycles.latency:,})",
        f"{compiled:.0f}",
    ]


def run(accelerator: bnn2hw.Accelerator, x: np.ndarray, **options: Any) -> Run | str:
    """A simulation, or why there is none."""
    try:
        return accelerator.simulate(x, **options)
    except Bnn2hwError as error:
        return flat(error)


def verdict(made: Run | str) -> str:
    """The comparison of a run with golden: exact, or the first stream that is not."""
    if isinstance(made, str):
        return made
    return "equal" if made.exact else str(next(m for m in made.mismatches.values() if m))


def measured(made: Run | str, what: str) -> str:
    """A figure of a run."""
    return "none" if isinstance(made, str) else f"{getattr(made, what):,}"


def flat(error: Exception) -> str:
    """An error in a cell of a table."""
    return f"{type(error).__name__}: {error}".replace("\n", " ").replace("|", "/")[:400]


def bounded(accelerator: bnn2hw.Accelerator) -> bool:
    """True if the predicted latency is a lower bound only, for it would take too long to step."""
    ops = sum(1 for _ in hardware_nodes(accelerator.graph)) + 1
    return accelerator.estimate().cycles.latency * ops > cycles.USUAL.exact


MINIATURE_HEAD = [
    "network",
    "images",
    "accuracy, Keras",
    "accuracy, golden",
    "same class",
    "layers exact / rounded",
    "streams",
    "Verilog, smooth",
    "Verilog, stalled",
    "HLS C++",
    "interval (predicted)",
    "latency (predicted)",
    "compiled in s",
]


def full_row(name: str) -> list[str]:
    """Take a network of full size to its estimate; a row of the table."""
    keras.utils.set_random_seed(1)
    model = getattr(zoo, name)()
    before = peak()
    start, used = time.perf_counter(), time.process_time()
    accelerator = bnn2hw.compile(
        model, input=PIXELS, target=FULL_DEVICE, fps=FULL_FPS, bits=FULL_BITS.get(name)
    )
    made = accelerator.estimate()
    seconds, used, most = time.perf_counter() - start, time.process_time() - used, peak()
    bits = sum(
        m.bits * m.codes.size
        for node, op in hardware_nodes(accelerator.graph)
        for m in op.memories(*accelerator.graph.inputs_of(node)).values()
    )
    return [
        name,
        f"{model.count_params() / 1e6:.2f} M",
        f"{sum(1 for _ in hardware_nodes(accelerator.graph)):,}",
        f"{made.cycles.interval:,}",
        f"{'≥ ' * bounded(accelerator)}{made.cycles.latency:,}",
        f"{made.fps:,.0f}",
        f"{made.cost.bram:,.0f}",
        f"{made.cost.bram * 18 / 1024:.1f}",
        f"{bits / 2**20:.1f}",
        f"{made.cost.lut:,.0f}",
        f"{made.cost.dsp:,.0f}",
        f"{seconds:.0f}",
        f"{used:.0f}",
        f"{most:.1f} ({before:.1f})",
    ]


def peak() -> float:
    """Most memory that this process has had, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


FULL_HEAD = [
    "network",
    "parameters",
    "ops",
    "interval",
    "latency",
    "fps",
    "block RAMs of 18 kbit",
    "their Mbit",
    "weights and tables, Mbit",
    "LUTs",
    "DSPs",
    "s",
    "processor s",
    "peak GiB (before)",
]


def alone(name: str) -> list[str]:
    """The row of a network of full size, from a process of its own."""
    command = [sys.executable, __file__, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = done.stdout.strip().split("\n")[-1]
    return last.split("\t") if done.returncode == 0 else [name, f"exit status {done.returncode}: {last}"]


def guarded(row: Callable[[], list[str]], name: str) -> list[str]:
    """A row, or the error in its place."""
    try:
        return row()
    except Bnn2hwError as error:
        return [name, flat(error)]


RECORD = "zoo"
DATA = Path(os.environ.get("BNN2HW_DATA", "")) / "mnist.npz"
MODELS = Path("build/zoo")
"""The folder of trained miniatures."""

IMAGES = 1000
"""Test images that are compared with Keras."""


def current() -> dict[str, dict[str, str]]:
    """Return the hash of today by table and row."""
    lowering = (
        "bnn2hw/lower",
        "bnn2hw/importers",
        "bnn2hw/ops",
        "bnn2hw/folding",
        "bnn2hw/dataflow",
        "bnn2hw/nn/zoo",
    )
    digest = records.sources(*lowering)
    hardware = records.sources(*lowering, "templates/verilog", "templates/hls", *records.SIMULATOR)
    return {"miniatures": dict.fromkeys(NETWORKS, hardware), "full": dict.fromkeys(NETWORKS, digest)}


def measure(table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the cells of a row and the versions of the tools."""
    if table == "full":
        cells, head = alone(row), FULL_HEAD
    else:
        cells = guarded(
            partial(miniature_row, row, mnist(DATA if DATA.is_file() else None), MODELS, IMAGES), row
        )
        head = MINIATURE_HEAD
    return dict(zip(head, cells, strict=False)), records.versions("keras", "verilator")


if __name__ == "__main__":  # the row of a network of full size, for `alone`
    print("\t".join(guarded(lambda: full_row(sys.argv[1]), sys.argv[1])))
