"""A mutant: a source with one small change."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@cache
def _read(path: Path) -> str:
    """A source; a run of mutants reads each as it was at first."""
    return path.read_text()


@dataclass(frozen=True)
class Mutant:
    """A source with one small change.

    Attributes:
        file: Path of the source from the root of the repository.
        start: Place of the change in its text.
        end: End of the text that is replaced.
        new: Text in its place.
        kind: Sort of the change.
        scope: Qualified name of the function around it; empty outside of functions and in templates.
    """

    file: str
    start: int
    end: int
    new: str
    kind: str
    scope: str = ""

    @property
    def source(self) -> str:
        """The text without the change."""
        return _read(ROOT / self.file)

    @property
    def text(self) -> str:
        """The text with the change."""
        source = self.source
        return source[: self.start] + self.new + source[self.end :]

    @property
    def line(self) -> int:
        """Number of the line in which the change begins."""
        return self.source.count("\n", 0, self.start) + 1

    @property
    def key(self) -> str:
        """The changed lines, before and after, by which a list of mutants knows it."""
        source = self.source
        first = source.rfind("\n", 0, self.start) + 1
        last = source.find("\n", self.end)
        before = " ".join(source[first:last].split())
        after = " ".join((source[first : self.start] + self.new + source[self.end : last]).split())
        return f"{before} -> {after}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.kind}: {self.key}"


def sample(sites: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """Return some mutants of a file, the same ones in each run, in as many lines as there are.

    Args:
        sites: All its mutants.
        count: Number of mutants.
        seed: Another one gives others.
    """
    if not sites:
        return []
    digest = hashlib.sha256(f"{seed} {sites[0].file}".encode()).digest()
    order = list(sites)
    random.Random(int.from_bytes(digest[:8], "big")).shuffle(order)
    seen: dict[int, int] = {}
    ranks = {}
    for mutant in order:
        line = mutant.line
        ranks[mutant] = seen[line] = seen.get(line, -1) + 1
    return sorted(sorted(order, key=lambda m: ranks[m])[:count], key=lambda m: m.start)
