"""A board that is not there: the serial shell of an accelerator in Verilator, with its line on a pseudo-terminal."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from bnn2hw.compiled import CompiledModel
from bnn2hw.deploy import bitstream, serial_shell
from bnn2hw.errors import ToolError
from bnn2hw.progress import Progress, silent
from bnn2hw.simulation import verilator

DIVISOR = 4
"""Cycles per bit: as few as the shell can do with where both sides have one clock, since all of them are simulated."""


@dataclass(frozen=True)
class Damage:
    """What goes wrong on the line, in bytes per million.

    Attributes:
        flip_in, flip_out: bytes to and from the board of which a bit is turned over.
        drop_in, drop_out: bytes that are lost.
        noise_in: bytes to the board before which a random one is put in.
        seed: of it all.
    """

    flip_in: int = 0
    flip_out: int = 0
    drop_in: int = 0
    drop_out: int = 0
    noise_in: int = 0
    seed: int = 1

    @property
    def arguments(self) -> list[str]:
        """As the simulator takes them."""
        rates = (self.flip_in, self.flip_out, self.drop_in, self.drop_out, self.noise_in, self.seed)
        return [str(n) for n in rates]


class VirtualBoard:
    """A simulated board, to be used in a `with` statement: `port` is what `host.Device` opens, `folder` has link.json.

    Raises:
        InputError: an image is too large for the shell, or the design has several inputs or outputs.
        MissingToolError: no Verilator or no C++ compiler.
        ToolError: one of them failed, or the simulation did not start.
    """

    def __init__(
        self,
        accelerator: CompiledModel,
        *,
        clock_mhz: float = 10,
        damage: Damage = Damage(),
        progress: Progress = silent,
    ) -> None:
        baud = int(clock_mhz * 1e6 / DIVISOR)
        made = serial_shell.serial(accelerator.design, clock_mhz, baud, cycles=DIVISOR)
        patience = 4 * accelerator.estimate().cycles.latency + 200_000
        header = f"using Top = Vtop;\nconstexpr unsigned DIVISOR = {DIVISOR};\n"
        header += f"constexpr unsigned long long PATIENCE = {patience};\n"
        files = made.design.simulated()
        sources = {name: text for name, text in sorted(files.items()) if not name.endswith(".hex")}
        self._binary = verilator.build(
            made.design.top, sources, "board.cpp", header=header, progress=progress
        )
        self._memories = {name: text for name, text in files.items() if name.endswith(".hex")}
        # Simulated time runs slower than ours: a host must not lose its patience for that.
        self._link = {**made.link, **bitstream.for_host(accelerator, clock_mhz / 20), "board": "simulated"}
        self._damage = damage

    def __enter__(self) -> VirtualBoard:
        self._scratch = tempfile.TemporaryDirectory(prefix="bnn2hw-")
        self.folder = Path(self._scratch.name)
        for name, text in self._memories.items():
            (self.folder / name).write_text(text)
        (self.folder / bitstream.LINK).write_text(json.dumps(self._link))
        self._process = subprocess.Popen(
            [str(self._binary), *self._damage.arguments], cwd=self.folder, stdout=subprocess.PIPE, text=True
        )
        self.port = self._process.stdout.readline().strip() if self._process.stdout else ""
        if not self.port:
            self._scratch.cleanup()
            raise ToolError("the simulated board did not start")
        return self

    def unplug(self) -> None:
        """End the simulation, as if the cable were pulled."""
        self._process.kill()
        self._process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()
        if self._process.stdout:
            self._process.stdout.close()
        self._scratch.cleanup()
