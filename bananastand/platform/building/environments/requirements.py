"""What a `pip install` asks for: its requirements, its constraints, and where each of them is written."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .pip_arguments import FILES, IGNORED, REQUIREMENTS, VALUES, pip_arguments

__all__ = ["PipCall", "read_requirements"]

INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)[\s=]*(.+)")


@dataclass(frozen=True, slots=True)
class PipCall:
    """One `pip install` or `pip uninstall`.

    Attributes:
        words: Behind `pip`.
        cwd: The folder it runs in.
        tree: The root file system that the folder is in.
        environment: Variables for it.
        line: Of the Dockerfile.
    """

    words: tuple[str, ...]
    cwd: Path
    tree: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    line: int | None = None

    def places(self) -> Iterator[tuple[str, str]]:
        """Yield where each requirement stands, a file and its line or a line of the Dockerfile, and the requirement."""
        for argument in pip_arguments([word for word in self.words if word not in ("install", "uninstall")]):
            if argument.option in FILES:
                yield from _lines_of(self.cwd / argument.value, self.cwd)
            elif not argument.option:
                place = f"Dockerfile line {self.line}" if self.line else f"pip install {argument.value}"
                yield place, argument.value

    def read(self) -> tuple[list[str], list[str], list[str]]:
        """Return requirements, constraints and words that are not understood; included files are followed."""
        requirements, constraints, unknown = list[str](), list[str](), list[str]()
        action = ""
        for argument in pip_arguments(self.words):
            if not argument.option and not action:
                action = argument.value
                unknown += [action] if action != "install" else []
            elif not argument.option:
                requirements.append(argument.value)
            elif argument.option in FILES:
                lines = requirements if argument.option in REQUIREMENTS else constraints
                lines += self._lines(argument.value, unknown)
            elif argument.option not in VALUES and argument.words[0] not in IGNORED:
                unknown.append(argument.words[0])
        return requirements, constraints, unknown

    @property
    def is_hashed(self) -> bool:
        """Whether pip checks hashes: every package is pinned then, and no other version may take its place."""
        if "--require-hashes" in self.words:
            return True
        files = {self.cwd / argument.value for argument in pip_arguments(self.words) if argument.option in FILES}
        return any("--hash=" in read_requirements(file) for file in files if file.is_file())

    def digest(self) -> str:
        """Return a digest of the words and of the contents of the files that they name."""
        sha = hashlib.sha256()
        for argument in pip_arguments(self.words):
            for word in argument.words:  # the root file system's place differs from build to build
                sha.update(word.replace(self.tree.rstrip("/") or "\0", "").encode() + b"\0")
            if argument.option in FILES or not argument.option:
                for content in _contents(self.cwd / argument.value):
                    sha.update(content + b"\0")
        return sha.hexdigest()

    def _lines(self, file: str, unknown: list[str], depth: int = 0) -> Iterator[str]:
        path = self.cwd / file
        if depth > 8 or not path.is_file():
            unknown.append(file)
            return
        text = read_requirements(path).replace("\\\n", " ")
        for line in text.splitlines():
            line = re.sub(r"(^|\s)#.*$", "", line).strip()
            if nested := INCLUDE.match(line):
                if line.startswith(("-c", "--c")):
                    unknown.append(line)  # a constraint inside a requirements file
                else:
                    yield from self._lines(os.path.join(os.path.dirname(file), nested[1]), unknown, depth + 1)
            elif line.startswith("-"):
                if line.split()[0].partition("=")[0] not in VALUES | IGNORED:
                    unknown.append(line)
            elif line:
                yield re.split(r"\s--hash=", line)[0].strip()


def read_requirements(path: Path) -> str:
    """Return a file's text as pip reads it: by its byte order mark, which PowerShell writes, else as UTF-8."""
    content = path.read_bytes()
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if marked else "utf-8-sig", "replace")


def _lines_of(path: Path, folder: Path, depth: int = 0) -> Iterator[tuple[str, str]]:
    if depth > 8 or not path.is_file():
        return
    named = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
    for number, line in enumerate(read_requirements(path).splitlines(), 1):
        text = re.sub(r"(^|\s)#.*$", "", line).strip()
        if nested := INCLUDE.match(text):
            yield from _lines_of(path.parent / nested[1], folder, depth + 1)
        elif text and not text.startswith("-"):
            yield f"{named} line {number}", re.split(r"\s--hash=", text)[0].removesuffix("\\").strip()


def _contents(path: Path) -> Iterator[bytes]:
    """A file's bytes and those of the files it includes; a folder's files, as `pip install .` has one."""
    if path.is_file():
        content = path.read_bytes()
        yield content
        for nested in re.findall(rb"^\s*(?:-r|--requirement|-c|--constraint)[ =]*(\S+)", content, re.MULTILINE):
            other = path.parent / os.fsdecode(nested)
            if other != path and other.is_file():
                yield other.read_bytes()
    elif path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file():
                yield file.relative_to(path).as_posix().encode()
                yield file.read_bytes()
