"""The registry of handlers: by kind of op, what appends the kernel calls that compute it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from bnn2hw.ir import Node
from bnn2hw.native.compiler import Compiler

T = TypeVar("T")

Handler = Callable[[Compiler, Node], None]

HANDLERS: dict[str, Handler] = {}


def handles(kind: type) -> Callable[[Handler], Handler]:
    """Register a handler for a kind of op."""

    def register(handler: Handler) -> Handler:
        HANDLERS[kind.kind] = handler  # type: ignore[attr-defined]
        return handler

    return register


def op_of(node: Node, kind: type[T]) -> T:
    """The op of a node, which is of a kind."""
    if not isinstance(node.op, kind):
        raise TypeError(f"node '{node.name}' is no {kind.__name__}")
    return node.op
