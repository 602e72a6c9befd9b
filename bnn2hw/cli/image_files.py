"""Read images and labels from NumPy files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bnn2hw.errors import InputError, unreadable
from bnn2hw.ir import Array

IMAGES = ("x", "x_test", "images")
"""Names under which an .npz file may hold images."""

LABELS = ("y", "y_test", "labels")
"""Names under which an .npz file may hold labels."""


def read(path: Path, shape: tuple[int, ...], frames: int | None) -> tuple[Array, Array | None]:
    """Read the first images of a file, and their labels if the file holds labels.

    Args:
        path: An .npy file with images, or an .npz file with arrays named as in `IMAGES` and
            `LABELS`.
        shape: Shape of one image. Grey images may be stored without the axis of their one channel.
        frames: Number of images; None for all.

    Returns:
        The images, shape (frames, ...), and the labels, shape (frames,), or None.

    Raises:
        InputError: The file cannot be read, or holds no images.
    """
    try:
        data = np.load(path, allow_pickle=False)
    except OSError as error:
        raise unreadable(f"the images '{path}'", error) from error
    except ValueError as error:
        raise InputError(f"'{path}' is no .npy or .npz file of plain arrays") from error
    if not isinstance(data, np.lib.npyio.NpzFile):
        return data[:frames], None
    names = [n for n in IMAGES if n in data]
    if not names:
        raise InputError(
            f"'{path}' holds no array {', '.join(IMAGES[:-1])} or {IMAGES[-1]}; "
            f"it holds {', '.join(data) or 'nothing'}"
        )
    x = data[names[0]]
    labels = next((data[n] for n in LABELS if n in data), None)
    if (*x.shape[1:], 1) == shape:
        x = x[..., None]
    return x[:frames], None if labels is None else labels[:frames]
