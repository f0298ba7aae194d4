"""The arguments of a pip command: options with their values, and operands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..tables import read_table

__all__ = ["EDITABLE", "FILES", "FIND_LINKS", "IGNORED", "REQUIREMENTS", "VALUES", "PipArgument", "pip_arguments"]

REQUIREMENTS = ("-r", "--requirement")
CONSTRAINTS = ("-c", "--constraint")
FILES = (*REQUIREMENTS, *CONSTRAINTS)
EDITABLE = ("-e", "--editable")
FIND_LINKS = ("-f", "--find-links")
TABLE = read_table("pip_options")
VALUES, IGNORED = frozenset[str](TABLE["values"]), frozenset[str](TABLE["ignored"])
OTHER_VALUES = frozenset[str](TABLE["other_values"])


@dataclass(frozen=True, slots=True)
class PipArgument:
    """An option and its value, or an operand.

    Attributes:
        option: As written, without its value; empty for an operand.
        value: Of the option, or the operand; empty for an option without a value.
        words: As written, one or two.
    """

    option: str
    value: str
    words: tuple[str, ...]


def pip_arguments(words: Sequence[str]) -> Iterator[PipArgument]:
    """Split the words behind `pip` into arguments.

    >>> [(argument.option, argument.value) for argument in pip_arguments(["install", "-rr.txt", "-c", "c.txt", "-U"])]
    [('', 'install'), ('-r', 'r.txt'), ('-c', 'c.txt'), ('-U', '')]
    """
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if not word.startswith("-"):
            yield PipArgument("", word, (word,))
        elif equals:
            yield PipArgument(option, value, (word,))
        elif word in VALUES or word in FILES or word in EDITABLE or word in OTHER_VALUES:
            following = next(rest, "")
            yield PipArgument(word, following, (word, following) if following else (word,))
        elif re.match(r"-[rc].", word):
            yield PipArgument(word[:2], word[2:], (word,))
        else:
            yield PipArgument(word, "", (word,))
