"""The examples of all ops as test parameters. Nothing is rendered or compiled to list them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from functools import cache

import pytest
from _pytest.mark import ParameterSet

from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.data_files import data_dir
from bnn2hw.ir import Graph, HardwareOp, Tensor
from bnn2hw.ops import HARDWARE_OPS
from bnn2hw.targets import families
from bnn2hw.targets.families import Family
from tests.support import alone

TEMPLATES = data_dir("templates") / "verilog"
FAMILIES = tuple(families.known().values())


Example = tuple[str, HardwareOp, tuple[Tensor, ...]]
"""The name of an example, its op, and the types of its inputs."""

MOST_TOGETHER = 8
"""Examples in one design: enough that tools start seldom, few enough that workers share the tests evenly."""


SAME_CONSTRUCTS = {
    "affine-1",
    "mac-2",
    "pad-1",
    "parallel_depthwise-1",
    "parallel_window-1",
    "pool-1",
    "quantize-1",
    "sliding_window-1",
    "width_converter-1",
    "xnor-1",
    "xnor-2",
}
"""Bundles whose sources have other numbers than those of bundles of the same op, but the same constructs."""

SAME_FORMS = {"mac-0", "mac-2", "xnor-1", "xnor-2", "unrolled-0", "xnor-0-xilinx", "xnor-3-ecp5"}
"""Bundles of which that holds in the forms of every family too, or of the family that is named."""


@cache
def every() -> tuple[Example, ...]:
    """Return the examples of all ops."""
    return tuple(
        (f"{op.kind}-{i}", op, x) for kind in HARDWARE_OPS for i, (op, x) in enumerate(kind.examples())
    )


def examples(wanted: Callable[[HardwareOp], bool] = lambda _: True) -> list[ParameterSet]:
    """Return parameters (op, x) for each example of the ops that are wanted."""
    return [pytest.param(op, x, id=name) for name, op, x in every() if wanted(op)]


def bundles(
    wanted: Callable[[HardwareOp], bool] = lambda _: True, soaked: Set[str] = frozenset()
) -> list[ParameterSet]:
    """Return the examples of the ops that are wanted, several of one op in each parameter.

    Args:
        wanted: True for an op whose example is wanted.
        soaked: Names of bundles that only the long runs take.
    """
    return [
        pytest.param(made, id=name, marks=[pytest.mark.soak] if name in soaked else [])
        for name, made in _bundled(e for e in every() if wanted(e[1]))
    ]


def family_bundles(soaked: Set[str] = frozenset()) -> list[ParameterSet]:
    """Return parameters (examples, family): those of `family_forms`, several of one op together.

    Families that have the templates of another one are left to long runs.

    Args:
        soaked: Names of bundles that only the long runs take, in every family or in that of "<bundle>-<family>".
    """
    return [
        pytest.param(
            made,
            family,
            id=f"{name}-{family.name}",
            marks=[pytest.mark.soak] if {name, f"{name}-{family.name}"} & soaked or family.forms else [],
        )
        for family in WITH_FORMS
        for name, made in _bundled(e for e in every() if modules_in(e[1].module) & forms_of(family))
    ]


def _bundled(examples: Iterable[Example]) -> Iterator[tuple[str, tuple[Example, ...]]]:
    for kind, same in itertools.groupby(examples, lambda e: e[1].kind):
        number = itertools.count()
        while part := tuple(itertools.islice(same, MOST_TOGETHER)):
            yield f"{kind}-{next(number)}", part


def side_by_side(examples: Sequence[Example]) -> Graph:
    """Return one streamed graph of examples that have nothing to do with each other.

    Nodes are named by their examples, and inputs come from ports of their own.
    """
    nodes, outputs = [], []
    for name, op, x in examples:
        graph = alone(op, *x)
        nodes += [
            replace(n, name=f"{name}.{n.name}", inputs=tuple(f"{name}.{m}" for m in n.inputs)) for n in graph
        ]
        outputs += [f"{name}.{o}" for o in graph.outputs]
    return Graph(tuple(nodes), tuple(outputs))


def family_forms() -> list[ParameterSet]:
    """Return parameters (op, x, family) for each example that contains a module of which the family has a form."""
    return [
        pytest.param(op, x, family, id=f"{name}-{family.name}")
        for name, op, x in every()
        for family in WITH_FORMS
        if modules_in(op.module) & forms_of(family)
    ]


def forms_of(family: Family) -> set[str]:
    """Return the modules of which a family has a template of its own, or a form in the shared template."""
    own = {p.name.removesuffix(".sv.j2") for p in (TEMPLATES / family.templates).glob("*.sv.j2")}
    shared = {"fifo": bool(family.lutram_fifos), "mac_products": family.dsp_bits != Family.dsp_bits}
    return own | {module for module, differs in shared.items() if differs}


WITH_FORMS = tuple(f for f in FAMILIES if forms_of(f))
"""Families that have modules in forms of their own."""


@cache
def modules_in(module: str) -> frozenset[str]:
    """Return the module of an op, those that its template names, and those that their templates name in turn."""
    modules = {module}
    waiting = {f"{module}.sv.j2"}
    seen: set[str] = set()
    while waiting := {t for t in waiting if (TEMPLATES / t).is_file()} - seen:
        seen |= waiting
        text = "".join((TEMPLATES / t).read_text() for t in waiting)
        modules |= set(re.findall(r"\bbnn2hw_(\w+)", text))
        waiting = {f"{m}.sv.j2" for m in modules} | set(re.findall(r'import "([\w.]+)"', text))
    return frozenset(modules)


def render(op: HardwareOp, x: tuple[Tensor, ...], family: Family | None = None) -> Design:
    """Return the Verilog design of one op, in the forms of a family if one is given."""
    return verilog.render(alone(op, *x), family=family)
