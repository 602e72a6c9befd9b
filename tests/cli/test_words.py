"""Messages on the command line advise in the words of the command line."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest
from click.testing import CliRunner

from bnn2hw.cli.main import main
from bnn2hw.cli.words import of_command_line
from tests.support import networks as net


@pytest.mark.parametrize(
    ("python", "shown"),
    [
        ("pass input=bnn2hw.Input('uint8', scale=1/255).", "give --input uint8 --scale 1/255."),
        (
            "pass input=bnn2hw.Input('uint8', scale=1/127.5, offset=-1)",
            "give --input uint8 --scale 1/127.5 --offset -1",
        ),
        (
            "a Rescaling layer in front of the model, or input=.",
            "a Rescaling layer in front of the model, or --input.",
        ),
        ("compile it with output='scores'.", "compile it with --output scores."),
        ("compile it with loadable=True", "compile it with --loadable"),
        (
            "use padding='valid', or bits=; say output='top3'",
            "use padding='valid', or --bits; say --output top3",
        ),
        ("input shape=(3,) and outputs=2", "input shape=(3,) and outputs=2"),
    ],
)
def test_options_of_python(python: str, shown: str) -> None:
    assert of_command_line(python) == shown


def test_a_model_whose_input_is_not_described(tmp_path: Path) -> None:
    net.chain((6,), net.dense(4, name="one"), keras.layers.ReLU(), net.dense(2)).save(tmp_path / "m.keras")

    done = CliRunner().invoke(main, ["estimate", str(tmp_path / "m.keras")])

    assert done.exit_code == 2
    assert "give --input uint8 --scale 1/255" in done.stderr
    assert "bnn2hw.Input" not in done.stderr


def test_no_help_text_is_cut_off() -> None:
    commands = CliRunner().invoke(main, ["--help"]).stdout
    names = [line.split()[0] for line in commands.split("Commands:\n")[1].splitlines()]

    for name in [[], *([n] for n in names)]:
        text = CliRunner().invoke(main, [*name, "--help"]).stdout
        lines = [line.rstrip() for line in text.splitlines() if not line.startswith("Usage:")]
        assert not [line for line in lines if line.endswith(("...", "…"))], name
