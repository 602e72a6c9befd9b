"""Lower functions of few inputs: each becomes a truth table, found by asking the layers at all inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bnn2hw.ir import Array, Node, Tensor
from bnn2hw.lower import kernels
from bnn2hw.lower.hardware.lowering import Lowering, lowers
from bnn2hw.lower.levels import stated_levels
from bnn2hw.lower.pending import Pending
from bnn2hw.lower.probe import Chain
from bnn2hw.ops.base.folds import MOST_INSIDE
from bnn2hw.ops.gather import Gather
from bnn2hw.ops.lut import MOST_BITS
from bnn2hw.ops.real import FewInputs, MaxPool, Pointwise, RealOp, Reshape

ROUNDED = 0.25
"""Part of an integer that stands for the float32 rounding of a layer behind it."""

SPARSE = 2
"""A kernel is sparse if it has at least so many inputs for each that a neuron reads."""


@lowers(FewInputs)
def few_inputs(lowering: Lowering, node: Node, op: FewInputs, before: list[Pending]) -> Pending:
    """Lower a function of few inputs, which needs few bits in all and few levels behind it."""
    b = lowering.b
    edge = lowering.integers(node, before[0])
    x, most = b.types[edge], op.wires.shape[1]
    if most * x.ints.bits > MOST_BITS:
        b.problem(
            node.layer,
            f"neurons of {most} inputs of {x.ints.bits} bits, {most * x.ints.bits} in all",
            f"up to {MOST_BITS} bits in all",
            "use a smaller fan-in, or quantize the inputs to fewer bits",
        )
        return Pending(lowering.stand_in(node, node.name), node.name)
    made = _gathered(lowering, node, edge, op.wires, op.function, op.noise)
    if not _settles(lowering, made):
        b.problem(
            node.layer,
            "results of many levels that nothing quantizes",
            "a quantizer behind the layer, such as a sign",
            "put a quantizer behind it, or use a MaskedDense",
        )
    return made


def sparse(lowering: Lowering, node: Node, flat: Array, before: Pending) -> Pending | None:
    """Lower a product with a kernel of which each neuron leaves most inputs out, if tables can hold it.

    Args:
        lowering: The lowering.
        node: The node of the real form.
        flat: Kernel of shape (inputs, neurons).
        before: What the node reads.

    Returns:
        The output; None if the kernel is not sparse, has too many bits, or nothing quantizes its results.
    """
    b = lowering.b
    most = int((flat != 0).sum(0).max(initial=0))
    if not 0 < most <= MOST_BITS or SPARSE * most > len(flat) or b.loads(node.layer):
        return None
    state = b.state()
    edge = lowering.integers(node, before)
    x = b.types[edge]
    fits = max(x.channels * x.ints.bits, flat.shape[1]) <= MOST_INSIDE  # tables take whole vectors
    if fits and most * x.ints.bits <= MOST_BITS and len(x.shape) == len(b.real.types[node.name].shape):
        wires = np.argsort(flat == 0, axis=0, kind="stable")[:most].T
        weights = np.take_along_axis(flat.T, wires, axis=1)
        wires = np.where(weights != 0, wires, -1)
        noise = kernels.gamma(most) * float(np.abs(weights).sum(1).max())
        if kernels.powers_of_two(tuple(np.abs(weights[weights != 0]).tolist())):
            noise = 0.0 if _whole(x, weights) else noise
        made = _gathered(lowering, node, edge, wires, lambda v: (v * weights).sum(-1), noise)
        if _settles(lowering, made):
            return made
    b.back_to(state)
    return None


def _whole(x: Tensor, weights: Array) -> bool:
    """True if float32 computes the sums without rounding: products of a few powers of two that lie near each other."""
    sizes = np.abs(weights[weights != 0])
    return kernels.exact_in_float32(float(weights.shape[1] * sizes.max() / sizes.min()), 1.0, x)


def _gathered(
    lowering: Lowering, node: Node, edge: str, wires: Array, function: Callable[[Array], Array], noise: float
) -> Pending:
    """Gather the inputs of each output, and leave the layer as a function of what is gathered."""
    b = lowering.b
    x = b.types[edge]
    joined = b.add(node.name, Gather(wires, x.ints), edge)
    unit = noise * max(1.0, float(b.largest(edge).max())) / ROUNDED
    b.errors[joined] = ROUNDED if unit else 0.0
    asked = _of_joined(x, wires, function, unit)
    layer = Pointwise(asked, b.real.types[node.name].shape, uniform=False)
    return Pending(joined, node.name, (Node(node.name, layer, node.inputs, node.layer),))


def _of_joined(
    x: Tensor, wires: Array, function: Callable[[Array], Array], unit: float
) -> Callable[[Array], Array]:
    """Return a layer as a function of joined integers; a fraction of an integer counts as so many units.

    Args:
        x: Type of the inputs.
        wires: Inputs of each output, of shape (outputs, most); -1 for none.
        function: The layer as a function of its inputs.
        unit: Change of the results that a whole integer stands for.
    """
    bits = x.ints.bits
    places = np.arange(wires.shape[1]) * bits
    scale, offset = (
        np.broadcast_to(np.asarray(v, np.float64), (x.channels,))[wires] for v in (x.scale, x.offset)
    )

    def apply(joined: Array) -> Array:
        flat = joined.reshape(-1, len(wires))
        whole = np.clip(np.rint(flat), 0, 2 ** (bits * wires.shape[1]) - 1).astype(np.int64)
        codes = whole[:, :, None] >> places & (2**bits - 1)
        values = np.clip(x.ints.decode(codes), x.ints.lo, x.ints.hi)  # other codes do not occur
        real = np.where(wires < 0, 0.0, values * scale + offset).astype(np.float32)
        y = function(real) + ((flat - whole) * unit).astype(np.float32)
        return y.reshape(joined.shape).astype(np.float32)

    return apply


def _settles(lowering: Lowering, made: Pending) -> bool:
    """True if what follows in the model takes few levels before anything but functions of single values."""
    b = lowering.b

    def settled(name: str, ops: tuple[RealOp, ...]) -> bool:
        chain = b.chain(made)
        chain = Chain(ops, chain.tensor, chain.shape, chain.low, chain.high)
        last = ops[-1]
        if chain.by_position or not chain.enumerable or isinstance(last, MaxPool):
            return False
        step = last.step if isinstance(last, Pointwise) else None
        if stated_levels(chain.all(), step) is not None:
            return True
        readers = [(n.name, n.op) for n in b.real.consumers[name]]
        return bool(readers) and all(
            isinstance(op, Pointwise | Reshape) and settled(reader, (*ops, op)) for reader, op in readers
        )

    first = made.chain[0].op
    return isinstance(first, RealOp) and settled(made.start, (first,))
