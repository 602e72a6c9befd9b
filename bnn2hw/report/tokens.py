"""Colors in drawings: placeholders that libraries pass through, replaced by the tokens of the page."""

from __future__ import annotations

import importlib
from types import ModuleType

from bnn2hw.errors import MissingToolError

INK, MUTED, RULE, TRACK, PAGE = "#010101", "#020202", "#030303", "#040404", "#050505"
ACCENT, WARN, RAISED = "#060606", "#070707", "#0a0a0a"

TOKENS = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    TRACK: "track",
    PAGE: "page",
    ACCENT: "accent",
    WARN: "warn",
    RAISED: "raised",
}
"""Tokens of the style sheet by stand-in. One drawing serves light, dark and paper."""


def themed(svg: str) -> str:
    """Return a drawing in the colors of the page.

    Args:
        svg: Drawing in stand-in colors.
    """
    for color, token in TOKENS.items():
        svg = svg.replace(f'"{color}"', f'"var(--{token})"')
    return svg


def library(module: str, package: str) -> ModuleType:
    """Import a library that draws.

    Args:
        module: Its name.
        package: Its name on PyPI.

    Raises:
        MissingToolError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingToolError(
            f"reports are drawn by {package}, which does not load: {error}; pip install {package}"
        ) from error
