"""Read images and labels from NumPy files."""

from __future__ import annotations

import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from bnn2hw import golden, untrusted
from bnn2hw.errors import InputError, unreadable
from bnn2hw.golden import Batch
from bnn2hw.ir import Array

IMAGES = ("x", "x_test", "images")
"""Names under which an .npz file may hold images."""

LABELS = ("y", "y_test", "labels")
"""Names under which an .npz file may hold labels."""


CALIBRATION_IMAGES = 512
"""Number of images that are read from a calibration file."""


def calibration(path: Path | None) -> Batch | None:
    """Read images for calibration; None if there is no file.

    Raises:
        Bnn2hwError: An error of `read`.
    """
    if path is None:
        return None
    images, _ = read(path, None)
    return golden.part(images, slice(CALIBRATION_IMAGES))


def read(path: Path, frames: int | None, inputs: Sequence[str] = ()) -> tuple[Batch, Array | None]:
    """Read the first images of a file, and their labels if the file holds labels.

    Args:
        path: An .npy file with images, or an .npz file with arrays named as in `IMAGES` and
            `LABELS`, or with an array for each input under its name.
        frames: Number of images; None for all. A warning is printed if the file holds fewer.
        inputs: Names of the inputs, if they are known.

    Returns:
        The images, shape (frames, ...), by name if the file has an array for each input; and the labels, shape
        (frames,), or None.

    Raises:
        InputError: The file does not exist, or holds no images or labels of another number.
        StorageError: The file cannot be read.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                untrusted.members(archive, sys.maxsize)
        data = np.load(path, allow_pickle=False)
        x, labels = _arrays(data, path, inputs)
    except OSError as error:
        raise unreadable(f"the images '{path}'", error) from error
    except MemoryError as error:
        raise InputError(f"'{path}' declares more images than fit into memory") from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"'{path}' is not a .npy or .npz file of plain arrays") from error
    if not all(a.ndim and len(a) for a in (x.values() if isinstance(x, Mapping) else [x])):
        raise InputError(f"'{path}' holds no images")
    count = golden.frames(x)
    if labels is not None and len(labels) != count:
        raise InputError(f"'{path}' holds {count} images and {len(labels)} labels")
    if frames and count < frames:
        few = f"warning: '{path}' holds {count} images, fewer than the {frames} asked for"
        click.echo(few, err=True)
    return golden.part(x, slice(frames)), None if labels is None else labels[:frames]


def _arrays(data: Any, path: Path, inputs: Sequence[str]) -> tuple[Batch, Array | None]:
    """Return the images and the labels in an open file.

    Raises:
        InputError: There are no images.
    """
    if not isinstance(data, np.lib.npyio.NpzFile):
        return data, None
    labels = next((np.atleast_1d(data[n]) for n in LABELS if n in data and n not in inputs), None)
    images = [n for n in IMAGES if n in data]
    if inputs and set(inputs) <= set(data):
        return {n: data[n] for n in inputs}, labels
    if images:
        return data[images[0]], labels
    others = [n for n in data if n not in LABELS]
    if not others or len(inputs) == 1:
        raise InputError(
            f"'{path}' holds no array {', '.join((*inputs, *IMAGES[:-1]))} or {IMAGES[-1]}; "
            f"it holds {', '.join(data) or 'nothing'}"
        )
    return {n: data[n] for n in others}, labels
