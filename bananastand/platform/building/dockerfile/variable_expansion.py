"""Expands the words of a Dockerfile's instruction: quotes, escapes and $VARIABLES with their defaults."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

__all__ = ["BadSubstitution", "expand_variables", "expand_words"]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-]")


class BadSubstitution(ValueError):
    """A ${...} cannot be read, or its value is required and missing (`${X:?why}`)."""


def expand_words(text: str, values: Mapping[str, str], escape: str = "\\") -> list[str]:
    """Split at blanks outside of quotes, replace variables and remove quotes. Raises BadSubstitution."""
    return _Reader(text, values, escape).words()


def expand_variables(text: str, values: Mapping[str, str], escape: str = "\\") -> str:
    """Replace variables and remove quotes in a text that is one word with its blanks. Raises BadSubstitution."""
    return _Reader(text, values, escape).word(blanks=False)


class _Reader:
    def __init__(self, text: str, values: Mapping[str, str], escape: str) -> None:
        self.text, self.values, self.escape, self.at = text, values, escape, 0

    def words(self) -> list[str]:
        found = list[str]()
        while True:
            while self.at < len(self.text) and self.text[self.at].isspace():
                self.at += 1
            if self.at >= len(self.text):
                return found
            found.append(self.word(blanks=True))

    def word(self, blanks: bool) -> str:
        """Read up to the next blank where blanks end a word, else to the end."""
        return self._until(lambda char: blanks and char.isspace())

    def _until(self, ends: Callable[[str], bool], in_quotes: bool = False) -> str:
        """Read up to a character that ends it, which stays, or to the end of the text."""
        parts = list[str]()
        while self.at < len(self.text) and not ends(char := self.text[self.at]):
            following = self.text[self.at + 1 : self.at + 2]
            if char == "$":
                parts.append(self._variable())
            elif char == self.escape and (not in_quotes or following in ('"', "$", self.escape)):
                parts.append(following)
                self.at += 2
            elif char == "'" and not in_quotes:
                parts.append(self._single())
            elif char == '"' and not in_quotes:
                self.at += 1
                parts.append(self._closed('"', 'a " is not closed', in_quotes=True))
            else:
                parts.append(char)
                self.at += 1
        return "".join(parts)

    def _closed(self, end: str, problem: str, in_quotes: bool = False) -> str:
        """Read up to `end` and past it. Raises BadSubstitution with `problem` where it is missing."""
        text = self._until(lambda char: char == end, in_quotes)
        if self.at >= len(self.text):
            raise BadSubstitution(problem)
        self.at += 1
        return text

    def _single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise BadSubstitution("a ' is not closed")
        inside, self.at = self.text[self.at + 1 : end], end + 1
        return inside

    def _variable(self) -> str:
        self.at += 1
        if self.text[self.at : self.at + 1] == "{":
            return self._braced()
        name = NAME.match(self.text, self.at)
        if name is None:
            return "$"
        self.at = name.end()
        return self.values.get(name[0], "")

    def _braced(self) -> str:
        name = NAME.match(self.text, self.at + 1)
        if name is None:
            raise BadSubstitution(f"{self.text[self.at - 1 : self.at + 12]} is no variable")
        self.at = name.end()
        value = self.values.get(name[0])
        operator = re.compile(r":?[-+?]|\}").match(self.text, self.at)
        if operator is None:
            raise BadSubstitution(f"${{{name[0]}{self.text[self.at : self.at + 5]} is not a form that is honoured here")
        self.at = operator.end()
        if operator[0] == "}":
            return value or ""
        other = self._closed("}", "a ${ is not closed")
        has_value = value is not None and (value != "" or ":" not in operator[0])
        if operator[0].endswith("+"):
            return other if has_value else ""
        if has_value:
            return value or ""
        if operator[0].endswith("?"):
            raise BadSubstitution(f"{name[0]}: {other or 'has no value'}")
        return other
