"""Splits a RUN line into steps for the shell and for the builder, which installs packages itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from .shell import ShellCommand, ShellError, parse_commands, parse_keywords, parse_list

__all__ = ["IfStep", "ShellStep", "may_fail", "split_steps"]

Connector = Literal["", "&&", "||", ";"]


@dataclass(frozen=True, slots=True)
class IfStep:
    """`if test; then ...; else ...; fi` with a step of the builder inside."""

    test: str
    then: tuple[ShellStep, ...]
    otherwise: tuple[ShellStep, ...]


@dataclass(frozen=True, slots=True)
class ShellStep:
    """A part of a line for the shell or the builder, and the connector before it."""

    connector: str
    text: str
    condition: IfStep | None = None


def split_steps(text: str, is_own: Callable[[ShellCommand], bool]) -> tuple[ShellStep, ...]:
    """Split a line.

    Args:
        text: The line.
        is_own: Whether the builder does a command itself.

    Raises:
        ShellError: The line cannot be read.

    >>> [step.text for step in split_steps("cd x && pip install . && cd ..", lambda command: command.name == "pip")]
    ['cd x', 'pip install .', 'cd ..']
    """
    # open: whether the last step is one of the shell's that may go on. own_before: whether the builder does a command
    # of the list that a `||` goes with, as in `pip install x && y || z`, where z also stands in for pip.
    found, open_, own_before = list[ShellStep](), False, False
    for piece in parse_list(text):
        own = any(is_own(command) for command in parse_commands(piece.text))
        condition = _condition(piece.text, is_own) if own and piece.compound else None
        own_before = own_before and piece.connector in ("&&", "||")
        if not own and open_ and not (own_before and piece.connector == "||"):
            last = found.pop()
            between = "\n" if piece.connector == ";" else f" {piece.connector} "
            found.append(ShellStep(last.connector, f"{last.text}{between}{piece.text}"))
        else:
            found.append(ShellStep(piece.connector if found else "", piece.text, condition))
        open_, own_before = not own, own_before or own
    return tuple(found)


def may_fail(found: Sequence[ShellStep], at: int, strict: bool) -> bool:
    """Whether a line goes on where one of its steps fails.

    Args:
        found: The steps.
        at: The place of the step.
        strict: Whether `set -e` holds.

    >>> line = split_steps("pip install x || true", lambda command: command.name == "pip")
    >>> may_fail(line, 0, False), may_fail(line, 1, False)
    (True, False)
    """
    for step in found[at + 1 :]:
        if step.connector == "||":
            return True
        if step.connector == ";":
            return not strict
    return False


def _condition(text: str, is_own: Callable[[ShellCommand], bool]) -> IfStep | None:
    """Return the parts of an `if` without elif, or None for any other command."""
    marks = [mark for mark in parse_keywords(text) if mark.depth == 1]
    names = [mark.text for mark in marks]
    if names not in (["if", "then", "fi"], ["if", "then", "else", "fi"]) or text[marks[-1].end :].strip():
        return None
    between = [_trimmed(text[one.end : two.start]) for one, two in zip(marks, marks[1:], strict=False)]
    try:
        if any(is_own(command) for command in parse_commands(between[0])):
            return None
        return IfStep(
            between[0], split_steps(between[1], is_own), split_steps(between[2], is_own) if len(between) == 3 else ()
        )  # fmt: skip
    except ShellError:
        return None


def _trimmed(text: str) -> str:
    return re.sub(r"[\s;]+$", "", text).strip()
