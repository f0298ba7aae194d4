"""Translates pip commands of a Dockerfile into calls for the build's environment.

Builds share environments, so what depends on this build's files, or on where an image holds packages, is translated
here.
"""

from __future__ import annotations

import glob
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..root_filesystem import RootFilesystem
from .pip_arguments import EDITABLE, FILES, FIND_LINKS, REQUIREMENTS, VALUES, pip_arguments
from .requirements import PipCall, read_requirements

__all__ = ["PipTranslator", "Pins"]

# Where to put packages in an image. Here they go into the environment, which is on the app's path.
PLACES = ("--target", "-t", "--prefix", "--root", "--src", "--cache-dir", "--log")
HOLDERS = ("--target", "-t", "--prefix", "--root", "--wheel-dir", "-w", "--dest", "-d")
WHEELS = ("--wheel-dir", "-w", "--dest", "-d")
OWN = frozenset({"pip", "uv"})  # the builder's own installer is used, whatever version the image would have


@dataclass(slots=True)
class Pins:
    """Requirements of bananastand.toml, each of which replaces its package's requirement everywhere."""

    by_name: Mapping[str, str]
    used: set[str] = field(default_factory=set[str])

    @classmethod
    def of(cls, lines: Sequence[str]) -> Pins:
        """Parse the lines. Raises ValueError for a line that is no requirement."""
        found = dict[str, str]()
        for line in lines:
            try:
                found[canonicalize_name(Requirement(line).name)] = line
            except InvalidRequirement:
                raise ValueError(f"{line!r} is not a requirement such as torch==2.1.0") from None
        return cls(found)

    def applied(self, text: str) -> str:
        """Return the pin that replaces a requirement, or the requirement."""
        found = re.match(r"([A-Za-z0-9][\w.-]*)\s*(\[[^\]]*\])?\s*([<>=!~;@].*|$)", text)
        name = canonicalize_name(found[1]) if found else ""
        if name not in self.by_name:
            return text
        self.used.add(name)
        return self.by_name[name]

    def rest(self) -> tuple[str, ...]:
        """Return pins of packages that no line has named so far."""
        return tuple(line for name, line in self.by_name.items() if name not in self.used)


@dataclass(slots=True)
class PipTranslator:
    """Translates the pip commands of one stage.

    Attributes:
        rootfs: The stage's files.
        pins: Of bananastand.toml.
        log: Called with each line.
        editable: Folders of the image whose code is imported from where it lies.
        places: Folders that would hold packages in an image, by `--target`, `--prefix` or `pip wheel`.
    """

    rootfs: RootFilesystem
    pins: Pins
    log: Callable[[str], None]
    editable: list[str] = field(default_factory=list[str])
    places: list[str] = field(default_factory=list[str])

    def is_place(self, path: str, workdir: str) -> bool:
        """Whether a path of the image would hold packages."""
        plain = posixpath.normpath(posixpath.join(workdir, path.removeprefix("file://")))
        return any(plain == folder or plain.startswith(f"{folder}/") for folder in self.places)

    def call(self, words: Sequence[str], workdir: str, environment: Mapping[str, str], line: int) -> PipCall | None:
        """Translate `pip WORDS` in a folder of the image; None where nothing is left to install."""
        result, place = list[str](), self.rootfs.at(workdir)
        action, finds_wheels = "", False
        for argument in pip_arguments(words):
            option, value = argument.option, argument.value
            if option in PLACES or (option in WHEELS and action in ("wheel", "download")):
                if option in HOLDERS and value:
                    self.places.append(posixpath.normpath(posixpath.join(workdir, value)))
            elif option in FIND_LINKS and self._has_wheels(value, workdir):
                finds_wheels = True
            elif option in EDITABLE:
                result += self._editable(value, workdir)
            elif option in FILES:
                file = self._inside(value)
                result += [option, file]
                if "://" not in value:
                    self._rewrite(place / file, workdir)
            elif option in VALUES:
                result += [self._inside(word) for word in argument.words]
            elif option:
                result += argument.words
            elif not action:
                action = value
                result.append("install" if action in ("wheel", "download") else action)
            else:
                result += self._requirement(value, workdir)
        if action in ("wheel", "download"):
            result = [word for word in result if word != "--no-deps"]
            if not any(argument.option in WHEELS for argument in pip_arguments(words)):
                self.places.append(workdir)
            self.log(f"read as pip install: pip {' '.join(words)[:150]}")
            action = "install"
        if finds_wheels:  # those of an earlier line, whose packages are the environment's already
            result = [word for word in result if word != "--no-index"]
        if action == "install" and not _installs(result):
            return None
        return PipCall(tuple(result), place, str(self.rootfs.root), dict(environment), line)

    def _requirement(self, word: str, workdir: str) -> list[str]:
        if ("/" in word or word.endswith(".whl")) and "://" not in word and self._has_wheels(word, workdir):
            return []
        if re.search(r"[*?]", word) and not re.search(r"[=<>!]", word):
            found = sorted(glob.glob(str(self.rootfs.at(posixpath.join(workdir, word)))))
            return found or [self._inside(word)]
        if re.split(r"[\[=<>!~ ]", word)[0] in OWN:
            self.log(f"done: pip install {word} (the builder's own installer is used)")
            return []
        return [self._inside(self.pins.applied(word))]

    def _has_wheels(self, path: str, workdir: str) -> bool:
        """Whether a folder, or a pattern in it, means packages of an earlier `pip wheel`, which wrote no files here."""
        if not self.is_place(path, workdir):
            return False
        folder = self.rootfs.at(posixpath.join(workdir, posixpath.dirname(path) if re.search(r"[*?]", path) else path))
        return not folder.is_file() and not (folder.is_dir() and any(entry.is_file() for entry in folder.iterdir()))

    def _editable(self, target: str, workdir: str) -> list[str]:
        """Return the package itself, for its requirements; its code is imported from where it lies."""
        path = target.partition("[")[0]
        if "://" in target or target.startswith("git+"):
            return [target]
        folder = posixpath.normpath(posixpath.join(workdir, path))
        source = posixpath.join(folder, "src")
        self.editable.append(source if self.rootfs.at(source).is_dir() else folder)
        return [self._inside(target)]

    def _inside(self, word: str) -> str:
        """Return a word with its path led into the stage's files."""
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if not value.startswith("/") or value.startswith("//"):
            return word
        # A mount is a link out of the tree, and pip may follow it.
        return f"{option}{equals}{self.rootfs.root}{posixpath.normpath(value)}"

    def _rewrite(self, file: Path, workdir: str, depth: int = 0) -> None:
        """Apply pins to a requirements file, make its editable packages plain, and leave out the installer."""
        if depth > 8 or not file.is_file() or file.is_symlink():
            return
        text = read_requirements(file)
        lines = [self._line(line, file, workdir, depth) for line in text.splitlines()]
        if lines != text.splitlines():
            file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _line(self, line: str, file: Path, workdir: str, depth: int) -> str:
        if found := re.match(r"\s*(-e|--editable)[\s=]+(\S+)(.*)", line):
            return f"{self._editable(found[2], workdir)[0]}{found[3]}"
        if found := re.match(r"\s*(?:-r|--requirement)[\s=]*(\S+)", line):
            self._rewrite(file.parent / found[1], workdir, depth + 1)
        elif re.split(r"[\[=<>!~;\s]", line.strip())[0] in OWN:
            return ""
        return line if line.lstrip().startswith(("#", "-")) else self.pins.applied(line.strip()) or line


def _installs(words: Sequence[str]) -> bool:
    """Whether an install command names anything to install."""
    arguments = list(pip_arguments(words))
    operands = sum(not argument.option for argument in arguments)
    return operands > 1 or any(argument.option in REQUIREMENTS for argument in arguments)
