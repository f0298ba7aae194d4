"""Reads a Dockerfile into stages and instructions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ..errors import DockerfileError
from .variable_expansion import BadSubstitution, expand_variables, expand_words

__all__ = ["Dockerfile", "Heredoc", "Instruction", "Stage", "parse"]

LARGEST = 2**20  # characters of a Dockerfile
KNOWN = frozenset(
    {"ADD",         "ARG",         "CMD",         "COPY",         "ENTRYPOINT",         "ENV",         "EXPOSE",
    "FROM",         "HEALTHCHECK",         "LABEL",         "MAINTAINER",         "ONBUILD",         "RUN",
    "SHELL",         "STOPSIGNAL",         "USER",         "VOLUME",         "WORKDIR",}
)  # fmt: skip
FLAGGED = frozenset({"ADD", "COPY", "FROM", "HEALTHCHECK", "RUN"})
FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(\S*))?(?:\s+|$)")
DIRECTIVE = re.compile(r"#\s*([a-zA-Z]+)\s*=\s*(.*?)\s*$")
HEREDOC = re.compile(r"(?<!<)<<(-?)(['\"]?)([A-Za-z_][A-Za-z0-9_.]*)\2(?=\s|$)")
AS = re.compile(r"(?P<image>\S+)(?:\s+as\s+(?P<name>[a-z][a-z0-9_.-]*))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Heredoc:
    """The lines between <<NAME and NAME; `expand` says whether variables in it are replaced."""

    name: str
    body: str
    expand: bool


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its name in capitals, its flags (`--mount` may be repeated), and the rest on one line."""

    line: int
    name: str
    flags: tuple[tuple[str, str], ...]
    value: str
    heredocs: tuple[Heredoc, ...] = ()

    @property
    def text(self) -> str:
        """The instruction on one line."""
        flags = "".join(f"--{key}{'=' + value if value else ''} " for key, value in self.flags)
        return f"{self.name} {flags}{' '.join(self.value.split())}"

    def flag(self, name: str) -> str | None:
        """Return the last value of a flag."""
        return dict(self.flags).get(name)

    def exec_form(self) -> tuple[str, ...] | None:
        """Return the words of the JSON form, or None for the shell form."""
        if not self.value.startswith("["):
            return None
        try:
            listed: Any = json.loads(self.value)
        except ValueError:
            return None  # as Docker does: [ is then a command
        items = cast("list[Any]", listed) if isinstance(listed, list) else list[Any]([None])
        if not all(isinstance(item, str) for item in items):
            raise DockerfileError(self.line, f"{self.name} takes a list of texts")
        return tuple(str(item) for item in items)

    def words(self, values: Mapping[str, str], escape: str = "\\") -> list[str]:
        """Return the words of the value with variables replaced. Raises DockerfileError."""
        try:
            return expand_words(self.value, values, escape)
        except BadSubstitution as error:
            raise DockerfileError(self.line, str(error)) from None

    def pairs(self, values: Mapping[str, str], escape: str = "\\") -> list[tuple[str, str | None]]:
        """Return names and values of ENV or ARG, None for a name alone; `ENV name rest of the line` is one pair."""
        if self.name == "ENV" and re.match(r"[^\s='\"]+\s", self.value):
            name, rest = self.value.split(None, 1)
            try:
                return [(name, expand_variables(rest, values, escape))]
            except BadSubstitution as error:
                raise DockerfileError(self.line, str(error)) from None
        known, found = dict(values), list[tuple[str, str | None]]()
        for word in self.words(known if self.name == "ARG" else values, escape):
            name, equals, value = word.partition("=")
            if not name or (not equals and self.name == "ENV"):
                raise DockerfileError(self.line, f"{self.name} takes NAME=VALUE, not {word!r}")
            found.append((name, value if equals else None))
        return found


@dataclass(frozen=True, slots=True)
class Stage:
    """FROM and the instructions up to the next one; `base` is an image or the name of an earlier stage."""

    index: int
    line: int
    name: str | None
    base: str
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A Dockerfile.

    Attributes:
        stages: In their order.
        arguments: ARGs before the first FROM that have a value.
        escape: The escape character.
        declared: The names of all ARGs before the first FROM.
    """

    stages: tuple[Stage, ...]
    arguments: dict[str, str] = field(default_factory=dict[str, str])
    escape: str = "\\"
    declared: frozenset[str] = frozenset()

    def stage(self, name: str, before: int) -> Stage | None:
        """Return the stage that `FROM name` or `--from=name` means at stage `before`, or None for an image."""
        for stage in reversed(self.stages[:before]):
            if stage.name == name.lower():
                return stage
        return self.stages[int(name)] if name.isdigit() and int(name) < before else None

    def spans(self, stage: Stage, last: int) -> Iterator[tuple[Instruction, int, int]]:
        """Yield a stage's instructions with their first line and the line after them; `last` is the text's last."""
        following = self.stages[stage.index + 1 :]
        starts = [*(line.line for line in stage.instructions), following[0].line if following else last + 1]
        for instruction, after in zip(stage.instructions, starts[1:], strict=True):
            yield instruction, instruction.line, after

    def needed(self) -> list[Stage]:
        """Return the last stage and the stages it uses, in their order."""
        needed, open_ = set[int](), [self.stages[-1]]
        while open_:
            stage = open_.pop()
            if stage.index in needed:
                continue
            needed.add(stage.index)
            names = [stage.base]
            names += [value for instruction in stage.instructions for key, value in instruction.flags if key == "from"]
            names += [
                part.partition("=")[2]
                for instruction in stage.instructions for key, value in instruction.flags if key == "mount"
                for part in value.split(",") if part.startswith("from=")
            ]  # fmt: skip
            open_ += [found for name in names if (found := self.stage(name, stage.index)) is not None]
        return [self.stages[index] for index in sorted(needed)]


def parse(text: str, arguments: Mapping[str, str] | None = None) -> Dockerfile:
    """Read a Dockerfile.

    Args:
        text: Of the file.
        arguments: Values for ARG lines.

    Raises:
        DockerfileError: The text names the line.

    >>> parse("FROM python:3.11").stages[0].base
    'python:3.11'
    """
    if len(text) > LARGEST:
        raise DockerfileError(1, f"longer than {LARGEST} characters")
    overrides, globals_, declared = dict(arguments or {}), dict[str, str](), set[str]()
    escape = _escape(text)
    stages, current = list[tuple[Instruction, list[Instruction]]](), None
    for instruction in _instructions(text, escape):
        if instruction.name == "FROM":
            current = list[Instruction]()
            stages.append((instruction, current))
        elif current is not None:
            current.append(instruction)
        elif instruction.name == "ARG":
            for name, value in instruction.pairs(globals_, escape):
                declared.add(name)
                if name in overrides or value is not None:
                    globals_[name] = overrides.get(name, value or "")
        else:
            raise DockerfileError(instruction.line, f"{instruction.name} stands before the first FROM")
    if not stages:
        raise DockerfileError(1, "there is no FROM")
    read_stages = [_stage(at, line, tuple(body), globals_, escape) for at, (line, body) in enumerate(stages)]
    return Dockerfile(tuple(read_stages), globals_, escape, frozenset(declared))


def _stage(at: int, line: Instruction, body: tuple[Instruction, ...], known: dict[str, str], escape: str) -> Stage:
    found = AS.fullmatch(line.value)
    if found is None:
        raise DockerfileError(line.line, "FROM takes an image, and perhaps AS and a name")
    try:
        base = expand_variables(found["image"], known, escape)
    except BadSubstitution as error:
        raise DockerfileError(line.line, str(error)) from None
    if not base:
        raise DockerfileError(line.line, f"{found['image']} has no value; give its ARG a default before the first FROM")
    return Stage(at, line.line, found["name"].lower() if found["name"] else None, base, body)


def _escape(text: str) -> str:
    for line in text.splitlines():
        directive = DIRECTIVE.fullmatch(line)
        if directive is None:
            break
        if directive[1].lower() == "escape":
            if directive[2] not in ("\\", "`"):
                raise DockerfileError(1, "escape is \\ or `")
            return directive[2]
    return "\\"


def _instructions(text: str, escape: str) -> Iterator[Instruction]:
    lines = text.removeprefix("\ufeff").splitlines()
    continued = re.compile(re.escape(escape) + r"[ \t]*$")
    at = 0
    while at < len(lines):
        first, joined = at, lines[at].strip()
        at += 1
        if not joined or joined.startswith("#"):
            continue
        while continued.search(joined):
            joined = continued.sub("", joined)
            while at < len(lines) and (not lines[at].strip() or lines[at].lstrip().startswith("#")):
                at += 1  # a comment inside an instruction is none of it; an empty line is let pass, as Docker does
            if at >= len(lines):
                break
            joined += lines[at].rstrip()
            at += 1
        name, value = (re.split(r"\s+", joined, maxsplit=1) + [""])[:2]
        found, at = _heredocs(name.upper(), value, lines, at, first + 1)
        yield _instruction(first + 1, name, value.strip(), found)


def _heredocs(name: str, value: str, lines: list[str], at: int, line: int) -> tuple[tuple[Heredoc, ...], int]:
    found = list[Heredoc]()
    if name not in ("RUN", "COPY", "ADD") or value.lstrip().startswith("["):
        return (), at
    for dash, quote, word in HEREDOC.findall(value):
        body = list[str]()
        while True:
            if at >= len(lines):
                raise DockerfileError(line, f"<<{word} has no line {word} that ends it")
            text = lines[at].lstrip("\t") if dash else lines[at]
            at += 1
            if text == word:
                break
            body.append(text)
        found.append(Heredoc(word, "".join(f"{text_line}\n" for text_line in body), not quote))
    return tuple(found), at


def _instruction(line: int, name: str, value: str, heredocs: tuple[Heredoc, ...]) -> Instruction:
    upper, flags = name.upper(), list[tuple[str, str]]()
    if upper not in KNOWN:
        raise DockerfileError(line, f"{name} is no instruction")
    while upper in FLAGGED and (flag := FLAG.match(value)):
        flags.append((flag[1], flag[2] or ""))
        value = value[flag.end() :]
    if not value and upper != "LABEL":
        raise DockerfileError(line, f"{upper} says nothing")
    return Instruction(line, upper, tuple(flags), value, heredocs)
