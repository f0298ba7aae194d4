"""What pip was told to install, and whether an environment that is there has it. Knows pip's words; runs no pip."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ..commands import output

__all__ = ["FILES", "InstalledPackages", "PipCall", "installed_packages", "read_requirements", "unmet_requirement"]

WITH_VALUE = frozenset(
    {"-f", "--find-links", "-i", "--index-url", "--pypi-url", "--extra-index-url", "--trusted-host",
     "--cache-dir", "--timeout", "--default-timeout", "--retries", "--progress-bar", "--log",
     "--upgrade-strategy", "--prefer-binary-for", "--cert", "--client-cert", "--proxy", "--exists-action",
     "--only-binary", "--no-binary", "--use-feature", "--config-settings", "-C", "--keyring-provider",
     "--python-version", "--platform"}
)  # fmt: skip
WITHOUT = frozenset(
    {"--no-cache-dir", "--upgrade", "-U", "-q", "-qq", "-qqq", "--quiet", "-v", "--verbose", "--no-input",
     "--no-index", "--no-deps", "--disable-pip-version-check", "--pre", "--user", "--prefer-binary",
     "--no-build-isolation", "--root-user-action=ignore", "--break-system-packages",
     "--no-warn-script-location", "--isolated", "--ignore-installed", "-I", "--force-reinstall", "--no-color",
     "--compile", "--no-compile", "-y", "--yes",
     "--require-hashes"}  # pip too asks no hash of what is installed already
)  # fmt: skip
FILES = ("-r", "--requirement", "-c", "--constraint")
LOOK = """
import importlib.metadata as m, json, sys
found = {}
for d in m.distributions():
    found.setdefault(d.metadata["Name"] or "", [d.version, d.requires or []])
print(json.dumps([list(sys.version_info[:2]), found]))
"""


@dataclass(frozen=True, slots=True)
class PipCall:
    """One `pip install` or `pip uninstall`: its words, the folder it runs in, the tree that holds it and variables.

    line: of the Dockerfile.
    """

    words: tuple[str, ...]
    cwd: Path
    tree: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    line: int | None = None

    def places(self) -> Iterator[tuple[str, str]]:
        """Each requirement with the place it stands at: a file and its line, or the line of the Dockerfile."""
        words, before = [word for word in self.words if word not in ("install", "uninstall")], ""
        for word in words:
            option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
            named = value if equals and option in FILES else value if before in FILES else ""
            if named:
                yield from _lines_of(self.cwd / named, self.cwd)
            elif re.match(r"-[rc].", word):
                yield from _lines_of(self.cwd / word[2:], self.cwd)
            elif not word.startswith("-") and before not in WITH_VALUE:
                yield (f"Dockerfile line {self.line}" if self.line else f"pip install {word}"), word
            before = word

    def read(self) -> tuple[list[str], list[str], list[str]]:
        """Requirements, constraints and words that were not understood, files followed."""
        requirements, constraints, strange = list[str](), list[str](), list[str]()
        action, words = False, iter(self.words)
        for word in words:
            name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
            if not word.startswith("-") and not action:
                action = True
                if word != "install":
                    strange.append(word)
            elif name in FILES:
                file = value if equals else next(words, "")
                (requirements if name in ("-r", "--requirement") else constraints).extend(self._lines(file, strange))
            elif re.match(r"-[rc].", word):
                (requirements if word[1] == "r" else constraints).extend(self._lines(word[2:], strange))
            elif name in WITH_VALUE:
                if not equals:
                    next(words, None)
            elif word.startswith("-") and word not in WITHOUT:
                strange.append(word)
            elif not word.startswith("-"):
                requirements.append(word)
        return requirements, constraints, strange

    @property
    def is_hashed(self) -> bool:
        """Whether pip checks hashes: then every package is pinned, and no other version may take its place."""
        if "--require-hashes" in self.words:
            return True
        files = {value for before, value in zip(self.words, self.words[1:], strict=False) if before in FILES}
        files |= {value for word in self.words if (value := re.sub(r"^(--requirement=|-r)", "", word)) != word}
        return any("--hash=" in read_requirements(self.cwd / name) for name in files if (self.cwd / name).is_file())

    def digest(self) -> str:
        """The same for the same words and the same contents of what they name."""
        sha, before = hashlib.sha256(), ""
        for word in self.words:
            # The tree's place differs from build to build.
            sha.update(word.replace(self.tree.rstrip("/") or "\0", "").encode() + b"\0")
            option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
            if (equals and option in FILES) or (not word.startswith("-") and before not in WITH_VALUE):
                for content in _contents(self.cwd / value):
                    sha.update(content + b"\0")
            before = word
        return sha.hexdigest()

    def _lines(self, file: str, strange: list[str], depth: int = 0) -> Iterator[str]:
        path = self.cwd / file
        if depth > 8 or not path.is_file():
            strange.append(file)
            return
        text = read_requirements(path).replace("\\\n", " ")
        for line in text.splitlines():
            line = re.sub(r"(^|\s)#.*$", "", line).strip()
            if nested := re.match(r"(?:-r|--requirement|-c|--constraint)[\s=]*(.+)", line):
                if line.startswith(("-c", "--c")):
                    strange.append(line)  # a constraint inside a requirements file
                else:
                    yield from self._lines(os.path.join(os.path.dirname(file), nested[1]), strange, depth + 1)
            elif line.startswith("-"):
                if line.split()[0].partition("=")[0] not in WITH_VALUE | WITHOUT:
                    strange.append(line)
            elif line:
                yield re.split(r"\s--hash=", line)[0].strip()


def read_requirements(path: Path) -> str:
    """A file as pip reads it: by its byte order mark, which `pip freeze >` writes on Windows, else as UTF-8."""
    content = path.read_bytes()
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if marked else "utf-8-sig", "replace")


def _lines_of(path: Path, folder: Path, depth: int = 0) -> Iterator[tuple[str, str]]:
    if depth > 8 or not path.is_file():
        return
    named = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
    for number, line in enumerate(read_requirements(path).splitlines(), 1):
        text = re.sub(r"(^|\s)#.*$", "", line).strip()
        if nested := re.match(r"(?:-r|--requirement|-c|--constraint)[\s=]*(.+)", text):
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


@dataclass(frozen=True, slots=True)
class InstalledPackages:
    """What an interpreter's environment holds: name -> (version, what it requires)."""

    python: str
    version: tuple[int, int]
    packages: Mapping[str, tuple[str, Sequence[str]]]


async def installed_packages(python: str) -> InstalledPackages | None:
    """Look at an environment by its interpreter; None where there is no such one."""
    status, text = await output([python, "-c", LOOK])
    try:
        version, found = cast("tuple[list[int], dict[str, Any]]", json.loads(text.splitlines()[-1] if text else ""))
    except (ValueError, IndexError):
        return None
    packages = {str(canonicalize_name(name)): (str(about[0]), list[str](about[1])) for name, about in found.items()}
    return InstalledPackages(python, (version[0], version[1]), packages) if status == 0 else None


def unmet_requirement(installed_: InstalledPackages, calls: Sequence[PipCall]) -> str | None:
    """Why an environment does not satisfy what pip was told, or None: with all that is required in turn."""
    if installed_.version != sys.version_info[:2]:
        return f"its Python is {installed_.version[0]}.{installed_.version[1]}"
    requirements, constraints = list[str](), list[str]()
    for call in calls:
        more, bounds, strange = call.read()
        if strange:
            return f"pip is told {strange[0]}"
        requirements, constraints = requirements + more, constraints + bounds
    try:
        bounds = [Requirement(line) for line in constraints]
        open_ = [Requirement(line) for line in requirements]
    except InvalidRequirement as error:
        return f"pip is told {str(error).splitlines()[0]}"
    allowed = dict[str, SpecifierSet]()
    for bound in bounds:
        if bound.marker is None or bound.marker.evaluate({"extra": ""}):
            name = str(canonicalize_name(bound.name))
            allowed[name] = allowed.get(name, SpecifierSet()) & bound.specifier
    seen = set[str]()
    while open_:
        requirement = open_.pop()
        if str(requirement) in seen or not _applies(requirement, ("",)):
            continue
        seen.add(str(requirement))
        name = str(canonicalize_name(requirement.name))
        found = installed_.packages.get(name)
        if requirement.url is not None:
            return f"{requirement.name} is to come from {requirement.url}"
        if found is None:
            return f"{requirement.name} is not there"
        version, requires = found
        for bound in (requirement.specifier, allowed.get(name, SpecifierSet())):
            if not bound.contains(version, prereleases=True):
                return f"{requirement.name} is {version}, not {bound}"
        for line in requires:
            needed = Requirement(line)
            if _applies(needed, ("", *requirement.extras)):
                needed.marker = None
                open_.append(needed)
    return None


def _applies(requirement: Requirement, extras: Sequence[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
