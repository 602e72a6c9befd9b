"""The lines and cells of a report that say how far a model is from Keras."""

from __future__ import annotations

from collections.abc import Iterator

from bnn2hw.compiled import CompiledModel
from bnn2hw.ir import Node
from bnn2hw.tables import counted

DEVIATION = "deviation up to here"


def deviation(accelerator: CompiledModel, node: Node) -> str:
    """Return the measured deviation of the values behind a node; empty if the model has no such values."""
    off = accelerator.measured.get(node.name)
    return "" if off is None else f"{off.share:.0e}" if off.different else "none"


def data(accelerator: CompiledModel) -> str:
    """Return in words the frames on which a model was compared with itself."""
    return "the calibration data" if "calibrated" in accelerator.options else "random frames"


def _frame(accelerator: CompiledModel) -> str:
    return "calibration frame" if "calibrated" in accelerator.options else "random frame"


def compared(accelerator: CompiledModel) -> Iterator[str]:
    """Yield lines on what the outputs were compared with, and how many of them are equal."""
    found = accelerator.compared
    if found is None:
        return
    lacking = f" ({found.lacking})" if found.lacking else ""
    on = counted(found.frames, _frame(accelerator))
    yield f"compared with {found.executor}{lacking} on {on}:"
    for each in found.outputs:
        what = ("decision" if each.decisions else "value") + ("" if each.count == 1 else "s")
        off = f"; largest difference {each.largest:.2g} of a mean of {each.size:.2g}" if each.largest else ""
        yield f"  {each.name}: {each.equal:,} of {each.count:,} {what} equal{off}"


def rounded(accelerator: CompiledModel) -> Iterator[str]:
    """Yield lines on the layers that are not exact, with the reasons."""
    rounded = [(layer, f.why) for layer, f in accelerator.fidelity.items() if f.kind == "rounded"]
    if not rounded:
        yield "every layer is exact: it computes what the model computes"
        return
    yield f"{len(rounded)} of {len(accelerator.fidelity)} layers are rounded:"
    yield from (f"  {layer}: {why}" for layer, why in rounded)
    if not accelerator.measured:
        return
    yield (
        "'this op' says if the op itself rounds; the deviation up to here is that of all ops so far: the mean "
        f"difference from the model on {data(accelerator)}, divided by the mean absolute value"
    )
    last = [*accelerator.measured.values()][-1]
    if last.bound is not None:
        yield (
            f"the last layer is off by at most {last.steady:.2g} of a mean of {last.size:.2g}; rounding explains "
            f"{last.bound:.2g} where no decision changes"
        )
    if last.changed:
        yield (
            f"float32 rounding in the model or fixed point changed decisions in {last.changed:,} of "
            f"{counted(last.frames, _frame(accelerator))}; in the others the last layer is off by at most "
            f"{last.steady:.2g}"
        )
    if "calibrated" not in accelerator.options:
        yield "compile with calibration images to measure on your own data and to save bits"
