"""Reads what poetry, pipenv and uv install: a project's own dependencies, at the versions of its lock file.

What they export as a requirements file, and the programs they run in the project's environment, are read here too.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

__all__ = ["EXPORTS", "PROGRAMS", "exported_to", "requirements_of", "runner_words"]

# Program and action that install a project's dependencies.
PROGRAMS = {("poetry", "install"), ("pipenv", "install"), ("pipenv", "sync"), ("uv", "sync")}

# Those that write a project's dependencies as a requirements file.
EXPORTS = {("poetry", "export"), ("pipenv", "requirements"), ("pipenv", "lock"), ("uv", "export")}
RUNNERS = frozenset({"poetry", "pipenv", "uv", "pdm", "rye", "hatch"})


def runner_words(words: Sequence[str | None]) -> tuple[str | None, ...]:
    """Return the words before a program that runs in a project's environment, such as `poetry run`.

    >>> runner_words(["poetry", "run", "python", "app.py"]), runner_words(["python", "run", "x"])
    (('poetry', 'run'), ())
    """
    if len(words) < 3 or (words[0] or "").rpartition("/")[2] not in RUNNERS or words[1] != "run":
        return ()
    count = 2
    while count < len(words) and (words[count] or "").startswith("-"):
        count += 1
    return tuple(words[:count]) if count < len(words) else ()


def exported_to(words: Sequence[str | None]) -> str | None:
    """Return the file that an export writes, or None for standard output."""
    for word, following in zip(words, [*words[1:], None], strict=False):
        if word in ("-o", "--output", "--output-file"):
            return following
        if word is not None and word.startswith(("--output=", "--output-file=")):
            return word.partition("=")[2]
    return None


def requirements_of(program: str, read_file: Callable[[str], str | None]) -> list[str] | None:
    """Return a project's requirements.

    Args:
        program: "poetry", "pipenv" or "uv".
        read_file: Returns a file's text, or None.

    Returns:
        The requirements, or None where the project's file is missing.

    Raises:
        ValueError: A file cannot be read.
    """
    if program == "pipenv":
        if (text := read_file("Pipfile.lock")) is not None:
            return _of_pipfile(json.loads(text))
        if (text := read_file("Pipfile")) is None:
            return None
        packages = tomllib.loads(text).get("packages", {})
        return [line for name, bound in packages.items() if (line := _of_poetry(name, bound)) is not None]
    text = read_file("pyproject.toml")
    if text is None:
        return None
    project = tomllib.loads(text)
    locked = _locked(read_file("poetry.lock" if program == "poetry" else "uv.lock"))
    found = [*project.get("project", {}).get("dependencies", ())]
    for name, bound in project.get("tool", {}).get("poetry", {}).get("dependencies", {}).items():
        if name.lower() != "python" and (line := _of_poetry(name, bound)) is not None:
            found.append(line)
    return [_pinned(line, locked) for line in found]


def _of_pipfile(lock: Any) -> list[str]:
    found = list[str]()
    for name, entry in cast("Mapping[str, Any]", lock.get("default", {})).items():
        if "git" in entry:
            found.append(f"{name} @ git+{entry['git']}" + (f"@{entry['ref']}" if "ref" in entry else ""))
            continue
        extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
        marker = f"; {entry['markers']}" if entry.get("markers") else ""
        found.append(f"{name}{extras}{entry.get('version', '')}{marker}")
    return found


def _locked(text: str | None) -> dict[str, str]:
    packages: Any = tomllib.loads(text).get("package", []) if text else []
    return {str(package["name"]).lower(): str(package["version"]) for package in packages if "version" in package}


def _pinned(line: str, locked: Mapping[str, str]) -> str:
    """Return a requirement at its locked version, if it has one."""
    found = re.match(r"([\w.-]+)\s*(\[[^\]]*\])?([^;@]*)(;.*)?$", line)
    version = locked.get(found[1].lower().replace("_", "-")) if found else None
    return f"{found[1]}{found[2] or ''}=={version}{found[4] or ''}" if found and version else line


def _of_poetry(name: str, bound: Any) -> str | None:
    """Translate a requirement of poetry's notation into pip's."""
    if isinstance(bound, list):
        bound = cast("list[Any]", bound)[-1]
    if isinstance(bound, str):
        return name + _bounds(bound)
    entry = cast("dict[str, Any]", bound)
    if entry.get("optional") or "path" in entry:
        return None
    if "git" in entry:
        ref = entry.get("rev") or entry.get("tag") or entry.get("branch")
        return f"{name} @ git+{entry['git']}" + (f"@{ref}" if ref else "")
    if "url" in entry:
        return f"{name} @ {entry['url']}"
    extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    return f"{name}{extras}{_bounds(str(entry.get('version', '*')))}"


def _bounds(text: str) -> str:
    """^1.2.3 and ~1.2 as two bounds; 1.2 as ==1.2; the others are pip's own.

    >>> _bounds("^1.2"), _bounds("^0.3.1"), _bounds("~1.2"), _bounds("1.0"), _bounds("*")
    ('>=1.2,<2', '>=0.3.1,<0.4', '>=1.2,<1.3', '==1.0', '')
    """
    parts = list[str]()
    for part in (part.strip() for part in text.split(",")):
        if part in ("*", ""):
            continue
        numbers = re.findall(r"\d+", part)
        if part[0] == "^":
            at = next((place for place, number in enumerate(numbers) if number != "0"), len(numbers) - 1)
            parts.append(f">={part[1:]},<{'.'.join([*numbers[:at], str(int(numbers[at]) + 1)])}")
        elif part[0] == "~" and not part.startswith("~="):
            at = 1 if len(numbers) > 1 else 0
            parts.append(f">={part[1:]},<{'.'.join([*numbers[:at], str(int(numbers[at]) + 1)])}")
        else:
            parts.append(part if part[0] in "<>=!~" else f"=={part}")
    return ",".join(parts)
