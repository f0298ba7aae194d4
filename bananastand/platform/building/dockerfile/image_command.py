"""Reads CMD and ENTRYPOINT: the program that starts the app, its folder and its variables.

A shell line such as `cd /app && python3 server.py` is read for what it starts, so that the app is a process of its own
and not a shell's. What cannot be read so is left to the shell.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..environments.conda import PROGRAMS as CONDA
from ..environments.conda import read_conda
from ..environments.lock_files import runner_words
from ..errors import DockerfileError
from .dockerfile import Instruction
from .shell import ShellError, parse_commands, parse_list

__all__ = ["ImageCommand", "exposed_port", "resolve_command", "read_image_command"]

SHELLS = frozenset({"sh", "bash", "dash"})
BANANAS = 8000  # the port on which Banana called an app
# They start a program as an image's first process, which a replica's is not.
INITS = frozenset({"tini", "dumb-init", "catatonit", "su-exec", "gosu"})


@dataclass(frozen=True, slots=True)
class ImageCommand:
    """A command.

    Attributes:
        words: The program and its arguments.
        folder: Its working directory, relative to WORKDIR.
        environment: Variables that the command sets.
        is_shell: Whether it is in shell form.
    """

    words: tuple[str, ...]
    folder: str = ""
    environment: dict[str, str] = field(default_factory=dict[str, str])
    is_shell: bool = False


def read_image_command(line: Instruction) -> ImageCommand:
    """Read a CMD or ENTRYPOINT line. Raises DockerfileError."""
    words = line.exec_form()
    return ImageCommand(("/bin/sh", "-c", line.value), is_shell=True) if words is None else ImageCommand(words)


def resolve_command(entrypoint: ImageCommand | None, command: ImageCommand | None, line: int) -> ImageCommand | None:
    """Return what an image with these starts, or None. Raises DockerfileError for an impossible program."""
    if entrypoint is not None and entrypoint.is_shell:
        command = None  # as Docker has it
    parts = [part for part in (entrypoint, command) if part is not None]
    words = tuple(word for part in parts for word in part.words)
    if not words:
        return None
    if re.search(r"\s", words[0]) and len(words) == 1:
        listed = ", ".join(f'"{word}"' for word in words[0].split())
        raise DockerfileError(line, f'CMD ["{words[0]}"] names one program of that whole name; write CMD [{listed}]')
    return _simple(words)


def _simple(words: Sequence[str]) -> ImageCommand:
    words = tuple(words)
    while words:
        name = posixpath.basename(words[0])
        if name in INITS and len(words) > 1:
            rest = words[2:] if name in ("su-exec", "gosu") else words[1:]
            while rest and rest[0].startswith("-"):
                rest = rest[1:]
            words = rest
        elif name in CONDA and (call := read_conda(words[1:], lambda _: None)) is not None and call.rest:
            words = call.rest
        elif name in SHELLS and len(words) >= 3 and re.fullmatch(r"-[elxu]*c", words[1]):
            return _read(words)
        elif name == "exec":
            words = words[1:]
        elif before := runner_words(words):
            words = words[len(before) :]
        else:
            break
    return ImageCommand(words)


def _read(words: tuple[str, ...]) -> ImageCommand:
    """Read a shell line of folders and variables before one plain command; any other stays the shell's."""
    shell = ImageCommand(("/bin/bash" if posixpath.basename(words[0]) == "bash" else "/bin/sh", *words[1:]))
    folder, variables = "", dict[str, str]()
    try:
        found = parse_list(words[2].strip())
        for at, piece in enumerate(found):
            (command,) = parse_commands(piece.text)
            literals = [word.literal for word in command.words]
            assignments = [word.literal for word in command.assignments]
            if piece.compound or command.files or None in literals or None in assignments or piece.connector == "||":
                return shell
            if "&" in piece.text.replace("&&", "") or "|" in piece.text:
                return shell
            plain = [word for word in literals if word is not None]
            for text in (*assignments, *(plain[1:] if plain[:1] == ["export"] else ())):
                name, equals, value = (text or "").partition("=")
                if not equals:
                    return shell
                variables[name] = value
            if at == len(found) - 1 and plain and plain[0] not in ("cd", "export"):
                inner = _simple(plain)
                place = posixpath.join(folder, inner.folder) if inner.folder else folder
                return ImageCommand(inner.words, place, {**variables, **inner.environment})
            if plain[:1] == ["cd"] and len(plain) == 2:
                folder = posixpath.join(folder, plain[1])
            elif plain and plain[0] != "export" and not _does_nothing(plain):
                return shell
    except (ShellError, ValueError):
        pass
    return shell


def _does_nothing(words: list[str]) -> bool:
    """Whether a command activates an environment, which the build has its own of."""
    if words[0] in ("source", "."):
        return any(name in words[1] for name in ("activate", "conda", ".bashrc")) if len(words) > 1 else False
    return words[0] in CONDA or words[:2] == ["ulimit", "-n"]


def exposed_port(words: Iterable[str]) -> int | None:
    """Return the port for callers among the words of EXPOSE, such as "8000/tcp": Banana's own, else the first one."""
    split = (word.partition("/") for word in words)
    ports = [int(port) for port, _, protocol in split if protocol != "udp" and port.isdecimal()]
    return BANANAS if BANANAS in ports else next(iter(ports), None)
