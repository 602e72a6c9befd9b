"""Mutants of the passes that lower models, and of golden."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.mutation.mutant import ROOT, Mutant

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
CALLS = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "minimum": "maximum",
    "maximum": "minimum",
    "floor": "ceil",
    "ceil": "floor",
    "argmin": "argmax",
    "argmax": "argmin",
}
"""Functions, and those that take their place."""

MEANINGS = ("golden", "infer")
"""Methods of ops that are their meaning; the others describe hardware."""

UNREAD = (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)
"""Statements and terms in which nothing is changed: messages and imports."""


def files() -> list[str]:
    """Return the modules of golden, of the ops' meanings and of lowering, as paths from the root."""
    package = ROOT / "bnn2hw"
    found = [package / "golden.py", *sorted((package / "ops").glob("*.py"))]
    found += [package / "ops" / "base" / "pixelwise.py", *sorted((package / "lower").rglob("*.py"))]
    return [str(p.relative_to(ROOT)) for p in found if mutants(str(p.relative_to(ROOT)))]


def mutants(file: str) -> list[Mutant]:
    """Return all mutants of a module."""
    source = (ROOT / file).read_text()
    offsets = _offsets(source)
    found = [
        Mutant(file, _at(offsets, node, "start"), _at(offsets, node, "end"), new, kind, scope)
        for node, new, kind, scope in _Finder(Path(file)).of(ast.parse(source))
    ]
    return sorted(set(found), key=lambda m: (m.start, m.end, m.new))


def _offsets(source: str) -> list[tuple[int, bytes]]:
    """Return place and bytes of each line: columns of the tree count bytes."""
    places, lines = [], source.splitlines(keepends=True)
    start = 0
    for line in lines:
        places.append((start, line.encode()))
        start += len(line)
    return places


def _at(offsets: list[tuple[int, bytes]], node: ast.expr | ast.stmt, side: str) -> int:
    line, column = (
        (node.lineno, node.col_offset) if side == "start" else (node.end_lineno, node.end_col_offset)
    )
    start, text = offsets[(line or 1) - 1]
    return start + len(text[:column].decode())


Found = Iterator[tuple[ast.expr | ast.stmt, str, str, str]]
"""A node, the text in its place, the sort of the change, and the function around it."""


class _Finder:
    """Walks a module."""

    def __init__(self, file: Path) -> None:
        self.meanings_only = file.parts[1] == "ops"

    def of(self, tree: ast.AST, scope: str = "", inside: bool = False) -> Found:
        """Yield the changes below a node.

        Args:
            tree: The node.
            scope: Qualified name of the function or class around it.
            inside: True in a function that is looked at.
        """
        for child in ast.iter_child_nodes(tree):
            if isinstance(child, UNREAD) or _is_text(child):
                continue
            if isinstance(child, ast.ClassDef):
                yield from self.of(child, _join(scope, child.name), False)
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from self._function(child, scope, inside)
            elif isinstance(child, ast.AnnAssign) and child.value is not None and inside:
                yield from _changes(child.value, scope)
                yield from self.of(child.value, scope, inside)
            elif not isinstance(child, (ast.AnnAssign, ast.arguments)):
                if inside and isinstance(child, (ast.expr, ast.stmt)):
                    yield from _changes(child, scope)
                yield from self.of(child, scope, inside)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: str, inside: bool) -> Found:
        chosen = inside or not self.meanings_only or node.name in MEANINGS
        if not chosen or node.name == "examples":
            return
        name = scope if inside else _join(scope, node.name)
        for statement in node.body:
            if not _is_text(statement):
                yield from self.of(ast.Module([statement], []), name, True)


def _join(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _changes(node: ast.expr | ast.stmt, scope: str) -> Found:
    for new, kind in _texts(node):
        yield node, new, kind, scope


def _texts(node: ast.expr | ast.stmt) -> Iterator[tuple[str, str]]:
    """Yield texts that take the place of a node, with the sort of the change."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
        other = COMPARISONS[type(node.ops[0])]()
        yield _put(ast.Compare(node.left, [other], node.comparators)), "comparison"
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        yield _put(ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)), "operator"
    elif isinstance(node, ast.BoolOp):
        other_op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield _put(ast.BoolOp(other_op, node.values)), "operator"
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.UAdd):
        yield _put(node.operand), "negation"
    elif isinstance(node, ast.IfExp):
        yield _put(ast.IfExp(node.test, node.orelse, node.body)), "branches"
    else:
        yield from _constants(node)
        yield from _statements(node)


def _constants(node: ast.expr | ast.stmt) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield str(not node.value), "constant"
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield str(node.value + 1), "off by one"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        if name in CALLS:
            called = ast.unparse(node.func).removesuffix(name) + CALLS[name]
            yield f"{called}{ast.unparse(node).removeprefix(ast.unparse(node.func))}", "function"


def _statements(node: ast.expr | ast.stmt) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "pass", "statement"
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Name):
        yield "return None", "statement"
    elif isinstance(node, ast.AugAssign) and type(node.op) in OPERATORS:
        yield ast.unparse(ast.AugAssign(node.target, OPERATORS[type(node.op)](), node.value)), "operator"


def _put(node: ast.expr) -> str:
    """Return the text of a term, in brackets because others stand around it."""
    return f"({ast.unparse(node)})"
