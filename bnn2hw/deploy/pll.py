"""Find settings of a device's PLL for a clock other than that of the board's oscillator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bnn2hw.errors import InputError
from bnn2hw.targets.devices import Device
from bnn2hw.targets.families import Divider, Pll

SHARE = 0.9
"""Smallest clock that is accepted, as a share of the clock that was asked for."""


@dataclass(frozen=True)
class Setting:
    """A setting of a PLL.

    Attributes:
        primitive: Name of the primitive; the template of the same name prints it.
        mhz: Clock that the setting gives.
        settings: Values of the primitive's parameters.
    """

    primitive: str
    mhz: float
    settings: Mapping[str, int | str]


def solve(device: Device, oscillator_mhz: float, clock_mhz: float) -> Setting | None:
    """Return the setting with the fastest clock that does not exceed the one asked for.

    Args:
        device: Device with the PLL.
        oscillator_mhz: Frequency at the clock pin.
        clock_mhz: Clock that was asked for.

    Returns:
        The setting, or None if the oscillator gives the clock and no PLL is needed.

    Raises:
        InputError: The device has no PLL data, or its PLL cannot make a clock near the one asked
            for.
    """
    if clock_mhz == oscillator_mhz:
        return None
    if device.pll is None:
        raise InputError(
            f"device '{device.name}' has no PLL data, so its clock is that of the oscillator, {oscillator_mhz:g} MHz, "
            f"not {clock_mhz:g} MHz; ask for clock_mhz={oscillator_mhz:g}, or add a table [pll] to the device's file"
        )
    primitive = device.pll.primitive
    reachable = [
        (mhz, settings)
        for mhz, settings in _settings(device.family.plls[primitive], oscillator_mhz)
        if SHARE * clock_mhz <= mhz <= clock_mhz + 1e-9
    ]
    if not reachable:
        raise InputError(
            f"no setting of the {primitive} PLL of {device.name} makes {clock_mhz:g} MHz from "
            f"{oscillator_mhz:g} MHz; ask for another clock"
        )
    mhz, settings = max(reachable, key=lambda found: found[0])
    return Setting(primitive, mhz, {**settings, **device.pll.parameters})


def _settings(pll: Pll, oscillator: float) -> Iterator[tuple[float, dict[str, int]]]:
    """List the clocks that a PLL can make, in MHz, each with the values of the parameters."""
    for divide in _numbers(pll.divide):
        detector = oscillator / divide
        if not _within(detector, pll.detector_mhz):
            continue
        filters = {}
        if pll.filter:
            reached = sum(detector >= limit for limit in pll.filter.from_mhz)
            filters = {pll.filter.parameter: pll.filter.first + reached}
        for multiply in _numbers(pll.multiply):
            for output, post in _outputs(pll, detector * multiply):
                numbers = ((pll.divide, divide), (pll.multiply, multiply), (pll.post, post))
                yield output, {**{d.parameter: _value(d, n) for d, n in numbers}, **filters}


def _outputs(pll: Pll, made: float) -> Iterator[tuple[float, int]]:
    """List outputs of a PLL and its last divider, where feedback holds `made` MHz."""
    if pll.feedback == "vco":
        if _within(made, pll.vco_mhz):
            yield from ((made / post, post) for post in _numbers(pll.post))
        return
    posts = [post for post in _numbers(pll.post) if _within(made * post, pll.vco_mhz)]
    if posts and _within(made, pll.output_mhz):
        yield made, min(posts, key=lambda post: abs(made * post - pll.vco_aim_mhz))


def _numbers(divider: Divider) -> tuple[int, ...] | range:
    return divider.only or range(divider.numbers[0], divider.numbers[1] + 1)


def _value(divider: Divider, number: int) -> int:
    """Return the value of the parameter that divides or multiplies by a number."""
    return {"number": number, "less one": number - 1, "log2": number.bit_length() - 1}[divider.coding]


def _within(mhz: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= mhz <= limits[1]
