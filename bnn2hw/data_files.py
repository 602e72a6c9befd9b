"""Find the data folders of the package: the templates and the simulation harness."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bnn2hw.errors import Bnn2hwError


def data_dir(name: Literal["templates", "sim"]) -> Path:
    """Return a data folder: inside an installed package, or next to it in a checkout.

    Raises:
        Bnn2hwError: The folder is in neither place.
    """
    package = Path(__file__).resolve().parent
    for parent in (package, package.parent):
        if (parent / name).is_dir():
            return parent / name
    raise Bnn2hwError(f"the folder '{name}' is missing next to {package}; install bnn2hw again")
