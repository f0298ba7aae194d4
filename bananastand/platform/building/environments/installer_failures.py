"""Explains the output of a failed uv or pip: the requirement and its place, the reason, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from ..tables import join_pattern, read_table
from .package_index import PackageFile, format_minors, pythons_of
from .requirements import PipCall

__all__ = ["FailureContext", "explain_failure", "is_disk_full"]

PIN = '[build] pins = ["{name}==..."] in bananastand.toml takes another version'
# What a compiler's complaint means: the Debian packages that help.
MISSING = [
    (re.compile(join_pattern(row["pattern"])), str(row["packages"]))
    for row in read_table("compiler_failures")["missing"]
]
REASONS = re.compile(
    r"^\s*(?:(?:\w+\.)*\w*(?:Error|Exception)\b.*|error: .*|.*fatal error:.*|.*can't find Rust.*|.*: not found)$"
)
NOISE = re.compile(r"subprocess-exited-with-error|metadata-generation-failed|This error originates|note: |exit status")


@dataclass(frozen=True, slots=True)
class FailureContext:
    """What an explanation may use.

    Attributes:
        calls: All pip calls of the build.
        tool: "uv" or "pip".
        minor: Of the environment's Python.
        why_python: Who chose the Python.
        as_of: The date of open requirements.
        files: Returns a package's files on the index.
    """

    calls: Sequence[PipCall]
    tool: str
    minor: int
    why_python: str
    as_of: str | None
    files: Callable[[str], list[PackageFile]]


def explain_failure(lines: Sequence[str], context: FailureContext) -> str:
    """Return one sentence or two: where the requirement is written, what is wrong, and what to do."""
    text = "\n".join(lines)
    for read in (_unreachable, _hashes, _git, _too_new, _build, _no_wheel, _absent, _file, _conflict):
        if found := read(text, context):
            return found
    errors = [line for line in lines if re.match(r"(error|ERROR):", line) and not NOISE.search(line)]
    last = (errors or [line for line in lines if not NOISE.search(line)] or ["it said nothing"])[-1]
    return f"{context.tool} failed: {re.sub(r'^(error|ERROR): *', '', last)}"


def is_disk_full(lines: Sequence[str]) -> bool:
    """Whether the output says that the disk, or a quota, is full."""
    return re.search(r"No space left on device|os error 28\b|Disk quota exceeded", "\n".join(lines)) is not None


def _unreachable(text: str, context: FailureContext) -> str | None:
    found = re.search(r"Failed to fetch: `?(\S+?)`?$", text, re.MULTILINE)
    found = found or re.search(r"(?:Max retries exceeded with url|connection broken)[^\n]*?(\S+://\S+|/\S+)", text)
    if found is None or "was not found in the package registry" in text:
        return None
    reason = [line for line in re.findall(r"^\s*cause: (.+)$", text, re.MULTILINE) if "Failed to fetch" not in line]
    why = f" ({reason[-1]})" if reason else ""
    return (
        f"the package index cannot be reached: {found[1]}{why}; check the network and pip's settings (pip config "
        "list), then deploy again: what was fetched is kept"
    )


def _hashes(text: str, context: FailureContext) -> str | None:
    """Explain a different hash, or a requirement without one, in uv's output or pip's."""
    found = re.search(r"Hash mismatch for `([^`]+)`", text)
    found = found or re.search(r"DO NOT MATCH THE HASHES.*?\n\s+([\w.-]+(?:==\S+)?)[^\n]*from", text, re.DOTALL)
    if found:
        computed = re.search(r"(?:Computed:\s+sha256:|Got\s+)([0-9a-f]{64})", text)
        has = f" (it has sha256:{computed[1]})" if computed else ""
        return (
            f"{_where(found[1], context)}the file of {found[1]} on the index is not the one that its hash names{has}; "
            "check where the hash comes from, and that the index is the one you mean (pip config list)"
        )
    found = re.search(r"must have a hash, but none were provided for: (\S+)", text)
    found = found or re.search(r"Hashes are required in.*?\n\s+([\w.-]+==\S+) --hash", text, re.DOTALL)
    found = found or re.search(r"versions pinned with `?==`?[^\n]*?(?:but found: |:\n\s+)([^\s(]+)", text)
    if found is None:
        return None
    return (
        f"{_where(found[1], context)}{found[1]} has no hash or no exact version, and other requirements have a hash: "
        "where one has a hash all need one, those that are required in turn too; write them with "
        "uv pip compile --generate-hashes, or remove the hashes"
    )


def _git(text: str, context: FailureContext) -> str | None:
    if "Git operation failed" not in text and "git clone" not in text and "git fetch" not in text:
        return None
    address = re.search(r"(?:fetch|clone)[^\n]*?'?((?:https|ssh|git)://[^\s'`]+)", text)
    fatal = re.findall(r"^\s*(?:fatal|remote|ERROR): (.+)$", text, re.MULTILINE)
    named = address[1] if address else "a repository"
    return (
        f"{_where(_tail_of(named), context)}the repository {named} cannot be fetched: "
        f"{fatal[-1] if fatal else 'git does not say why'}; check that it is there and public, or name a release of "
        "the package in its place"
    )


def _too_new(text: str, context: FailureContext) -> str | None:
    found = re.search(
        r"`(\S+)` was filtered by `exclude-newer`.*?(?:satisfying the requirement is v?(\S+?)[.,])? ", text
    )
    if found is None:
        return None
    latest = re.search(r"latest version satisfying the requirement is v?(\S+?)[,.](?:\s|$)", text)
    newest = f" (the newest that they allow is {latest[1]})" if latest else ""
    cause = _cause(text)
    return (
        f"{_where(found[1], context)}{found[1]}: no version that the requirements allow was there on "
        f"{context.as_of or 'that day'}{newest}{f': {cause}' if cause else ''}; deploy with --as-of now, or "
        "with a later date"
    )


def _build(text: str, context: FailureContext) -> str | None:
    found = re.search(r"Failed to (?:build|download and build) `([^`=@]+?)(?:==([^`]+)| @ [^`]+)?`", text)
    found = found or re.search(r"Failed building wheel for ([\w.-]+)()", text)
    found = found or re.search(r"Failed to build installable wheels for [^\n]*\(([\w.-]+)()", text)
    found = found or re.search(r"Failed to build '([\w.-]+)()'", text)
    backend = "build backend returned an error" in text or "subprocess-exited-with-error" in text
    if found is None and not backend:
        return None
    name, version = (found[1].strip(), found[2] or "") if found else ("", "")
    by = re.search(rf"`{re.escape(name)}`[^\n]*was included because `([^`]+)`", text) if name else None
    reasons = [line.strip() for line in text.splitlines() if REASONS.match(line) and not NOISE.search(line)]
    reasons = [
        reason for reason in reasons if not reason.startswith("error: Failed to") and "backend returned" not in reason
    ]
    first = next((reason for reason in reasons if re.search(r"not found|fatal error|can't find", reason)), None)
    why = "; ".join(dict.fromkeys(reason for reason in (first, reasons[-1] if reasons else None) if reason))
    needs = next((packages for pattern, packages in MISSING if pattern.search(text)), None)
    label = f"{name} {version}".strip() or "a package of the source"
    table = _wheels(name, version, context) if name else ""
    advice = f"apt-get install {needs}, or " if needs else ""
    unfit = (
        f"has no wheel for Python 3.{context.minor} ({context.why_python}), {table}, and its source cannot be built"
        if table
        else f"cannot be built on Python 3.{context.minor}"
    )
    return (
        f"{_where(by[1] if by and not _stands(name, context) else name, context)}{label} {unfit}: "
        f"{why or 'its build says no reason'}; {advice}{_another(name, version, context)}"
    )


def _no_wheel(text: str, context: FailureContext) -> str | None:
    found = re.search(r"Because (?:only )?(\S+?)(?:==(\S+))? has no (?:usable )?wheels with a matching (\w+)", text)
    found = found or re.search(r"only found wheels for `(\S+)` \(v(\S+)\) with the following ()", text)
    if found is None:
        return None
    name, version = found[1], found[2] or ""
    table = _wheels(name, version, context)
    if not table and (tags := re.search(r"following Python ABI tags?: (.+)$", text, re.MULTILINE)):
        minors = {int(minor) for minor in re.findall(r"cp3(\d+)", tags[1])}
        table = f"it has for {format_minors(minors)}" if minors else ""
    return (
        f"{_where(name, context)}{name} {version} has no wheel for Python 3.{context.minor} ({context.why_python})"
        f"{f'; {table}' if table else ' on this machine'}; {_another(name, version, context)}"
    )


def _absent(text: str, context: FailureContext) -> str | None:
    if found := re.search(r"(\S+) was not found in the (?:package registry|provided package locations)", text):
        return f"{_where(found[1], context)}there is no package {found[1]} in the index; correct its name, or remove it"
    found = re.search(r"there (?:is|are) no versions? of (\S+?)(?:\[\S+\])?(==\S+)?(?: and|,|$)", text)
    found = found or re.search(r"only (\S+?)(?:[<>=]\S+)? is available and you require (\S+?)[,.]", text)
    pip = re.search(r"satisfies the requirement (\S+?)((?:[<>=!~]\S*)?) \(from versions: (.*)\)", text)
    if found is None and pip is None:
        return None
    name = found[1] if found else pip[1] if pip else ""
    versions = sorted({file.version for file in context.files(name)})
    if not versions and (pip is None or pip[3] == "none"):
        return f"{_where(name, context)}there is no package {name} in the index; correct its name, or remove it"
    requested = ((found[2] if found else pip[2] if pip else "") or "").removeprefix("==")
    newest = f"; the index has {', '.join(str(version) for version in versions[-4:])}" if versions else ""
    table = _wheels(name, requested, context)
    return (
        f"{_where(name, context)}{name} has no version {requested or 'for these requirements'} "
        f"for Python 3.{context.minor}{f' ({table})' if table else newest}; "
        f"{_another(name, requested, context)}"
    )


def _file(text: str, context: FailureContext) -> str | None:
    if found := re.search(r"(?:File not found|Distribution not found at): `?(.+?)`?$", text, re.MULTILINE):
        return f"{found[1].removeprefix('file://')} is not there when pip runs; COPY it before, or correct the path"
    found = re.search(r"Couldn't parse requirement in `(.+?)`(?: at position \d+)?\s*(?:cause: )?(.*)", text)
    if found is not None:
        return f"{Path(found[1]).name} cannot be read: {found[2]}; correct the line"
    found = re.search(r"(?:error|ERROR): (Unexpected .+|Invalid requirement.+): (\S+?):(\d+):\d+", text)
    return f"{Path(found[2]).name} line {found[3]} cannot be read: {found[1]}" if found else None


def _conflict(text: str, context: FailureContext) -> str | None:
    cause = _cause(text)
    if cause is None:
        return None
    named = re.search(r"you require ([A-Za-z0-9][\w.-]*)", cause)
    return (
        f"{_where(named[1] if named else '', context)}the requirements contradict each other: {cause}; change one of "
        "them, or put another version in its place in bananastand.toml ([build] pins)"
    )


def _cause(text: str) -> str | None:
    """Return uv's derivation in one line, or pip's."""
    if found := re.search(r"cause: (Because .+?)(?=\n\s*\n|\nhint|\Z)", text, re.DOTALL):
        plain = " ".join(found[1].split())
        return re.sub(r",? we can conclude that your requirements are unsatisfiable\.?", "", plain).rstrip(" ,")
    if found := re.search(r"The conflict is caused by:\s*\n(.+?)(?=\n\s*\n|\nTo fix|\Z)", text, re.DOTALL):
        return "; ".join(line.strip() for line in found[1].splitlines() if line.strip())
    return None


def _wheels(name: str, version: str, context: FailureContext) -> str:
    """Return which Pythons a version has wheels for, where this one is not among them."""
    files = [file for file in context.files(name) if not version or str(file.version.public) == version]
    wheels, sources = pythons_of(files)
    if wheels and context.minor not in wheels:
        return f"it has wheels for Python {format_minors(wheels)}"
    if not wheels and sources and context.minor not in sources:
        return f"it is for Python {format_minors(sources)}"
    return ""


def _another(name: str, version: str, context: FailureContext) -> str:
    """Return the ways on: another Python that has a wheel, or another version."""
    files = [file for file in context.files(name) if not version or str(file.version.public) == version] if name else []
    wheels, sources = pythons_of(files)
    fitting = wheels or sources
    if fitting and context.minor not in fitting:
        return f'[build] python = "3.{max(fitting)}" in bananastand.toml takes that Python; {PIN.format(name=name)}'
    return PIN.format(name=name or "PACKAGE")


def _where(name: str, context: FailureContext) -> str:
    place = _stands(name, context)
    return f"{place}: " if place else ""


def _stands(name: str, context: FailureContext) -> str | None:
    """Return file and line of a requirement, or the Dockerfile's line of the pip call."""
    plain = canonicalize_name(re.split(r"[\s=<>!~\[;@(]", name.strip("` "))[0]) if name else ""
    for call in context.calls:
        for place, text in call.places():
            if plain and (canonicalize_name(re.split(r"[\s=<>!~\[;@]", text)[0]) == plain or f"/{plain}" in text):
                return f"{place} ({text})"
    return None


def _tail_of(address: str) -> str:
    return address.rstrip("/").rpartition("/")[2].removesuffix(".git").lower()
