"""What a repository installs: requirements, torch and CUDA, system packages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Parsed
from packaging.utils import canonicalize_name

from ..building.dockerfile.shell import ShellError, parse_commands
from ..building.environments.base_images import BaseImage, newest_torch
from ..building.environments.gpu_support import cuda_of, machine_capabilities, unsupported
from ..building.environments.pip_arguments import EDITABLE, REQUIREMENTS, pip_arguments
from ..building.processes.run_analysis import PIP, PYTHON
from .findings import InspectedTorch, RequirementLine
from .repository import SourceRepository

__all__ = ["PipInstall", "pip_installs", "requirements", "system_packages", "torch_of"]

INSTALLS = re.compile(r"(?:pip3?(?:\.\d+)?|uv pip)\s+install\s+([^;&|]+)")
APT = re.compile(r"(?:apt-get|apt)\s+(?:-\S+\s+)*install\s+([^;&|]+)")
INDEXES = re.compile(r"(?:--extra-index-url|--index-url|-i)[\s=]+[\"']?(https?://[^\s\"']+)")


@dataclass(frozen=True, slots=True)
class PipInstall:
    """What one pip call installs; `indexes` are addresses it names, `alone` means without dependencies."""

    requirements: tuple[RequirementLine, ...]
    indexes: tuple[str, ...] = ()
    alone: bool = False


def pip_installs(repository: SourceRepository) -> list[PipInstall]:
    """Return the pip calls of the Dockerfile, else of requirements.txt, with bananastand.toml's pins applied."""
    found = list[PipInstall]()
    overrides = repository.overrides.build
    if overrides.requirements:
        found.append(_group(repository, [f"-r{name}" for name in overrides.requirements], "bananastand.toml"))
    elif repository.dockerfile is not None:
        found += (_group(repository, words, run.where) for run in repository.runs for words in _pip_words(run.text))
    elif repository.has("requirements.txt"):
        found.append(_group(repository, ["-r", "requirements.txt"], "requirements.txt"))
    pinned = {_name(line): line for line in overrides.pins}
    if not pinned:
        return found
    unpinned = [
        replace(group, requirements=tuple(line for line in group.requirements if _name(line.line) not in pinned))
        for group in found
    ]
    first = unpinned[0] if unpinned else PipInstall(())
    pins = tuple(_requirement(line, "bananastand.toml") for line in pinned.values())
    return [replace(first, requirements=(*first.requirements, *pins)), *unpinned[1:]]


def requirements(repository: SourceRepository) -> list[RequirementLine]:
    """Return every requirement of the pip calls."""
    return [line for group in pip_installs(repository) for line in group.requirements]


def _group(repository: SourceRepository, words: list[str], where: str) -> PipInstall:
    texts = [" ".join(words), *(repository.text(name) for name in _files(repository, words))]
    indexes = [address.rstrip("/") for text in texts for address in INDEXES.findall(text)]
    return PipInstall(tuple(_of_words(repository, words, where)), tuple(indexes), "--no-deps" in words)


def _files(repository: SourceRepository, words: list[str]) -> list[str]:
    names = [argument.value for argument in pip_arguments(words) if argument.option in REQUIREMENTS]
    return [path for name in names if (path := _path(repository, name)) is not None]


def _pip_words(text: str) -> Iterator[list[str]]:
    """Yield what follows `pip install` in a shell line."""
    try:
        found = [[word.literal for word in command.words] for command in parse_commands(text)]
    except ShellError:
        yield from (shlex.split(words) for words in INSTALLS.findall(text) if words.count('"') % 2 == 0)
        return
    for words in found:
        while words and words[0] in ("sudo", "exec", "time", "env"):
            words = words[1:]
        program = (words[0] or "").rpartition("/")[2] if words else ""
        if PYTHON.fullmatch(program) or program == "uv":
            words = words[words.index("pip") :] if "pip" in words else []
            program = "pip"
        if PIP.fullmatch(program) and "install" in words:
            yield [word for word in words[words.index("install") + 1 :] if word is not None]


def _of_words(repository: SourceRepository, words: list[str], where: str) -> Iterator[RequirementLine]:
    for argument in pip_arguments(words):
        if argument.option in REQUIREMENTS:
            yield from _of_file(repository, argument.value)
        elif argument.option in EDITABLE:
            yield RequirementLine(argument.value, "git" if "git+" in argument.value else "local", where)
        elif not argument.option:
            yield _requirement(argument.value, where)


def _path(repository: SourceRepository, name: str) -> str | None:
    """Return the repository's requirement file that a pip call names, wherever it was copied from."""
    plain = name.strip().removeprefix("./").lstrip("/")
    path = next((file for file in repository.files if file == plain), None)
    return path or next(
        (file for file in repository.files if file.rpartition("/")[2] == plain.rpartition("/")[2]), None
    )


def _of_file(repository: SourceRepository, name: str, depth: int = 0) -> Iterator[RequirementLine]:
    path = _path(repository, name)
    if path is None or depth > 5:
        return
    for number, raw in enumerate(repository.text(path).splitlines(), 1):
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if nested := re.match(r"(?:-r|--requirement)[\s=]*(.+)", line):
            yield from _of_file(repository, nested[1], depth + 1)
        elif line and not line.startswith("-"):
            yield _requirement(re.split(r"\s--hash=", line)[0].rstrip("\\ "), f"{path}:{number}")


def _requirement(line: str, where: str) -> RequirementLine:
    if re.search(r"(^|@\s*)git\+", line):
        return RequirementLine(line, "git", where)
    if "://" in line:
        return RequirementLine(line, "url", where)
    if line.startswith((".", "/")):
        return RequirementLine(line, "local", where)
    try:
        parsed = Parsed(line)
    except InvalidRequirement:
        return RequirementLine(line, "unreadable", where)
    pinned = any(clause.operator in ("==", "===") and "*" not in clause.version for clause in parsed.specifier)
    return RequirementLine(line, "pinned" if pinned else "open", where)


def torch_of(lines: list[RequirementLine], base: BaseImage | None, when: date | None) -> InspectedTorch | None:
    """Return the torch of the requirements or the base image, or None."""
    capabilities = machine_capabilities()
    for line in lines:
        if _name(line.line) == "torch":
            found = re.search(r"==\s*([\w.+]+)", line.line)
            if found is None:
                version = newest_torch(when)
                cuda = cuda_of(version)
                day = f" as of {when.isoformat()}" if when else ""
                return InspectedTorch(version, cuda, f"{line.line} at {line.where} is open; the newest{day}",
                             unsupported(version, cuda, capabilities))  # fmt: skip
            version = found[1]
            in_base = base is not None and f"torch=={version.partition('+')[0]}" in base.packages
            cuda = cuda_of(version, base.cuda if base is not None and in_base else None)
            return InspectedTorch(
                version, cuda, f"{line.line} at {line.where}", unsupported(version, cuda, capabilities)
            )
    if base is not None:
        version = next((package.partition("==")[2] for package in base.packages if package.startswith("torch==")), None)
        if version is not None:
            cuda = cuda_of(version, base.cuda)
            return InspectedTorch(
                version, cuda, f"in the base image {base.name}", unsupported(version, cuda, capabilities)
            )
    users = {"transformers", "diffusers", "accelerate", "openai-whisper", "sentence-transformers", "torchvision"}
    for line in lines:
        if _name(line.line) in users:
            version = newest_torch(when)
            cuda = cuda_of(version)
            reason = f"no requirement names it; {_name(line.line)} needs one, the newest is meant"
            return InspectedTorch(version, cuda, reason, unsupported(version, cuda, capabilities))
    return None


def system_packages(repository: SourceRepository) -> list[str]:
    """Return what apt installs, and what bananastand.toml names."""
    found = list(repository.overrides.build.system_packages)
    for run in repository.runs:
        for words in APT.findall(run.text):
            found += [word for word in words.split() if re.fullmatch(r"[a-z0-9][\w.+-]*(=\S+)?", word)]
    return list(dict.fromkeys(found))


def _name(line: str) -> str:
    found = re.match(r"[A-Za-z0-9][\w.-]*", line)
    return str(canonicalize_name(found[0])) if found else line
