"""Draw the quantizers and their pseudo-gradients, as SVG, without a plotting library.

python docs/nn_plots.py
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bnn2hw.nn import activations, quantizers

HERE = Path(__file__).parent / "nn_plots"
WIDTH, HEIGHT, MARGIN = 260, 180, 24
CURVES = {
    "ste_sign": quantizers.SteSign(),
    "approx_sign": quantizers.ApproxSign(),
    "swish_sign": quantizers.SwishSign(),
    "ste_heaviside": quantizers.SteHeaviside(),
    "magnitude_aware_sign": quantizers.MagnitudeAwareSign(),
    "ste_tern": quantizers.SteTern(threshold_value=0.5),
    "dorefa_activations": quantizers.DoReFa(2),
    "dorefa_weights": quantizers.DoReFa(2, mode="weights"),
    "hard_tanh": activations.hard_tanh,
    "leaky_tanh": activations.leaky_tanh,
}

Points = NDArray[np.float64]


def evaluate(function: object, x: Points) -> tuple[Points, Points]:
    """Return the values of a function and its gradients."""
    tensor = tf.constant(x[:, None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        y = function(tensor)  # type: ignore[operator]
    return y.numpy()[:, 0], tape.gradient(y, tensor).numpy()[:, 0]


def panel(x: Points, y: Points, left: int, title: str) -> str:
    """Return one set of axes with a curve, as SVG."""
    low, high = min(-1.2, float(y.min())), max(1.2, float(y.max()) * 1.1)

    def across(value: float) -> float:
        return left + MARGIN + (value - x[0]) / (x[-1] - x[0]) * (WIDTH - 2 * MARGIN)

    def down(value: float) -> float:
        return HEIGHT - MARGIN - (value - low) / (high - low) * (HEIGHT - 2 * MARGIN)

    points = " ".join(f"{across(a):.1f},{down(b):.1f}" for a, b in zip(x, y, strict=True))
    ticks = "".join(
        f'<text x="{across(t):.1f}" y="{down(0) + 12:.1f}" text-anchor="middle">{t:g}</text>'
        for t in (-2, -1, 1, 2)
    )
    levels = "".join(
        f'<text x="{across(0) - 4:.1f}" y="{down(t) + 3:.1f}" text-anchor="end">{t:g}</text>'
        for t in (-1, 1, *((round(high / 1.1, 1),) if high > 1.5 else ()))
    )
    axes = f"M{across(x[0])},{down(0)}H{across(x[-1])}M{across(0)},{down(low)}V{down(high)}"
    return (
        f'<text x="{left + WIDTH / 2}" y="14" text-anchor="middle" class="title">{title}</text>'
        f'<path class="axis" d="{axes}"/>'
        f'{ticks}{levels}<polyline class="curve" points="{points}"/>'
    )


def draw(name: str, function: object) -> str:
    """Return the picture of one function: its values, then its gradients."""
    x = np.linspace(-2, 2, 801)
    y, gradient = evaluate(function, x)
    style = (
        "text{font:9px sans-serif;fill:#555}.title{font-size:12px;fill:#111}"
        ".axis{stroke:#999;fill:none}.curve{stroke:#1f5fbf;fill:none;stroke-width:1.8}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT}" width="{2 * WIDTH}">'
        f"<style>{style}</style>"
        f'<rect width="100%" height="100%" fill="white"/>{panel(x, y, 0, name)}'
        f"{panel(x, gradient, WIDTH, 'gradient')}</svg>\n"
    )


def main() -> None:
    """Write one picture for each function."""
    HERE.mkdir(exist_ok=True)
    for name, function in CURVES.items():
        (HERE / f"{name}.svg").write_text(draw(name, function), encoding="utf8")


if __name__ == "__main__":
    main()
