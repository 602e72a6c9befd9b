"""Read a TOML file into a frozen dataclass, and report every key that does not fit.

The fields of the dataclass are the keys of the file. A field that is a dataclass is a table; a
field with a default may be left out. Numbers are finite, and may have a smallest and a largest
value: `field(metadata={"least": 1, "most": 10})`. A field whose annotation is a class in
`references` takes the name of one of the known objects. A text that only people read has
`metadata={"shown": True}`.
"""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeGuard, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from bnn2hw.errors import InputError, unreadable

DATA = Path(__file__).parent / "data"
"""The folder of the records that come with the package."""

SUFFIX, NAME = ".toml", r"[A-Za-z0-9][A-Za-z0-9._+-]*"
"""Ending of the files of records, and the pattern of their names, which tools must be able to read."""

PLAIN = re.compile(
    r"(?!-)[\w .,:()'/*=+-]*|--(package|speed|device|vopt|((um5?g?-)?\d+k)|((hx|lp|up|u)\d+k?))", re.ASCII
)
"""Texts of records in build folders, which reach scripts and command lines: words that end nothing, and options that
name parts."""

PLAIN_WORDS = "letters, digits, spaces and . , : ( ) ' / * = + - _"
"""What `PLAIN` allows, in the words of messages."""

MOST = 60
"""Characters of a wrong name in a message."""

Record = TypeVar("Record")
References = Mapping[type, Mapping[str, object]]
"""Known objects by class and name, which other records refer to by name."""

Limits = Mapping[str, Any]
"""What the metadata of a field say of its values."""

NONE: Limits = {}

LARGEST = 1e15
"""Largest number of a record whose field has no limit; larger ones are no integers of a float."""

WORDS = {str: "a text in quotes", bool: "true or false", int: "a whole number", float: "a number"}
"""Plain types in the words of messages."""


def read(
    path: Path, kind: type[Record], references: References | None = None, *, plain: bool = False
) -> Record:
    """Read one record. Its name is the name of the file without the suffix.

    Args:
        path: TOML file.
        kind: Dataclass with a field `name`.
        references: Objects that the file may name.
        plain: Whether texts reach scripts and build folders, so that they must be `PLAIN`.

    Raises:
        InputError: The file cannot be read, is not TOML, or has keys or values that are not
            allowed. The message lists all of them.
    """
    table, reader = keys(path), _Reader(references or {}, plain=plain)
    if not re.fullmatch(NAME, path.stem):
        reader.problems.append(f"the name {path.stem!r}: allowed: letters, digits, '.', '_' and '-'")
    if "name" in table:
        reader.problems.append("name: not allowed; the file's own name is the name of the record")
    made = reader.record({**table, "name": path.stem}, kind, "")
    if reader.problems:
        raise InputError("\n  - ".join([f"'{path}' cannot be used:", *reader.problems]))
    return made


def keys(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds. It may begin with a mark of its encoding, as editors on Windows write it.

    Raises:
        InputError: The file does not exist, or is not TOML in UTF-8.
        StorageError: It cannot be read.
    """
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise unreadable(f"'{path}'", error) from error
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not a text in UTF-8 ({error}); save it in UTF-8") from error
    except ValueError as error:
        raise InputError(f"'{path}' is not valid TOML: {error}") from error


def is_path(name: object) -> bool:
    """True if users name a record by the path of its file, not by its name."""
    return isinstance(name, Path) or (isinstance(name, str) and name.endswith(SUFFIX))


def facts(record: object) -> dict[str, Any]:
    """Return a record as plain data, as its file has it. `from_facts` reads it.

    Args:
        record: A dataclass of numbers, texts, lists, tables and further records, which are referred
            to by their names if they have one.
    """
    return {f.name: _plain(getattr(record, f.name)) for f in dataclasses.fields(record)}  # type: ignore[arg-type]


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value):
        return value.name if hasattr(value, "name") else facts(value)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return dict(value) if isinstance(value, Mapping) else value


def from_facts(plain: Mapping[str, Any], kind: type[Record], references: References | None = None) -> Record:
    """Return the record that `facts` wrote.

    Raises:
        ValueError: The facts do not fit.
    """
    reader = _Reader(references or {}, plain=True)
    made = reader.record({k: v for k, v in plain.items() if v is not None}, kind, "")
    if reader.problems:
        raise ValueError("; ".join(reader.problems))
    return made


def read_all(folder: str, read_one: Callable[[Path], Record]) -> dict[str, Record]:
    """Read all records of a folder under `DATA`, by name, in alphabetical order."""
    return {path.stem: read_one(path) for path in sorted((DATA / folder).glob("*" + SUFFIX))}


def mixed_up(path: Path, mark: str, is_one: str, option: str) -> None:
    """Refuse the file of another kind of record, before each of its keys is reported.

    Args:
        path: The file.
        mark: Key that only the other kind has.
        is_one: The other kind.
        option: Option that takes the other kind.

    Raises:
        InputError: The file is of the other kind, or cannot be read.
    """
    if mark in keys(path):
        raise InputError(f"'{path}' describes a {is_one}; give it as {option}=")


def find(name: str | Path, what: str, folder: str, read_one: Callable[[Path], Record]) -> Record:
    """Return the record of that name, or the one that a file describes.

    Args:
        name: Name of a record of the package, or the path of a TOML file.
        what: The kind of record, in the words of messages.
        folder: Folder under `DATA` that holds the records of the package.
        read_one: Reads a file.

    Raises:
        InputError: There is no such record, or the file cannot be used.
    """
    if is_path(name):
        return read_one(Path(name))
    paths = {path.stem: path for path in sorted((DATA / folder).glob("*" + SUFFIX))}
    if name not in tuple(paths):
        raise InputError(
            f"unknown {what} {repr(name)[:MOST]}; known {what}s: {', '.join(paths)}; or give the path of a .toml file"
        )
    found: Record = _once(read_one, paths[str(name)])
    return found


@cache
def _once(read_one: Callable[[Path], Record], path: Path) -> Record:
    return read_one(path)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


class _Reader:
    """Builds dataclasses from tables and collects what is wrong with them."""

    def __init__(self, references: References, *, plain: bool) -> None:
        self.references, self.plain = references, plain
        self.problems: list[str] = []

    def record(self, table: Mapping[str, object], kind: type[Record], path: str) -> Record:
        """Build a dataclass from a table; `path` is the dotted key of the table in its file."""
        hints, values = _hints(cast(Any, kind)), {}
        fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
        for key in sorted(table.keys() - fields.keys()):
            allowed = ", ".join(n for n in fields if n != "name" or path)
            self.problems.append(f"{path}{key}: unknown key; allowed: {allowed}")
        for name, field in fields.items():
            if name in table:
                values[name] = self.value(table[name], hints[name], f"{path}{name}", field.metadata)
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                self.problems.append(
                    f"{path}{name}: missing; allowed: {self.allowed(hints[name], field.metadata)}"
                )
        if self.problems:
            return object.__new__(kind)  # never seen: `read` raises
        return kind(**values)

    def value(self, raw: object, hint: Any, path: str, limits: Limits = NONE) -> Any:
        """Convert one value to its annotated type."""
        convert = self._converter(raw, hint, path, limits)
        if convert is None or (_is_number(raw) and not _within(raw, limits)):
            self.problems.append(f"{path} = {raw!r}; allowed: {self.allowed(hint, limits)}")
            return None
        if isinstance(raw, str):
            self._check(raw, path, limits)
        return convert()

    def _check(self, text: str, path: str, limits: Limits) -> None:
        """Report a text that may do harm where it ends up."""
        if not self.plain or PLAIN.fullmatch(text):
            return
        if not limits.get("shown"):
            self.problems.append(f"{path} = {text!r} cannot stand in a script; allowed: {PLAIN_WORDS}")
        elif not text.isprintable() or "\\" in text:
            self.problems.append(f"{path} = {text!r}; allowed: a line of text without a backslash")

    def _converter(self, raw: object, hint: Any, path: str, limits: Limits) -> Callable[[], Any] | None:
        """Return what converts a value, or None if the value does not fit its type."""
        origin, inner = get_origin(hint), get_args(hint)
        if origin in (Union, types.UnionType):
            some = next(h for h in inner if h is not type(None))
            return self._converter(raw, some, path, limits)
        if hint in self.references:
            known = self.references[hint]
            return (lambda: known[raw]) if isinstance(raw, str) and raw in known else None
        if origin is Literal:
            return (lambda: raw) if raw in inner else None
        if origin is tuple:
            return self._tuple(raw, inner, path, limits)
        if origin is not None and issubclass(origin, Mapping):
            return (lambda: self._mapping(raw, inner[1], path)) if isinstance(raw, dict) else None
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            return (lambda: self.record(raw, hint, f"{path}.")) if isinstance(raw, dict) else None
        if hint is float:
            return (lambda: float(raw)) if _is_number(raw) else None
        return (lambda: raw) if type(raw) is hint else None

    def _tuple(
        self, raw: object, inner: Sequence[Any], path: str, limits: Limits
    ) -> Callable[[], Any] | None:
        if not isinstance(raw, list):
            return None
        hints = [inner[0]] * len(raw) if inner[-1] is Ellipsis else list(inner)
        if len(hints) != len(raw):
            return None
        pairs = list(zip(raw, hints, strict=True))
        return lambda: tuple(self.value(v, h, f"{path}[{i}]", limits) for i, (v, h) in enumerate(pairs))

    def _mapping(self, raw: Mapping[str, object], hint: Any, path: str) -> dict[str, Any]:
        """Convert a table of equal things; keys of nested tables of numbers are joined by dots."""
        made: dict[str, Any] = {}
        for key, value in raw.items():
            self._check(key, path, NONE)
            if isinstance(value, dict) and hint is float:
                nested = self._mapping(value, hint, f"{path}.{key}")
                made |= {f"{key}.{inner}": number for inner, number in nested.items()}
            else:
                made[key] = self.value(value, hint, f"{path}.{key}")
        return made

    def allowed(self, hint: Any, limits: Limits = NONE) -> str:
        """Say in words which values a type takes."""
        origin, inner = get_origin(hint), get_args(hint)
        if origin in (Union, types.UnionType):
            return self.allowed(next(h for h in inner if h is not type(None)), limits)
        if hint in self.references:
            return ", ".join([*self.references[hint], *limits.get("others", ())])
        if origin is Literal:
            return ", ".join(f'"{v}"' for v in inner)
        if origin is tuple and inner[-1] is not Ellipsis:
            return f"a list of {len(inner)}: {', '.join(map(self.allowed, inner))}"
        if origin is tuple:
            return f"a list, each {self.allowed(inner[0], limits)}"
        if origin is not None:
            return f"a table, each value {self.allowed(inner[1])}"
        if dataclasses.is_dataclass(hint):
            return f"a table with {', '.join(f.name for f in dataclasses.fields(hint))}"
        ends = [f"at {name} {limits[name]:,}" for name in ("least", "most") if name in limits]
        return WORDS[hint] + (" of " + " and ".join(ends) if ends else "")


def _is_number(raw: object) -> TypeGuard[float]:
    return isinstance(raw, int | float) and not isinstance(raw, bool)


def _within(number: float, limits: Limits) -> bool:
    """True for a finite number within its limits."""
    least, most = limits.get("least", -LARGEST), limits.get("most", LARGEST)
    return least <= number <= most and math.isfinite(number)
