"""The host's driver of a board: images travel over a serial line, and results come back.

It needs numpy, pyserial, and the `link.json` that `Accelerator.synthesize` wrote next to the
bitstream.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from bnn2hw import deprecation, golden
from bnn2hw.backends import loading
from bnn2hw.deploy.link import PROTOCOL, Link, read_link
from bnn2hw.deploy.serial_line import (
    ERROR,
    GREETING,
    HELLO,
    LOAD,
    LOADED,
    PREDICT,
    RESULT,
    Line,
    Reply,
    Statistics,
)
from bnn2hw.errors import InputError, LinkError
from bnn2hw.ir import Array
from bnn2hw.ops import source


class SerialBoard:
    """A board that runs an accelerator, at the other end of a serial line.

    Every image carries a number and a checksum, and so does every result. The driver sends lost and
    damaged images again, and raises an error if it cannot deliver one. The number of a result says
    to which image it belongs.

    Args:
        port: Name of the serial port.
        folder: Folder in which `synthesize` wrote the bitstream and link.json, or the path of
            link.json.
        timeout: Seconds without an answer after which an image counts as lost. If None, it follows
            from the speeds of the line and of the accelerator.
        attempts: Recoveries in a row, without a result in between, after which the driver gives up.

    Attributes:
        link: Contents of link.json.
        line: The serial line.
        attempts: As above.
        window: Number of images that may be under way at once.
        weight_image: Number of the weight image that was loaded; 0 for the weights of the
            bitstream, and None if the weights are fixed.

    Raises:
        InputError: There is no usable link.json.
        MissingToolError: pyserial is not installed.
        LinkError: The port cannot be opened, nothing answers, or another design answers.
    """

    def __init__(
        self, port: str, folder: str | Path, *, timeout: float | None = None, attempts: int = 8
    ) -> None:
        self.link: Link = read_link(Path(folder))
        self.attempts = attempts
        wire = 10 * (self.link.image_bytes + self.link.result_bytes + 32) / self.link.baud
        self.window = max(1, min(self.link.window, self.link.buffer // self.link.image_bytes))
        self.weight_image: int | None = None
        self.line = Line(port, self.link.baud, timeout or 0.5 + 4 * (wire + self.link.seconds_per_image))
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> SerialBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the port."""
        self.line.close()

    @property
    def statistics(self) -> Statistics:
        """Counts of what happened on the line."""
        return self.line.statistics

    @property
    def image(self) -> int | None:
        """Return `weight_image`; this is its old name."""
        deprecation.renamed("SerialBoard.image", "SerialBoard.weight_image")
        return self.weight_image

    def predict(self, batch: Array) -> Array:
        """Return the results of a batch, as `Accelerator.golden` does.

        Args:
            batch: Images of shape (batch, *shape): integers as on the wire, or floats in the
                model's own unit.

        Returns:
            Classes of shape (batch,), or the values of the output of shape (batch, *shape).

        Raises:
            InputError: The images have another shape, or values that do not occur on the wire.
            LinkError: The board went away, or too many images in a row were lost or damaged.
        """
        images = self._encode(batch)
        results: list[bytes] = [b""] * len(images)
        waiting, under_way = deque(range(len(images))), dict[int, int]()
        failures = 0
        while waiting or under_way:
            while waiting and len(under_way) < self.window:
                index = waiting.popleft()
                under_way[self.line.send(PREDICT, images[index])] = index
                self.statistics.sent += 1
            reply = self.line.receive()
            if self._is_result(reply, under_way) and reply:
                lost = self._before(reply.number, under_way)
                waiting.extendleft(
                    reversed(lost)
                )  # results arrive in order, so theirs cannot arrive any more
                results[under_way.pop(reply.number)] = reply.payload
                self.statistics.images += 1
                failures = 0
                continue
            failures += 1
            if failures > self.attempts:
                raise LinkError(
                    f"no image gets through on {self.line.name} after {self.attempts} attempts: {self.line.heard}"
                )
            waiting.extendleft(reversed(under_way.values()))
            under_way.clear()
            self.statistics.recoveries += 1
            self._greet()
        return self._decode(results)

    def load_weights(self, weight_image: Array) -> None:
        """Replace the accelerator's weights and thresholds by those of another model.

        The accelerator answers no image before the whole weight image has arrived.

        Args:
            weight_image: Words of the other model, shape (words,), from `Accelerator.weight_image`.

        Raises:
            InputError: The board's weights are fixed, or the weight image is for another design.
            LinkError: The board went away, or too many parts in a row were lost or damaged.
        """
        facts = self.link.load
        if facts is None:
            raise InputError("the weights of this design are fixed; compile with loadable=True")
        words = np.asarray(weight_image)
        if words.shape != (facts.words,) or loading.numbered(words)[0] != facts.design:
            raise InputError(
                f"the weight image is not for this design: {words.size} words for {loading.numbered(words)[0]:#x}, "
                f"expected {facts.words} for {facts.design:#x}; make it with Accelerator.reload"
            )
        sent = parts(words, facts.part)
        self._greet()
        failures, number = 0, 0
        while self.weight_image != loading.numbered(words)[1]:
            self.line.send(LOAD, sent[min(number, len(sent) - 1)])
            reply = self.line.receive()
            if reply and reply.kind == LOADED and len(reply.payload) == 7:
                fresh = int.from_bytes(reply.payload[:2], "little")
                failures = 0 if fresh > number else failures
                number, self.weight_image = fresh, int.from_bytes(reply.payload[3:], "little")
            failures += 1
            if failures > self.attempts:
                raise LinkError(f"no weight image gets through on {self.line.name}: {self.line.heard}")
            if number == len(sent) or (reply and reply.kind == ERROR):
                time.sleep(self.line.timeout / 8)  # until the images under way have left

    def load(self, image: Array) -> None:
        """Call `load_weights`; this is its old name."""
        deprecation.renamed("SerialBoard.load", "SerialBoard.load_weights")
        self.load_weights(image)

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
            and len(reply.payload) == self.link.result_bytes
        )

    def _encode(self, batch: Array) -> list[bytes]:
        shape, ints = self.link.input.tensor.shape, self.link.input.tensor.ints
        values = self.link.input_spec.integers(
            golden.with_channels(source.numbers(batch, "the input"), shape)
        )
        if values.shape[1:] != shape:
            expected = "×".join(map(str, shape))
            raise InputError(f"the images have shape {values.shape[1:]}, expected a batch of {expected}")
        if not ints.contains(values):
            raise InputError(f"the images hold values that are not among {ints}")
        size = self.link.image_bytes
        packed = self.link.input.pack(values).tobytes()
        return [packed[i * size : (i + 1) * size] for i in range(len(values))]

    def _decode(self, results: list[bytes]) -> Array:
        output = self.link.output
        beats = np.frombuffer(b"".join(results), np.uint8).reshape(-1, output.bytes)
        values = output.unpack(beats)
        return values.reshape(len(results)) if output.tensor.size == 1 else values

    def _greet(self) -> None:
        """Bring both sides into step: the board drops what is under way, and names its design.

        Everything that arrives before its answer is old and is dropped.
        """
        for _ in range(self.attempts):
            number = self.line.send(HELLO)
            started = time.monotonic()
            while time.monotonic() < started + self.line.timeout:
                reply = self.line.receive()
                if reply and reply.kind == GREETING and reply.number == number:
                    self._check(reply.payload)
                    return
        raise LinkError(
            f"nothing answers on {self.line.name} at {self.link.baud:,} bit/s: {self.line.heard}; "
            "is the board on, is it programmed, and is this its port?"
        )

    def _check(self, said: bytes) -> None:
        """Compare the design that the board names with link.json."""
        if not said or said[0] != PROTOCOL:
            raise LinkError(
                f"the board on {self.line.name} speaks version {said[:1].hex()}, expected {PROTOCOL:02x}"
            )
        fields = {"id": said[1:5], "image_bytes": said[5:9], "result_bytes": said[9:13]}
        for name, raw in fields.items():
            found, expected = int.from_bytes(raw, "little"), getattr(self.link, name)
            if found != expected:
                raise LinkError(
                    f"the board on {self.line.name} runs another design ({name} {found:#x}, expected "
                    f"{expected:#x}); program it with the bitstream beside this link.json"
                )
        if self.link.load:
            self.weight_image = int.from_bytes(said[21:25], "little")


def parts(words: Array, most: int) -> list[bytes]:
    """Cut a weight image into the payloads of frames.

    Args:
        words: Words of 24 bits, shape (words,).
        most: Words of a part. The last part is filled up with zeros.

    Returns:
        For each part its number in 2 bytes and its words in 3 bytes each, little-endian.
    """
    padded = np.zeros(-(-len(words) // most) * most, "<u4")
    padded[: len(words)] = words
    rows = np.ascontiguousarray(padded.view(np.uint8).reshape(-1, 4)[:, :3]).reshape(-1, 3 * most)
    return [i.to_bytes(2, "little") + row.tobytes() for i, row in enumerate(rows)]
