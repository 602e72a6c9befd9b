"""A compiled model that can be verified op by op."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnn2hw import golden, inputs
from bnn2hw.golden import Batch
from bnn2hw.progress import Progress, silent
from bnn2hw.report.shown import ShownModel

if TYPE_CHECKING:
    from bnn2hw.simulation.verify import Verification


@dataclass(frozen=True, repr=False)
class TestedModel(ShownModel):
    """A compiled model whose hardware can be verified op by op."""

    def verify(
        self,
        x: Batch,
        *,
        stalls: float = 0.3,
        seed: int = 0,
        workers: int | None = None,
        progress: Progress = silent,
    ) -> Verification:
        """Verify the design op by op: for networks that are too large to be simulated whole.

        Each op is simulated alone, with its own parameters and memories, on the values that golden computes
        for its input streams. It must write the values of its output stream, with and without stalls, and in the
        predicted cycles. The connections of the top level are compared with the graph in the elaborated
        netlist. Ops whose sources are equal are compiled once, and several ops run at the same time.

        Args:
            x: Inputs as in `integers`.
            stalls: Share of the cycles, from 0 to below 1, in which source and sink pause at random.
            seed: Seed of the pauses.
            workers: Ops that are simulated at the same time. Default: one for each processor.
            progress: Called with the name of each step.

        Returns:
            What was found of each op. Call its `check` to raise an error if something is wrong.

        Raises:
            InputError: x does not fit the inputs, an option is out of range, or the model is native code.
            MissingToolError: There is no Verilator or no C++ compiler.
            ToolError: A tool failed.
        """
        from bnn2hw.simulation import verify as verifying

        self.need_hardware("a verification op by op")
        return verifying.verify(
            self.design,
            self.graph,
            self._wires(x),
            stalls=stalls,
            seed=seed,
            workers=workers,
            progress=progress,
        )

    def _wires(self, x: Batch) -> Batch:
        """The integers on the wires, in the order of the streams."""
        made = inputs.integers(self.graph, self.input_specs, x, self.layouts)
        return made if isinstance(x, Mapping) else golden.batch(made)
