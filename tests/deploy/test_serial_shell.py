"""A simulated board at one end of a pseudo-terminal, the host's driver at the other, and what goes wrong between them."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw.backends import loading
from bnn2hw.cli.main import main
from bnn2hw.deploy import host, serial_line, serial_shell
from bnn2hw.deploy.link import read_link
from bnn2hw.deploy.simulated_board import Damage, VirtualBoard
from bnn2hw.errors import InputError, LinkError
from tests.support import EXAMPLES
from tests.support import networks as net
from tests.support.machine import package_or_skip

package_or_skip("serial")

PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1)


def images(count: int, shape: tuple[int, ...], most: int = 255) -> np.ndarray:
    return np.random.default_rng(1).integers(0, most + 1, (count, *shape))


@pytest.fixture(scope="module")
def small() -> bnn2hw.Accelerator:
    return bnn2hw.compile(net.tutorial_like(), input=PIXELS, fps=1000)


@pytest.fixture(scope="module")
def board(small: bnn2hw.Accelerator) -> Iterator[VirtualBoard]:
    with VirtualBoard(small) as board:
        yield board


@pytest.mark.parametrize(("count", "right"), [(25, 0.9), pytest.param(100, 0.95, marks=pytest.mark.soak)])
def test_real_images_through_the_line(count: int, right: float) -> None:
    accelerator = bnn2hw.compile(EXAMPLES / "mnist_small.keras", input=PIXELS, fps=3000)
    with np.load(EXAMPLES / "mnist_sample.npz") as sample:
        x, y = sample["x"][:count], sample["y"][:count]

    with VirtualBoard(accelerator) as board, host.SerialBoard(board.port, board.folder) as device:
        device.line.timeout = 30  # a busy machine must not count as a lost image
        classes = device.predict(x)

    assert np.array_equal(classes, accelerator.golden(x))
    assert np.mean(classes == y) > right
    assert device.statistics == serial_line.Statistics(images=count, sent=count)


@pytest.mark.parametrize(
    "damage",
    [
        # By default, all of it at once.
        pytest.param(Damage(flip_in=300), id="bits turned over on the way in", marks=pytest.mark.soak),
        pytest.param(Damage(flip_out=3000), id="bits turned over on the way out", marks=pytest.mark.soak),
        pytest.param(Damage(drop_in=300), id="bytes lost on the way in", marks=pytest.mark.soak),
        pytest.param(Damage(drop_out=3000), id="bytes lost on the way out", marks=pytest.mark.soak),
        pytest.param(Damage(noise_in=300), id="noise on the way in", marks=pytest.mark.soak),
        pytest.param(Damage(100, 1000, 100, 1000, 100, seed=2), id="all of it"),
    ],
)
def test_nothing_is_wrong_in_silence_on_a_bad_line(small: bnn2hw.Accelerator, damage: Damage) -> None:
    x = images(150, (11, 11, 1))

    with VirtualBoard(small, damage=damage) as board, host.SerialBoard(board.port, board.folder) as device:
        device.line.timeout = 0.3
        classes = device.predict(x)

    assert np.array_equal(classes, small.golden(x))
    seen = device.statistics
    assert seen.sent > seen.images == len(x), "the line was not bad"


def test_an_unusable_line_is_given_up(small: bnn2hw.Accelerator) -> None:
    told = r"^nothing answers on /dev/\S+ at \S+ bit/s: .*is the board on"
    bad = VirtualBoard(small, damage=Damage(flip_in=300_000))
    with bad as board, pytest.raises(LinkError, match=told):
        host.SerialBoard(board.port, board.folder, timeout=0.1, attempts=3)


def test_scores_of_several_bytes_and_beats_of_several_pixels() -> None:
    model = net.chain((24,), net.dense(16, input_quantizer=None), net.norm(), net.dense(5))
    accelerator = bnn2hw.compile(model, input=bnn2hw.Input("int5"), output="scores", fps=10e6)
    assert accelerator.design.input.bytes > 1
    assert accelerator.design.output.beats * accelerator.design.output.bytes > 4
    x = images(20, (24,), most=31) - 16

    with VirtualBoard(accelerator) as board, host.SerialBoard(board.port, board.folder) as device:
        scores = device.predict(x)

    assert np.array_equal(scores, accelerator.golden(x))


def test_floats_in_the_models_own_unit(small: bnn2hw.Accelerator, board: VirtualBoard) -> None:
    x = images(3, (11, 11, 1))
    with host.SerialBoard(board.port, board.folder) as device:
        assert np.array_equal(device.predict(x / 127.5 - 1), small.golden(x))
        assert device.predict(x[:0]).shape == (0,)


def test_a_host_that_starts_amid_garbage(small: bnn2hw.Accelerator, board: VirtualBoard) -> None:
    x = images(5, (11, 11, 1))
    garbage = np.random.default_rng(0).integers(0, 256, 3000, np.uint8).tobytes()
    line = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
    os.write(
        line, garbage + serial_line.frame(serial_line.PREDICT, 7, bytes(121))[:60]
    )  # and a frame that breaks off
    os.close(line)

    with host.SerialBoard(board.port, board.folder) as device:
        assert np.array_equal(device.predict(x), small.golden(x))


def ask(device: host.SerialBoard, kind: int, payload: bytes) -> serial_line.Reply | None:
    device.line.send(kind, payload)
    return device.line.receive()


def test_what_the_board_refuses(board: VirtualBoard) -> None:
    with host.SerialBoard(board.port, board.folder) as device:
        for kind, payload, reason in (
            (5, b"abc", 4),
            (serial_line.PREDICT, bytes(120), 2),
            (serial_line.PREDICT, bytes(122), 2),
            (serial_line.PREDICT, b"", 2),
            (serial_line.HELLO, b"x", 2),
        ):
            number = device.line.send(kind, payload)
            assert device.line.receive() == serial_line.Reply(serial_line.ERROR, number, bytes([reason]))
        whole = serial_line.frame(serial_line.PREDICT, 9, bytes(121))
        device.line.write(whole[:40] + bytes([whole[40] ^ 4]) + whole[41:])
        assert device.line.receive().payload == bytes([1])
        sound = ask(device, serial_line.PREDICT, bytes([0x7E, 0x7D]) * 60 + b"\x00")
        assert (sound.kind, len(sound.payload)) == (serial_line.RESULT, 1)


def test_more_images_than_there_is_room_for_are_refused_not_lost() -> None:
    """A slow accelerator, and a host that does not keep to the window."""
    slow = bnn2hw.compile(net.tutorial_like(), input=PIXELS, fps=10)
    with VirtualBoard(slow) as board, host.SerialBoard(board.port, board.folder) as device:
        sent = [device.line.send(serial_line.PREDICT, bytes(121)) for _ in range(40)]
        replies = [device.line.receive() for _ in sent]

    assert {r.number for r in replies} == set(sent)
    assert all(r.kind == serial_line.RESULT or r.payload == bytes([3]) for r in replies)
    assert any(r.kind == serial_line.RESULT for r in replies)


def test_unplugging(small: bnn2hw.Accelerator) -> None:
    with VirtualBoard(small) as board, host.SerialBoard(board.port, board.folder) as device:
        device.predict(images(2, (11, 11, 1)))
        threading.Timer(0.3, board.unplug).start()
        with pytest.raises(LinkError, match=r"^the port \S+ went away while it was in use"):
            device.predict(images(50_000, (11, 11, 1)))


def test_predict_on_the_command_line(small: bnn2hw.Accelerator, board: VirtualBoard, tmp_path: Path) -> None:
    x = images(4, (11, 11, 1))
    np.savez(tmp_path / "images.npz", x=x[..., 0], y=small.golden(x))
    arguments = ["predict", str(board.folder), "--images", str(tmp_path / "images.npz")]
    ours = ["--port", board.port]

    done = CliRunner().invoke(main, [*arguments, *ours])
    facts = json.loads(CliRunner().invoke(main, [*arguments, *ours, "--frames", "2", "--json"]).stdout)
    lost = CliRunner().invoke(main, [*arguments, "--port", "/dev/none"])
    old = CliRunner().invoke(main, [*arguments, board.port])

    assert done.stdout.split() == [str(c) for c in small.golden(x)]
    assert done.stderr == ""
    assert (facts["results"], facts["accuracy"]) == (small.golden(x[:2]).tolist(), 1.0)
    assert (lost.exit_code, lost.stderr[:38]) == (3, "error: the port /dev/none cannot be op")
    assert (old.stdout, old.stderr[:8]) == (done.stdout, "warning:")


def test_a_port_that_is_not_there(board: VirtualBoard) -> None:
    with pytest.raises(LinkError, match=r"^the port /dev/none cannot be opened"):
        host.SerialBoard("/dev/none", board.folder)


def test_a_silent_port(board: VirtualBoard) -> None:
    ours, theirs = os.openpty()
    started = time.monotonic()
    with pytest.raises(LinkError, match=r"^nothing answers on \S+ at [\d,]+ bit/s: silence"):
        host.SerialBoard(os.ttyname(theirs), board.folder, timeout=0.1, attempts=2)
    assert time.monotonic() - started < 5
    os.close(ours), os.close(theirs)


def test_a_board_with_another_design(board: VirtualBoard, tmp_path: Path) -> None:
    link = json.loads((board.folder / "link.json").read_text())
    (tmp_path / "link.json").write_text(json.dumps({**link, "id": link["id"] ^ 1}))

    with pytest.raises(LinkError, match=r"runs another design \(id 0x\w+, expected 0x\w+\); program it"):
        host.SerialBoard(board.port, tmp_path)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            np.zeros((2, 10, 11, 1), int),
            r"^the images have shape \(10, 11, 1\), expected a batch of 11×11×1$",
        ),
        (np.full((2, 11, 11, 1), 256), r"^the images hold values that are not among 0…255$"),
        (np.full((2, 11, 11, 1), 0.123), r"^the input holds floats that are not uint8 values"),
    ],
)
def test_images_that_cannot_be_sent(board: VirtualBoard, x: np.ndarray, message: str) -> None:
    with host.SerialBoard(board.port, board.folder) as device, pytest.raises(InputError, match=message):
        device.predict(x)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "synthesize for a board first"),
        ("{", "is not what synthesis wrote"),
        ("{}", "synthesize again"),
        ('{"protocol": 1}', "is not a complete link.json"),
    ],
)
def test_a_folder_without_a_usable_link(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "link.json").write_text(text)
    with pytest.raises(InputError, match=message):
        host.SerialBoard("/dev/none", tmp_path)


def test_lines_that_no_clock_makes(small: bnn2hw.Accelerator) -> None:
    with pytest.raises(InputError, match=r"3,000,000 bit/s are too fast for a clock of 12 MHz"):
        serial_shell.serial(small.design, 12, 3_000_000)
    told = (
        r"8\.5 MHz do not give a whole number of cycles for a bit of 921,600 bit/s \(9\.22\); ask for 944,444"
    )
    with pytest.raises(InputError, match=told):
        serial_shell.serial(small.design, 8.5, 921_600)


def test_frames_survive_what_is_among_them() -> None:
    reader = serial_line.Deframer()
    one, two = serial_line.frame(1, 2, b"\x7e\x7d\x7e"), serial_line.frame(3, 4)

    found = list(reader.feed(b"\x01\x02" + one + b"noise" + two[:5])) + list(reader.feed(two[5:]))

    assert [f for f in found if f] == [serial_line.Reply(1, 2, b"\x7e\x7d\x7e"), serial_line.Reply(3, 4, b"")]
    assert reader.broken == 2


def test_what_link_json_says_comes_back(small: bnn2hw.Accelerator, tmp_path: Path) -> None:
    made = serial_shell.serial(small.design, 12, 1_000_000).link
    made = replace(made, input_specs=PIXELS, name="small", board="none", seconds_per_image=1.5)
    made.write(tmp_path)

    found = read_link(tmp_path)

    assert found.facts() == made.facts() == json.loads((tmp_path / "link.json").read_text())
    assert found.input_spec == PIXELS
    assert (found.input.tensor.shape, found.output.lanes) == ((11, 11, 1), made.output.lanes)


def test_names_of_the_version_before(small: bnn2hw.Accelerator, board: VirtualBoard) -> None:
    import bnn2hw.host as before

    with pytest.warns(
        DeprecationWarning, match=r"^bnn2hw\.host\.Device is now bnn2hw\.SerialBoard; "
    ) as told:
        kind = before.Device
    assert told[0].filename == __file__
    with kind(board.port, board.folder) as device:
        assert isinstance(device, bnn2hw.SerialBoard)
        with pytest.warns(DeprecationWarning, match="load_weights"), pytest.raises(InputError):
            device.load(np.zeros(3, int))
        with pytest.warns(
            DeprecationWarning, match=r"^SerialBoard\.image is now SerialBoard\.weight_image; "
        ):
            assert device.image == device.weight_image
    with pytest.raises(AttributeError, match="has no attribute 'Frame'"):
        before.Frame  # noqa: B018


@pytest.fixture(scope="module")
def loadable() -> bnn2hw.Accelerator:
    return bnn2hw.compile(net.tutorial_like(), input=PIXELS, fps=1000, loadable=True)


def test_names_of_an_accelerator_of_the_version_before(loadable: bnn2hw.Accelerator) -> None:
    with pytest.warns(DeprecationWarning, match=r"^Accelerator\.units is now Accelerator\.input_specs; "):
        assert loadable.units == loadable.input_specs
    with pytest.warns(DeprecationWarning, match=r"^Accelerator\.image is now Accelerator\.weight_image; "):
        assert np.array_equal(loadable.image(), loadable.weight_image())


# A bad line that repeats what is lost does all that a clean one does.
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(Damage(), marks=pytest.mark.soak, id="clean"),
        pytest.param(Damage(300, 3000, 300, 3000, 300, seed=3), id="bad"),
    ],
)
def test_new_weights_over_the_line(loadable: bnn2hw.Accelerator, damage: Damage) -> None:
    x = images(20, (11, 11, 1))
    others = [loadable.reload(net.tutorial_like(seed=s)) for s in (1, 2)]

    with VirtualBoard(loadable, damage=damage) as board, host.SerialBoard(board.port, board.folder) as device:
        device.line.timeout = 0.3
        assert device.weight_image == 0
        assert np.array_equal(device.predict(x), loadable.golden(x))
        for other in others:
            device.load_weights(other.weight_image())
            assert device.weight_image == loading.numbered(other.weight_image())[1]
            assert np.array_equal(device.predict(x), other.golden(x))


def test_images_of_memories_that_cannot_be_sent(
    small: bnn2hw.Accelerator, loadable: bnn2hw.Accelerator, board: VirtualBoard
) -> None:
    image = loadable.weight_image()
    with (
        host.SerialBoard(board.port, board.folder) as device,
        pytest.raises(InputError, match="the weights of this design are fixed"),
    ):
        device.load_weights(image)
    told = (
        r"^the weight image is not for this design: \d+ words for 0x\w+, expected \d+ for 0x\w+; make it with"
    )
    with VirtualBoard(loadable) as other, host.SerialBoard(other.port, other.folder) as device:
        for wrong in (image[:-1], np.concatenate([image[:1] ^ 1, image[1:]])):
            with pytest.raises(InputError, match=told):
                device.load_weights(wrong)


def test_load_on_the_command_line(loadable: bnn2hw.Accelerator, tmp_path: Path) -> None:
    image = loadable.reload(net.tutorial_like(seed=1)).weight_image()
    image.tofile(tmp_path / "image.bin")
    (tmp_path / "no.bin").write_bytes(b"abc")
    with VirtualBoard(loadable) as board:
        start = ["weights", "load", str(board.folder), board.port]
        done = CliRunner().invoke(main, [*start, str(tmp_path / "image.bin")])
        bad = [CliRunner().invoke(main, [*start, str(tmp_path / name)]) for name in ("no.bin", "none")]

    assert done.stdout == f"the board computes with weight image {loading.numbered(image)[1]:08x}\n"
    assert [(b.exit_code, b.stderr[:6]) for b in bad] == [(2, "error:")] * 2


def test_parts_of_an_image_out_of_turn(loadable: bnn2hw.Accelerator) -> None:
    """A part that is not the next one is answered and leaves no trace, and a board amid an image answers nothing else."""
    other = loadable.reload(net.tutorial_like(seed=1))
    x = images(3, (11, 11, 1))
    with VirtualBoard(loadable) as board, host.SerialBoard(board.port, board.folder) as device:
        parts = host.parts(other.weight_image(), device.link.load.part)
        assert len(parts) > 2
        for part, expected in ((parts[1], 0), (parts[0], 1), (parts[0], 1), (parts[2], 1)):
            reply = ask(device, serial_line.LOAD, part)
            assert (reply.kind, reply.payload[:2]) == (serial_line.LOADED, expected.to_bytes(2, "little"))
        assert ask(device, serial_line.LOAD, parts[1][:-1]).payload == bytes([2])
        device.line.timeout = 0.2
        assert ask(device, serial_line.PREDICT, bytes(121)) is None, "half of the weights are another model's"
        device.load_weights(other.weight_image())
        assert np.array_equal(device.predict(x), other.golden(x))
