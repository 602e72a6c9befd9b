"""Simulate a board: the serial shell runs in Verilator, and its line is a pseudo-terminal."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from bnn2hw.compiled import CompiledModel
from bnn2hw.deploy import bitstream, serial_shell
from bnn2hw.errors import ToolError
from bnn2hw.progress import Progress, silent
from bnn2hw.simulation import verilator

DIVISOR = 4
"""Cycles per bit; few suffice, since both ends of the simulated line share one clock."""


@dataclass(frozen=True)
class Damage:
    """Rates of errors on the line, in bytes per million.

    Attributes:
        flip_in: Bytes to the board in which one bit is inverted.
        flip_out: Bytes from the board in which one bit is inverted.
        drop_in: Bytes to the board that are lost.
        drop_out: Bytes from the board that are lost.
        noise_in: Bytes to the board before which a random byte is inserted.
        seed: Seed of the random generator.
    """

    flip_in: int = 0
    flip_out: int = 0
    drop_in: int = 0
    drop_out: int = 0
    noise_in: int = 0
    seed: int = 1

    @property
    def arguments(self) -> list[str]:
        """Arguments of the simulator."""
        rates = (self.flip_in, self.flip_out, self.drop_in, self.drop_out, self.noise_in, self.seed)
        return [str(n) for n in rates]


class VirtualBoard:
    """A simulated board, for a `with` statement.

    Args:
        accelerator: Accelerator on the board.
        clock_mhz: Clock that the board claims to have.
        damage: Errors on the line.
        progress: Called at the start of each step.

    Attributes:
        port: Port that `SerialBoard` opens.
        folder: Folder with link.json.

    Raises:
        InputError: An image is too large for the shell, or the design has several inputs or
            outputs.
        MissingToolError: Verilator or a C++ compiler is not installed.
        ToolError: One of them failed, or the simulation did not start.
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
        # Simulation is slower than hardware, so the host gets more time.
        self._link = bitstream.for_host(replace(made.link, board="simulated"), accelerator, clock_mhz / 20)
        self._damage = damage

    def __enter__(self) -> VirtualBoard:
        self._scratch = tempfile.TemporaryDirectory(prefix="bnn2hw-")
        self.folder = Path(self._scratch.name)
        for name, text in self._memories.items():
            (self.folder / name).write_text(text)
        self._link.write(self.folder)
        self._process = subprocess.Popen(
            [str(self._binary), *self._damage.arguments], cwd=self.folder, stdout=subprocess.PIPE, text=True
        )
        self.port = self._process.stdout.readline().strip() if self._process.stdout else ""
        if not self.port:
            self._scratch.cleanup()
            raise ToolError("the simulated board did not start")
        return self

    def unplug(self) -> None:
        """End the simulation, as if somebody pulled the cable."""
        self._process.kill()
        self._process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()
        if self._process.stdout:
            self._process.stdout.close()
        self._scratch.cleanup()
