"""Print progress on standard error, as much of it as the user asks for."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from bnn2hw.errors import InputError
from bnn2hw.progress import Progress, on_terminal, silent

KEY = "bnn2hw.volume"
"""Key of the volume in the context of a command and of those around it."""

QUIET, PLAIN, STEPS = -1, 0, 1
"""Volumes: results that were asked for, the same with reports, and all steps with their times."""


def with_volume(command: click.Command) -> click.Command:
    """Add -q and -v to a command, and to the commands of a group.

    Args:
        command: The command.
    """
    command.params += [
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=_set,
            help="Print results that were asked for, warnings and errors only.",
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            callback=_set,
            help="Print each step with its time on standard error; -vv also the log.",
        ),
    ]
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        with_volume(inner)
    return command


def _set(context: click.Context, option: click.Parameter, value: int) -> None:
    """Keep what an option of `with_volume` says.

    Raises:
        InputError: Another one says the opposite.
    """
    if not value:
        return
    volume = QUIET if option.name == "quiet" else int(value)
    if (context.meta.get(KEY, PLAIN) < 0) is not (volume < 0) and KEY in context.meta:
        raise InputError("give --quiet or --verbose, not both")
    context.meta[KEY] = volume


def volume() -> int:
    """Return how much the command that runs prints."""
    context = click.get_current_context(silent=True)
    return int(context.meta.get(KEY, PLAIN)) if context else PLAIN


def say(text: str, nl: bool = True) -> None:
    """Print a line of a report, which --quiet leaves out.

    Args:
        text: The line.
        nl: False if the text ends its line itself.
    """
    if volume() != QUIET:
        click.echo(text, nl=nl)


def note(text: str) -> None:
    """Print a remark on results: on standard error, so that standard output holds nothing but results.

    Nothing is printed with --quiet, or if standard error is no terminal.

    Args:
        text: The line.
    """
    if volume() != QUIET and sys.stderr.isatty():
        click.echo(text, err=True)


@contextmanager
def spinner(quiet: bool) -> Iterator[Progress]:
    """Show the name of each step next to a spinner on standard error, or all steps below each other.

    Args:
        quiet: Whether to show nothing, if nothing else was asked for. Nothing is shown either if standard
            error is not a terminal.
    """
    told = volume()
    if told >= STEPS:
        with _terminal() as terminal, _logged(terminal, told):
            yield _Steps(terminal)
        return
    if quiet or told == QUIET or not sys.stderr.isatty():
        yield silent
        return
    with _terminal() as terminal:
        yield from on_terminal(terminal)


@contextmanager
def _terminal() -> Iterator[TextIO]:
    """Open standard error once more: `frameworks.quiet` takes its descriptor away for a while."""
    try:
        copy = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1)
    except (OSError, ValueError, AttributeError):  # a stream without a descriptor, as tests have it
        yield sys.stderr
        return
    with copy:
        yield copy


@contextmanager
def _logged(terminal: TextIO, volume: int) -> Iterator[None]:
    """Print the log of bnn2hw: what matters to users, or all of it."""
    log, handler = logging.getLogger("bnn2hw"), logging.StreamHandler(terminal)
    before = log.level
    handler.setFormatter(logging.Formatter("          %(message)s"))
    log.setLevel(logging.DEBUG if volume > STEPS else logging.INFO)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


class _Steps:
    """Prints each step in a line, after the seconds since the start."""

    def __init__(self, terminal: TextIO) -> None:
        self.terminal, self.start = terminal, time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self.start:7.1f} s {text}", file=self.terminal)
