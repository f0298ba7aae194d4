"""Reads conda's command lines and environment files: a Python, packages of PyPI and packages of Debian."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from ..tables import join_pattern, read_table

__all__ = ["PROGRAMS", "CondaCall", "read_conda"]

PROGRAMS = frozenset({"conda", "mamba", "micromamba"})
TABLE = read_table("conda")
WITH_VALUE = frozenset[str](TABLE["with_value"])
LEFT_OUT = re.compile(join_pattern(TABLE["left_out"]))
RENAMED: dict[str, str] = TABLE["renamed"]
DEBIAN: dict[str, str] = TABLE["debian"]


@dataclass(frozen=True, slots=True)
class CondaCall:
    """What a command installs.

    Attributes:
        python: The version of Python.
        packages: Of PyPI.
        debian: Packages of Debian.
        left_out: Packages that the build needs no counterpart of.
        pip: Requirements of the file's pip section.
        done: Whether the command only sets up conda or an environment.
        rest: The command of `conda run`.
        file: A file that is missing.
        specs: All packages in conda's notation.
        channels: In conda's notation.
    """

    python: str | None = None
    packages: tuple[str, ...] = ()
    debian: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    done: bool = False
    rest: tuple[str, ...] = ()
    file: str | None = None
    specs: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


@dataclass(slots=True)
class _Found:
    python: str | None = None
    packages: list[str] = field(default_factory=list[str])
    debian: list[str] = field(default_factory=list[str])
    left_out: list[str] = field(default_factory=list[str])
    pip: list[str] = field(default_factory=list[str])
    specs: list[str] = field(default_factory=list[str])
    channels: list[str] = field(default_factory=list[str])

    def add(self, text: str) -> None:
        """Add a package in conda's notation: channel::name=version=build, or name>=version."""
        spec = text.rpartition("::")[2].strip().strip("'\"")
        self.specs.append(text.strip().strip("'\""))
        name, bounds = (re.split(r"[\s=<>!~\[]", spec, maxsplit=1) + [""])[0].lower(), ""
        if found := re.match(r"[\w.-]+\s*(==?|[<>!~]=?.*)\s*([\w.*+!-]*)", spec):
            bounds = _bounds(found[1], found[2])
        if name == "python":
            version = re.search(r"3\.\d+(\.\d+)?", spec)
            self.python = version[0] if version else self.python
        elif name in ("pip", "setuptools", "wheel", ""):
            pass
        elif name in DEBIAN:
            self.debian.append(DEBIAN[name])
        elif LEFT_OUT.fullmatch(name):
            self.left_out.append(name)
        else:
            self.packages.append(RENAMED.get(name, name) + bounds)

    def call(self, file: str | None = None) -> CondaCall:
        return CondaCall(
            self.python, tuple(self.packages), tuple(self.debian), tuple(self.left_out), tuple(self.pip), file=file,
            specs=tuple(self.specs), channels=tuple(self.channels),
        )  # fmt: skip


def _bounds(operator: str, version: str) -> str:
    """Return pip's bounds for conda's: = is a prefix there."""
    if not operator.startswith("="):
        return operator + version
    if not version or version == "*":
        return ""
    exact = operator == "==" or version.endswith("*") or version.count(".") > 1
    return f"=={version}" if exact else f"=={version}.*"


def read_conda(words: Sequence[str], read_file: Callable[[str], str | None]) -> CondaCall | None:
    """Read `conda create`, `install`, `env create`, `env update`, `run` and others.

    Args:
        words: Behind `conda`.
        read_file: Returns the text of a file that the command names, or None.

    Returns:
        What it installs, or None for an unknown command.

    Raises:
        ValueError: An environment file is not YAML.
    """
    action, rest = _action(words)
    if action == "run":
        return CondaCall(rest=tuple(rest))
    if action in ("create", "install", "env create", "env update"):
        found, packages, files = _Found(), list[str](), list[str]()
        skip = ""
        for word in rest:
            if skip:
                files += [word] * (skip in ("-f", "--file"))
                found.channels += [word] * (skip in ("-c", "--channel"))
                skip = ""
            elif word in WITH_VALUE:
                skip = word
            elif word.startswith("--file="):
                files.append(word.partition("=")[2])
            elif word.startswith("--channel="):
                found.channels.append(word.partition("=")[2])
            elif not word.startswith("-"):
                packages.append(word)
        if action.startswith("env") and not files:
            files = ["environment.yml"] if read_file("environment.yml") is not None else ["environment.yaml"]
        for file in files:
            text = read_file(file)
            if text is None:
                return CondaCall(file=file)
            _read_file(file, text, found)
        for package in packages:
            found.add(package)
        return found.call()
    if action in ("activate", "deactivate", "init", "clean", "config", "update", "info", "list", "upgrade", "remove",
                  "uninstall", "shell", "env list", "--version", "-V", ""):  # fmt: skip
        return CondaCall(done=True)
    return None


def _action(words: Sequence[str]) -> tuple[str, list[str]]:
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] not in ("--version", "-V"):
        rest = rest[1:]
    if not rest:
        return "", []
    action, rest = rest[0], rest[1:]
    if action == "env" and rest:
        action, rest = f"env {rest[0]}", rest[1:]
    if action == "run":
        while rest and rest[0].startswith("-"):
            rest = rest[2:] if rest[0] in WITH_VALUE else rest[1:]
    return action, rest


def _read_file(name: str, text: str, found: _Found) -> None:
    """Read a list of packages, or an environment file with pip's list inside."""
    if not name.endswith((".yml", ".yaml")):
        for line in text.splitlines():
            if line.strip() and not line.lstrip().startswith(("#", "@")):
                found.add(line.strip())
        return
    try:
        content: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{name} is not YAML: {error}") from None
    environment = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    found.channels += map(str, environment.get("channels") or ())
    for entry in environment.get("dependencies") or ():
        if not isinstance(entry, dict):
            found.add(str(entry))
            continue
        for line in cast("dict[str, Any]", entry).get("pip") or ():
            found.pip += str(line).split(None, 1) if str(line).startswith("-") else [str(line)]
