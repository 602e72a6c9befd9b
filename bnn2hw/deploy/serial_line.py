"""The host's end of a serial line: frames with numbers and checksums.

The shell's `bnn2hw_requests.sv` and `bnn2hw_replies.sv` describe the frames.
"""

from __future__ import annotations

import time
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bnn2hw.errors import LinkError, MissingToolError

FLAG, ESCAPE = 0x7E, 0x7D
HELLO, PREDICT, LOAD = 1, 2, 3
"""Kinds of frames to the board."""

GREETING, RESULT, LOADED, ERROR = 0x81, 0x82, 0x83, 0xFF
"""Kinds of frames from the board."""

REASONS = {1: "a checksum was wrong", 2: "a length was wrong", 3: "there was no room", 4: "a kind is unknown"}
"""Reasons for which the board refuses a frame, by the payload of its error."""


LONGEST = 16 << 20
"""Bytes without a flag that are kept; no frame is as long."""


def frame(kind: int, number: int, payload: bytes = b"") -> bytes:
    """Return a frame as it travels on the line, with flags, checksum and escapes.

    Args:
        kind: Kind of the frame.
        number: Number of the frame, 0 to 255; the answer carries it too.
        payload: Contents of the frame.
    """
    body = bytes([kind, number]) + len(payload).to_bytes(4, "little") + payload
    body += zlib.crc32(body).to_bytes(4, "little")
    escaped = body.replace(b"\x7d", b"\x7d\x5d").replace(b"\x7e", b"\x7d\x5e")
    return bytes([FLAG]) + escaped + bytes([FLAG])


@dataclass(frozen=True)
class Reply:
    """An undamaged frame from the board."""

    kind: int
    number: int
    payload: bytes


class Deframer:
    """Finds frames in the bytes of a line and skips everything else.

    Attributes:
        held: Bytes after the last flag.
        broken: Number of damaged frames so far.
    """

    def __init__(self) -> None:
        self.held = bytearray()
        self.broken = 0

    def feed(self, data: bytes) -> Iterator[Reply | None]:
        """Return the frames that these bytes complete; None for a damaged one."""
        searched = len(self.held)
        self.held += data
        while (end := self.held.find(FLAG, searched)) >= 0:
            body, self.held, searched = bytes(self.held[:end]), self.held[end + 1 :], 0
            if body:
                yield self._read(body)
        if len(self.held) > LONGEST:
            self.held.clear()
            self.broken += 1

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
    """Counts of what happened on a line.

    Attributes:
        images: Results that arrived undamaged.
        sent: Images that were sent, repetitions included.
        recoveries: Times that host and board were brought back into step.
        refused: Frames that the board refused, by reason.
        broken: Damaged frames from the board.
    """

    images: int = 0
    sent: int = 0
    recoveries: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    broken: int = 0


class Line:
    """A serial port that carries frames.

    Args:
        port: Name of the serial port.
        baud: Bits per second.
        timeout: Seconds to wait for a frame.

    Attributes:
        name: Name of the serial port.
        timeout: Seconds to wait for a frame.
        statistics: Counts of what happened so far.

    Raises:
        MissingToolError: pyserial is not installed.
        LinkError: The port cannot be opened.
    """

    def __init__(self, port: str, baud: int, timeout: float) -> None:
        self.name = port
        self.timeout = timeout
        self.statistics = Statistics()
        self._number = 0
        self._frames: deque[Reply | None] = deque()
        self._deframer = Deframer()
        self._serial, self._lost = _open(port, baud)

    def close(self) -> None:
        """Release the port."""
        self._serial.close()

    def send(self, kind: int, payload: bytes = b"") -> int:
        """Send a frame.

        Returns:
            The number of the frame; the last 255 frames had other numbers.

        Raises:
            LinkError: The port is gone.
        """
        self._number = (self._number + 1) % 256
        self.write(frame(kind, self._number, payload))
        return self._number

    def write(self, data: bytes) -> None:
        """Send bytes as they are.

        Raises:
            LinkError: The port is gone.
        """
        try:
            self._serial.write(data)
        except self._lost as error:
            raise self._gone(error) from error

    def receive(self) -> Reply | None:
        """Return the next frame; None if it is damaged, or if none arrives within `timeout`.

        Raises:
            LinkError: The port is gone.
        """
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

    @property
    def heard(self) -> str:
        """Summary of refused and damaged frames, for messages."""
        refused = [f"{n} refused because {reason}" for reason, n in self.statistics.refused.items()]
        broken = [f"{self._deframer.broken} damaged replies"] if self._deframer.broken else []
        return ", ".join(refused + broken) or "silence"

    def _gone(self, error: Exception) -> LinkError:
        return LinkError(
            f"the port {self.name} went away while it was in use ({error}); "
            "check the cable, then open the board again"
        )


def _open(port: str, baud: int) -> tuple[Any, tuple[type[Exception], ...]]:
    """Open a port. Return it, and the exceptions that it raises when it is lost."""
    try:
        import serial
    except ImportError as error:
        raise MissingToolError(
            "pyserial is needed to talk to a board and was not found; install it with 'pip install pyserial'"
        ) from error
    try:
        opened = serial.Serial(port, baud, timeout=0.02, write_timeout=30, exclusive=True)
    except (OSError, ValueError) as error:
        raise LinkError(f"the port {port} cannot be opened: {error}") from error
    opened.reset_input_buffer()
    return opened, (OSError,)
