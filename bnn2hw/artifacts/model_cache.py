"""Keep lowered models on disk, so that a model file is compiled again without its framework.

An entry holds the hardware form and the facts that `bnn2hw.compile` also needs, as JSON and arrays without pickled
objects. Nothing in it is ever executed. An entry whose hashes do not match its contents is built again.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bnn2hw import compile_cache
from bnn2hw.artifacts import model_key
from bnn2hw.artifacts.graph_json import graph_from_json, graph_to_json
from bnn2hw.artifacts.model_key import Given
from bnn2hw.comparison import Comparison
from bnn2hw.deviation import Deviation
from bnn2hw.errors import InputError
from bnn2hw.folders import sha256
from bnn2hw.ir import Array, AxisOrder, Graph
from bnn2hw.lower.fidelity import Fidelity
from bnn2hw.lower.hardware import Lowered
from bnn2hw.lower.recipe import Recipe
from bnn2hw.ops import source
from bnn2hw.pipeline import LoweredModel, Prepared
from bnn2hw.untrusted import DAMAGED

log = logging.getLogger("bnn2hw")

KIND = "models"
FACTS, ARRAYS, HASHES = FILES = ("model.json", "arrays.npz", "hashes.json")

LIMIT = 2**30
"""Bytes that all lowered models may take. Those that have not been used for longest are deleted."""

SMALL = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32)
"""Types of integers on disk, the smallest first."""

CATEGORIES: dict[str, type[Warning]] = {c.__name__: c for c in (UserWarning, RuntimeWarning)}
"""Warnings that are kept and given again."""

Read = Callable[[Path], Graph]
"""Reads the real form of the model in a file."""


@dataclass(frozen=True)
class Entry:
    """A lowered model and what users were told of it.

    Attributes:
        model: The model.
        warned: Category and text of each warning.
        logged: Logger and text of each message of our loggers that is a warning.
    """

    model: Prepared
    warned: tuple[tuple[str, str], ...]
    logged: tuple[tuple[str, str], ...]


def prepared(model: Any, given: Given, prepare: Callable[[], Prepared], read: Read) -> Prepared:
    """Return a lowered model from the cache, or lower it and keep it there.

    Args:
        model: A model, or the path of its file.
        given: Options of the lowering.
        prepare: Lowers the model.
        read: Reads the real form, if a kept model is later compared with it.

    Raises:
        Bnn2hwError: `prepare` raised it. Nothing is kept.
    """
    key = model_key.key(model, given)
    if key is None:
        return prepare()
    found = found_entry(key, partial(_unchanged, Path(model), key[model_key.CONTENT], read))
    if found is not None:
        _tell(found)
        return found.model
    made = _noted(prepare)
    if model_key.self_contained(Path(model)) and model_key.key(model, given) == key:
        compile_cache.keep(KIND, key, FILES, partial(write_entry, made), LIMIT)
    return made.model


def _noted(prepare: Callable[[], Prepared]) -> Entry:
    """Lower a model, and note what users are told."""
    records = _Records(logging.WARNING)
    log.addHandler(records)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = prepare()
    finally:
        log.removeHandler(records)
    for each in caught:
        warnings.warn_explicit(each.message, each.category, each.filename, each.lineno, source=each.source)
    kept = [(w.category.__name__, str(w.message)) for w in caught if w.category.__name__ in CATEGORIES]
    return Entry(model, tuple(dict.fromkeys(kept)), tuple(records.texts))


class _Records(logging.Handler):
    """Keeps messages.

    Attributes:
        texts: Logger and text of each.
    """

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.texts: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append((record.name, record.getMessage()))


def _tell(entry: Entry) -> None:
    """Tell users again what they were told when the model was lowered."""
    for name, text in entry.logged:
        logging.getLogger(name).warning("%s", text)
    for category, text in entry.warned:
        warnings.warn(text, CATEGORIES[category], stacklevel=4)


def _unchanged(path: Path, content: str, read: Read) -> Graph:
    """Return the real form of a model whose hardware form was kept.

    Raises:
        InputError: The file is not there, or has changed since it was compiled.
    """
    if not path.is_file() or sha256(path) != content:
        raise InputError(f"the model file '{path}' has changed since it was compiled; compile it again")
    return read(path)


def found_entry(key: list[Any], read: Callable[[], Graph]) -> Entry | None:
    """Return an entry; None if there is none. A damaged one is deleted."""
    folder = compile_cache.find(KIND, key, FILES)
    if folder is None:
        return None
    try:
        return _read(folder, read)
    except DAMAGED:
        compile_cache.drop(folder)
        return None


def write_entry(entry: Entry, folder: Path) -> None:
    """Write an entry into an empty folder."""
    model = entry.model
    lowered = model.made.lowered
    graph, arrays = graph_to_json(lowered.graph)
    facts = {
        "name": model.name,
        "graph": graph,
        "fidelity": {layer: [f.kind, f.why] for layer, f in lowered.fidelity.items()},
        "matches": dict(lowered.matches),
        "own": {name: np.ravel(error).tolist() for name, error in lowered.own.items()},
        "input_specs": source.facts(model.made.input_specs),
        "recipe": model.recipe.facts(),
        "layouts": {name: layout.facts() for name, layout in model.layouts.items()},
        "ends": list(model.ends),
        "measured": [list(astuple(d)) for d in model.measured],
        "compared": model.compared and model.compared.plain(),
        "warned": [list(w) for w in entry.warned],
        "logged": [list(w) for w in entry.logged],
        "types": {name: str(a.dtype) for name, a in arrays.items()},
    }
    (folder / FACTS).write_text(json.dumps(facts))
    np.savez(folder / ARRAYS, allow_pickle=False, **{name: smallest(a) for name, a in arrays.items()})
    (folder / HASHES).write_text(json.dumps([sha256(folder / name) for name in (FACTS, ARRAYS)]))


def _read(folder: Path, read: Callable[[], Graph]) -> Entry:
    """Read an entry.

    Raises:
        Bnn2hwError: The files have other contents than those that were written, like each of `DAMAGED`.
    """
    if json.loads((folder / HASHES).read_text()) != [sha256(folder / name) for name in (FACTS, ARRAYS)]:
        raise InputError(f"'{folder}' is damaged")
    facts = json.loads((folder / FACTS).read_text())
    with np.load(folder / ARRAYS, allow_pickle=False) as file:
        arrays = {name: file[name].astype(dtype, copy=False) for name, dtype in facts["types"].items()}
    lowered = Lowered(
        graph_from_json(facts["graph"], arrays),
        {layer: Fidelity(*f) for layer, f in facts["fidelity"].items()},
        facts["matches"],
        {name: np.array(error) for name, error in facts["own"].items()},
    )
    model = Prepared(
        name=facts["name"],
        made=LoweredModel(read, lowered, source.from_facts(facts["input_specs"])),
        recipe=Recipe.of(facts["recipe"]),
        layouts={name: AxisOrder.of(f) for name, f in facts["layouts"].items()},
        ends=tuple(facts["ends"]),
        measured=tuple(Deviation(*d) for d in facts["measured"]),
        compared=Comparison.of(facts["compared"]),
    )
    warned = tuple((str(c), str(text)) for c, text in facts["warned"] if c in CATEGORIES)
    return Entry(model, warned, tuple((str(name), str(text)) for name, text in facts["logged"]))


def smallest(array: Array) -> Array:
    """Return integers in the smallest type that holds them; weights of +-1 take an eighth of their size."""
    if array.dtype.kind not in "iu" or not array.size:
        return array
    low, high = int(array.min()), int(array.max())
    holds = (t for t in SMALL if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
    return array.astype(next(holds, array.dtype))
