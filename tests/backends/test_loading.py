"""Memories that are written at run time: every op, in Verilator, with new weights in the middle of a run."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import bnn2hw
from bnn2hw import golden, nn, tools
from bnn2hw.backends import loading, verilog
from bnn2hw.cli.main import main
from bnn2hw.errors import InputError, ToolError, UnsupportedError
from bnn2hw.ir import BIPOLAR, HardwareOp, Tensor
from bnn2hw.ops import HARDWARE_OPS, ParallelWindow, Xnor
from bnn2hw.ops.base import parts
from bnn2hw.simulation import simulate
from bnn2hw.synthesis import gate_level
from bnn2hw.targets import families
from tests.support import alone, random_frames
from tests.support import networks as net
from tests.support.machine import found_or_skip

PIXELS = bnn2hw.Input("uint8", scale=1 / 127.5, offset=-1)
LOADABLE = [
    pytest.param(op, x, id=f"{op.kind}-{i}")
    for kind in HARDWARE_OPS
    for i, (op, x) in enumerate(kind.examples())
    if op.writable
]


WIDE = Xnor(np.random.default_rng(0).choice(np.array([-1, 1], np.int8), (9, 6)), pe=6, simd=3, loadable=True)
"""Its words have 18 bits."""


def another(op: HardwareOp, by: int) -> HardwareOp:
    """The same op with other contents of its memories: the numbers of each array move on by some places."""
    arrays = {f.name: getattr(op, f.name) for f in fields(op) if isinstance(getattr(op, f.name), np.ndarray)}
    moved = {name: np.roll(a, by) for name, a in arrays.items()}
    if "thresholds" in moved:
        moved["thresholds"] = np.sort(moved["thresholds"], axis=1)
    return replace(op, **moved)


def test_parts_of_a_wide_unit_are_loaded_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST_INSIDE", 6)
    x = Tensor((2, 9), BIPOLAR)
    assert len(WIDE.printed_parts(x)) == 3

    test_frames_meet_the_weights_of_their_time(WIDE, (x,))


@pytest.mark.parametrize(("op", "x"), LOADABLE)
def test_frames_meet_the_weights_of_their_time(op: HardwareOp, x: tuple[Tensor, ...]) -> None:
    graphs = [alone(o, *x) for o in (op, another(op, 1), another(op, 2))]
    design = verilog.render(graphs[0])
    assert design.load
    assert all(verilog.render(g).load == design.load for g in graphs)
    frames = random_frames(graphs[0], 9)
    results = [golden.outputs(g, frames) for g in graphs]
    assert not np.array_equal(results[0], results[1])
    assert not np.array_equal(results[1], results[2])
    reloads = [
        simulate.Reload(frame, loading.image(graph, design.load), graph)
        for frame, graph in ((3, graphs[1]), (7, graphs[2]))
    ]

    for stalls in (0.0, 0.4):
        simulate.simulate(
            design, graphs[0], frames, op.cycles(*x), stalls=stalls, seed=2, reloads=reloads
        ).check()


@pytest.mark.soak
def test_the_cells_that_synthesis_made_are_reloaded(tmp_path: Path) -> None:
    """Block RAMs, flip-flops and LUTs of an iCE40, on new weights in the middle of a run."""
    found_or_skip(tools.yosys)
    [(op, x)] = [(op, x) for op, x in Xnor.examples() if op.writable and op.weights_in_block_ram]
    graphs = [alone(o, *x) for o in (op, another(op, 1))]
    design = verilog.render(graphs[0], family=families.family("ice40"))
    netlist = gate_level.of(design, families.family("ice40"), tmp_path)
    reload = simulate.Reload(2, loading.image(graphs[1], design.load), graphs[1])

    run = simulate.simulate(
        netlist, graphs[0], random_frames(graphs[0], 4), op.cycles(*x), stalls=0.2, reloads=[reload]
    )

    run.check()


def images(count: int, shape: tuple[int, ...], most: int = 255) -> np.ndarray:
    return np.random.default_rng(1).integers(0, most + 1, (count, *shape))


def test_a_retrained_network_in_the_same_hardware(tmp_path: Path) -> None:
    """Other signs of the weights and of the normalizations, so that thresholds fall and pools turn to minima."""
    accelerator = bnn2hw.compile(net.tutorial_like(), input=PIXELS, fps=20_000, loadable=True)
    accelerator.write(tmp_path / "net")
    stored = bnn2hw.load(tmp_path / "net")
    others = {4: stored.reload(net.tutorial_like(seed=1)), 9: accelerator.reload(net.tutorial_like(seed=2))}
    x = images(14, (11, 11, 1))
    classes = [a.golden(x) for a in (accelerator, *others.values())]
    assert not np.array_equal(classes[0], classes[1])
    assert not np.array_equal(classes[1], classes[2])
    alone = bnn2hw.compile(net.tutorial_like(seed=1), input=PIXELS, fps=20_000)
    assert np.array_equal(classes[1], alone.golden(x)), "another result than that of fixed hardware"

    for stalls in (0.0, 0.3):
        run = accelerator.simulate(x, stalls=stalls, reloads=others)
        run.check()
        assert np.array_equal(
            np.ravel(run.outputs), np.concatenate([classes[0][:4], classes[1][4:9], classes[2][9:]])
        )


def small(units: int = 12, seed: int = 0, **options: object) -> keras.Model:
    named = [net.dense(units, name="first", **options), net.norm(name="norm"), net.dense(5, name="second")]
    return net.chain((16,), *named, seed=seed)


def compiled(model: keras.Model, **options: object) -> bnn2hw.Accelerator:
    return bnn2hw.compile(model, **{"input": bnn2hw.Input("bipolar"), "loadable": True, **options})


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            small(10),
            r"layer 'first': Dense of shape \(10,\) where the compiled model has Dense of shape \(12,\)",
        ),
        (net.chain((16,), net.dense(12), net.norm()), r"layer 'net': 4 steps where the compiled model has"),
        (
            small(kernel_quantizer="ste_tern"),
            r"layer 'first': its weights need other hardware: Mac 'first'",
        ),
    ],
)
def test_models_of_another_architecture_are_refused(other: keras.Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=r"^this model cannot be loaded into that hardware") as error:
        compiled(small()).reload(other)
    assert re.search(message, str(error.value))
    assert "Way out: compile the new model, and program its bitstream." in str(error.value)


def test_layers_at_a_pixel_per_cycle_are_reloaded() -> None:
    """Their windows come whole, which other weights do not change."""

    def model(seed: int) -> keras.Model:
        return net.chain((6, 6, 2), net.conv(4, 3), net.norm(), net.conv(3, 2), seed=seed)

    fast = compiled(model(0), target="xc7z020", fps=2_000_000)
    x = np.random.default_rng(0).choice([-1, 1], (5, 6, 6, 2))

    reloaded = fast.reload(model(1))

    assert any(isinstance(n.op, ParallelWindow) for n in fast.graph)
    assert np.array_equal(reloaded.golden(x), compiled(model(1)).golden(x))


def test_some_layers_only() -> None:
    accelerator = compiled(small(), loadable=["second"])
    last, all_new = small(), small(seed=3)
    last.layers[-1].set_weights(all_new.layers[-1].get_weights())
    x = np.random.default_rng(0).choice([-1, 1], (6, 16))

    other = accelerator.reload(last)

    assert accelerator.design.load
    assert accelerator.design.load.stages == 1
    accelerator.simulate(x, reloads={3: other}).check()
    with pytest.raises(
        UnsupportedError, match="layer 'first': its constants have changed, and they are not loa"
    ) as e:
        accelerator.reload(all_new)
    assert "or with 'first' among the loadable layers" in str(e.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"loadable": ["other"]}, InputError, r"^loadable must be .* not 'other'; layers: first, "),
        (
            {"loadable": "first"},
            InputError,
            r"^loadable must be True, False or a list of layers, not 'first'",
        ),
        ({"loadable": ["image"]}, InputError, r"^nothing in this model can be loaded"),
        (
            {"backend": "hls"},
            InputError,
            r"^loadable needs the backend 'verilog', not 'hls'; leave out one of the two$",
        ),
    ],
)
def test_what_cannot_be_loadable(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        compiled(small(), **options)


def test_fixed_point_cannot_be_loadable() -> None:
    layers = [
        net.dense(12),
        net.norm(),
        keras.layers.Activation("relu"),
        net.dense(300, input_quantizer=None),
    ]
    with pytest.raises(UnsupportedError, match="fixed point, whose widths follow from the weights"):
        compiled(net.chain((16,), *layers))


def two_inputs(seed: int) -> keras.Model:
    a, b = keras.Input((12,), name="a"), keras.Input((20,), name="load")
    sides = [net.norm(name=f"n{i}")(net.dense(8, name=f"d{i}")(x)) for i, x in enumerate((a, b))]
    sides = [keras.layers.Activation(nn.quantizers.ste_sign, name=f"s{i}")(y) for i, y in enumerate(sides)]
    joined = keras.layers.Concatenate(name="both")(sides)
    return net.shake(keras.Model([a, b], net.dense(4, name="last")(joined), name="two"), seed)


def test_two_inputs_that_come_apart() -> None:
    """One input's frames may be ahead of the other's when an image comes: what has begun is let in."""
    accelerator = compiled(two_inputs(0))
    others = {3: accelerator.reload(two_inputs(1)), 6: accelerator.reload(two_inputs(2))}
    rng = np.random.default_rng(0)
    x = {"a": rng.choice([-1, 1], (9, 12)), "load": rng.choice([-1, 1], (9, 20))}

    for seed in range(3):
        accelerator.simulate(x, stalls=0.5, seed=seed, reloads=others).check()


def test_hardware_that_cannot_be_written() -> None:
    fixed = compiled(small(), loadable=False)
    told = r"^the memories of this design cannot be written; compile it with loadable=True$"
    for attempt in (fixed.weight_image, lambda: fixed.reload(small())):
        with pytest.raises(InputError, match=told):
            attempt()


@pytest.mark.parametrize("fault", ["another design", "too short", "too long", "no slices"])
def test_images_that_the_hardware_refuses(fault: str) -> None:
    accelerator = compiled(small())
    image = accelerator.weight_image()
    if fault == "another design":
        image[0] ^= 1
    else:
        image = {"too short": image[:-1], "too long": np.append(image, 7), "no slices": image[:4]}[fault]
    x = np.random.default_rng(0).choice([-1, 1], (4, 16))

    with pytest.raises(ToolError, match=r"^the design refused a weight image$"):
        simulate.simulate(
            accelerator.design,
            accelerator.graph,
            x,
            accelerator.estimate().cycles,
            reloads=[simulate.Reload(2, image, accelerator.graph)],
        )


def test_images_on_the_command_line(tmp_path: Path) -> None:
    small().save(tmp_path / "old.keras")
    small(seed=1).save(tmp_path / "new.keras")
    small(10).save(tmp_path / "other.keras")
    folder, out = tmp_path / "net", tmp_path / "new.bin"
    run = CliRunner()

    options = ["--input", "bipolar", "--loadable", "-o", str(folder)]
    assert run.invoke(main, ["compile", str(tmp_path / "old.keras"), *options]).exit_code == 0
    made = run.invoke(main, ["weights", "pack", str(folder), str(tmp_path / "new.keras"), "-o", str(out)])
    other = run.invoke(main, ["weights", "pack", str(folder), str(tmp_path / "other.keras")])

    expected = bnn2hw.load(folder).reload(small(seed=1)).weight_image()
    assert np.array_equal(np.fromfile(out, "<u4"), expected)
    assert made.stdout.startswith(f"weight image {loading.numbered(expected)[1]:08x}: {len(expected)} words")
    assert (other.exit_code, other.stderr[:20]) == (2, "error: this model ca")
