"""Checks whether requirements can be had and fit together, by the package index and uv.

uv resolves without building or installing, so no package's code runs.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..building.environments.as_of import AsOf
from ..building.environments.environment_plan import index_of
from ..building.environments.installer import PipConfig, find_uv, pip_config
from ..building.environments.installer_failures import FailureContext, explain_failure
from ..building.environments.package_index import PackageIndex, format_minors
from .availability import RequirementFinding, check_requirement, parsed, pythons_that_all_have
from .findings import InspectionDifference, RequirementLine, Resolution
from .packages import PipInstall

__all__ = ["NOT_ASKED", "resolve"]

NOT_ASKED = Resolution("unknown", "the package index was not asked")
TIMEOUT = 60.0  # seconds for uv
ASK = 8.0  # seconds for an answer of an index
OLDEST = 7  # minor of the oldest Python that a build takes


@dataclass(frozen=True, slots=True)
class _Query:
    """What is asked: the index, the minor of Python 3 and who names it, and the date."""

    index: PackageIndex
    config: PipConfig
    minor: int | None
    why: str
    day: AsOf


def resolve(
    groups: Sequence[PipInstall], python: str | None, why: str, day: AsOf
) -> tuple[Resolution, list[InspectionDifference]]:
    """Ask the index about each requirement, and uv whether those of one pip call fit together.

    Args:
        groups: The requirements of each pip call.
        python: Such as "3.8"; None where nothing names one.
        why: Who names it.
        day: As of which open requirements resolve.
    """
    lines = [line for group in groups for line in group.requirements]
    if not lines:
        return Resolution("yes", "nothing is installed"), []
    config = asyncio.run(pip_config(os.environ))
    own = index_of(config, ASK)
    index = own.with_indexes([address for group in groups for address in group.indexes])
    query = _Query(index, config, int(python.split(".")[1]) if python else None, why, day)
    if reason := _unreachable(index, lines):
        return Resolution("unknown", reason), []
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(check_requirement, line, index, query.minor, day.cutoff) for line in lines]
        findings = [finding for future in futures if (finding := future.result()) is not None]
    differences = [InspectionDifference(finding.text, finding.requirement.where, finding.change)
                   for finding in findings if finding.state != "unknown"]  # fmt: skip
    if query.minor is None:
        differences += _without_python(lines, query)
    if bad := [difference for difference in differences if difference.change is not None]:
        return Resolution("no", bad[0].text), differences
    return _check_together(groups, findings, query, differences)


def _unreachable(index: PackageIndex, lines: Sequence[RequirementLine]) -> str | None:
    """Return why the index gives no answer for the first release, or None where it does."""
    first = next((read for line in lines if (read := parsed(line, None)) is not None), None)
    if first is None or index.history(first.name) or not index.failures:
        return None
    address, reason = next(iter(index.failures.items()))
    return f"the package index cannot be reached: {address}: {reason}"


def _without_python(lines: Sequence[RequirementLine], query: _Query) -> list[InspectionDifference]:
    allowed = pythons_that_all_have(lines, query.index)
    if not allowed or set.intersection(*allowed.values()):
        return []
    has = "; ".join(f"{name} has files for {format_minors(minors)}" for name, minors in allowed.items())
    where = next(line.where for line in lines if f"{line.line} ({line.where})" in allowed)
    change = '[build] python = "3.x" and [build] pins = ["PACKAGE==VERSION"] in bananastand.toml'
    return [InspectionDifference(f"no Python has files for all pins: {has}", where, change)]


def _check_together(
    groups: Sequence[PipInstall],
    findings: Sequence[RequirementFinding],
    query: _Query,
    differences: list[InspectionDifference],
) -> tuple[Resolution, list[InspectionDifference]]:
    """Return whether the requirements of each call fit together, as far as is known without a build."""
    unknown = [finding.text for finding in findings if finding.state == "unknown"]
    left = {id(finding.requirement) for finding in findings if finding.state == "unknown"}
    uv = find_uv()
    if uv is None:
        unknown.append("uv, which tells whether requirements fit together, is not installed")
    for group in groups if uv is not None else ():
        lines = [line for line in group.requirements if id(line) not in left and parsed(line, query.minor)]
        sources = [line for line in lines if _is_source(line, query)]
        unknown += [f"{line.line} has no wheel: its own requirements are known once it is built" for line in sources]
        lines = [line for line in lines if line not in sources]
        if len(lines) < 1 or group.alone:
            continue
        assert uv is not None
        status, output = _compile(uv, lines, query)
        if status == 0:
            continue
        text = "\n".join(output)
        if "No solution found" not in text or "building from source is disabled" in text:
            unknown.append(_reason(output))
            continue
        context = FailureContext((), "uv", _minor(query), query.why, str(query.day.day), query.index.files)
        reason = explain_failure(output, context)
        named = re.match(r"[A-Za-z0-9][\w.-]*", reason)
        where = _place(named[0] if named else "", lines)
        change = 'change one of the lines, or put another version in its place: [build] pins = ["PACKAGE==VERSION"]'
        differences.append(InspectionDifference(reason.partition("; change one of")[0], where, change))
        return Resolution("no", differences[-1].text), differences
    if unknown:
        return Resolution("unknown", unknown[0]), differences
    return Resolution("yes", f"for Python 3.{_minor(query)}"), differences


def _compile(uv: str, lines: Sequence[RequirementLine], query: _Query) -> tuple[int, list[str]]:
    """Run `uv pip compile`, which downloads only metadata; return its status and output."""
    command = [uv, "pip", "compile", "-", "--quiet", "--no-header", "--no-annotate", "--no-build", "--no-config"]
    command += ["--python", sys.executable, "--python-version", f"3.{_minor(query)}"]
    if query.day.cutoff is not None:
        command += ["--exclude-newer", query.day.cutoff.isoformat().replace("+00:00", "Z")]
        pinned = {
            line.name
            for requirement in lines
            if requirement.state == "pinned" and (line := parsed(requirement, query.minor))
        }
        command += [word for name in sorted(pinned) for word in ("--exclude-newer-package", f"{name}=false")]
    environment = {**os.environ, **query.config.for_uv(), "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1",
                   "UV_INDEX_STRATEGY": "unsafe-best-match"}  # fmt: skip
    text = "".join(f"{line.line.partition(' --')[0]}\n" for line in lines)
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=TIMEOUT, env=environment, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return 1, [f"uv: {error}"]
    return done.returncode, done.stderr.splitlines()


def _minor(query: _Query) -> int:
    """Return the minor of the named Python, by default this machine's."""
    return max(query.minor if query.minor is not None else sys.version_info[1], OLDEST)


def _is_source(line: RequirementLine, query: _Query) -> bool:
    """Whether no wheel serves the Python, so that only a build would tell its dependencies."""
    read, minor = parsed(line, query.minor), _minor(query)
    if read is None:
        return False
    fitting = [
        file for file in query.index.history(read.name) if read.specifier.contains(file.version, prereleases=True)
    ]
    return not any(file.tags and minor in file.pythons for file in fitting)


def _place(name: str, lines: Sequence[RequirementLine]) -> str | None:
    for line in lines:
        read = parsed(line, None)
        if read is not None and read.name.lower() == name.lower():
            return line.where
    return lines[0].where if lines else None


def _reason(output: Sequence[str]) -> str:
    hint = next((line.removeprefix("hint: ") for line in output if line.startswith("hint: Wheels are required")), None)
    if hint is not None:
        name = re.search(r"`([^`]+)`", hint)
        return f"{name[1] if name else 'a package'} has no wheel: whether it fits is known once it is built"
    return next((line.strip() for line in output if line.strip()), "uv gave no reason")
