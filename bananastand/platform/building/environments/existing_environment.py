"""Whether an environment that is there serves a build as it is: it has all, and is of the repository's time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from ..settings import BuildSettings
from .environment_plan import EnvironmentIntent
from .requirements import InstalledPackages, PipCall, unmet_requirement
from .torch_builds import imports, name_of

__all__ = ["why_unsuitable"]

MODERN = (3, 11)  # from here on a newer Python serves what an image meant with an older one


def why_unsuitable(
    candidate: InstalledPackages,
    calls: Sequence[PipCall],
    intent: EnvironmentIntent,
    settings: BuildSettings,
    source: Path | None,
) -> str | None:
    """Why an environment does not serve a build, or None where it does."""
    return (
        _python(candidate, intent)
        or _pins(candidate, settings)
        or unmet_requirement(candidate, calls)
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
    """The base image's packages: of the same major version and no older, as far as the source names them."""
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
    """Open requirements of another time would get the packages of today."""
    if intent.as_of.is_recent or all(name_of(line) in intent.pinned for line in intent.requirements):
        return None
    if any(name_of(line) == "bananastand" for line in intent.requirements):  # no older than this package itself
        return None
    return (
        f"its packages are of today, and open requirements are meant as of {intent.as_of.day} ({intent.as_of.reason})"
    )
