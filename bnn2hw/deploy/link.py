"""The description of a design for its host: the file link.json next to the bitstream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bnn2hw.backends.design import Stream
from bnn2hw.errors import InputError
from bnn2hw.ir import Ints, Tensor
from bnn2hw.ops import source
from bnn2hw.ops.source import Input, InputSpecs

FILE = "link.json"
"""Name of the file."""

PROTOCOL = 1
"""Version of the frames on the serial line; both the shell and the host's driver speak it."""

SPECS = "units"
"""Key of the specifications of the inputs in the file."""


@dataclass(frozen=True)
class WeightLoading:
    """The way in which weight images travel to a loadable design.

    Attributes:
        design: Number of the design, which a weight image must name.
        words: Words of a weight image.
        part: Words of the part of a weight image that one frame carries.
        buffer: Bytes of parts that the shell can keep.
    """

    design: int
    words: int
    part: int
    buffer: int


@dataclass(frozen=True)
class Link:
    """A design on a board, as its host sees it.

    Attributes:
        id: Number that tells designs apart; the board names it when the host says hello.
        baud: Bits per second on the serial line.
        clock_mhz: Clock of the accelerator.
        image_bytes: Bytes of an image on the line.
        result_bytes: Bytes of a result on the line.
        buffer: Bytes of images that the shell can keep.
        window: Images that may be under way at once.
        input: Stream of the images.
        output: Stream of the results.
        load: How weight images travel; None if the weights are fixed.
        board: Name of the board.
        name: Name of the model.
        input_specs: Integers on the input and the real values that they stand for.
        seconds_per_image: Time that the accelerator takes for one image.
    """

    id: int
    baud: int
    clock_mhz: float
    image_bytes: int
    result_bytes: int
    buffer: int
    window: int
    input: Stream
    output: Stream
    load: WeightLoading | None = None
    board: str = ""
    name: str = ""
    input_specs: InputSpecs = field(default_factory=Input)
    seconds_per_image: float = 0.0

    @property
    def input_spec(self) -> Input:
        """The specification of the one input."""
        return source.input_spec(self.input_specs, self.input.name)

    def facts(self) -> dict[str, Any]:
        """Return the contents of link.json."""
        plain = {name: value for name, value in vars(self).items() if name not in ("load", "input_specs")}
        plain |= {"protocol": PROTOCOL, SPECS: source.facts(self.input_specs)}
        plain |= {end: _stream_facts(getattr(self, end)) for end in ("input", "output")}
        return plain | ({"load": asdict(self.load)} if self.load else {})

    def write(self, folder: Path) -> None:
        """Write link.json into a folder."""
        (folder / FILE).write_text(json.dumps(self.facts(), indent=1) + "\n")


def read_link(path: Path) -> Link:
    """Read link.json.

    Args:
        path: The file, or its folder.

    Raises:
        InputError: The file is missing, or synthesis did not write it.
    """
    path = path / FILE if path.is_dir() else path
    try:
        plain = json.loads(path.read_text())
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read: {error.strerror}; synthesize for a board first"
        ) from error
    except ValueError as error:
        raise InputError(f"'{path}' is not what synthesis wrote: {error}") from error
    found = plain.pop("protocol", None) if isinstance(plain, dict) else None
    if found != PROTOCOL:
        raise InputError(f"'{path}' is not a {FILE} of protocol {PROTOCOL}; synthesize again")
    try:
        return _link(plain)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"'{path}' is not a complete {FILE} ({error!r}); synthesize again") from error


def _link(plain: Mapping[str, Any]) -> Link:
    ends = {end: _stream(plain[end], end) for end in ("input", "output")}
    load = WeightLoading(**plain["load"]) if "load" in plain else None
    specs = source.from_facts(plain[SPECS])
    others = {name: value for name, value in plain.items() if name != SPECS}
    return Link(**{**others, **ends, "load": load, "input_specs": specs})


def _stream_facts(stream: Stream) -> dict[str, Any]:
    ints = stream.tensor.ints
    return {
        "shape": list(stream.tensor.shape),
        "ints": [ints.lo, ints.hi, ints.step],
        "lanes": stream.lanes,
    }


def _stream(plain: Mapping[str, Any], name: str) -> Stream:
    tensor = Tensor(tuple(plain["shape"]), Ints(*plain["ints"]))
    return Stream(name, name, tensor, plain["lanes"])
