"""Design to netlist, with the open tools, each in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnn2hw import tools
from bnn2hw.backends.design import Design
from bnn2hw.errors import ToolError


def run_yosys(design: Design, folder: Path, passes: Sequence[str], makes: str) -> Path:
    """Let Yosys read the sources of a design and run passes over them.

    Args:
        design: what the backend rendered.
        folder: takes the sources, the script, the log and what the passes write.
        passes: commands of Yosys that follow the reading.
        makes: the file that the passes must write.

    Returns:
        The path of that file.

    Raises:
        MissingToolError: no Yosys is installed.
        ToolError: it failed, or ended without the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in design.files.items():
        (folder / name).write_text(text)
    (folder / makes).unlink(missing_ok=True)
    sources = " ".join(name for name in design.files if name.endswith(".sv"))
    script = [f"read_verilog -sv {sources}", *passes]
    (folder / "yosys.ys").write_text("\n".join([*script, ""]))
    log = folder / "yosys.log"
    tools.run([*tools.yosys().start, "yosys.ys"], folder, "Yosys", log)
    # An exit status of 0 is no proof: ABC has been seen to end without a netlist and without a word.
    made = folder / makes
    if not made.is_file() or not made.stat().st_size:
        raise ToolError(f"Yosys ended without an error but wrote no {makes}; see {log}")
    return made
