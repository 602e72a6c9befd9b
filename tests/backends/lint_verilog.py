"""Lint the generated Verilog of every op with slang: `python -m tests.backends.lint_verilog`.

slang is a second front end next to Verilator, and follows the standard more strictly. The script
renders every example of every op, and for each family the ops that have a form of their own there.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pyslang.driver import Driver

from bnn2hw import backends
from bnn2hw.backends import verilog
from bnn2hw.backends.design import Design
from bnn2hw.ops import HARDWARE_OPS
from tests.support import alone, ops

OFF = {
    "useless-cast": "the width of a cast is a parameter, and may equal the width of its operand",
    "shadow-hierarchy": "nested generate blocks use short names again",
    "shadow-value": "as above, for signals",
    "case-redundant-default": "Verilator asks for a default in each case statement",
    "shift-count-overflow": "a signal whose width is a parameter may have one bit",
}
"""Warnings of `-Wextra` that are off, each with the reason."""

FLAGS = ("-Wextra", "-Werror", *(f"-Wno-{name}" for name in OFF))


def designs() -> Iterator[tuple[str, Design]]:
    """Yield all designs with a name for messages."""
    for kind in HARDWARE_OPS:
        for number, (op, x) in enumerate(kind.examples()):
            yield f"{op.kind}-{number}", backends.render("verilog", alone(op, *x))
    for parameters in ops.family_forms():
        op, x, family = parameters.values
        yield str(parameters.id), verilog.render(alone(op, *x), family=family)


def clean(design: Design, folder: Path) -> bool:
    """Print the warnings for a design, and return True if there are none."""
    for name, text in {**design.files, **design.bench}.items():
        (folder / name).write_text(text)
    sources = [str(path) for path in sorted(folder.glob("*.sv"))]
    driver = Driver()
    driver.addStandardArgs()
    return (
        driver.parseCommandLine(" ".join(["slang", *FLAGS, "--top", design.top, *sources]))
        and driver.processOptions()
        and driver.parseAllSources()
        and driver.runFullCompilation(True)
    )


def main() -> int:
    """Lint all designs and return the exit status."""
    wrong = []
    count = 0
    for name, design in designs():
        count += 1
        with tempfile.TemporaryDirectory() as folder:
            if not clean(design, Path(folder)):
                wrong.append(name)
    verdict = f"slang finds faults in {', '.join(wrong)}" if wrong else "slang finds no fault"
    sys.stdout.write(f"{count} designs: {verdict}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
