"""Mutants of the templates of the hardware."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.mutation.mutant import ROOT, Mutant

FOLDERS = ("verilog", "shell", "amd")
"""Folders of templates of modules."""

NOT_HARDWARE = ("testbench.sv.j2", "simulation/", "cells/")
"""Templates of benches and models, which are the measure and not what is measured."""

HIDDEN = re.compile(r'\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|//[^\n]*|\(\*.*?\*\)|"[^"\n]*"|`\w+[^\n]*', re.DOTALL)
"""What is no Verilog or does not reach the hardware: Jinja, comments, attributes, texts, directives."""

DECLARED = re.compile(
    r"^\s*(parameter\b[^\n]*|(input|output|logic|module|import|genvar)\b[^=\n]*)", re.MULTILINE
)
"""Widths and defaults, in which a change is an error of another kind or none."""

RULES: tuple[tuple[str, str, str], ...] = (
    ("operator", r"&&", "||"),
    ("operator", r"\|\|", "&&"),
    ("operator", r"==", "!="),
    ("operator", r"!=", "=="),
    ("operator", r">=", ">"),
    ("operator", r"(?<![<>=-])>(?![>=])", ">="),
    ("operator", r"(?<!<)<(?![<=])", "<="),
    ("operator", r"(?<=[\w)\]}] )\+(?= [\w({!~'$])", "-"),
    ("operator", r"(?<=[\w)\]}] )-(?= [\w({!~'$])", "+"),
    ("operator", r"(?<=[\w)\]}] )\^(?= [\w({!~'$])", "&"),
    ("operator", r"(?<=[\w)\]}] )&(?= [\w({!~'$])", "|"),
    ("operator", r"(?<=[\w)\]}] )\|(?= [\w({!~'$])", "&"),
    ("negation", r"(?<![\w=!])[!~](?=[\w(])", ""),
    ("constant", r"1'b0", "1'b1"),
    ("constant", r"1'b1", "1'b0"),
    ("constant", r"'0", "'1"),
    ("constant", r"'1(?!\w)", "'0"),
    ("reset", r"if \(rst\)", "if (1'b0)"),
    ("enable", r"(?<=else )if \(\w+\)(?= \w+(\[[^\]]*\])? <=)", "if (1'b1)"),
    ("enable", r"(?<=\) )if \((?!rst)\w+\)(?= \w+(\[[^\]]*\])? <=)", "if (1'b1)"),
)
"""Sorts of changes: name, pattern, and what takes its place."""

NUMBER = re.compile(r"(?<![\w'.`$])\d+(?![\w'.])")
NEXT = re.compile(r"^(\s*(?:.*\) |.*else )?)(\w+)( <= )([^;\n]+);$", re.MULTILINE)


def files() -> list[str]:
    """Return the templates of all modules, as paths from the root."""
    found = [p for folder in FOLDERS for p in (ROOT / "templates" / folder).rglob("*.j2")]
    names = [str(p.relative_to(ROOT)) for p in sorted(found) if ".sv" in p.name or p.suffixes == [".j2"]]
    return [n for n in names if not any(part in n for part in NOT_HARDWARE)]


def mutants(file: str) -> list[Mutant]:
    """Return all mutants of a template."""
    text = (ROOT / file).read_text()
    plain = _blanked(_blanked(text, HIDDEN), DECLARED)
    found = [*_ruled(file, plain), *_numbers(file, plain), *_held(file, plain)]
    return sorted(set(found), key=lambda m: (m.start, m.end, m.new))


def _blanked(text: str, pattern: re.Pattern[str]) -> str:
    """Return a text of the same length and lines without what the pattern finds."""
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def _ruled(file: str, plain: str) -> Iterator[Mutant]:
    for kind, pattern, new in RULES:
        for found in re.finditer(pattern, plain):
            yield Mutant(file, found.start(), found.end(), new, kind)


def _numbers(file: str, plain: str) -> Iterator[Mutant]:
    """Numbers that are one larger."""
    for found in NUMBER.finditer(plain):
        yield Mutant(file, found.start(), found.end(), str(int(found[0]) + 1), "off by one")


def _held(file: str, plain: str) -> Iterator[Mutant]:
    """Registers that keep their value."""
    for found in NEXT.finditer(plain):
        if found[4].strip() != found[2]:
            yield Mutant(file, found.start(4), found.end(4), found[2], "register")
