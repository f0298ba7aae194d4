"""Which Python a repository means, and where this machine has it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ...environment import inherited
from ..commands import output, run
from ..errors import BuildError
from ..tables import read_table

__all__ = [
    "Interpreter",
    "PythonChoice",
    "available_interpreters",
    "find_interpreter",
    "install_python",
    "no_interpreter",
    "python_of_lines",
    "python_of_source",
]

OLDEST = 7  # minor of the oldest Python 3 that replicas run on
NAMES = re.compile(r"python(3(\.\d+)?)?")
LOOK = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
LINES = [re.compile(pattern) for pattern in read_table("python_lines")["lines"]]


@dataclass(frozen=True, slots=True)
class PythonChoice:
    """A Python.

    Attributes:
        version: Such as "3.8"; None for any.
        reason: Who names it.
        exact: Whether no other will do where this one can be had.
        fixed: Whether no other will do at all, as bananastand.toml says.
    """

    version: str | None
    reason: str
    exact: bool = False
    fixed: bool = False

    @property
    def minor(self) -> int | None:
        """The minor version, or None for any."""
        return None if self.version is None else int(self.version.split(".")[1])


@dataclass(frozen=True, slots=True)
class Interpreter:
    """An interpreter of this machine; `version` is in full, such as 3.8.18."""

    path: str
    version: str  # in full, such as 3.8.18

    @property
    def minor(self) -> int:
        """The minor version."""
        return int(self.version.split(".")[1])


def python_of_lines(instructions: Sequence[tuple[int, str]]) -> PythonChoice | None:
    """Return the Python that lines of a Dockerfile install or start: the last one that names a version.

    Args:
        instructions: The line and the text of each; ARG and ENV lines give values to later ones.

    >>> python_of_lines([(4, "RUN ln -s /usr/bin/python3.8 /usr/bin/python")]).version
    '3.8'
    """
    values, found = dict[str, str](), None
    for line, text in instructions:
        for name, value in re.findall(r"(?:^(?:ARG|ENV)\s+|\s)(\w+)[= ]\"?([\w.]+)", text):
            if text.startswith(("ARG", "ENV")):
                values[name] = value
        plain = text
        for name, value in values.items():
            plain = re.sub(rf"\$(?:{name}\b|\{{{name}\}})", value, plain)
        if text.startswith(("RUN", "CMD", "ENTRYPOINT")):
            for pattern in LINES:
                if matches := list(pattern.finditer(plain)):
                    found = PythonChoice(matches[-1][1], f"Dockerfile line {line}", exact=True)
    return found


def python_of_source(source: Path, machine: int) -> PythonChoice | None:
    """Return the Python of .python-version or requires-python; of several, this machine's or the newest."""
    file = source / ".python-version"
    if file.is_file() and (stated := re.match(r"\s*(3\.\d+)", file.read_text(encoding="utf-8", errors="replace"))):
        return PythonChoice(stated[1], ".python-version", exact=True)
    text = _requires_python(source)
    try:
        bound = SpecifierSet(text) if text else None
    except InvalidSpecifier:
        return None
    fitting = [minor for minor in range(OLDEST, 16) if bound is not None and bound.contains(f"3.{minor}.99")]
    if not fitting:
        return None
    minor = (
        machine
        if machine in fitting
        else max(candidate for candidate in fitting if candidate < 15 or candidate == fitting[0])
    )
    return PythonChoice(f"3.{minor}", f"requires-python {text}")


def _requires_python(source: Path) -> str | None:
    try:
        project: Any = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
        return str(project["project"]["requires-python"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        found = re.search(r"^python_requires\s*=\s*(.+)$", (source / "setup.cfg").read_text(), re.MULTILINE)
        found = found or re.search(r"python_requires\s*=\s*[\"'](.+?)[\"']", (source / "setup.py").read_text())
    except (OSError, ValueError):
        return None
    return found[1].strip() if found else None


async def find_interpreter(version: str, folder: Path) -> Interpreter | None:
    """Find an interpreter such as "3.8" or "3.8.10" on this machine; uv installs its own into `folder`."""
    minor = int(version.split(".")[1])
    for path in dict.fromkeys(str(path) for path in _candidates(folder) if _may_be(path, minor)):
        found = await _looked_at(path)
        if found is not None and f"{found.version}.".startswith(f"{version}."):
            return found
    return None


async def available_interpreters(folder: Path) -> list[Interpreter]:
    """Return one interpreter of each minor of Python 3 on this machine, the oldest first."""
    paths = dict.fromkeys(str(path) for path in _candidates(folder))
    found = await asyncio.gather(*(_looked_at(path) for path in paths))
    by_minor = dict[int, Interpreter]()
    for interpreter in found:
        if interpreter is not None and interpreter.minor >= OLDEST:
            by_minor.setdefault(interpreter.minor, interpreter)
    return [by_minor[minor] for minor in sorted(by_minor)]


async def install_python(uv: str, version: str, folder: Path, log: Callable[[str], None]) -> Interpreter | None:
    """Install a Python with uv; None where uv cannot fetch it."""
    own = {"UV_PYTHON_INSTALL_DIR": str(folder), "UV_HTTP_RETRIES": "1", "UV_NO_CONFIG": "1"}
    environment = {**inherited(os.environ, "UV_"), **own}
    log(f"environment: this machine has no Python {version}; uv is to fetch it")
    lines = list[str]()
    status = await run([uv, "python", "install", "--no-bin", version], log=lines.append, environment=environment)
    if status:
        causes = [line.strip().removeprefix("cause: ") for line in lines if line.strip()]
        log(f"environment: uv could not fetch Python {version}: {causes[-1] if causes else 'it does not say why'}")
        return None
    return await find_interpreter(version, folder)


def no_interpreter(choice: PythonChoice, found: Sequence[Interpreter]) -> BuildError:
    """Return the error for a missing Python."""
    here = ", ".join(interpreter.version for interpreter in found) or "none"
    return BuildError(
        f"Python {choice.version} is wanted ({choice.reason}), and this machine has none and cannot fetch it (it has "
        f"{here}). Install it (uv python install {choice.version}), name another in bananastand.toml ([build] python = "
        f'"3.{sys.version_info[1]}"), or build with --builder container'
    )


def _candidates(folder: Path) -> Iterator[Path]:
    """Yield paths that may be interpreters, this process's own first."""
    yield Path(sys.executable)
    places = [Path(entry) for entry in os.environ.get("PATH", "").split(":") if entry.startswith("/")]
    for place in (*places, Path("/usr/bin"), Path("/usr/local/bin"), Path("/opt/homebrew/bin")):
        if place.name != "shims" and place.is_dir():
            yield from sorted(path for path in place.glob("python*") if NAMES.fullmatch(path.name))
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    share = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "uv" / "python"
    for root in (folder, pyenv, Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or share), Path("/opt/python")):
        yield from sorted(root.glob("*/bin/python3"), reverse=True)


def _may_be(path: Path, minor: int) -> bool:
    """Whether the path may be of a minor; one that names no version may be of any."""
    named = re.search(r"3\.(\d+)", f"{path.parent.parent.name if path.parent.name == 'bin' else ''}/{path.name}")
    return named is None or int(named[1]) == minor


async def _looked_at(path: str) -> Interpreter | None:
    status, text = await output([path, "-I", "-c", LOOK], seconds=20.0)
    return Interpreter(path, text) if status == 0 and re.fullmatch(r"3\.\d+\.\d+", text) else None
