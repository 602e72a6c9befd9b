"""Read an ONNX model node by node, and collect nodes of the real form and problems.

The handlers say what a node becomes. Nodes whose inputs are all constant are evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx
import onnx.inliner

from bnn2hw.errors import InputError, Problem, UnsupportedError
from bnn2hw.importers.imported import Imported
from bnn2hw.importers.onnx import attributes, constants, executor, handlers, inputs, selection, whole
from bnn2hw.importers.onnx.calls import HANDLERS, Call, Draft, Handler
from bnn2hw.importers.onnx.constants import Constant
from bnn2hw.importers.onnx.model import QUANTIZED, Model, Op, parsed
from bnn2hw.importers.onnx.values import Value
from bnn2hw.ir import AxisOrder, Graph
from bnn2hw.untrusted import SMALL

SCALED = (
    *("Quant", "IntQuant", "BipolarQuant", "BinaryQuant", "Trunc", "FloatQuant", "MultiThreshold"),
    *("QuantizeLinear", "DequantizeLinear"),
)
"""Ops whose further inputs are parameters that must be constant."""

WEIGHTED = ("Conv", "ConvTranspose", "MatMul", "Gemm")
"""Ops that multiply by weights."""

MALFORMED = (ValueError, TypeError, LookupError, ZeroDivisionError, OverflowError)
"""What NumPy and Python raise where shapes and attributes of a node contradict each other."""

GROWTH = 2
"""Times by which the values that are computed from constants may exceed them."""

HANDLER_FILES = handlers.FILES
"""The files whose handlers are registered."""


def to_graph(proto: onnx.ModelProto, name: str) -> Imported:
    """Return the graph of a model.

    Args:
        proto: The model.
        name: Its name.

    Raises:
        InputError: The model has no inputs or no outputs.
        UnsupportedError: The model has nodes that cannot be compiled. The error lists all of them.
    """
    try:
        model = parsed(onnx.inliner.inline_local_functions(proto) if proto.functions else proto)
    except (*MALFORMED, StopIteration, onnx.checker.ValidationError) as error:
        raise InputError(f"the model '{name}' is not a valid ONNX model: {error}") from error
    if not model.inputs or not model.outputs:
        raise InputError(f"the model '{name}' has no inputs or no outputs")
    draft = Draft(model)
    draft.problems.extend(_without_source(model))
    draft.constants.update((n, Constant(a)) for n, a in model.constants.items())
    draft.room = max(SMALL, GROWTH * sum(a.nbytes for a in model.constants.values()))
    layouts = inputs.add(draft)
    for op in model.ops:
        _read(draft, op)
    ends = [_output(draft, output) for output in model.outputs]
    _refuse_mixed(draft)
    if draft.problems:
        raise UnsupportedError(list(dict.fromkeys(draft.problems)))
    found = [e for e in ends if e is not None]
    graph = _needed(Graph(tuple(draft.nodes), tuple(edge for edge, _ in found)))
    layouts.update((edge, layout) for edge, layout in found if layout is not None)
    best = {draft.best[o] for o in model.outputs if o in draft.best}
    output = None if not best else "class" if best == {1} else f"top{max(best)}"
    executor, lacking = whole.executor_of(model)
    return Imported(
        graph,
        {},
        name,
        inputs.wires(draft),
        layouts,
        output,
        executor=executor,
        packages=whole.RUNTIME,
        oracle=whole.oracle(proto, model, layouts, graph.outputs),
        lacking=lacking,
    )


def _without_source(model: Model) -> list[Problem]:
    """Problems of nodes that read values which neither nodes nor inputs nor initializers make."""
    made = {*model.inputs, *model.constants, *(o for op in model.ops for o in op.outputs), ""}
    return [
        Problem(
            op.name,
            f"{op.kind}: reads '{name}', which no node makes",
            "inputs, initializers and outputs of nodes",
            "export the file again",
        )
        for op in model.ops
        for name in op.inputs
        if name not in made
    ]


def _refuse_mixed(draft: Draft) -> None:
    """Note a problem if some outputs are indices of the largest scores, and others are not or are as many others."""
    outputs, best = draft.model.outputs, draft.best
    if best and (len(best) < len(outputs) or len(set(best.values())) > 1) and not draft.problems:
        kinds = [f"the best {best[o]} of '{o}'" if o in best else f"the values '{o}'" for o in outputs]
        draft.problems.append(
            Problem(
                next(o for o in outputs if o in best),
                f"outputs of different kinds: {', '.join(kinds)}",
                "indices of the largest scores, equally many for all outputs, or scores only",
                "remove the other outputs from the file",
            )
        )


def _read(draft: Draft, op: Op) -> None:
    """Add one node, or evaluate it."""
    given = [draft.constants.get(i) for i in op.inputs]
    if op.kind in ("Shape", "Size") and op.inputs[0] in draft.values:
        batch, *sample = draft.values[op.inputs[0]].shape
        shape = np.array([batch * draft.batch, *sample], np.int64)
        part = shape[op.attributes.get("start", 0) : op.attributes.get("end")]
        draft.constants[op.outputs[0]] = Constant(part if op.kind == "Shape" else np.array(shape.prod()))
        return
    missing = [i for i, found in zip(op.inputs, given, strict=True) if i and found is None]
    if not missing:
        _fold(draft, op, given)
        return
    call, problems = Call(draft, op), len(draft.problems)
    handler = HANDLERS.get(op.kind) if op.standard or op.domain in QUANTIZED else None
    ready = all(i in draft.values for i in missing) or (op.kind in SCALED and op.inputs[0] in draft.values)
    if handler is None and _only_scales(draft.model, op):
        return  # the quantizer that it gives a scale says so
    if handler is None:
        domain = f" of the domain '{op.domain}'" if op.domain else ""
        call.problem(f"an op{domain} that is not known", "the ops in docs/onnx.md", "replace the node")
    elif extra := attributes.unknown(op):
        call.problem(
            f"the attribute {extra[0]}={op.attributes[extra[0]]!r}, which is not known",
            f"the attributes {', '.join(attributes.READ[op.kind])}",
            "export the node without it",
        )
    elif ready and (wrong := _not_finite(op, given)):
        call.problem(wrong, "finite numbers", "train the model again")
    elif ready:
        value = _handled(call, handler)
        if len(draft.problems) == problems:
            draft.values.setdefault(op.outputs[0], value)
            _refuse_further(call)
            _check_shape(call, value)
    # What reads the output of a node with a problem is only checked for its kind.


def _not_finite(op: Op, given: Sequence[Constant | None]) -> str:
    """The fault of the constants of a node in words; empty if there is none."""
    numbers = [g.values for g in given if g is not None and g.values.dtype.kind == "f"]
    if any(np.isnan(n).any() for n in numbers):
        return "NaN among its constants"
    infinite = op.kind in WEIGHTED and any(np.isinf(n).any() for n in numbers)
    return "infinite numbers among its weights" if infinite else ""


def _handled(call: Call, handler: Handler) -> Value:
    """The result of a handler; a value with a problem if the node does not fit what it reads."""
    try:
        return handler(call)
    except executor.Unknown as error:
        return call.problem(str(error), "what the installed ONNX Runtime knows", "export an older opset")
    except MALFORMED as error:
        if call.draft.problems:  # an open axis, for example, fits nothing
            return call.problem(
                "what it reads is not known", "models without the other problems", "mend those"
            )
        missing = isinstance(error, KeyError)
        return _malformed(call, f"the attribute {error} is missing or unknown" if missing else error)


def _malformed(call: Call, reason: object) -> Value:
    reads = ", ".join(str(v.shape) for v in call.several)
    return call.problem(
        f"inputs or attributes that do not fit together (it reads {reads}): {reason}",
        "nodes that onnx.checker.check_model(model, full_check=True) accepts",
        "export the file again",
    )


def _check_shape(call: Call, value: Value) -> None:
    """Note a problem if ONNX finds that a node does not fit what it reads, or gives its output another size."""
    draft, op = call.draft, call.op
    if not op.standard or op.channels_last or draft.best.keys() & set(op.outputs) or not value.shape:
        return
    shapes = {i: draft.values[op.inputs[i]].shape for i in call.positions}
    whole = {i: (shape[0] * draft.batch, *shape[1:]) for i, shape in shapes.items() if shape}
    known = {i: draft.constants[n].values for i, n in enumerate(op.inputs) if n in draft.constants}
    size = value.order.size * draft.batch
    if len(whole) < len(shapes):
        return
    try:
        expected = executor.inferred(op, whole, known)
        if expected is not None and math.prod(expected) != size:
            # The rules of the package onnx for windows with ceil_mode differ from ONNX Runtime.
            expected = executor.computed(op, whole, known)
    except executor.Unknown as error:
        _malformed(call, error)
        return
    if expected is not None and math.prod(expected) != size:
        call.problem(
            f"an output of {expected} in ONNX Runtime, which was read as {value.shape}",
            "nodes as ONNX defines them",
            "report this model",
        )


def _refuse_further(call: Call) -> None:
    """Note a problem if an output of a node is used that its handler does not make, such as the mask of Dropout."""
    model = call.draft.model
    used = {*model.outputs, *(i for op in model.ops for i in op.inputs)}
    further = [o for o in call.op.outputs[1:] if o in used and o not in call.draft.values]
    if further:
        call.problem(f"its output '{further[0]}' is used", "its first output", "leave that output out")


def _only_scales(model: Model, op: Op) -> bool:
    """True if all that a node computes becomes parameters of quantizers."""
    readers = [o for o in model.ops if set(op.outputs) & set(o.inputs)]
    parameters = (r.kind in SCALED and r.inputs[0] not in op.outputs for r in readers)
    return bool(readers) and all(
        p or _only_scales(model, r) for p, r in zip(parameters, readers, strict=True)
    )


def _fold(draft: Draft, op: Op, given: Sequence[Constant | None]) -> None:
    """Evaluate a node of constants."""
    try:
        made = constants.fold(op, given, draft.room)
    except executor.Unknown as error:
        draft.problems.append(
            Problem(op.name, f"{op.kind} of constants: {error}", "ops of ONNX and QONNX", "fold it before")
        )
        return
    draft.room -= sum(c.values.nbytes for c in made)
    draft.constants.update(zip(op.outputs, made, strict=False))


def _output(draft: Draft, name: str) -> tuple[str, AxisOrder | None] | None:
    """The edge of an output of the model, and the order of its values; None with a problem if there is none."""
    value = draft.values.get(name)
    if value is None or value.windows is not None:
        if not draft.problems:
            found = "does not depend on the inputs" if name in draft.constants else "no node makes"
            found = found if value is None else "is the windows of Im2Col, without a MatMul behind them"
            draft.problems.append(
                Problem(name, f"an output that {found}", "outputs that depend on inputs", "leave it out")
            )
        return None
    layout = layout_of(value, draft.shapes[value.edge])
    if layout is None and not draft.problems:
        value = selection.in_order(
            Call(draft, next(op for op in draft.model.ops if name in op.outputs)), value
        )
        layout = layout_of(value, draft.shapes[value.edge])
    if layout is None:
        draft.problems.append(
            Problem(
                name,
                "an output whose values are in another order than those of the stream",
                "images with their channels first or last, and vectors",
                "end the model in front of the transposition",
            )
        )
        return None
    plain = layout.shape == layout.stream
    return value.edge, None if plain and layout.axes == tuple(range(len(layout.axes))) else layout


def layout_of(value: Value, stream: tuple[int, ...]) -> AxisOrder | None:
    """Return the order of a value in its stream; None if it is no transposition.

    Args:
        value: The value.
        stream: Shape of a sample of the stream.
    """
    flat = value.order.ravel()
    shape = value.shape[1:] if value.shape[:1] == (1,) else value.shape
    places = np.arange(flat.size).reshape(stream)
    for axes in inputs.permutations(len(stream)):
        if np.array_equal(places.transpose(axes).ravel(), flat):
            return AxisOrder(shape, stream, axes)
    return None


def _needed(graph: Graph) -> Graph:
    """The graph without the nodes that no output depends on, but with all inputs."""
    needed = {*graph.outputs, *(n.name for n in graph.sources)}
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return Graph(tuple(n for n in graph if n.name in needed), graph.outputs)
