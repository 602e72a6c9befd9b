"""Run a block with little memory to spare, and measure the most that it took."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 1 << 20

SPARE = 3 << 30
"""Bytes of address space that a block may add: a fault of the code under test ends in an error, not in swap."""


class Peak:
    """Bytes that a block added to the largest resident size."""

    added = 0


@contextmanager
def confined(spare: int = SPARE) -> Iterator[Peak]:
    """Limit the address space, and measure resident memory.

    Args:
        spare: Bytes that the block may add to the address space.
    """
    peak, limits = Peak(), resource.getrlimit(resource.RLIMIT_AS)
    Path("/proc/self/clear_refs").write_text("5")  # the largest resident size starts anew
    before = _status("VmHWM")
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + spare, limits[1]))
    try:
        yield peak
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
        peak.added = max(_status("VmHWM") - before, 0)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
