"""Decides whether an existing environment serves a build: it has everything, and is of the repository's time."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from ..commands import output
from ..settings import BuildSettings
from .environment_plan import EnvironmentIntent
from .requirements import PipCall
from .torch_builds import imports, name_of

__all__ = ["InstalledPackages", "installed_packages", "why_unsuitable"]

MODERN = (3, 11)  # from here on a newer Python serves what an image meant with an older one
LOOK = """
import importlib.metadata as m, json, sys
found = {}
for d in m.distributions():
    found.setdefault(d.metadata["Name"] or "", [d.version, d.requires or []])
print(json.dumps([list(sys.version_info[:2]), found]))
"""


@dataclass(frozen=True, slots=True)
class InstalledPackages:
    """The packages of an interpreter's environment: name -> (version, requirements)."""

    python: str
    version: tuple[int, int]
    packages: Mapping[str, tuple[str, Sequence[str]]]


async def installed_packages(python: str) -> InstalledPackages | None:
    """Inspect an environment by its interpreter; None where there is no such interpreter."""
    status, text = await output([python, "-c", LOOK])
    try:
        version, found = cast("tuple[list[int], dict[str, Any]]", json.loads(text.splitlines()[-1] if text else ""))
    except (ValueError, IndexError):
        return None
    packages = {
        str(canonicalize_name(name)): (str(package[0]), list[str](package[1])) for name, package in found.items()
    }
    return InstalledPackages(python, (version[0], version[1]), packages) if status == 0 else None


def why_unsuitable(
    candidate: InstalledPackages,
    calls: Sequence[PipCall],
    intent: EnvironmentIntent,
    settings: BuildSettings,
    source: Path | None,
) -> str | None:
    """Return why an environment does not serve a build, or None where it does."""
    return (
        _python(candidate, intent)
        or _pins(candidate, settings)
        or _unmet_requirement(candidate, calls)
        or _base(candidate, intent, source)
        or _time(intent)
    )


def _python(candidate: InstalledPackages, intent: EnvironmentIntent) -> str | None:
    choice = intent.python
    if choice is None or choice.version is None:
        return None
    version = (3, choice.minor or 0)
    if candidate.version == version or (not choice.exact and MODERN <= version <= candidate.version):
        return None
    return (
        f"its Python is {candidate.version[0]}.{candidate.version[1]}, and {choice.version} is meant ({choice.reason})"
    )


def _pins(candidate: InstalledPackages, settings: BuildSettings) -> str | None:
    for line in settings.pins:
        pin = Requirement(line)
        found = candidate.packages.get(str(canonicalize_name(pin.name)))
        if found is None or not pin.specifier.contains(found[0], prereleases=True):
            return f"bananastand.toml pins {line}"
    return None


def _base(candidate: InstalledPackages, intent: EnvironmentIntent, source: Path | None) -> str | None:
    """Check the base image's packages that the source names: the same major version and no older."""
    for line in intent.packages:
        package = Requirement(line)
        found = candidate.packages.get(str(canonicalize_name(package.name)))
        if found is None:
            if package.name == "torch" or source is None or imports(source, package.name):
                return f"{package.name} of the base image is not there"
            continue
        for pin in package.specifier:
            has, meant = Version(found[0]), Version(pin.version)
            if has.major != meant.major or Version(has.public) < meant:
                return f"{package.name} is {found[0]}, and the base image has {pin.version}"
    return None


def _time(intent: EnvironmentIntent) -> str | None:
    """Check that open requirements of another time do not get today's packages."""
    if intent.as_of.is_recent or all(name_of(line) in intent.pinned for line in intent.requirements):
        return None
    if any(name_of(line) == "bananastand" for line in intent.requirements):  # no older than this package itself
        return None
    return (
        f"its packages are of today, and open requirements are meant as of {intent.as_of.day} ({intent.as_of.reason})"
    )


def _unmet_requirement(installed_: InstalledPackages, calls: Sequence[PipCall]) -> str | None:
    """Return the first requirement that is missing, dependencies included, or None."""
    if installed_.version != sys.version_info[:2]:
        return f"its Python is {installed_.version[0]}.{installed_.version[1]}"
    requirements, constraints = list[str](), list[str]()
    for call in calls:
        more, bounds, unknown = call.read()
        if unknown:
            return f"pip gets {unknown[0]}"
        requirements, constraints = requirements + more, constraints + bounds
    try:
        bounds = [Requirement(line) for line in constraints]
        open_ = [Requirement(line) for line in requirements]
    except InvalidRequirement as error:
        return f"pip gets {str(error).splitlines()[0]}"
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
