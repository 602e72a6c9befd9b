"""Images and labels from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bnn2hw.errors import InputError
from bnn2hw.ir import Array


def read(path: Path, shape: tuple[int, ...], frames: int | None) -> tuple[Array, Array | None]:
    """The first images of an .npy or .npz file, and their labels where it has some.

    Args:
        path: of the file; an .npz holds images under x, x_test or images, and labels under y, y_test or labels.
        shape: of an image; grey images may be stored without their channel axis.
        frames: how many; all where None.

    Raises:
        InputError: it cannot be read, or holds no images.
    """
    try:
        data = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(f"the images '{path}' cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"'{path}' is no .npy or .npz file of plain arrays") from error
    if not isinstance(data, np.lib.npyio.NpzFile):
        return data[:frames], None
    names = [n for n in ("x", "x_test", "images") if n in data]
    if not names:
        raise InputError(
            f"'{path}' holds no array x, x_test or images; it holds {', '.join(data) or 'nothing'}"
        )
    x = data[names[0]]
    labels = next((data[n] for n in ("y", "y_test", "labels") if n in data), None)
    if (*x.shape[1:], 1) == shape:
        x = x[..., None]
    return x[:frames], None if labels is None else labels[:frames]
