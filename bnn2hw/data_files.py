"""Where the data folders of the package lie: the templates and the simulation harness."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bnn2hw.errors import Bnn2hwError


def data_dir(name: Literal["templates", "sim"]) -> Path:
    """The folder `name`: inside the package in a wheel, beside it in a checkout.

    Raises:
        Bnn2hwError: it is in neither place.
    """
    package = Path(__file__).resolve().parent
    for parent in (package, package.parent):
        if (parent / name).is_dir():
            return parent / name
    raise Bnn2hwError(f"the folder '{name}' is missing beside {package}; reinstall bnn2hw")
