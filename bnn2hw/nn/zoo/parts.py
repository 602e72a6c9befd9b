# mypy: allow-subclassing-any, allow-untyped-decorators
"""Quantizers, activations, initializers and layers of specific networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from bnn2hw.nn import math, utils
from bnn2hw.nn.pseudo_gradients import ste_sign, with_gradient


@utils.set_precision(1)
@utils.register_keras_custom_object
def xnor_weight_scale(x: Any) -> Any:
    r"""Binarize each filter to plus and minus its mean magnitude, as XNOR-Net does.

    \\[ q(w)_{..c} = \alpha_c \, \mathrm{sign}(w_{..c}), \quad
    \alpha_c = \mathrm{mean}(|\mathrm{clip}(w_{..c}, -1, 1)|) \\]

    Unlike in `bnn2hw.nn.quantizers.MagnitudeAwareSign`, a gradient also flows through \\(\alpha\\).
    0 gives \\(+\alpha_c\\).

    Args:
        x: Kernel of a convolution, of rank 4; the last axis counts filters.

    References:
        [XNOR-Net](https://arxiv.org/abs/1603.05279), Rastegari et al., 2016
    """
    x = ops.clip(ops.convert_to_tensor(x), -1.0, 1.0)
    return ops.mean(ops.abs(x), axis=(0, 1, 2), keepdims=True) * ste_sign(x)


@utils.register_keras_custom_object
@utils.set_precision(1)
def magnitude_aware_sign_unclipped(x: Any) -> Any:
    r"""Binarize a layer to plus and minus its mean magnitude, as DoReFa-Net does.

    \\[ q(w) = s \, \mathrm{sign}(w), \quad s = \mathrm{mean}(|w|), \qquad
    \frac{\partial q}{\partial w} := 1 \\]

    0 gives \\(+s\\).

    Args:
        x: All weights of a layer.

    References:
        [DoReFa-Net](https://arxiv.org/abs/1606.06160), Zhou et al., 2016
    """
    return with_gradient(lambda w: math.sign(w) * ops.mean(ops.abs(w)), lambda _, upstream: upstream, x)


@utils.register_keras_custom_object
def clip_by_value_activation(x: Any) -> Any:
    """Clip to [0, 1].

    Args:
        x: A tensor of any shape.
    """
    return ops.clip(x, 0, 1)


@utils.register_keras_custom_object
def blurpool_initializer(shape: Sequence[int], dtype: Any = None) -> Any:
    """Return a depthwise kernel with a binomial filter, which prevents aliasing in subsampling.

    Args:
        shape: ``(size, size, channels, 1)`` with a size of 2, 3 or 5.
        dtype: Dtype of the values.

    Raises:
        ValueError: The size is not 2, 3 or 5.

    References:
        [Making Convolutional Networks Shift-Invariant Again](https://arxiv.org/abs/1904.11486), Zhang, 2019
    """
    rows = {2: (1, 1), 3: (1, 2, 1), 5: (1, 4, 6, 4, 1)}
    if shape[0] not in rows:
        raise ValueError(f"The size of a blur kernel must be 2, 3 or 5. Received: shape={tuple(shape)}")
    kernel = np.outer(rows[shape[0]], rows[shape[0]]) / sum(rows[shape[0]]) ** 2
    return ops.convert_to_tensor(np.broadcast_to(kernel[:, :, None, None], shape), dtype=dtype)


@utils.register_keras_custom_object
class AddToLastChannels(keras.layers.Layer):
    """Add a tensor with fewer channels to the last channels of another tensor."""

    def call(self, inputs: Sequence[Any]) -> Any:
        """Add the second tensor to the last channels of the first."""
        whole, part = inputs
        missing = whole.shape[-1] - part.shape[-1]
        return whole + ops.pad(part, [[0, 0]] * (len(part.shape) - 1) + [[missing, 0]])

    def compute_output_shape(self, input_shape: Sequence[Any]) -> Any:
        """Return the shape of the first tensor."""
        return input_shape[0]
