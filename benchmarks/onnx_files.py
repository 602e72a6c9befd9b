"""Compare ONNX files with the scores of their own executor, and their hardware with golden.

The folder $BNN2HW_DATA holds `foreign/NAME.onnx` and `foreign/NAME.io.npz` with inputs `x` and scores `y`. For each
file the script prints a row of the table in docs/onnx.md.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

import bnn2hw

DATA = Path(os.environ.get("BNN2HW_DATA", "")) / "foreign"
INPUTS = {
    "cnn_w2a2": bnn2hw.Input("uint8", scale=1 / 255),
    "cnv_mini_w1a1": bnn2hw.Input("uint8", scale=1 / 255),
    "qk09_cnn_qonnx": bnn2hw.Input("uint8", scale=1 / 256),
}
"""What arrives on the wire of files that do not say so."""

HEAD = (
    "| File | Equal scores | Largest difference | Same class | Streams that equal golden |\n"
    "| --- | --- | --- | --- | --- |\n"
)


def row(path: Path, *, simulate: bool) -> str:
    """Return the row of one file.

    Args:
        path: The .onnx file.
        simulate: False to leave the simulation out.
    """
    data = np.load(path.with_suffix(".io.npz"))
    accelerator = bnn2hw.compile(path, input=INPUTS.get(path.stem))
    x, y = data["x"], data["y"]
    scores = np.asarray(accelerator.dequantize(accelerator.golden(x)))
    off = np.abs(scores - y)
    # The float32 of the executor itself is this far from the exact sum.
    equal = int((off <= 1e-6 * np.abs(y).max()).sum())
    same = (scores.argmax(-1) == y.argmax(-1)).mean()
    streams = "not simulated"
    if simulate:
        run = accelerator.simulate(x[:32], stalls=0.2)
        right = sum(m is None for m in run.mismatches.values())
        streams = f"{right} of {len(run.mismatches)}"
    return f"| {path.stem} | {equal} of {off.size} | {off.max():.1e} | {same:.1%} | {streams} |\n"


def main() -> None:
    """Print the table; the arguments are names of files, or `--no-simulation`."""
    names = [a for a in sys.argv[1:] if not a.startswith("--")]
    sys.stdout.write(HEAD)
    for path in sorted(DATA.glob("*.onnx")):
        if not names or path.stem in names:
            sys.stdout.write(row(path, simulate="--no-simulation" not in sys.argv))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
