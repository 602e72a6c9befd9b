"""Accumulators of binary units in DSP blocks: where a design may have them, and when the search considers it.

An accumulator in LUTs is cheaper by the prices of a device, which has some hundred LUTs for each DSP block. So the
search takes DSP blocks only where the cheapest folding needs more than the device has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bnn2hw.errors import FoldingError
from bnn2hw.ir import StreamOp, Tensor
from bnn2hw.ops import Xnor
from bnn2hw.targets.devices import Device

KNOB = "accumulators"
"""Knob that chooses."""

IN_DSPS = (KNOB, "dsp")
"""Its name and its value for DSP blocks."""


def possible(device: Device) -> bool:
    """Return True if accumulators can be in the DSP blocks of a device."""
    return device.family.dsp_accumulators and device.dsp > 0


def offered(ops: Sequence[StreamOp], inputs: Sequence[Tensor]) -> list[StreamOp]:
    """Return the foldings of a node that differ from given ones in their accumulators, which are in DSP blocks.

    Args:
        ops: The foldings.
        inputs: Types of the inputs.
    """
    units = [op for op in ops if isinstance(op, Xnor) and op.accumulators == "lut"]
    return [replace(op, accumulators="dsp") for op in units if not op.keeps_luts(inputs[0])]


def check(by_hand: Mapping[str, Sequence[StreamOp]], device: Device) -> None:
    """Refuse accumulators in DSP blocks on a device for which none can be there.

    Args:
        by_hand: The foldings that a user leaves to each node.
        device: The device.

    Raises:
        FoldingError: A user asks for them.
    """
    for name, ops in by_hand.items():
        if not possible(device) and all(getattr(op, KNOB, "") == "dsp" for op in ops):
            raise FoldingError(
                f"layer '{name}': {KNOB}='dsp' is not possible on {device.name}: "
                f"the modules for its family put no sums into DSP blocks; use 'lut'"
            )


def why_not(op: StreamOp, inputs: Sequence[Tensor]) -> str:
    """Return why the accumulators of an op in its folding are not in DSP blocks; "" if they may be.

    Args:
        op: The op.
        inputs: Types of its inputs.
    """
    return op.keeps_luts(inputs[0]) if isinstance(op, Xnor) else ""
