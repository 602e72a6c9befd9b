"""Sign and step functions with a defined value at zero."""

from __future__ import annotations

from typing import Any

from keras import ops


def sign(x: Any) -> Any:
    r"""Sign that is never 0.

    \\[ \mathrm{sign}(x) = \begin{cases} -1 & x < 0 \\\ 1 & x \geq 0 \end{cases} \\]

    0.0 and -0.0 give +1; NaN stays NaN.

    Args:
        x: A tensor of any shape with a float dtype.

    Returns:
        A tensor of the shape and dtype of ``x`` with values in {-1, 1}.
    """
    return ops.sign(ops.sign(x) + 0.1)


def heaviside(x: Any) -> Any:
    r"""Unit step that is 0 at 0.

    \\[ \mathrm{heaviside}(x) = \begin{cases} 0 & x \leq 0 \\\ 1 & x > 0 \end{cases} \\]

    Args:
        x: A tensor of any shape with a float dtype.

    Returns:
        A tensor of the shape and dtype of ``x`` with values in {0, 1}.
    """
    return ops.sign(ops.relu(x))
