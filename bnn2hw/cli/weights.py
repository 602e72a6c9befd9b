"""The commands that replace the weights of a loadable design."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bnn2hw import deprecation
from bnn2hw.cli import options as shared
from bnn2hw.cli.progress import say
from bnn2hw.errors import InputError, storing, unreadable


@click.group()
def weights() -> None:
    """Replace the weights of a loadable design.

    A design is loadable if 'bnn2hw compile --loadable' compiled it.
    """


@weights.command()
@shared.folder_argument
@shared.model_argument
@shared.path("-o", "--out", default=Path("weights.bin"), help="File to write.")
@shared.imports
@shared.as_json
def pack(folder: Path, model: Path, out: Path, imports: tuple[str, ...] = (), as_json: bool = False) -> None:
    """Write the weights of a model to a weight image.

    FOLDER is a folder that 'bnn2hw compile --loadable' wrote. MODEL is a .keras or .h5 file with
    the architecture of the model that was compiled. The image holds 32-bit words, least significant
    byte first.
    """
    import bnn2hw
    from bnn2hw.backends import loading
    from bnn2hw.cli import own_code

    _claim(out)
    own = own_code.objects(imports) or None
    image = bnn2hw.load(folder).reload(model, custom_objects=own).weight_image()
    with storing(out):
        out.write_bytes(image.astype("<u4").tobytes())
    number = f"{loading.numbered(image)[1]:08x}"
    if as_json:
        click.echo(json.dumps({"image": number, "words": len(image), "file": str(out)}))
    else:
        say(f"weight image {number}: {len(image):,} words, written to {out}")


def _claim(out: Path) -> None:
    """Check that a weight image can be written to a file.

    Raises:
        InputError: The file holds something else than a weight image.
        StorageError: It cannot be written.
    """
    from bnn2hw import folders
    from bnn2hw.backends import loading

    folders.claim_file(out)
    if out.is_file() and not loading.is_image(out):
        raise InputError(f"'{out}' exists and is not a weight image; name another file, or delete it")


@weights.command()
@shared.folder_argument
@click.argument("port")
@click.argument("image", type=click.Path(path_type=Path))
@shared.as_json
def load(folder: Path, port: str, image: Path, as_json: bool = False) -> None:
    """Send a weight image to a board.

    'bnn2hw weights pack' writes IMAGE. The board is connected to the serial line PORT. It runs the
    bitstream in FOLDER, which 'bnn2hw synth --board' wrote.
    """
    import numpy as np

    from bnn2hw.deploy import host

    try:
        raw = image.read_bytes()
    except OSError as error:
        raise unreadable(f"the weight image '{image}'", error) from error
    if not raw or len(raw) % 4:
        raise InputError(
            f"'{image}' is not a weight image: it has {len(raw)} bytes, expected a multiple of 4 bytes"
        )
    with host.SerialBoard(port, folder) as device:
        device.load_weights(np.frombuffer(raw, "<u4"))
    number = f"{device.weight_image:08x}"
    if as_json:
        click.echo(json.dumps({"image": number}))
    else:
        say(f"the board computes with weight image {number}")


@click.command("image", hidden=True)
@shared.folder_argument
@shared.model_argument
@shared.path("-o", "--out", default=Path("image.bin"))
@click.pass_context
def old_pack(context: click.Context, /, **given: Any) -> None:
    """Run 'bnn2hw weights pack' under its old name."""
    deprecation.renamed("'bnn2hw image'", "'bnn2hw weights pack'")
    context.invoke(pack, **given)


@click.command("load", hidden=True)
@shared.folder_argument
@click.argument("port")
@click.argument("image", type=click.Path(path_type=Path))
@click.pass_context
def old_load(context: click.Context, /, **given: Any) -> None:
    """Run 'bnn2hw weights load' under its old name."""
    deprecation.renamed("'bnn2hw load'", "'bnn2hw weights load'")
    context.invoke(load, **given)
