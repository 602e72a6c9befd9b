"""Variances of normalizations that have no standard deviation."""

from __future__ import annotations

import numpy as np

from bnn2hw.ir import Array


def wrong(variances: Array, epsilon: float) -> tuple[str, str, str] | None:
    """Return a problem if a normalization would take the root of a number that is not positive.

    Args:
        variances: Variance by channel.
        epsilon: What the normalization adds to each variance.

    Returns:
        What was found, what is supported, and the way out; None if all roots are positive.
    """
    flat = np.asarray(variances, np.float32).reshape(-1)
    if np.all(flat + np.float32(epsilon) > 0):
        return None
    at = int(np.argmin(flat))
    return (
        f"the variance {flat[at]:.6g} in channel {at}, which an epsilon of {epsilon:.6g} does not raise above 0, so "
        "the model itself returns NaN or infinity there",
        "variances of which the sum with epsilon is positive",
        "train the model again, or give the layer a larger epsilon",
    )
