"""Checks each requirement against the package index: its versions, their Pythons and upload dates."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Parsed

from ..building.environments.package_index import PackageFile, PackageIndex, format_minors, without_local
from .findings import RequirementLine

__all__ = ["RequirementFinding", "check_requirement", "parsed", "pythons_that_all_have"]

PIN = '[build] pins = ["{name}==VERSION"] in bananastand.toml takes another version'


@dataclass(frozen=True, slots=True)
class RequirementFinding:
    """What the index has against a requirement.

    Attributes:
        requirement: The line.
        state: "no" where it cannot be had, "noted" for a remark, "unknown" without an answer.
        text: What is wrong.
        change: What to do, for "no".
    """

    requirement: RequirementLine
    state: Literal["no", "noted", "unknown"]
    text: str
    change: str | None = None


@dataclass(frozen=True, slots=True)
class _RequirementCheck:
    requirement: RequirementLine
    parsed: Parsed
    minor: int | None
    cutoff: datetime | None

    @property
    def name(self) -> str:
        return self.parsed.name

    @property
    def version(self) -> str | None:
        """The version of an exact pin, or None."""
        pins = [
            clause for clause in self.parsed.specifier if clause.operator in ("==", "===") and "*" not in clause.version
        ]
        return pins[0].version if pins else None

    def fits(self, file: PackageFile) -> bool:
        """Whether the version is allowed, pre-releases included."""
        return self.parsed.specifier.contains(file.version, prereleases=True)


def check_requirement(
    requirement: RequirementLine, index: PackageIndex, minor: int | None, cutoff: datetime | None
) -> RequirementFinding | None:
    """Return what the index has against a requirement, or None. Blocks on the network.

    Args:
        requirement: Anything but a release of an index, such as an address, is left alone.
        index: Asked.
        minor: Of the Python 3 that it is for; None where no Python is named.
        cutoff: The last moment that an upload counts for an open requirement.
    """
    line = parsed(requirement, minor)
    if line is None:
        return None
    query = _RequirementCheck(requirement, line, minor, cutoff)
    files = index.history(line.name)
    if not files:
        return _absent(query, index)
    fitting = [file for file in files if query.fits(file)]
    if not fitting:
        return _no_version(query, files, index)
    if (found := _of_python(query, files, fitting)) is not None:
        return found
    return _of_yanked(query, fitting) or _of_day(query, fitting)


def parsed(requirement: RequirementLine, minor: int | None) -> Parsed | None:
    """Return the requirement if it names a release and its marker holds for a minor of Python, else None."""
    if requirement.state not in ("pinned", "open"):
        return None
    try:
        line = Parsed(requirement.line)
        version = f"3.{minor}" if minor is not None else None
        environment = {
            "extra": "",
            **({"python_version": version, "python_full_version": f"{version}.0"} if version else {}),
        }
        holds = line.url is None and (line.marker is None or line.marker.evaluate(environment))
    except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
        return None
    return line if holds else None


def pythons_that_all_have(requirements: Sequence[RequirementLine], index: PackageIndex) -> dict[str, set[int]]:
    """Return the minors of Python 3 that each exact pin has files for, by requirement."""
    found = dict[str, set[int]]()
    for requirement in requirements:
        line = parsed(requirement, None)
        if line is not None and (query := _RequirementCheck(requirement, line, None, None)).version is not None:
            minors = {minor for file in index.history(line.name) if query.fits(file) for minor in file.pythons}
            if minors:
                found[f"{requirement.line} ({requirement.where})"] = minors
    return found


def _absent(query: _RequirementCheck, index: PackageIndex) -> RequirementFinding:
    if failure := _failure(index, query.name):
        return RequirementFinding(query.requirement, "unknown", f"{query.requirement.line}: {failure}")
    return RequirementFinding(
        query.requirement, "no", f"{query.requirement.line}: the index has no package {query.name}",
        "correct its name, or remove the line",
    )  # fmt: skip


def _no_version(query: _RequirementCheck, files: Sequence[PackageFile], index: PackageIndex) -> RequirementFinding:
    public = without_local(query.parsed.specifier)
    if public != query.parsed.specifier and any(public.contains(file.version, prereleases=True) for file in files):
        failure = _failure(index, query.name) or "the index has it without the local part alone"
        return RequirementFinding(query.requirement, "unknown", f"{query.requirement.line}: {failure}")
    if failure := _failure(index, query.name):
        return RequirementFinding(query.requirement, "unknown", f"{query.requirement.line}: {failure}")
    versions = sorted({file.version for file in files if not file.yanked} or {file.version for file in files})
    has = f"it has {', '.join(map(str, versions[:2]))} to {versions[-1]}" if len(versions) > 3 else (
        f"it has {', '.join(map(str, versions))}"
    )  # fmt: skip
    return RequirementFinding(
        query.requirement, "no", f"{query.requirement.line}: the index has no such version; {has}",
        f"correct the version, or {PIN.format(name=query.name)}",
    )  # fmt: skip


def _of_python(
    query: _RequirementCheck, files: Sequence[PackageFile], fitting: Sequence[PackageFile]
) -> RequirementFinding | None:
    if query.minor is None or any(query.minor in file.pythons for file in fitting):
        return None
    minors = {minor for file in fitting for minor in file.pythons if minor <= sys.version_info[1] + 3}
    near_python = min(minors, key=lambda minor: abs(minor - (query.minor or 0)), default=0)
    others = sorted({file.version for file in files if query.minor in file.pythons and not file.yanked})
    ways = [f'[build] python = "3.{near_python}" in bananastand.toml'] if minors else []
    if others:
        near = min(
            (version for version in others if version > max(file.version for file in fitting)), default=others[-1]
        )
        ways.append(f'[build] pins = ["{query.name}=={near}"]')
    has = f"it has files for Python {format_minors(minors)}" if minors else "it has files for another system alone"
    return RequirementFinding(
        query.requirement, "no", f"{query.requirement.line} has no file for Python 3.{query.minor}; {has}",
        " or ".join(ways) or "take another package",
    )  # fmt: skip


def _of_yanked(query: _RequirementCheck, fitting: Sequence[PackageFile]) -> RequirementFinding | None:
    if not all(file.yanked for file in fitting):
        return None
    line = query.requirement.line
    if query.version is not None:
        return RequirementFinding(
            query.requirement, "noted", f"{line} was withdrawn by its authors (yanked); a pin gets it still"
        )
    return RequirementFinding(
        query.requirement, "no", f"{line}: all versions it allows were withdrawn by their authors (yanked)",
        f"pin one of them, or {PIN.format(name=query.name)}",
    )  # fmt: skip


def _of_day(query: _RequirementCheck, fitting: Sequence[PackageFile]) -> RequirementFinding | None:
    if query.cutoff is None or query.version is not None:
        return None
    days = [file.uploaded for file in fitting if not file.yanked]
    if not days or any(day is None or day <= query.cutoff for day in days):
        return None
    first = min(day for day in days if day is not None).date()
    text = f"{query.requirement.line}: no version it allows was there on {query.cutoff.date()}; the first came {first}"
    return RequirementFinding(
        query.requirement, "no", text, f"deploy with --as-of now, or with --as-of {first} or later"
    )


def _failure(index: PackageIndex, name: str) -> str | None:
    """Return why an index gave no answer for a package, or None."""
    for address, reason in index.failures.items():
        if address.rstrip("/").rpartition("/")[2] == name.lower().replace("_", "-").replace(".", "-"):
            return f"{address} gives no answer: {reason}"
    return None
