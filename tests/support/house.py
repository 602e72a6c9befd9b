"""Checks of a source tree's structure: import circles, floors of rooms, file sizes, manners.

Each check takes a tree and returns its faults as sentences, so a test can run it on the project and on a tree that is
broken on purpose.
"""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

LARGEST_FILE = 400
"""Lines of Python in one file."""

ODD_OPENINGS = ("What", "Whether", "How", "Where", "Which", "Those", "That")
"""Words that no docstring begins with: a docstring names a thing or begins with a verb."""


@dataclass(frozen=True)
class Tree:
    """The modules of one package.

    Attributes:
        root: Folder that holds the package's folder.
        package: Name of the package.
    """

    root: Path
    package: str

    @cached_property
    def files(self) -> Mapping[str, Path]:
        """Path by dotted module name."""
        found = {}
        for path in sorted((self.root / self.package).rglob("*.py")):
            parts = path.relative_to(self.root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        return found

    @cached_property
    def parsed(self) -> Mapping[str, ast.Module]:
        """Syntax tree by module."""
        return {module: ast.parse(path.read_text()) for module, path in self.files.items()}

    @cached_property
    def imports(self) -> Mapping[str, frozenset[str]]:
        """Modules of the package that each module imports: at its head, in functions, and for type checkers."""
        return {m: frozenset(self._imported(tree)) - {m} for m, tree in self.parsed.items()}

    def _imported(self, tree: ast.Module) -> Iterator[str]:
        for node in _statements(tree):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            yield from (self._module(name) for name in names if name.split(".")[0] == self.package)

    def _module(self, name: str) -> str:
        """The module that defines a dotted name."""
        while name not in self.files and "." in name:
            name = name.rpartition(".")[0]
        return name

    def room(self, module: str) -> str:
        """The folder or file directly under the package that holds a module; "" for the package itself."""
        return ".".join(module.split(".")[1:2])


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements in a node, without looking into expressions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr):
            yield child
            yield from _statements(child)


def circles(tree: Tree) -> list[str]:
    """Find an import circle of any length."""
    try:
        graphlib.TopologicalSorter(tree.imports).prepare()
    except graphlib.CycleError as error:
        return [f"import circle: {' -> '.join(error.args[1])}"]
    return []


def upward_imports(tree: Tree, floors: Sequence[frozenset[str]], *, level: bool = False) -> list[str]:
    """Find imports between rooms that do not run to a lower floor, and rooms without a floor.

    Args:
        tree: The package.
        floors: Rooms by floor, the lowest floor first.
        level: True if rooms of a floor may import each other.
    """
    floor = {room: number for number, rooms in enumerate(floors) for room in rooms}
    rooms = {tree.room(module) for module in tree.files}
    faults = [f"room '{room}' has no floor" for room in sorted(rooms - set(floor))]
    faults += [
        f"floor {floor[room]} names '{room}', which does not exist" for room in sorted(set(floor) - rooms)
    ]
    for module, imported in tree.imports.items():
        for other in sorted(imported):
            here, there = tree.room(module), tree.room(other)
            if here != there and floor.get(there, -1) >= floor.get(here, len(floors)) + level:
                faults.append(f"{module} imports {other}, which is not on a lower floor")
    return faults


def rows_of(text: str) -> list[frozenset[str]]:
    """Return the rooms in each row of a table in Markdown whose first column names files and folders."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [frozenset(re.findall(r"`([\w.]+?)(?:\.py|/)`", cell)) for cell in cells]


def imports_of(tree: Tree, room: str, allowed: frozenset[str]) -> list[str]:
    """Find imports of a room from modules of the package that are neither its own nor allowed."""
    return [
        f"{module} imports {other}"
        for module, imported in tree.imports.items()
        if tree.room(module) == room
        for other in sorted(imported)
        if tree.room(other) != room and other not in allowed
    ]


def large_files(tree: Tree) -> list[str]:
    """Find files with too many lines."""
    counts = {module: path.read_text().count("\n") for module, path in tree.files.items()}
    return [f"{m} has {n} lines, {LARGEST_FILE} are allowed" for m, n in counts.items() if n > LARGEST_FILE]


def named(tree: Tree, words: frozenset[str], allowed: frozenset[str] = frozenset()) -> list[str]:
    """Find strings and identifiers that are, or have as a part, one of some words.

    Args:
        tree: The tree.
        words: Words in lower case.
        allowed: Modules that may use them.
    """
    faults = []
    for module, parsed in tree.parsed.items():
        for node in ast.walk(parsed) if module not in allowed else ():
            text = (
                node.value
                if isinstance(node, ast.Constant)
                else getattr(node, "id", getattr(node, "attr", ""))
            )
            parts = text.lower().replace("-", "_").split("_") if isinstance(text, str) else []
            faults += [
                f"{module}:{getattr(node, 'lineno', 0)} names {part}" for part in words.intersection(parts)
            ]
    return faults


def bad_manners(tree: Tree) -> list[str]:
    """Find assertions and untyped exceptions: the package raises errors of its own."""
    faults = []
    for module, parsed in tree.parsed.items():
        for node in ast.walk(parsed):
            raised = node.exc if isinstance(node, ast.Raise) else None
            name = raised.func if isinstance(raised, ast.Call) else raised
            if isinstance(node, ast.Assert) or (isinstance(name, ast.Name) and name.id == "Exception"):
                faults.append(f"{module}:{node.lineno} asserts or raises a bare Exception")
    return faults


def odd_docstrings(tree: Tree) -> list[str]:
    """Find docstrings that begin with a question word instead of a noun or a verb."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
    faults = []
    for module, parsed in tree.parsed.items():
        for node in ast.walk(parsed):
            words = ((ast.get_docstring(node) or "") if isinstance(node, kinds) else "").split()
            if words and words[0].strip(",:") in ODD_OPENINGS:
                faults.append(
                    f"{module}: {getattr(node, 'name', 'module')}: '{words[0]} {' '.join(words[1:6])} ...'"
                )
    return faults


def looks_into_privates(tree: Tree, package: str) -> list[str]:
    """Find private names that are imported from a package, or read from what is imported from it.

    Args:
        tree: The modules that look.
        package: Name of the package that they look into.
    """
    faults = []
    for module, parsed in tree.parsed.items():
        imports = [n for n in ast.walk(parsed) if isinstance(n, ast.ImportFrom)]
        ours = [n for n in imports if (n.module or "").split(".")[0] == package]
        aliases = [alias for n in ours for alias in n.names]
        known = {alias.asname or alias.name for alias in aliases} | {package}
        seen = [a.name for a in aliases]
        for node in ast.walk(parsed):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).split(".")[0] in known:
                seen.append(node.attr)
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr"):
                seen += [a.value for a in node.args[1:2] if isinstance(a, ast.Constant)]
        private = sorted({n for n in seen if n[0] == "_" and n[:2] != "__" and not n.endswith("_")})
        faults += [f"{module} looks into the private {name}" for name in private]
    return faults
