"""Takes the tables of a card apart, so strictly that every complaint names file, line and key.

Knows TOML and kinds of values; which keys a card has is `card.py`'s business.
"""

import math
import re
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

T = TypeVar("T")
KINDS: dict[type, str] = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
QUOTES = "\"'"


class CardError(Exception):
    """A card that cannot be used, or a model that has none; the text names file, line and key."""


class Table:
    """One table of a card. `known` lists the keys it may have; empty, any key may stand in it."""

    def __init__(self, path: Path, text: str, name: str, values: dict[str, Any], known: Collection[str] = ()):
        self.path, self.text, self.name, self.values = path, text, name, values
        for key in values:  # a misspelt limit must not pass for no limit
            self.check(not known or key in known, key, f"unknown key; known keys are {', '.join(known)}")

    def get(self, key: str, kind: type[T], default: T | None = None) -> T:
        """A value of that kind. A whole number may stand for a float; a bool is no number."""
        if key not in self.values:
            return self.fail(key, f"missing; it must be {KINDS[kind]}") if default is None else default
        value: Any = self.values[key]
        if kind is float and type(value) is int:
            value = float(value)
        finite = not isinstance(value, float) or math.isfinite(value)
        self.check(type(value) is kind and finite, key, f"must be {KINDS[kind]}, not {value!r}")
        return cast(T, value)

    def positive(self, key: str, default: int | None = None) -> int:
        """A whole number from 1."""
        number = self.get(key, int, default)
        self.check(number >= 1, key, f"must be at least 1, not {number}")
        return number

    def optional(self, key: str) -> str | None:
        """A string that says something, or None where the card does not have the key."""
        text = self.get(key, str) if key in self.values else None
        self.check(text != "", key, "must not be empty; leave the key out instead")
        return text

    def pair(self, key: str, default: tuple[int, int] | None = None) -> tuple[int, int]:
        """[width, height] in pixels."""
        if key not in self.values and default:
            return default
        sides: Any = self.values.get(key)
        if not isinstance(sides, list) or [type(side) for side in cast(list[Any], sides)] != [int, int]:
            self.fail(key, f"must be [width, height] in whole pixels, not {sides!r}")
        width, height = cast(list[int], sides)
        return width, height

    def table(self, key: str, known: Collection[str] = (), optional: bool = False) -> "Table":
        """The table under that key; an optional one that is not there is empty."""
        values = self.values.get(key, {} if optional else None)
        if not isinstance(values, dict):
            self.fail(key, "missing; it must be a table" if values is None else f"must be a table, not {values!r}")
        return Table(self.path, self.text, key, cast(dict[str, Any], values), known)

    def check(self, holds: bool, key: str, message: str) -> None:
        if not holds:
            self.fail(key, message)

    def fail(self, key: str, message: str) -> NoReturn:
        dotted = f"{self.name}.{key}" if self.name else key
        raise CardError(f"{place(self.path, line_of(self.text, dotted))}: {dotted}: {message}")


def read_table(path: Path, known: Collection[str]) -> Table:
    """The whole file as one table."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CardError(f"{place(path)}: cannot be read: {error}") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Only newer Pythons give the error a lineno; all of them write it into the text.
        line = re.search(r"at line (\d+)", str(error))
        raise CardError(f"{place(path, int(line[1]) if line else None)}: not valid TOML: {error}") from error
    return Table(path, text, "", values, known)


def line_of(text: str, dotted: str) -> int | None:
    """The line of a key, else that of the table it should stand in; tomllib keeps no line numbers."""
    table, lines = "", dict[str, int]()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            table = header[1]
            lines.setdefault(table, number)
        elif key := re.match(r"""\s*("[^"]*"|'[^']*'|[\w.-]+)\s*=""", line):
            lines.setdefault(f"{table}.{key[1].strip(QUOTES)}".removeprefix("."), number)
    return lines.get(dotted) or lines.get(dotted.partition(".")[0])


def place(path: Path, line: int | None = None) -> str:
    """file:line, the file as a reader would type it from here."""
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown}:{line}" if line else str(shown)
