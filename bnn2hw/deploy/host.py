"""The host's side of a board: images go out over a serial line, results come back.

Needs numpy and pyserial, and the `link.json` that `Accelerator.synthesize` wrote beside the bitstream. What travels is
described in the shell's `bnn2hw_requests.sv` and `bnn2hw_replies.sv`.
"""

from __future__ import annotations

import json
import time
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from bnn2hw.backends import loading
from bnn2hw.backends.design import Stream
from bnn2hw.errors import InputError, LinkError, MissingToolError
from bnn2hw.ir import Array, Ints, Tensor
from bnn2hw.ops import source
from bnn2hw.ops.source import Input

FLAG, ESCAPE = 0x7E, 0x7D
HELLO, PREDICT, LOAD = 1, 2, 3
GREETING, RESULT, LOADED, ERROR = 0x81, 0x82, 0x83, 0xFF
PROTOCOL = 1
REASONS = {1: "a checksum was wrong", 2: "a length was wrong", 3: "there was no room", 4: "a kind is unknown"}


def frame(kind: int, number: int, payload: bytes = b"") -> bytes:
    """A frame as it stands on the line, with its flags, checksum and escapes."""
    body = bytes([kind, number]) + len(payload).to_bytes(4, "little") + payload
    body += zlib.crc32(body).to_bytes(4, "little")
    escaped = body.replace(b"\x7d", b"\x7d\x5d").replace(b"\x7e", b"\x7d\x5e")
    return bytes([FLAG]) + escaped + bytes([FLAG])


@dataclass(frozen=True)
class Reply:
    """A sound frame from the board."""

    kind: int
    number: int
    payload: bytes


class Deframer:
    """Finds frames in the bytes of a line, whatever else is among them."""

    def __init__(self) -> None:
        self.held = bytearray()
        self.broken = 0

    def feed(self, data: bytes) -> Iterator[Reply | None]:
        """The frames that these bytes complete; None for one that is not sound."""
        self.held += data
        while (end := self.held.find(FLAG)) >= 0:
            body, self.held = bytes(self.held[:end]), self.held[end + 1 :]
            if body:
                yield self._read(body)

    def _read(self, escaped: bytes) -> Reply | None:
        body = bytearray()
        for part, chunk in enumerate(escaped.split(b"\x7d")):
            body += bytes([chunk[0] ^ 0x20]) + chunk[1:] if part and chunk else chunk
        sound = len(body) >= 10 and zlib.crc32(body[:-4]) == int.from_bytes(body[-4:], "little")
        if not sound or int.from_bytes(body[2:6], "little") != len(body) - 10:
            self.broken += 1
            return None
        return Reply(body[0], body[1], bytes(body[6:-4]))


@dataclass
class Statistics:
    """What happened on the line.

    Attributes:
        images: results that came back right.
        sent: images that were sent, repeated ones included.
        recoveries: how often the line had to be brought back into step.
        refused: frames that the board refused, by reason.
        broken: frames from the board that were not sound.
    """

    images: int = 0
    sent: int = 0
    recoveries: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    broken: int = 0


class Device:
    """A board that runs an accelerator.

    Every image carries a number and a checksum, and so does every result: what was lost or damaged is sent again, and
    what cannot be delivered is an error; nothing is returned that the board did not answer to that very image.

    Args:
        port: a serial port, by name.
        folder: where `synthesize` put the bitstream and link.json, or the path of link.json itself.
        timeout: seconds without an answer after which an image counts as lost; reckoned from the line's and the
            accelerator's speed where None.
        attempts: recoveries in a row, without a result in between, after which the line is given up.

    Raises:
        InputError: no usable link.json.
        MissingToolError: pyserial is not installed.
        LinkError: the port cannot be opened, nothing answers, or another design answers.
    """

    def __init__(
        self, port: str, folder: str | Path, *, timeout: float | None = None, attempts: int = 8
    ) -> None:
        self.link = read_link(Path(folder))
        self.input, self.output = (_stream(self.link[end], end) for end in ("input", "output"))
        self.attempts = attempts
        self.statistics = Statistics()
        self.name = port
        wire = 10 * (self.link["image_bytes"] + self.link["result_bytes"] + 32) / self.link["baud"]
        self.timeout = timeout or 0.5 + 4 * (wire + self.link["seconds_per_image"])
        self.window = max(1, min(self.link["window"], self.link["buffer"] // self.link["image_bytes"]))
        self.image: int | None = None
        """The number of the image that was loaded; 0 where the weights are those of the bitstream."""
        self._number = 0
        self._frames: deque[Reply | None] = deque()
        self._deframer = Deframer()
        self._serial, self._lost = _open(port, self.link["baud"])
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._serial.close()

    def predict(self, batch: Array) -> Array:
        """Results of a batch, as `Accelerator.golden` gives them.

        Args:
            batch: images of shape (batch, *shape): integers as on the wire, or floats in the model's own unit.

        Returns:
            Classes of shape (batch,), or the values of the output of shape (batch, *shape).

        Raises:
            InputError: images of another shape, or values that do not occur on the wire.
            LinkError: the board went away, or the line is too bad to be brought back.
        """
        images = self._encode(batch)
        results: list[bytes] = [b""] * len(images)
        waiting, under_way = deque(range(len(images))), dict[int, int]()
        failures = 0
        while waiting or under_way:
            while waiting and len(under_way) < self.window:
                index = waiting.popleft()
                under_way[self._send(PREDICT, images[index])] = index
                self.statistics.sent += 1
            reply = self._receive()
            if self._is_result(reply, under_way) and reply:
                lost = self._before(reply.number, under_way)
                waiting.extendleft(reversed(lost))  # results come in order, so theirs will not come any more
                results[under_way.pop(reply.number)] = reply.payload
                self.statistics.images += 1
                failures = 0
                continue
            failures += 1
            if failures > self.attempts:
                raise LinkError(
                    f"no image gets through on {self.name} after {self.attempts} attempts: {self._state()}"
                )
            waiting.extendleft(reversed(under_way.values()))
            under_way.clear()
            self.statistics.recoveries += 1
            self._greet()
        return self._decode(results)

    def load(self, image: Array) -> None:
        """Replace the accelerator's weights and thresholds; from then on it computes the image's model.

        The accelerator answers no image before all of it has arrived.

        Args:
            image: as `Accelerator.image` gives it.

        Raises:
            InputError: the board's memories cannot be written, or the image is for another design.
            LinkError: the board went away, or the line is too bad to be brought back.
        """
        facts = self.link.get("load")
        if facts is None:
            raise InputError("the board's memories cannot be written; compile with loadable=True")
        words = np.asarray(image)
        if words.shape != (facts["words"],) or loading.numbered(words)[0] != facts["design"]:
            raise InputError(
                f"the image is not for this design: {words.size} words for {loading.numbered(words)[0]:#x}, "
                f"expected {facts['words']} for {facts['design']:#x}; make it with Accelerator.reload"
            )
        parts = _parts(words, facts["part"])
        self._greet()
        failures, number = 0, 0
        while self.image != loading.numbered(words)[1]:
            self._send(LOAD, parts[min(number, len(parts) - 1)])
            reply = self._receive()
            if reply and reply.kind == LOADED and len(reply.payload) == 7:
                fresh = int.from_bytes(reply.payload[:2], "little")
                failures = 0 if fresh > number else failures
                number, self.image = fresh, int.from_bytes(reply.payload[3:], "little")
            failures += 1
            if failures > self.attempts:
                raise LinkError(f"no image of the memories gets through on {self.name}: {self._state()}")
            if number == len(parts) or (reply and reply.kind == ERROR):
                time.sleep(self.timeout / 8)  # the accelerator finishes what it is at

    @staticmethod
    def _before(number: int, under_way: dict[int, int]) -> list[int]:
        """Take out what was sent before the image of that number."""
        numbers = list(under_way)
        return [under_way.pop(n) for n in numbers[: numbers.index(number)]]

    def _is_result(self, reply: Reply | None, under_way: Mapping[int, int]) -> bool:
        return (
            reply is not None
            and reply.kind == RESULT
            and reply.number in under_way
            and len(reply.payload) == self.link["result_bytes"]
        )

    def _encode(self, batch: Array) -> list[bytes]:
        values = self.units.integers(batch)
        shape, ints = self.input.tensor.shape, self.input.tensor.ints
        if values.shape[1:] != shape:
            expected = "×".join(map(str, shape))
            raise InputError(f"the images have shape {values.shape[1:]}, expected a batch of {expected}")
        if not ints.contains(values):
            raise InputError(f"the images hold values that are not among {ints}")
        size = self.link["image_bytes"]
        packed = self.input.pack(values).tobytes()
        return [packed[i * size : (i + 1) * size] for i in range(len(values))]

    def _decode(self, results: list[bytes]) -> Array:
        beats = np.frombuffer(b"".join(results), np.uint8).reshape(-1, self.output.bytes)
        values = self.output.unpack(beats)
        return values.reshape(len(results)) if self.output.tensor.size == 1 else values

    @property
    def units(self) -> Input:
        """The model's own input unit."""
        return source.input_spec(source.from_facts(self.link["units"]), self.input.name)

    # ---- the line

    def _send(self, kind: int, payload: bytes = b"") -> int:
        """Send a frame under a number that was not used for long; the number."""
        self._number = (self._number + 1) % 256
        try:
            self._serial.write(frame(kind, self._number, payload))
        except self._lost as error:
            raise self._gone(error) from error
        return self._number

    def _receive(self) -> Reply | None:
        """The next frame; None where one was not sound, or none came in time."""
        deadline = time.monotonic() + self.timeout
        while not self._frames:
            if time.monotonic() > deadline:
                return None
            try:
                data = self._serial.read(max(1, self._serial.in_waiting))
            except self._lost as error:
                raise self._gone(error) from error
            self._frames.extend(self._deframer.feed(data))
        reply = self._frames.popleft()
        self.statistics.broken = self._deframer.broken
        if reply and reply.kind == ERROR and len(reply.payload) == 1:
            reason = REASONS.get(reply.payload[0], f"error {reply.payload[0]}")
            self.statistics.refused[reason] = self.statistics.refused.get(reason, 0) + 1
        return reply

    def _greet(self) -> None:
        """Bring both sides into step: the board forgets what was under way, and says what it is.

        All that arrives before its answer belongs to the past.
        """
        for _ in range(self.attempts):
            number = self._send(HELLO)
            started = time.monotonic()
            while time.monotonic() < started + self.timeout:
                reply = self._receive()
                if reply and reply.kind == GREETING and reply.number == number:
                    self._check(reply.payload)
                    return
        raise LinkError(
            f"nothing answers on {self.name} at {self.link['baud']:,} bit/s: {self._state()}; "
            "is the board on, is it programmed, and is this its port?"
        )

    def _check(self, said: bytes) -> None:
        """Compare what the board says of itself with what link.json says."""
        if not said or said[0] != PROTOCOL:
            raise LinkError(
                f"the board on {self.name} speaks version {said[:1].hex()}, expected {PROTOCOL:02x}"
            )
        fields = {"id": said[1:5], "image_bytes": said[5:9], "result_bytes": said[9:13]}
        for name, raw in fields.items():
            found = int.from_bytes(raw, "little")
            if found != self.link[name]:
                raise LinkError(
                    f"the board on {self.name} runs another design ({name} {found:#x}, expected "
                    f"{self.link[name]:#x}); program it with the bitstream beside this link.json"
                )

        if "load" in self.link:
            self.image = int.from_bytes(said[21:25], "little")

    def _state(self) -> str:
        """What was heard, for messages."""
        refused = [f"{n} refused because {reason}" for reason, n in self.statistics.refused.items()]
        broken = [f"{self._deframer.broken} damaged replies"] if self._deframer.broken else []
        return ", ".join(refused + broken) or "silence"

    def _gone(self, error: Exception) -> LinkError:
        return LinkError(
            f"the port {self.name} went away while it was in use ({error}); "
            "check the cable, then open the device again"
        )


def read_link(path: Path) -> dict[str, Any]:
    """What `synthesize` wrote for the host.

    Raises:
        InputError: it is not there, or no such file.
    """
    path = path / "link.json" if path.is_dir() else path
    try:
        link = json.loads(path.read_text())
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read: {error.strerror}; synthesize for a board first"
        ) from error
    except ValueError as error:
        raise InputError(f"'{path}' is not what synthesis wrote: {error}") from error
    if not isinstance(link, dict) or link.get("protocol") != PROTOCOL:
        raise InputError(f"'{path}' is not a link.json of protocol {PROTOCOL}; synthesize again")
    return link


def _parts(words: Array, most: int) -> list[bytes]:
    """An image of the memories in parts of equal size, with their numbers: words of 3 bytes, the lowest first."""
    padded = np.zeros(-(-len(words) // most) * most, "<u4")
    padded[: len(words)] = words
    rows = np.ascontiguousarray(padded.view(np.uint8).reshape(-1, 4)[:, :3]).reshape(-1, 3 * most)
    return [i.to_bytes(2, "little") + row.tobytes() for i, row in enumerate(rows)]


def _stream(facts: Mapping[str, Any], name: str) -> Stream:
    return Stream(name, name, Tensor(tuple(facts["shape"]), Ints(*facts["ints"])), facts["lanes"])


def _open(port: str, baud: int) -> tuple[Any, tuple[type[Exception], ...]]:
    """An open port, and what it raises when it is lost."""
    try:
        import serial
    except ImportError as error:
        raise MissingToolError(
            "pyserial is needed to talk to a board and was not found; install it with 'pip install bnn2hw[host]'"
        ) from error
    try:
        opened = serial.Serial(port, baud, timeout=0.02, write_timeout=30, exclusive=True)
    except (OSError, ValueError) as error:
        raise LinkError(f"the port {port} cannot be opened: {error}") from error
    opened.reset_input_buffer()
    return opened, (OSError,)
