"""Translate options in messages from Python to the command line."""

from __future__ import annotations

import re

NUMBER = r"[^,()']+"
INPUT = re.compile(rf"input=bnn2hw\.Input\('(\w+)'(?:, scale=({NUMBER}))?(?:, offset=({NUMBER}))?\)")
NAMED = re.compile(r"\b(output|target|board|backend)=(?:'(\w[\w-]*)'|(?=[\s;,.)]|$))")
PLAIN = re.compile(r"\b(bits|calibration|folding|fps|input|latency|model)=(?=[\s;,.)]|$)")
LEFT_OUT = {
    "cells": "--cells",
    "trace": "--trace",
    "custom_objects": "--import",
    "scheduler": "--scheduler",
}
LOADABLE = re.compile(r"\bloadable=True\b")


def of_command_line(message: str) -> str:
    """Return a message in which options of `bnn2hw.compile` are spelled as on the command line.

    Args:
        message: Message of an error.
    """
    message = INPUT.sub(_input, message)
    message = re.sub(r"\b(?:pass|give) (?=--)", "give ", message)
    message = re.sub(
        rf"\bleave out ({'|'.join(LEFT_OUT)})\b", lambda m: f"leave out {LEFT_OUT[m[1]]}", message
    )
    message = NAMED.sub(lambda m: f"--{m[1]} {m[2]}" if m[2] else f"--{m[1]}", message)
    return LOADABLE.sub("--loadable", PLAIN.sub(r"--\1", message))


def _input(match: re.Match[str]) -> str:
    dtype, *meaning = match.groups()
    told = [f" --{name} {value}" for name, value in zip(("scale", "offset"), meaning, strict=True) if value]
    return f"--input {dtype}{''.join(told)}"
