"""Render a graph in hardware form as a folder of C++ for a processor, with a C interface.

The sources are those of `bnn2hw.native` under other names, so that several networks fit into one program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bnn2hw import golden
from bnn2hw.backends import frames
from bnn2hw.backends.design import Design, Stream, identifiers
from bnn2hw.backends.text import ANY_PROCESSOR, Header, Printer, ascii_only
from bnn2hw.ir import Array, Graph, Ints, Tensor
from bnn2hw.native import program, sources
from bnn2hw.native.program import ALIGNMENT, Program
from bnn2hw.version import __version__

MOST_FRAMES = 8
"""Recorded frames of the check."""

RECORDED_VALUES = 2**18
"""Input values of the recorded frames, unless two frames have more."""

MOST_NAME = 48
"""Letters of the prefix of all names."""

OF_SYSTEMS = (
    "aio alloca assert byteswap complex ctype dirent dlfcn endian errno error execinfo fcntl features fenv float "
    "fmtmsg fnmatch ftw getopt glob grp iconv inttypes iso646 langinfo libgen limits link locale malloc math memory "
    "monetary mqueue ndbm netdb new poll process pthread pwd regex sched search semaphore setjmp signal spawn stdalign "
    "stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string strings stropts syslog tar termios tgmath "
    "threads time trace uchar ulimit unistd utime utmpx values wait wchar wctype windows wordexp "
    "cnd mtx sem thrd timer tss"
)
"""Headers of C and of operating systems, and what their functions begin with in front of `_create` or `_destroy`."""

INT_MAX = 2**31 - 1


@dataclass(frozen=True)
class ArrayPort:
    """An array that the generated function takes or fills.

    Attributes:
        number: Its place among the inputs or outputs, counted from 1.
        prefix: Beginning of the names of the network.
        variable: Name of the parameter.
        stream: Name, type and shape of a frame.
        is_input: True if the function reads it.
        recorded: Recorded frames as initializers.
    """

    number: int
    prefix: str
    variable: str
    stream: Stream
    is_input: bool
    recorded: str

    @property
    def tensor(self) -> Tensor:
        """Type of a frame."""
        return self.stream.tensor

    @property
    def ints(self) -> Ints:
        """Integers of the array."""
        return self.tensor.ints

    @property
    def values(self) -> int:
        """Values of a frame."""
        return self.tensor.size

    @property
    def macro(self) -> str:
        """Beginning of the names of its macros."""
        return f"{self.prefix}_{self.variable}".upper()

    @property
    def element(self) -> str:
        """Element type, as `bnn2hw.native.program` names it."""
        return program.element(self.ints)

    @property
    def c_type(self) -> str:
        """Element type in C."""
        return program.CPP_TYPES[self.element].removeprefix("std::")

    @property
    def bytes(self) -> int:
        """Bytes of a frame."""
        return self.values * program.SIZES[self.element]

    @property
    def words(self) -> str:
        """The contents in words."""
        return ascii_only(f"{self.stream.name}: {self.stream.contents}")

    @property
    def parameter(self) -> str:
        """The parameter of the function."""
        return f"{'const ' if self.is_input else ''}{self.c_type}* {self.variable}"

    @property
    def limited(self) -> bool:
        """True if the element type holds values that are not in the range."""
        kind = np.iinfo(program.TYPES[self.element])
        return self.is_input and (self.ints.lo, self.ints.hi, self.ints.step) != (kind.min, kind.max, 1)

    @property
    def reals(self) -> str | bool:
        """The form in which the header gives the real meaning: as "macros", as arrays (True), or not at all (False)."""
        if self.is_input or (self.tensor.scale, self.tensor.offset) == (1.0, 0.0):
            return False
        return "macros" if not np.ndim(self.tensor.scale) and not np.ndim(self.tensor.offset) else True

    @property
    def scale(self) -> str:
        """Real value of a step: a number, or one for each value."""
        return self._numbers(self.tensor.scale)

    @property
    def offset(self) -> str:
        """Real value of 0: a number, or one for each value."""
        return self._numbers(self.tensor.offset)

    def _numbers(self, meaning: float | Sequence[float]) -> str:
        if self.reals == "macros":
            return repr(float(np.asarray(meaning)))
        return ", ".join(repr(float(v)) for v in np.broadcast_to(meaning, self.tensor.shape).ravel())


@dataclass(frozen=True)
class Network:
    """Values for the templates of the folder.

    Attributes:
        model: Name of the model.
        prefix: Beginning of all names in C.
        program: The calls of kernels.
        inputs: Arrays that enter.
        outputs: Arrays that leave.
        frames: Number of recorded frames.
    """

    model: str
    prefix: str
    program: Program
    inputs: tuple[ArrayPort, ...]
    outputs: tuple[ArrayPort, ...]
    frames: int

    version = __version__
    instructions = sources.VERSIONS

    @property
    def ports(self) -> tuple[ArrayPort, ...]:
        """All arrays."""
        return (*self.inputs, *self.outputs)

    @property
    def checked(self) -> list[ArrayPort]:
        """Inputs whose values may be outside of the range."""
        return [p for p in self.inputs if p.limited]

    @property
    def header(self) -> str:
        """File of the interface."""
        return f"{self.prefix}.h"

    @property
    def calls(self) -> str:
        """Name of the file of calls, without its suffix."""
        return f"{self.prefix}_calls"

    @property
    def versions(self) -> list[str]:
        """Instruction sets, the fastest first."""
        return list(reversed(self.instructions))

    @property
    def batch(self) -> int:
        """Frames that go through each layer together by default."""
        return sources.capacity(self.program)

    @property
    def most_batch(self) -> int:
        """Frames at most that do so: counts of elements are of type int."""
        return INT_MAX // max(self.program.arena, *(p.bytes for p in self.ports))

    @property
    def kib(self) -> str:
        """Working memory of a frame in KiB."""
        return f"{-(-self.program.arena // 1024):,}"

    @property
    def weight_kib(self) -> str:
        """Constants in KiB."""
        return f"{-(-len(self.program.constants) // 1024):,}"

    @cached_property
    def weights(self) -> str:
        """All constants as initializers of 64 bits."""
        data = self.program.constants or bytes(ALIGNMENT)
        return _lines([f"{word:#x}" for word in np.frombuffer(data, "<u8").tolist()], 6)

    @property
    def parameters(self) -> list[str]:
        """Arrays as parameters."""
        return [p.parameter for p in self.ports]

    @property
    def example(self) -> list[str]:
        """Arguments for one frame."""
        return ["1", *(p.variable for p in self.ports)]

    @property
    def vectors(self) -> list[str]:
        """Arguments that are vectors."""
        return [f"{p.variable}.data()" for p in self.ports]

    @property
    def check_all(self) -> list[str]:
        """Arguments for all recorded frames."""
        return [f"recorded_{p.variable}" if p.is_input else p.variable for p in self.ports]

    @property
    def check_each(self) -> list[str]:
        """Arguments for the recorded frame `i`."""
        return [f"{a} + i * {p.macro}_VALUES" for a, p in zip(self.check_all, self.ports, strict=True)]


def render(graph: Graph, *, header: Header = ANY_PROCESSOR) -> Design:
    """Render a graph.

    Args:
        graph: The graph, in hardware form or without FIFOs and converters.
        header: Provenance for the headers of the files.

    Raises:
        UnsupportedError: The graph has ops that native code does not know.
    """
    network = _network(graph, header.model or "network")
    printer = Printer("native", header)
    files = {
        path: printer.file(path, f"folder/{template}.j2", net=network)
        for path, template in _templates(network).items()
    }
    own = f"{network.prefix}_kernels"
    calls = sources.render(network.program, network.model, network.calls)
    for name, text in {**sources.kernel_files(), **calls}.items():
        files[f"src/{name}"] = printer.headed(name, _renamed(text, own))
    files["README.md"] = ascii_only(printer.text("folder/README.md.j2", net=network))
    inputs, outputs = (tuple(p.stream for p in ports) for ports in (network.inputs, network.outputs))
    return Design(
        network.prefix, files, (*inputs, *outputs), inputs, outputs, backend="native", header=header
    )


def _templates(network: Network) -> dict[str, str]:
    """Return the template of each file, by path."""
    return {
        "CMakeLists.txt": "CMakeLists.txt",
        f"include/{network.header}": "network.h",
        "src/interface.cpp": "interface.cpp",
        "src/weights.cpp": "weights.cpp",
        "check/frames.hpp": "frames.hpp",
        "check/check.cpp": "check.cpp",
        "benchmark/benchmark.cpp": "benchmark.cpp",
    }


def _renamed(text: str, namespace: str) -> str:
    """Return a source of bnn2hw in another namespace, so that the kernels of two networks stay apart."""
    return re.sub(r"\bnamespace bnn2hw\b|\bbnn2hw(?=::)", lambda m: m[0].replace("bnn2hw", namespace), text)


def _network(graph: Graph, model: str) -> Network:
    made = sources.compile_graph(graph)
    size = sum(graph.types[n.name].size for n in graph.sources)
    count = int(np.clip(RECORDED_VALUES // size, 2, MOST_FRAMES))
    x = frames.distinct(graph, count)
    arrays = golden.by_name(tuple(n.name for n in graph.sources), x)
    results = golden.by_name(graph.outputs, golden.outputs(graph, x), "output")
    prefix = _prefix(model)
    inputs, outputs = (
        tuple(_ports(graph, prefix, each, stem)) for each, stem in ((arrays, "in"), (results, "out"))
    )
    return Network(" ".join(model.replace("*/", "* /").split()), prefix, made, inputs, outputs, count)


def _prefix(model: str) -> str:
    """The beginning of all names, and of the header's: the model's name, unless a system has it."""
    [name] = identifiers([ascii_only(model)[:MOST_NAME]]).values()
    return f"{name}_net".lower() if name.lower() in OF_SYSTEMS.split() else name.lower()


def _ports(graph: Graph, prefix: str, recorded: Mapping[str, Array], stem: str) -> Iterator[ArrayPort]:
    """Yield the arrays of one direction.

    Args:
        graph: The graph.
        prefix: Beginning of the names of the network.
        recorded: Recorded frames by edge.
        stem: Beginning of the names of parameters.
    """
    ids = identifiers(recorded)
    for number, (name, values) in enumerate(recorded.items(), 1):
        stream = Stream(name, ids[name], graph.types[name], 0)
        text = _lines([str(v) for v in values.ravel().tolist()], 24)
        yield ArrayPort(number, prefix, f"{stem}_{ids[name]}", stream, stem == "in", text)


def _lines(items: Sequence[str], each: int) -> str:
    """Join initializers, so many in a line."""
    return ",\n".join(", ".join(items[i : i + each]) for i in range(0, len(items), each))
