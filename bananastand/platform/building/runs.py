"""What a RUN line means where there is no container: what pip does, what is left out, and what is run, on which paths.

Knows which programs may run on this machine with their paths led into the build's own tree; runs nothing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from .errors import NotHonoured
from .shell import Command, ShellError, Word, commands, edited

__all__ = ["ROOT", "Run", "read_run"]

ROOT = "BANANASTAND_ROOT"  # the variable that holds the tree a path like /app is in
HERE = ("/dev/", "/proc/", "/sys/")  # this machine's own, also for a build
PYTHON = re.compile(r"python(?:3(?:\.\d+)?)?")
PIP = re.compile(r"pip(?:3(?:\.\d+)?)?")
# They set up the system that an image is; here that is this machine, which a build does not change.
LEFT_OUT = frozenset(
    {"add-apt-repository",         "addgroup",         "adduser",         "apk",         "apt",         "apt-get",
    "apt-key",         "chgrp",         "chown",         "dnf",         "dpkg",         "dpkg-reconfigure",
    "groupadd",         "ldconfig",         "locale-gen",         "microdnf",         "source",
    "update-alternatives",         "update-ca-certificates",         "useradd",         "usermod",         "yum",
    "zypper",         ".",}
)  # fmt: skip
RUNS = frozenset(
    {"[",         ":",         "basename",         "cat",         "cd",         "chmod",         "cp",
    "curl",         "cut",         "date",         "dirname",         "echo",         "env",         "exit",
    "export",         "false",         "file",         "find",         "git",         "grep",         "gunzip",
    "gzip",         "head",         "hf",         "huggingface-cli",         "id",         "install",
    "ln",         "ls",         "md5sum",         "mkdir",         "mktemp",         "mv",         "printf",
    "pwd",         "read",         "realpath",         "rm",         "rmdir",         "sed",         "set",
    "sha256sum",         "sleep",         "sort",         "tail",         "tar",         "tee",         "test",
    "touch",         "tr",         "true",         "umask",         "uname",         "uniq",         "unset",
    "unzip",         "wc",         "wget",         "which",         "zip",}
)  # fmt: skip
# Their first word that is no option is a pattern, which may begin with / and be no path.
PATTERNS = frozenset({"grep", "sed", "tr", "cut", "echo", "printf"})
AND_NOW = "build it with the container builder, or do it in Python"


@dataclass(slots=True)
class Run:
    """A RUN line, read. line: what is left of it for the shell, empty if nothing."""

    line: str
    pip: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    assignments: dict[str, str] = field(default_factory=dict[str, str])  # before pip: PIP_CONFIG_FILE=...
    left_out: list[str] = field(default_factory=list[str])
    environments: list[str] = field(default_factory=list[str])  # folders that the line makes virtual environments in
    programs: set[str] = field(default_factory=set[str])  # that are not known here: a console script, perhaps


def read_run(number: int, text: str, known: Callable[[str], str | None]) -> Run:
    """Read the shell line of RUN at a Dockerfile's line. known: the value of a variable. Raises NotHonoured."""
    run, changes, quiet = Run(text), list[tuple[int, int, str]](), 0
    try:
        found = commands(text)
    except ShellError as error:
        raise NotHonoured(number, f"RUN with {error} is not understood without a container; {AND_NOW}") from None
    for command in found:
        if command.words and _taken(number, text, command, run, known):
            # What a left out command was redirected to stays empty, as far as a later line looks.
            changes.append((command.start, command.end, ":"))
            quiet += 1
            continue
        changes += _paths(command)
    if any(start < other < end for start, end, _ in changes for other, _, _ in changes):
        raise NotHonoured(number, f"RUN with a command inside one that is not run is not understood; {AND_NOW}")
    run.line = edited(text, changes) if quiet < len(found) else ""
    return run


def _taken(number: int, text: str, command: Command, run: Run, known: Callable[[str], str | None]) -> bool:
    """Whether the command is not for the shell: pip's, a virtual environment's, or left out."""
    name = command.name
    if name is None:
        raise NotHonoured(number, f"RUN {command.words[0].text}: its program is not known before it runs; {AND_NOW}")
    words = [_value(word, known) for word in command.words]
    program = name.rpartition("/")[2]
    if PYTHON.fullmatch(program) and words[1:3] == ["-m", "pip"]:
        program, words = "pip", words[2:]
    elif program == "uv" and words[1:2] == ["pip"]:
        program, words = "pip", [each for each in words[1:] if each != "--system"]
    if PIP.fullmatch(program):
        return _pip(number, words[1:], command, run, known)
    if (PYTHON.fullmatch(program) and words[1:3] == ["-m", "venv"]) or program == "virtualenv":
        run.environments += [each for each in words[1:] if each and not each.startswith("-") and each != "venv"]
        return True
    if program in LEFT_OUT:
        run.left_out.append(" ".join(text[command.start : command.end].split()))
        return True
    if not (PYTHON.fullmatch(program) or program in RUNS):
        run.programs.add(program)
    return False


def _pip(number: int, words: list[str | None], command: Command, run: Run, known: Callable[[str], str | None]) -> bool:
    if any(word is None for word in words):
        raise NotHonoured(number, f"RUN pip with a word only the shell knows is not understood; {AND_NOW}")
    said = [word for word in words if word is not None]
    action = next((word for word in said if not word.startswith("-")), "")
    if action in ("install", "uninstall"):
        run.pip.append(tuple(said))
        for word in command.assignments:
            name, _, value = (_value(word, known) or "").partition("=")
            run.assignments[name] = value
    elif action not in ("cache", "check", "config", "debug", "freeze", "list", "show", ""):
        raise NotHonoured(number, f"RUN pip {action} is not honoured; {AND_NOW}")
    return True


def _value(word: Word, known: Callable[[str], str | None]) -> str | None:
    """What the shell will make of a word, with plain variables from ARG and ENV put in."""
    if word.literal is not None:
        return word.literal
    text = re.sub(r"\$(?:(\w+)|\{(\w+)\})", lambda each: _shown(known(each[1] or each[2]), each[0]), word.text)
    try:
        parts = shlex.split(text)
    except ValueError:
        return None
    return parts[0] if len(parts) == 1 and not re.search(r"[$`*?\[]", text) else None


def _shown(value: str | None, otherwise: str) -> str:
    return otherwise if value is None else value


def _paths(command: Command) -> list[tuple[int, int, str]]:
    """Changes that lead the command's absolute paths into the build's tree, and its program to this machine's."""
    changes, words = list[tuple[int, int, str]](), command.words[1:]
    name = (command.name or "").rpartition("/")[2]
    if command.words and "/" in (command.name or "") and (PYTHON.fullmatch(name) or name in RUNS):
        changes.append((command.words[0].start, command.words[0].end, name))
    elif not (PYTHON.fullmatch(name) or name in RUNS):
        words = command.words
    if name in PATTERNS:
        options = [word for word in words if word.text.startswith("-")]
        patterns = [word for word in words if not word.text.startswith("-")]
        words = options + (patterns[1:] if name in ("grep", "sed") else [])
    if name == "install":
        changes += [(word.start, word.end, "") for word in words if re.match(r"--(owner|group)=", word.text)]
        words = [word for word in words if not re.match(r"--(owner|group)=", word.text)]
    if PYTHON.fullmatch(name) and any(word.text == "-c" for word in words):
        words = []
    for word in (*command.assignments, *words, *command.files):
        start = _start_of_path(word)
        if start is not None:
            changes.append((start, start + 1, _lead(word.text, start - word.start)))
    return changes


def _start_of_path(word: Word) -> int | None:
    """Where an absolute path begins in a word: at once, after NAME= or after --option=."""
    found = re.match(r"(?:[A-Za-z_]\w*=|--?[A-Za-z][\w-]*=)?['\"]?(?=/)", word.text)
    if found is None or word.text[found.end() :].startswith(("//", *HERE)):
        return None
    return word.start + found.end()


def _lead(text: str, at: int) -> str:
    """The variable of the tree and a slash, for a word unquoted, in " or in '."""
    before = text[at - 1 : at]
    return f"${ROOT}/" if before == '"' else f"'\"${ROOT}\"'/" if before == "'" else f'"${ROOT}"/'
