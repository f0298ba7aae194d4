"""Parses a shell line: its commands, their words, and the places at which words can be replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = [
    "ShellCommand",
    "ShellToken",
    "ListItem",
    "ShellError",
    "ShellWord",
    "parse_commands",
    "replace_spans",
    "parse_keywords",
    "parse_list",
]

OPERATOR = re.compile(r"&&|\|\||;;|[;|&()\n]")
REDIRECTION = re.compile(r"(?:\d*|&)(?:>>|>\||>&|<&|<>|<<<|<<-?|>|<)")
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
OPENING = frozenset({"if", "then", "elif", "else", "while", "until", "do", "{", "!", "time"})
CLOSING = frozenset({"fi", "done", "}"})
OPENS = frozenset({"if", "while", "until", "for", "case", "{"})
CLOSES = frozenset({"fi", "done", "esac", "}"})


class ShellError(ValueError):
    """The line uses syntax that this parser leaves to the shell."""


@dataclass(frozen=True, slots=True)
class ShellWord:
    """A word of a line; `literal` is its value, None where it depends on variables, commands or patterns."""

    text: str
    start: int
    literal: str | None

    @property
    def end(self) -> int:
        """The place after the word."""
        return self.start + len(self.text)


@dataclass(slots=True)
class ShellCommand:
    """A simple command: its NAME=value words, its words, and the files it is redirected to or from."""

    assignments: list[ShellWord] = field(default_factory=list["ShellWord"])
    words: list[ShellWord] = field(default_factory=list["ShellWord"])
    files: list[ShellWord] = field(default_factory=list["ShellWord"])

    @property
    def name(self) -> str | None:
        """The program, None where it is known only at run time."""
        return self.words[0].literal if self.words else None

    @property
    def start(self) -> int:
        """The place of its first word."""
        return min(word.start for word in (*self.assignments, *self.words, *self.files))

    @property
    def end(self) -> int:
        """The place after its last word."""
        return max(word.end for word in (*self.assignments, *self.words, *self.files))


@dataclass(frozen=True, slots=True)
class ShellToken:
    """An operator or a reserved word such as `if`; `depth` is 1 in an outermost compound command."""

    text: str
    start: int
    end: int
    depth: int


@dataclass(frozen=True, slots=True)
class ListItem:
    """A pipeline or compound command of a line, and the connector before it: &&, || or ;."""

    connector: str
    text: str
    compound: bool


def parse_commands(line: str) -> list[ShellCommand]:
    """Return all simple commands of a line in order, with those inside $(...). Raises ShellError."""
    return list(_commands(line, 0, len(line)))


def replace_spans(line: str, changes: list[tuple[int, int, str]]) -> str:
    """Return the line with spans from start to end replaced; spans must not overlap."""
    for start, end, text in sorted(changes, reverse=True):
        line = line[:start] + text + line[end:]
    return line


def parse_list(line: str) -> list[ListItem]:
    """Split the line at each &&, ||, ; and newline outside of compound commands. Raises ShellError."""
    found, start, before, compound = list[ListItem](), 0, "", False
    for token in [*_tokens(line), ShellToken(";", len(line), len(line), 0)]:
        if token.depth:
            compound = True
        elif token.text in ("&&", "||", ";", "\n"):
            text = line[start : token.start].strip()
            if text:
                found.append(ListItem(before, text, compound))
                before = ""
            connector = token.text if token.text in ("&&", "||") else ";"
            before = connector if found and text else before
            start, compound = token.end, False
    return found


def parse_keywords(line: str) -> list[ShellToken]:
    """Return the reserved words of a line that stand where a command begins. Raises ShellError."""
    return [token for token in _tokens(line) if token.text.isalpha()]


def _tokens(line: str) -> Iterator[ShellToken]:
    """Yield operators and reserved words with their depth in compound commands."""
    at, depth, first = 0, 0, True
    while at < len(line):
        if line[at] in " \t":
            at += 1
        elif line[at] == "#":
            at = line.find("\n", at) if "\n" in line[at:] else len(line)
        elif (redirection := REDIRECTION.match(line, at)) is not None:
            at, first = redirection.end(), False
        elif (operator := OPERATOR.match(line, at)) is not None:
            depth -= operator[0] == ")"
            yield ShellToken(operator[0], at, operator.end(), depth + (operator[0] == ")"))
            depth += operator[0] == "("
            at, first = operator.end(), operator[0] != ")"
        else:
            word = _word(line, at, len(line))
            own = first and word.text in OPENING | CLOSING | OPENS | CLOSES
            if own:
                depth += word.text in OPENS
                yield ShellToken(word.text, at, word.end, depth)
                depth -= word.text in CLOSES
            first = (own and word.text != "for") or (first and ASSIGNMENT.match(word.text) is not None)
            at = max(word.end, at + 1)


def _commands(line: str, at: int, end: int) -> Iterator[ShellCommand]:
    current, redirects = ShellCommand(), False
    while True:
        while at < end and line[at] in " \t":
            at += 1
        if at >= end or line[at] == "#":
            break
        if (redirection := REDIRECTION.match(line, at, end)) is not None:
            if redirection[0].endswith(("<<", "<<-", "<<<")):
                raise ShellError("a here-document inside a line")
            at, redirects = redirection.end(), True
            continue
        if (operator := OPERATOR.match(line, at, end)) is not None:
            if operator[0] == "(" and current.words:
                raise ShellError("a function")
            yield from _non_empty(current)
            current, at = ShellCommand(), operator.end()
            continue
        word = _word(line, at, end)
        yield from _inner(line, word)
        at = word.end
        if redirects:
            redirects = False
            current.files.append(word)
        elif not current.words and word.text in ("case", "function", "select", "[["):
            raise ShellError(f"{word.text!r}")
        elif not current.words and not current.assignments and word.text in OPENING | CLOSING:
            continue
        elif not current.words and word.text == "for":
            at = _after_for(line, at, end)
        elif not current.words and ASSIGNMENT.match(word.text):
            current.assignments.append(word)
        else:
            current.words.append(word)
    if redirects:
        raise ShellError("a redirection to nowhere")
    yield from _non_empty(current)


def _non_empty(command: ShellCommand) -> Iterator[ShellCommand]:
    if command.words or command.assignments or command.files:
        yield command


def _after_for(line: str, at: int, end: int) -> int:
    """Return the place after `for NAME in words`."""
    head = re.compile(r"\s*[A-Za-z_]\w*\s+in\b[^;\n]*").match(line, at, end)
    if head is None or "$(" in head[0] or "`" in head[0]:
        raise ShellError("'for'")
    return head.end()


def _word(line: str, start: int, end: int) -> ShellWord:
    at, literal, known = start, "", True
    while at < end:
        char = line[at]
        if char in " \t" or OPERATOR.match(line, at, end) or char in "<>":
            break
        if char == "'":
            close = line.find("'", at + 1, end)
            if close < 0:
                raise ShellError("a ' that is not closed")
            literal, at = literal + line[at + 1 : close], close + 1
        elif char == '"':
            inside, at, plain = _double(line, at + 1, end)
            literal, known = literal + inside, known and plain
        elif char == "\\":
            literal, at = literal + line[at + 1 : at + 2], at + 2
        elif char in "$`":
            at, known = _expansion(line, at, end), False
        else:
            known = known and char not in "*?["  # what a pattern becomes, only the shell knows
            literal, at = literal + char, at + 1
    return ShellWord(line[start:at], start, literal if known or literal == "[" else None)


def _double(line: str, at: int, end: int) -> tuple[str, int, bool]:
    literal, plain = "", True
    while at < end:
        char = line[at]
        if char == '"':
            return literal, at + 1, plain
        if char == "\\":
            literal, at = literal + line[at + 1 : at + 2], at + 2
        elif char in "$`":
            at, plain = _expansion(line, at, end), False
        else:
            literal, at = literal + char, at + 1
    raise ShellError('a " that is not closed')


def _expansion(line: str, at: int, end: int) -> int:
    """Return the place after $NAME, ${...}, $(...) or $((...))."""
    if line[at] == "`":
        raise ShellError("` (write $(...) instead)")
    opening = line[at + 1 : at + 2]
    if opening not in ("{", "("):
        return at + 1
    closing, depth, at = {"{": "}", "(": ")"}[opening], 0, at + 1
    while at < end:
        char = line[at]
        if char == "\\":
            at += 1
        elif char == "'":
            at = line.find("'", at + 1, end)
            if at < 0:
                break
        elif char == '"':
            _, at, _ = _double(line, at + 1, end)
            continue
        elif char == opening:
            depth += 1
        elif char == closing:
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    raise ShellError(f"a ${opening} that is not closed")


def _inner(line: str, word: ShellWord) -> Iterator[ShellCommand]:
    """Yield the commands inside a word's $(...)."""
    at, quoted = word.start, False
    while at < word.end:
        char = line[at]
        if char == "\\":
            at += 1
        elif char == '"':
            quoted = not quoted
        elif char == "'" and not quoted:
            at = line.find("'", at + 1, word.end)
        elif char == "$" and line.startswith("$(", at):
            after = _expansion(line, at, word.end)
            if not line.startswith("$((", at):
                yield from _commands(line, at + 2, after - 1)
            at = after
            continue
        elif char == "$" and line.startswith("${", at):
            after = _expansion(line, at, word.end)
            if "$(" in line[at:after]:
                raise ShellError("a $( inside a ${")
            at = after
            continue
        at += 1
