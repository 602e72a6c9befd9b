"""The host's driver against boards that were made to harm: each call ends in time, in little memory, with a LinkError."""

from __future__ import annotations

import os
import pty
import random
import select
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from bnn2hw.backends.design import Stream
from bnn2hw.deploy import host
from bnn2hw.deploy.link import Link
from bnn2hw.deploy.serial_line import GREETING, HELLO, RESULT, Deframer, Reply, frame
from bnn2hw.errors import LinkError
from bnn2hw.ir import Ints, Tensor
from tests.support.confined import MIB, confined
from tests.support.machine import package_or_skip

package_or_skip("serial")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and measures memory as Linux does")

LINK = Link(
    id=7,
    baud=115200,
    clock_mhz=50,
    image_bytes=4,
    result_bytes=1,
    buffer=64,
    window=4,
    input=Stream("in", "in", Tensor((4,), Ints(0, 255)), 4),
    output=Stream("out", "out", Tensor((1,), Ints(0, 9)), 1),
)

GREETED = bytes([1]) + b"".join(n.to_bytes(4, "little") for n in (7, 4, 1, 0, 0, 0))
"""The payload with which the board of `LINK` answers a hello."""

Answer = Callable[[Reply], bytes]
"""Bytes that a board sends for a frame of the host."""


def sound(asked: Reply) -> bytes:
    """The answers of a board that does its work."""
    if asked.kind == HELLO:
        return frame(GREETING, asked.number, GREETED)
    return frame(RESULT, asked.number, asked.payload[:1])


def once_greeted(answer: Answer) -> Answer:
    """A board that greets, and then answers images in its own way."""
    return lambda asked: sound(asked) if asked.kind == HELLO else answer(asked)


def damaged(asked: Reply) -> bytes:
    return sound(asked)[:-3] + b"\x00\x00\x7e"


@contextmanager
def board(answer: Answer, stream: bytes = b"") -> Iterator[str]:
    """A board at the other end of a pseudo-terminal, which sends `stream` without an end beside its answers."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    stop = threading.Event()

    def serve() -> None:
        frames = Deframer()
        while not stop.is_set():
            try:
                if select.select([ours], [], [], 0.002)[0]:
                    for asked in frames.feed(os.read(ours, 4096)):
                        os.write(ours, answer(asked) if asked else b"")
                if stream:
                    os.write(ours, stream)
            except BlockingIOError:
                time.sleep(0.001)
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield os.ttyname(theirs)
    finally:
        stop.set()
        thread.join()
        os.close(theirs)
        os.close(ours)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    LINK.write(tmp_path)
    return tmp_path


RNG = random.Random(1)
SILENT: Answer = lambda asked: b""  # noqa: E731

BOARDS: dict[str, tuple[Answer, bytes, str]] = {
    "silence": (SILENT, b"", "nothing answers"),
    "garbage": (SILENT, RNG.randbytes(500), "nothing answers"),
    "zeros without a flag": (SILENT, bytes(4000), "nothing answers"),
    "flags without an end": (SILENT, b"\x7e" * 4000, "nothing answers"),
    "escapes without an end": (SILENT, b"\x7d" * 4000, "nothing answers"),
    "greetings of another number": (SILENT, frame(GREETING, 200, GREETED), "nothing answers"),
    "greetings with a wrong checksum": (damaged, b"", "nothing answers"),
    "a greeting without contents": (lambda a: frame(GREETING, a.number), b"", "speaks version"),
    "a greeting of another version": (
        lambda a: frame(GREETING, a.number, b"\x09" + GREETED[1:]),
        b"",
        "speaks version 09",
    ),
    "a greeting that is cut": (lambda a: frame(GREETING, a.number, GREETED[:3]), b"", "runs another design"),
    "a greeting of 2 kB": (
        lambda a: frame(GREETING, a.number, b"\x01" + b"x" * 2000),
        b"",
        "runs another design",
    ),
    "results with a wrong checksum": (once_greeted(damaged), b"", "no image gets through"),
    "results of another length": (
        once_greeted(lambda a: frame(RESULT, a.number, b"xx")),
        b"",
        "no image gets through",
    ),
    "results without contents": (
        once_greeted(lambda a: frame(RESULT, a.number)),
        b"",
        "no image gets through",
    ),
    "results of another image": (
        once_greeted(lambda a: frame(RESULT, a.number + 100 & 255, b"x")),
        b"",
        "no image gets",
    ),
    "errors for every image": (
        once_greeted(lambda a: frame(0xFF, a.number, b"\x02")),
        b"",
        "a length was wrong",
    ),
    "errors of unknown kinds": (once_greeted(lambda a: frame(0xFF, a.number, b"\xee")), b"", "error 238"),
    "kinds that nobody knows": (
        once_greeted(lambda a: frame(0x55, a.number, b"x")),
        b"",
        "no image gets through",
    ),
    "silence after the greeting": (once_greeted(SILENT), b"", "no image gets through"),
}


@pytest.mark.parametrize(("answer", "stream", "reason"), BOARDS.values(), ids=BOARDS)
def test_a_board(folder: Path, answer: Answer, stream: bytes, reason: str) -> None:
    def used() -> None:
        with host.SerialBoard(port, folder, timeout=0.05, attempts=3) as device:
            device.predict(np.ones((6, 4), int))

    with board(answer, stream) as port, confined() as peak, pytest.raises(LinkError, match=reason):
        used()
    assert peak.added < 32 * MIB


def test_the_sound_board(folder: Path) -> None:
    with (
        board(sound) as port,
        host.SerialBoard(port, folder, timeout=5) as device,
    ):
        assert device.predict(np.array([[3, 0, 0, 0], [5, 0, 0, 0]])).tolist() == [3, 5]


def test_bytes_without_a_flag_do_not_pile_up() -> None:
    deframer = Deframer()
    with confined() as peak:
        for _ in range(2000):
            assert not list(deframer.feed(bytes(100_000)))
    assert peak.added < 32 * MIB
    assert deframer.broken
    assert [r.payload for r in deframer.feed(b"\x7e" + frame(RESULT, 1, b"x")) if r] == [b"x"]
