"""Work on files that is killed at random moments, in processes of its own without Keras.

    python -m tests.support.crashes KIND FOLDER KILLS SEED

forks a process that works, kills it after a random time and looks at what is there, again and again.
The last line that it prints is the number of kills.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import resource
import signal
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bnn2hw import compile_cache, folders
from bnn2hw.artifacts import build_folder
from bnn2hw.deploy import bitstream
from bnn2hw.errors import StorageError
from bnn2hw.studies import table

Work = Callable[[Path], None]
"""What a process does until it is killed, or what holds afterwards."""

FORMAT_1 = Path(__file__).parents[1] / "artifacts" / "format_1.tar.xz"
LONGEST = 0.03
"""Seconds until a kill."""


class BrokenError(Exception):
    """A file is neither whole nor absent."""


def must(holds: bool, what: str) -> None:
    if not holds:
        raise BrokenError(what)


class Builds:
    """Two processes write whole build folders of two designs, and add results to them."""

    def __init__(self, folder: Path) -> None:
        with tarfile.open(FORMAT_1) as packed:
            packed.extractall(folder / "old", filter="data")
        self.graph, self.manifest = build_folder.read(folder / "old")

    def write(self, target: Path, letter: str) -> None:
        texts = {f"rtl/{i}.sv": letter * 5000 for i in range(12)} | {f"only{letter}/x": letter}
        build_folder.write(target, texts, self.graph, replace(self.manifest, name=letter))

    def work(self, folder: Path) -> None:
        for turn in itertools.count(os.getpid()):
            self.write(folder / "b", "AB"[turn % 2])
            folders.add(folder / "b", {"results.json": f"{turn}", "more/results.json": f"{turn}"})
            folders.write_text(folder / "b" / "results.json", f"{turn}")

    def check(self, folder: Path) -> None:
        if not folders.ours(folder / "b") and not (folder / "b" / folders.exchange.JOURNAL).exists():
            return
        _, manifest = build_folder.read(folder / "b")
        letters = {p.read_text()[0] for p in (folder / "b" / "rtl").iterdir()}
        must(letters == {manifest.name}, f"sources of {letters} beside the manifest of {manifest.name}")
        must((folder / "b" / f"only{manifest.name}").is_dir(), "a source is missing")

    def end(self, folder: Path) -> None:
        (folder / "b").mkdir(exist_ok=True)
        (folder / "b" / "notes.txt").write_text("mine") if folders.ours(folder / "b") else None
        self.write(folder / "b", "A")
        self.check(folder)
        left = [p.name for p in (folder / "b").iterdir() if p.name.startswith(".")]
        must(not left, f"{left} are left behind")


class Caches:
    """Processes build entries of a cache."""

    def __init__(self, folder: Path) -> None:
        os.environ["BNN2HW_CACHE"] = str(folder / "cache")

    def entry(self, number: int) -> Path:
        def build(work: Path) -> None:
            for name in ("a", "b"):
                with (work / name).open("w") as file:
                    for _ in range(50):
                        file.write(f"{number} " * 200)

        return compile_cache.entry("kind", [number], ["a", "b"], build)

    def work(self, folder: Path) -> None:
        for number in itertools.count(random.randrange(1000)):
            self.entry(number)
            compile_cache.keep(
                "kept", [number], ["a"], lambda w: (w / "a").write_text("x" * 9000) and None, 1 << 20
            )

    def check(self, folder: Path) -> None:
        for each in (folder / "cache").glob("kind/[!.]*"):
            if each.is_dir():
                sizes = {p.name: p.stat().st_size for p in each.iterdir()}
                must(set(sizes) == {"a", "b"} and len(set(sizes.values())) == 1, f"{each} holds {sizes}")
        for each in (folder / "cache").glob("kept/[!.]*/a"):
            must(each.stat().st_size == 9000, f"{each} is cut")

    def end(self, folder: Path) -> None:
        for number in range(5):
            must(
                (self.entry(number) / "b").read_text().startswith(f"{number} "), "the entry of another number"
            )


class Studies:
    """Processes add points to the table of a study."""

    def __init__(self, folder: Path) -> None:
        self.row = dict.fromkeys(table.COLUMNS, 1) | dict.fromkeys(table.WORDS, "w" * 400)

    def work(self, folder: Path) -> None:
        path = folder / "s.csv"
        for point in itertools.count():
            table.append(path, self.row | {"point": point})
            if point % 7 == 0:
                table.write(path, table.read(path))

    def check(self, folder: Path) -> None:
        if (folder / "s.csv").exists():
            for row in table.read(folder / "s.csv"):
                must(row["key"] == "w" * 400, f"a point is cut: {row}")

    def end(self, folder: Path) -> None:
        table.check(folder / "s.csv")
        table.append(folder / "s.csv", self.row)
        must(bool(table.read(folder / "s.csv")), "no point is there")


class Synthesis:
    """Processes synthesize into a folder, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.facts = {"generator": folders.GENERATOR, "name": "n"}

    def work(self, folder: Path) -> None:
        for turn in itertools.count(os.getpid()):
            with bitstream.workplace(folder / "s", self.facts) as result:
                for name in ("netlist.json", "design.bit"):
                    (folder / "s" / name).write_text(f"{turn}")
                result |= {"state": "done", "turn": turn}

    def check(self, folder: Path) -> None:
        if not (folder / "s" / bitstream.FACTS).exists():
            return
        facts = json.loads((folder / "s" / bitstream.FACTS).read_text())
        if facts["state"] == "done" and "turn" in facts:
            found = {(folder / "s" / name).read_text() for name in facts["files"]}
            must(found == {str(facts["turn"])}, f"files of {found} beside the facts of {facts['turn']}")

    def end(self, folder: Path) -> None:
        folders.claim(folder / "s", bitstream.FACTS, by="synthesis")
        with bitstream.workplace(folder / "s", self.facts) as result:
            result |= {"state": "done"}


KINDS = {"builds": Builds, "caches": Caches, "studies": Studies, "synthesis": Synthesis}


def forked(work: Callable[[], None]) -> int:
    """Start a process that works, and return its id."""
    child = os.fork()
    if child:
        return child
    try:
        random.seed(os.getpid())
        work()
    except BaseException as error:
        print(f"the process that works ended: {error!r}", flush=True)
        os._exit(3)
    os._exit(0)


def ended(child: int) -> None:
    """Kill a process; it must have worked until then."""
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    must(os.WIFSIGNALED(status), "a process ended before it was killed")


def killed(kind: str, folder: Path, kills: int, seed: int) -> None:
    """Kill processes that work beside each other, one at a time."""
    rng = random.Random(seed)
    made = KINDS[kind](folder)
    beside = forked(lambda: made.work(folder))
    try:
        for number in range(kills):
            child = forked(lambda: made.work(folder))
            time.sleep(rng.uniform(0, LONGEST))
            if rng.random() < 0.3:
                ended(beside)
                beside, child = child, beside
            else:
                ended(child)
            if number % 3 == 2:  # nobody works
                ended(beside)
                made.check(folder)
                made.end(folder)
                beside = forked(lambda: made.work(folder))
    finally:
        os.kill(beside, signal.SIGKILL)
        os.waitpid(beside, 0)
    made.check(folder)
    made.end(folder)


def full(kind: str, folder: Path, kills: int, seed: int) -> None:
    """Let writes fail at random sizes of a file, as on a full disk, in processes that then end."""
    rng = random.Random(seed)
    made = KINDS[kind](folder)
    for _ in range(kills):
        limit = rng.randrange(0, 60_000)

        def work(limit: int = limit) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            try:
                made.end(folder)
            except StorageError as error:
                must("cannot be written" in str(error), f"another reason: {error}")

        _, status = os.waitpid(forked(work), 0)
        must(status == 0, f"a process without room ended with {status}, limit {limit}")
        made.check(folder)
    made.end(folder)


if __name__ == "__main__":
    how, what, place, count, start = sys.argv[1:]
    {"kill": killed, "full": full}[how](what, Path(place), int(count), int(start))
    print(count)
