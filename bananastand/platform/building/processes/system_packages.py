"""Reads lines that set up an image's system: the Debian packages they install, and which lines can be left out."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from ctypes.util import find_library

from ..commands import output
from ..tables import join_pattern, read_table

__all__ = [
    "MANAGERS",
    "harmless_reason",
    "missing_packages",
    "app_packages",
    "packages_of",
    "setup_reason",
    "describe_packages",
]

TABLE = read_table("system_packages")
MANAGERS = frozenset[str](TABLE["managers"])
WITH_VALUE, CHANGES = frozenset[str](TABLE["with_value"]), frozenset[str](TABLE["changes"])
BROUGHT = re.compile(join_pattern(TABLE["brought"]))
SETUP: dict[str, list[str]] = TABLE["setup"]
RENAMED: dict[str, list[str]] = TABLE["renamed"]
APK: dict[str, str] = TABLE["apk"]
LIBRARIES: dict[str, str] = TABLE["libraries"]
PROGRAMS: dict[str, str] = TABLE["programs"]
OF_BASE = [(re.compile(join_pattern(row["pattern"])), str(row["reason"])) for row in TABLE["of_base"]]
OF_ENVIRONMENT = re.compile(r"activate|conda|mamba|\.bashrc|\.profile|/etc/profile")
OF_CACHES = r"/(var/)?tmp(/\*)?|(~|/root|\$HOME)/\.cache(/pip|/\*)?/?|/var/(cache|log)(/.*)?|/usr/share/(doc|man)(/.*)?"


def packages_of(words: Sequence[str]) -> tuple[str, ...] | None:
    """Return the packages that a package manager's command installs, or None for its other commands."""
    program = words[0].rpartition("/")[2]
    rest, names, skip, installs = list(words[1:]), list[str](), False, False
    for word in rest:
        if skip:
            skip = False
        elif word in WITH_VALUE:
            skip = True
        elif word.startswith("-"):
            continue
        elif not installs:
            if word not in ("install", "add", "groupinstall", "localinstall", "in"):
                return None
            installs = True
        else:
            names.append(re.split(r"[=:/<>~]", word)[0] if not word.startswith((".", "/")) else word)
    if program == "apk":
        names = [APK.get(name, name) for name in names]
    return tuple(name for name in names if name and not name.startswith("$")) if installs else None


def setup_reason(program: str, words: Sequence[str | None], *, sandboxed: bool) -> str | None:
    """Return why a command that sets up users, libraries or a shell is left out, or None."""
    if program in ("source", "."):
        return "the build has an environment of its own" if not sandboxed or _is_activation(words) else None
    return next((reason for reason, programs in SETUP.items() if program in programs), None)


def _is_activation(words: Sequence[str | None]) -> bool:
    return any(OF_ENVIRONMENT.search(word or "") for word in words[1:])


def harmless_reason(program: str, paths: Sequence[str]) -> str | None:
    """Return why a command that changes these absolute paths is left out, or None where it may matter."""
    if program not in CHANGES or not paths:
        return None
    reasons = list[str]()
    for path in paths:
        if program in ("rm", "unlink") and re.fullmatch(OF_CACHES, path):
            reasons.append("caches and temporary files stay")
            continue
        found = next((reason for pattern, reason in OF_BASE if pattern.match(path)), None)
        if found is None:
            return None
        reasons.append(found)
    return reasons[-1]


def app_packages(names: Iterable[str]) -> list[str]:
    """Return the packages that an app may use, sorted, without those that the builder provides."""
    return sorted({name for name in names if not BROUGHT.fullmatch(name) and not name.endswith(".deb")})


async def missing_packages(names: Sequence[str]) -> list[str]:
    """Return the packages this machine lacks, by dpkg-query, else by program and library."""
    if not names:
        return []
    others = {name: (name, *RENAMED.get(name, ())) for name in names}
    candidates = sorted({name for group in others.values() for name in group})
    installed = set[str]()
    if shutil.which("dpkg-query"):
        _, text = await output(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Provides}\n", *candidates])
        for line in text.splitlines():
            status, _, rest = line.partition(" ")
            if status == "installed":
                installed |= {name.strip(" ,()") for name in re.split(r"[\s,]+", rest)}
    return [RENAMED.get(name, (name,))[-1] for name in names
            if not installed & set(others[name]) and not _is_found(name)]  # fmt: skip


def _is_found(name: str) -> bool:
    if library := LIBRARIES.get(name):
        return find_library(library) is not None
    return bool(shutil.which(PROGRAMS.get(name, name) or name))


def describe_packages(names: Sequence[str], missing: Sequence[str]) -> str:
    """Return one line: what is needed, what is missing, and the command that installs it."""
    if not missing:
        return f"needs these Debian packages: {', '.join(names)}; this machine has them"
    return (
        f"needs these Debian packages: {', '.join(names)}; this machine lacks {', '.join(missing)}: "
        f"sudo apt-get install {' '.join(missing)}"
    )
