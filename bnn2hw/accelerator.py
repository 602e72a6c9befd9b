"""The accelerator: everything that can be done with a compiled model.

Methods import the rooms that they need, so that loading an accelerator takes little time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnn2hw import backends, checks, deprecation
from bnn2hw.computed import ComputedModel
from bnn2hw.errors import InputError
from bnn2hw.formal import SECONDS
from bnn2hw.golden import Batch
from bnn2hw.progress import Progress, silent

if TYPE_CHECKING:
    from bnn2hw.backends.design import Design
    from bnn2hw.formal.whole import Proofs
    from bnn2hw.ir import Array
    from bnn2hw.ops.source import InputSpecs
    from bnn2hw.simulation.run import Run
    from bnn2hw.simulation.verify import Verification
    from bnn2hw.synthesis.usage import Usage


@dataclass(frozen=True, repr=False)
class Accelerator(ComputedModel):
    """A compiled model: its design, and everything that can be done with it.

    `bnn2hw.compile` and `bnn2hw.load` make accelerators. `CompiledModel` describes their data. An
    accelerator is never changed; methods return new objects.
    """

    @property
    def units(self) -> InputSpecs:
        """The attribute `input_specs` under its old name."""
        deprecation.renamed("Accelerator.units", "Accelerator.input_specs")
        return self.input_specs

    @cached_property
    def _emulated(self) -> Design:
        """The design as HLS sources, whatever its backend."""
        return self.design if self.backend == "hls" else backends.render("hls", self.graph)

    def emulate(self, x: Batch, *, progress: Progress = silent) -> Batch:
        """Compute the outputs with the HLS sources of the design, compiled for this machine.

        The result equals `golden`, also for a design in Verilog.

        Args:
            x: Inputs as in `integers`.
            progress: Called with the name of each step.

        Returns:
            Outputs as in `golden`.

        Raises:
            InputError: x does not fit the inputs.
            MissingToolError: There is no C++ compiler.
            ToolError: The compiler failed.
        """
        from bnn2hw.simulation import hls_csim

        self.need_hardware("the emulator")
        return self.shaped(hls_csim.emulate(self._emulated, self._wires(x), progress))

    def weight_image(self) -> Array:
        """Return the words that load this model's weights into a loadable design.

        Returns:
            uint32 array of shape (words,), for `SerialBoard.load_weights` or for the port s_load.

        Raises:
            InputError: The model was not compiled with `loadable`.
        """
        from bnn2hw.backends import loading

        self.need_hardware("a weight image")
        return loading.image(self.graph, self.design.load)

    def image(self) -> Array:
        """Return `weight_image()`; this is its old name."""
        deprecation.renamed("Accelerator.image", "Accelerator.weight_image")
        return self.weight_image()

    def reload(
        self,
        model: Any,
        *,
        custom_objects: Mapping[str, Any] | None = None,
        progress: Progress = silent,
    ) -> Accelerator:
        """Put the weights of another model into the same hardware.

        Args:
            model: Built Keras model with the same architecture, for example after more training, or
                the path of one.
            custom_objects: Classes and functions of your own in a file of Keras, by name.
            progress: Called with the name of each step.

        Returns:
            An accelerator with the same design and the new weights. Send its `weight_image` to a
                board.

        Raises:
            InputError: The model cannot be read, or this accelerator is not loadable.
            UnsupportedError: The model needs other hardware. The message lists the layers with the
                reasons.
        """
        from bnn2hw import reload as reloading

        self.need_hardware("loading weights")
        weights = reloading.weights(self, model, progress, custom_objects)
        other = replace(
            self,
            graph=weights.graph,
            fidelity=weights.fidelity,
            origin=weights.origin,
            measured={d.edge: d for d in weights.measured},
            compared=weights.compared,
            made_from={},
        )
        reloading.compare(self.design, other.design)
        return other

    def simulate(
        self,
        x: Batch,
        *,
        stalls: float = 0.0,
        seed: int = 0,
        reloads: Mapping[int, Accelerator] | None = None,
        cells: bool = False,
        processes: int = 1,
        scheduler: str | None = None,
        trace: str | Path | None = None,
        progress: Progress = silent,
    ) -> Run:
        """Simulate the design on a batch and compare every stream with golden.

        Verilog runs in Verilator, cycle by cycle. C++ is compiled and runs without a clock; native code also
        checks itself with its recorded frames.
        Call `check` of the result to raise an error if a stream differs.

        Args:
            x: Inputs as in `integers`.
            stalls: Share of the cycles, from 0 to below 1, in which source and sink pause at random.
            seed: Seed of the pauses.
            reloads: Accelerators whose weights are loaded during the run, by the number of the
                first frame that they compute (see `reload`). The weights are sent while earlier
                frames are in the design.
            cells: Whether the sources are simulated as they are, with models of the cells that they
                name. By default some modules, such as the popcount, have a form that is proved to
                give the same values in the same cycles, and compiles and runs much faster.
            processes: Number of processes that share the frames: for many frames of a small design.
                Each starts with an empty design and has its own pauses.
            scheduler: "local", or the address of a scheduler of Dask, whose workers run the processes. By
                default this machine does, without Dask.
            trace: File for the waveforms, .vcd or .fst. Lists of signals for GTKWave (.gtkw) and Surfer
                (.sucl) are written next to it. The simulator is compiled again.
            progress: Called with the name of each step.

        Returns:
            Outputs, the first mismatch of each stream, and the measured interval and latency.

        Raises:
            InputError: x does not fit the inputs, `stalls` is out of range, the design is not
                loadable, native code should stall, or `trace` has another ending.
            MissingToolError: There is no Verilator, no C++ compiler, or no Dask.
            ToolError: A tool failed, or the design broke the stream protocol.
            LinkError: The scheduler does not answer.
        """
        from bnn2hw.simulation import simulate as simulating

        if trace is not None:
            checks.path("trace", trace)
        if not isinstance(reloads or {}, Mapping):
            raise InputError(f"reloads must be a mapping such as {{8: other}}, not {reloads!r}")
        for frame, other in (reloads or {}).items():
            checks.number("the frame of a reload", frame, whole=True)
            if not isinstance(other, Accelerator):
                raise InputError(f"reloads must hold accelerators, not {other!r}")
        run = simulating.simulate(
            self.design,
            self.graph,
            self._wires(x),
            None if self.is_native else self.estimate().cycles,
            stalls=stalls,
            seed=seed,
            reloads=[
                simulating.Reload(frame, other.weight_image(), other.graph)
                for frame, other in sorted((reloads or {}).items())
            ],
            cells=cells,
            processes=processes,
            scheduler=scheduler,
            trace=None if trace is None else Path(trace),
            progress=progress,
        )
        return replace(run, outputs=self.from_streams(run.outputs, self.graph.outputs))

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

    def prove(self, *, seconds: int = SECONDS, progress: Progress = silent) -> Proofs:
        """Prove the ops of the design, one by one, for all inputs and all stalls.

        Each op is put alone, with its own parameters, modules and memories, into an environment that may do
        anything the protocol allows. Yosys and ABC decide whether its streams keep the protocol, move within a
        bound of cycles, and carry the values that the op means. Ops with equal sources share a proof.

        Args:
            seconds: Limit of the processor time of the search for a proof of each property. As much again may
                give a bound.
            progress: Called with the name of each step.

        Returns:
            What is proved, proved up to a bound, or not tried. Call its `check` to raise an error if something
            is refuted.

        Raises:
            InputError: `seconds` is out of range, or the design is no Verilog.
            MissingToolError: Yosys or ABC is not installed.
            ToolError: A tool failed.
        """
        from bnn2hw.formal import whole

        self.need_hardware("a proof")
        return whole.prove(self.design, self.graph, seconds=seconds, progress=progress)

    def folding(self) -> dict[str, dict[str, int | str]]:
        """Return the folding of every layer in the form that `compile` takes.

        Returns:
            By layer, its values of `pe`, `simd`, `lanes` and `pixels`, or its style.
        """
        from bnn2hw.folding import unroll

        self.need_hardware("a folding")
        return unroll.folding(self.graph)

    def write(self, folder: str | Path) -> Path:
        """Write a build folder: sources, weights, test bench, graph, report and manifest.

        Args:
            folder: Folder to write and to return. If it is a build folder, its files are replaced as
                far as its manifest lists them; other files stay.

        Raises:
            InputError: The folder holds files but is no build folder, or files of others are in the way.
            StorageError: The folder cannot be written.
        """
        from bnn2hw.artifacts import write

        return write.write(self, folder)

    def synthesize(
        self,
        folder: str | Path = "synth",
        *,
        board: str | Path | None = None,
        target: str | Path | None = None,
        seeds: int | Sequence[int] = 1,
        clock_mhz: float | None = None,
        baud: int | None = None,
        scheduler: str | None = None,
        workers: int | None = None,
        progress: Progress = silent,
    ) -> Usage:
        """Synthesize the design with Yosys and nextpnr.

        For a board, the result is a bitstream that connects the accelerator to the board's serial
        line. For a device without a board, it is the usage and the clock that place and route
        reach. For AMD devices it is an area, because only the vendor's tool places and routes them.

        Args:
            folder: Folder for the netlist, logs, bitstream and usage.json; for a board also
                link.json, which `SerialBoard` reads.
            board: Name of a board, or path of its TOML file. Its clock must be reached.
            target: Name of a device, or path of its TOML file. Default without a board: the device that
                the design is planned for.
            seeds: Number of placements to try, or their seeds. The fastest placement is kept.
            clock_mhz: Clock of the accelerator in MHz. Default: that of the board or device.
            baud: Bits per second on the serial line. Default: that of the board.
            scheduler: "local", or the address of a scheduler of Dask, whose workers place and route the seeds.
                By default this process does, one after the other.
            workers: Number of local workers. Default: one per core.
            progress: Called with the name of each step.

        Returns:
            Resources by layer, the clock that was reached, and the paths of the results.

        Raises:
            InputError: An option makes no sense, the folder holds other files, or the backend is
                HLS.
            DoesNotFitError: The design needs more than the device has. The message names a rate
                that fits.
            TimingError: The clock of the board is not reached.
            MissingToolError: A tool, or Dask, is not installed.
            ToolError: A tool failed. Its log is in the folder.
            LinkError: The scheduler does not answer.
        """
        from bnn2hw.deploy import bitstream
        from bnn2hw.targets import boards
        from bnn2hw.workers import Pool

        self.need_hardware("synthesis")
        if self.backend != "verilog":
            raise InputError("HLS sources are synthesized by Vitis HLS; compile with the Verilog backend")
        place = boards.named(board, target, self.device)
        return bitstream.implement(
            self,
            place,
            folder,
            seeds=seeds,
            clock_mhz=clock_mhz,
            baud=baud,
            pool=Pool(scheduler, workers),
            progress=progress,
        )
