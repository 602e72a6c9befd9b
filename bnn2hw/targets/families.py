"""Device families: one record each, read from `data/families/<name>.toml`.

A record holds all that the compiler knows of a family: the sizes that the cost models count with,
the coefficients in which the family differs from others with LUTs of its size, the options of the
tools, its PLLs, and how far its predicted costs are off. Nothing else in the package names a
family.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from bnn2hw.errors import InputError
from bnn2hw.targets.records import read, read_all

Takes = Mapping[str, int]
"""Units of a resource that a cell takes, by a pattern of cell names."""


@dataclass(frozen=True)
class Halfway:
    """A stop between the passes of Yosys, at which a pass of ours turns small ROMs into LUTs.

    Only designs with such a ROM stop there (`synthesis.lut_roms`).

    Attributes:
        words: Smallest and largest number of words of these ROMs.
        first: Passes of Yosys before the stop, separated by semicolons; {least} and {most} become the words.
        last: Passes behind it, which write netlist.json.
    """

    words: tuple[int, int]
    first: str
    last: str


@dataclass(frozen=True)
class Corrected:
    """A file of Yosys in which an error is corrected.

    Attributes:
        of: Path of the file, within the data folder of Yosys.
        changes: Texts in it, each with the one that replaces it.
    """

    of: str
    changes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Mapper:
    """Options of Yosys for a family, and how its cells are counted.

    Attributes:
        command: Passes of Yosys that write netlist.json, separated by semicolons.
        lut: LUTs that each cell takes.
        ff: Pattern of the names of flip-flops.
        carry: Pattern of the names of carry cells.
        carry_luts: LUTs of the slice that each carry cell takes, where no other carry cell has a place; empty if
            `lut` counts them all.
        bram: Block RAMs that each cell takes.
        dsp: DSP blocks that each cell takes.
        models: Path of the simulation models of the cells, within the data folder of Yosys.
        blocks: Cells with a model of ours, templates/blocks/<cell>.sv.j2, which takes the place of one in `models`.
        complete_models: True if `models` and `blocks` describe every cell; then netlists can be simulated.
        passes: Names of the passes that rewrite the netlist, in order
            (`synthesis.toolchains.PASSES`).
        count: How cells are named when they are counted (`synthesis.toolchains.COUNTS`).
        lut_roms: The same passes with a stop for small ROMs; None if ROMs are left to Yosys.
        corrected: Files for the passes in the working folder, by name.
    """

    command: str
    lut: Takes
    ff: str
    carry: str
    bram: Takes
    dsp: Takes
    models: str
    blocks: tuple[str, ...] = ()
    complete_models: bool = False
    carry_luts: Takes = field(default_factory=dict)
    passes: tuple[str, ...] = ()
    count: str = "cells"
    lut_roms: Halfway | None = None
    corrected: Mapping[str, Corrected] = field(default_factory=dict)


@dataclass(frozen=True)
class Router:
    """Options of nextpnr for a family, and of the program that packs its result.

    Attributes:
        architecture: Architecture by nextpnr's name; the program is nextpnr-<architecture>.
        result: Option that names the result, and the file.
        constraints: Arguments that name the constraints; {file} becomes the file.
        constraints_suffix: Suffix of the file of constraints; templates/boards/ has
            board<suffix>.j2.
        arguments: Further arguments.
        packer: Program that packs the bitstream.
        packer_package: Distribution on PyPI that brings the packer.
        pack: Arguments of the packer; {part} becomes `Part.packed_as`.
        bitstream: File that the packer writes.
        logic: nextpnr's name of the logic cells, of which a design runs out first.
    """

    architecture: str
    result: tuple[str, str]
    constraints: tuple[str, ...]
    constraints_suffix: str
    packer: str
    packer_package: str
    pack: tuple[str, ...]
    bitstream: str
    logic: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Divider:
    """A divider or multiplier of a PLL.

    Attributes:
        parameter: Parameter of the primitive.
        numbers: Smallest and largest number to divide or multiply by.
        only: The numbers, if not all between the two are possible.
        coding: Value of the parameter: the number itself, the number less one, or its logarithm to
            base 2.
    """

    parameter: str
    numbers: tuple[int, int]
    only: tuple[int, ...] = ()
    coding: Literal["number", "less one", "log2"] = "number"


@dataclass(frozen=True)
class Steps:
    """A parameter of a PLL that counts how many of some frequencies the phase detector reaches.

    Attributes:
        parameter: Parameter of the primitive.
        first: Its value below all frequencies.
        from_mhz: Frequencies in rising order.
    """

    parameter: str
    first: int
    from_mhz: tuple[float, ...]


@dataclass(frozen=True)
class Pll:
    """Limits and parameters of a PLL primitive.

    Its template is `templates/boards/pll/<primitive>.sv.j2`.

    The phase detector runs at oscillator / divide. If `feedback` is "output", the output runs at
    detector * multiply and the oscillator of the PLL (VCO) at output * post. If it is "vco", the
    VCO runs at detector * multiply and the output at VCO / post.

    Attributes:
        divide: Divider of the input.
        multiply: Divider of the feedback, which multiplies.
        post: Divider between VCO and output.
        detector_mhz: Smallest and largest frequency of the phase detector.
        vco_mhz: Smallest and largest frequency of the VCO.
        feedback: Where the feedback starts.
        output_mhz: Smallest and largest frequency of the output.
        vco_aim_mhz: The VCO runs as close to this as it can, where the output leaves a choice.
        filter: The parameter of the loop filter, if the primitive has one.
        device_parameters: Parameters that each device must give (`DevicePll.parameters`).
    """

    divide: Divider
    multiply: Divider
    post: Divider
    detector_mhz: tuple[float, float]
    vco_mhz: tuple[float, float]
    feedback: Literal["output", "vco"]
    output_mhz: tuple[float, float] = (0.0, 1e6)
    vco_aim_mhz: float = 0.0
    filter: Steps | None = None
    device_parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class LutRam:
    """A distributed RAM, in the shapes among which Yosys chooses.

    Attributes:
        weight: Yosys's cost of one, by the measure of `Family.bram_weight`.
        scaled: The part of it that shrinks with the bits that are not used.
        shapes: Shapes: words, bits, bits of a cell and LUTs of a cell. Cells without a used bit are left out.
        ports: 1 if one address is for writing and reading, else 2.
    """

    weight: int
    shapes: tuple[tuple[int, int, int, int], ...]
    scaled: int = 0
    ports: int = field(default=2, metadata={"least": 1, "most": 2})


@dataclass(frozen=True)
class Attributes:
    """Attributes on declarations that the maker's synthesis reads. Yosys does not get them.

    Attributes:
        rom: Attribute of a ROM, its value for block RAM, and its value for logic.
        ram: Attribute of a RAM, its value for block RAM, and its value where the tool may choose.
        registers: Attribute that keeps registers from becoming a shift register.
    """

    rom: tuple[str, str, str]
    ram: tuple[str, str, str]
    registers: str


@dataclass(frozen=True)
class Calibration:
    """Errors of predicted LUTs against synthesis (`benchmarks/cost.py`, docs/estimates.md).

    Attributes:
        series: Devices for which the designs were synthesized; the family may have others.
        lut_mean: Mean relative error over the designs of 50 LUTs and more.
        lut_worst: Largest relative error over these designs.
        ops: Kinds of the ops whose cost models were compared with synthesis.
    """

    series: str
    lut_mean: float
    lut_worst: float
    ops: tuple[str, ...]


CELLS_OF_FORMS: Mapping[str, str] = {"accumulator_bank": "dsp_accumulators"}
"""Fields that say whether a family has the cells of a form, by module, for families that share the form's folder."""


@dataclass(frozen=True, eq=False)
class Family:
    """A device family.

    Two families are equal only if they are the same object, since costs are cached by it.

    Attributes:
        name: Name of the family; folders of templates have it too.
        maker: Maker of the devices.
        lut_inputs: Inputs of the largest LUT that is one cell.
        bram_shapes: (depth, width) configurations of one block RAM, from the deepest to the widest.
        bram_weight: Yosys's cost of a block RAM. It makes a memory of what costs less, block RAMs or distributed RAMs.
        bram_pair_weight: Its cost of two block RAMs that are one of twice the size; 0 if there is no such block.
        bram_byte: Bits of a word that are written together at least.
        lutrams: Distributed RAMs by name; empty if there are none.
        lutram_fifos: FIFOs that are read from distributed RAM without a register: (least depth,
            most depth, fewest bits per beat).
        adder_bits: Bits of a sum that one carry cell makes, in as many LUTs.
        dsp_bits: Widths of the operands of a DSP block, the wider first.
        dsp_parts: Bits of an operand that each block takes if the operand is cut.
        dsp_from: Smallest width of the narrower operand, and of both together, at which Yosys uses
            DSP blocks.
        dsp_registers: True if Yosys moves the registers around a product into the DSP block.
        dsp_adds: True if Yosys also moves the sum behind a product into the DSP block.
        dsp_accumulators: True if the family has a form of `bnn2hw_accumulator_bank`, whose sums are in a
            DSP block.
        bram_readers: Read ports of a block RAM.
        bram_registers: True if our flow uses the output registers of block RAMs.
        brams_per_register: Maximum number of block RAMs per address register; None for no limit.
        cells: Cells that the family's own templates instantiate.
        forms: Family whose templates serve this one too, with its own cells; "" for the family's own name.
        attributes: Attributes for the maker's synthesis; None for those of Lattice and Gowin.
        coefficients: The family's own coefficients of cost models, by op and role.
        mapper: Options of Yosys; None if no flow maps to the family.
        router: Options of nextpnr; None if place and route need the vendor's tools.
        plls: PLL primitives by name.
        calibration: Errors of the predicted costs; None if they were not compared with synthesis.
    """

    name: str
    maker: str
    lut_inputs: int = field(metadata={"least": 2})
    bram_shapes: tuple[tuple[int, int], ...]
    bram_weight: int = field(metadata={"least": 1})
    bram_pair_weight: int = 0
    bram_byte: int = field(default=9, metadata={"least": 1})
    lutrams: Mapping[str, LutRam] = field(default_factory=dict)
    lutram_fifos: tuple[tuple[int, int, int], ...] = ()
    adder_bits: int = field(default=1, metadata={"least": 1})
    dsp_bits: tuple[int, int] = (18, 18)
    dsp_parts: int = 18
    dsp_from: tuple[int, int] = (2, 4)
    dsp_registers: bool = False
    dsp_adds: bool = False
    dsp_accumulators: bool = False
    bram_readers: int = 2
    bram_registers: bool = False
    brams_per_register: int | None = field(default=None, metadata={"least": 1})
    cells: tuple[str, ...] = ()
    forms: str = ""
    attributes: Attributes | None = None
    coefficients: Mapping[str, float] = field(default_factory=dict)
    mapper: Mapper | None = None
    router: Router | None = None
    plls: Mapping[str, Pll] = field(default_factory=dict)
    calibration: Calibration | None = None

    def coefficient(self, role: str, four: float, six: float) -> float:
        """Return a coefficient of a cost model.

        Args:
            role: Name of the coefficient, "<op>.<role>".
            four: Its value for families of LUTs with four inputs.
            six: Its value for families with larger LUTs.

        Returns:
            The family's own value if its record has one, else the one for its size of LUT.
        """
        own = self.coefficients.get(role)
        return own if own is not None else self.by_lut(four, six)

    def by_lut(self, four: float, six: float) -> float:
        """Return `four` for LUTs with up to four inputs, and `six` for larger ones."""
        return four if self.lut_inputs <= 4 else six

    def draws(self, module: str) -> bool:
        """Return False if the family has no cells for the form of a module in its folder of templates."""
        return bool(getattr(self, CELLS_OF_FORMS.get(module, "name")))

    def packs_rom(self, words: int) -> bool:
        """True if our pass puts the columns of a ROM of so many words into LUTs (`Mapper.lut_roms`)."""
        stop = self.mapper.lut_roms if self.mapper else None
        return stop is not None and stop.words[0] <= words <= stop.words[1]

    @property
    def templates(self) -> str:
        """Folder of the family's forms of modules, within templates/verilog."""
        return self.forms or self.name

    def calibrated(self, kind: str) -> bool:
        """True if the cost model of this kind of op was compared with synthesis for this family."""
        return self.calibration is not None and kind in self.calibration.ops


@cache
def known() -> dict[str, Family]:
    """Return the families of the package by name."""
    return read_all("families", lambda path: read(path, Family))


def family(name: str) -> Family:
    """Return the family of that name.

    Raises:
        InputError: There is none.
    """
    if name not in known():
        raise InputError(f"unknown family '{name}'; known families: {', '.join(known())}")
    return known()[name]
