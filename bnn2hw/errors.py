"""The errors of bnn2hw.

A message says what was found, where, what is allowed, and what to do next.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self


class Bnn2hwError(Exception):
    """The base class of all errors of this package."""


class InputError(Bnn2hwError):
    """A file, an option or an array cannot be used."""


class StorageError(Bnn2hwError, OSError):
    """A file or a folder cannot be read or written: permissions, a full disk, a broken device."""


@contextmanager
def storing(path: str | os.PathLike[str], what: str = "written") -> Iterator[None]:
    """Turn errors of the operating system into a `StorageError` that names a path.

    Args:
        path: File or folder that the block works on.
        what: The work in words, as in "cannot be written".

    Raises:
        StorageError: The block raised an OSError.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"'{os.fspath(path)}' cannot be {what}: {error.strerror or error}") from error


def unreadable(what: str, error: OSError) -> Bnn2hwError:
    """Return the error for an input that cannot be opened: the user's, or the machine's.

    Args:
        what: The input in words, for example "the images 'x.npy'".
        error: Error of the operating system.
    """
    text = f"{what} cannot be read: {error.strerror or error}"
    mistaken = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError)
    return InputError(text) if mistaken else StorageError(text)


class MissingToolError(Bnn2hwError):
    """A program that this step needs is not installed."""


class ToolError(Bnn2hwError):
    """A program failed. The message ends with the end of its log."""


class LinkError(Bnn2hwError):
    """A board does not answer, is not the expected one, or was disconnected."""


class MismatchError(Bnn2hwError):
    """The hardware differs from the golden model."""


class FoldingError(Bnn2hwError):
    """A folding is not legal for its layer, or no folding reaches the rate."""


class DoesNotFitError(FoldingError):
    """A synthesized design needs more than the device has.

    Attributes:
        device: Name of the device.
        over: By resource that is exceeded, the number that the design needs and the number that the
            device has.
        note: Further explanation.
        fps: Rate of a folding that is predicted to fit, at the clock that was asked for; None if there
            is none.
    """

    def __init__(
        self,
        device: str,
        over: Mapping[str, tuple[int, int]],
        remedy: str = "",
        note: str = "",
        fps: float | None = None,
    ) -> None:
        self.device, self.over, self.note, self.fps = device, dict(over), note, fps
        needs = " and ".join(f"{need:,} {name} of {there:,}" for name, (need, there) in over.items())
        way_out = remedy or "ask for fewer fps, or choose a larger target"
        super().__init__(f"the design needs {needs} of {device}{note}; {way_out}")
        self._made_of = (device, self.over, remedy, note, fps)

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """Let other processes make the same error."""
        return type(self), self._made_of

    @property
    def excess(self) -> float:
        """The largest ratio of a needed number to the number that the device has."""
        return max(need / max(there, 1) for need, there in self.over.values())

    @property
    def what(self) -> set[str]:
        """The kinds of the exceeded resources: "bram" for block RAMs, "logic" for all others."""
        return {"bram" if "RAM" in name or name.startswith("DP") else "logic" for name in self.over}


class TimingError(Bnn2hwError):
    """Place and route did not reach the clock."""


@dataclass(frozen=True)
class Problem:
    """One reason why a model cannot be compiled.

    Attributes:
        layer: Name of the layer.
        found: Property of the layer that is not supported.
        supported: Properties that are supported.
        remedy: A change to the model or to the options that avoids the problem.
    """

    layer: str
    found: str
    supported: str
    remedy: str

    def __str__(self) -> str:
        return f"layer '{self.layer}': {self.found}. Supported: {self.supported}. Way out: {self.remedy}."


class UnsupportedError(Bnn2hwError):
    """A model cannot be compiled. The message lists all its problems.

    Attributes:
        problems: All problems of the model.
    """

    def __init__(self, problems: Sequence[Problem], refused: str = "this model cannot be compiled") -> None:
        self.problems = tuple(problems)
        head = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        lines = "\n".join(f"  - {p}" for p in self.problems)
        super().__init__(f"{refused} ({head}):\n{lines}")
        self._made_of = (self.problems, refused)

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """Let other processes make the same error."""
        return type(self), self._made_of
