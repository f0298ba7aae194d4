"""Reads the last lines of a program that failed to fetch: what it asked for, and the kind of failure.

Recognises the texts of huggingface_hub of any age, transformers, diffusers, requests, urllib, wget, curl, git, git-lfs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..tables import join_pattern, read_table

__all__ = ["FailedFetch", "Kind", "read_failed_fetch"]

Kind = Literal["space", "pointer", "token", "gated", "revision", "file", "moved", "gone", "refused", "missing", "busy",
               "broken", "offline", "proxy", "tls", "network"]  # fmt: skip
COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
NAME = r"[A-Za-z0-9][\w.-]*/[\w.-]+"
URL = re.compile(r"(?P<host>https?://[^/\s'\"<>()]+)(?P<path>/[^\s'\"<>()|]*)?")
HUB_PATH = re.compile(
    rf"^/(?:api/(?:models|datasets|spaces)/)?(?:(?:datasets|spaces)/)?(?P<name>{NAME}|[\w.-]+)"
    r"(?:/(?:resolve|revision|tree|raw|blob|paths-info)/(?P<revision>[^/?]+)(?:/(?P<file>[^?]*))?)?/?(?:\?.*)?$"
)
TABLE = read_table("fetch_failures")
KINDS: dict[Kind, re.Pattern[str]] = {
    kind: re.compile(join_pattern(row["pattern"])) for kind, row in TABLE["kind"].items()
}
# How libraries name a repository where they give no address.
NAMED = [re.compile(pattern.replace("{NAME}", NAME)) for pattern in TABLE["named"]["patterns"]]
EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*(?P<kind>[A-Z]\w*(?:Error|Exception|Enabled|Unreachable))\b:?(?P<text>.*)")
RETRIED = re.compile(r"host='(?P<host>[^']+)', port=\d+\).*with url: (?P<path>\S+)")
RESOLVED = re.compile(r"(?:resolve host(?: address)?:? |host: )[‘'`]?([\w.-]+)")
TRACE = "Traceback (most recent call last)"
CHAINED = re.compile(r"(During handling of the above exception|The above exception was the direct cause)[^\n]*\s*$")
# Errors that say nothing of a fetch themselves, and the files of whoever raised them for one.
VAGUE = frozenset(
    {"HTTPError", "URLError", "ConnectionError", "KeyError", "OSError", "ValueError", "FileNotFoundError"}
)
THROUGH = re.compile(r"huggingface_hub[/.]|urllib/request|requests[/.]|transformers/utils/hub|file_utils|httpx2?/")
CALLED = re.compile(
    r"(?:from_pretrained|snapshot_download|hf_hub_download|pipeline)\(\s*(?:\w+=)?['\"](?P<name>[\w.-]+(?:/[\w.-]+)?)['\"]"
)
# Addresses in messages that are there to be read.
NO_SOURCE = re.compile(r"huggingface\.co/(?:docs|settings|join|models'?$)|/docs/|developer\.mozilla|errors\.pydantic")
# What a program of the shell says when it could not fetch.
TOOLS = re.compile(
    r"^(.*curl: \(\d+\) |wget: |ERROR \d{3}|.*\bERROR \d{3}: |fatal: |remote: |error: (failed to fetch|RPC failed)"
    r"|batch response: |git: 'lfs' is not|.*awaiting response\.\.\. [45]\d\d|Smudge error"
    r"|.*failed: (Connection|Name or service|Temporary))",
    re.MULTILINE,
)
FETCHES = re.compile(
    r"huggingface|hf_hub|/resolve/|repo_id|Repository Not Found|[Gg]ated repo|valid model identifier|from_pretrained"
    r"|Max retries exceeded|urlopen error|HTTP Error \d{3}|Client Error|Server Error|Connection(Error|Refused|Reset)"
    r"|ConnectError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|name resolution"
    r"|does not appear to have (a file|files)"
    r"|Distant resource|x-repo-commit|offline mode|local cache|No space left|Not enough free disk|couldn't connect"
    r"|HeaderTooLarge|invalid load key, 'v'|public link of the file|not cached locally"
    r"|[Cc]onnection error, and we cannot find|models--[^'/]+/refs/"
)


@dataclass(frozen=True, slots=True)
class FailedFetch:
    """A hub repository or an address, and why it could not be fetched."""

    kind: Kind
    host: str | None = None
    name: str | None = None
    file: str | None = None
    revision: str | None = None
    url: str | None = None

    def __str__(self) -> str:
        return self.name or self.url or "the file"


def read_failed_fetch(lines: Sequence[str]) -> FailedFetch | None:
    """Find the failure in a program's last lines, oldest first; None where it failed for another reason."""
    end = _end_of("\n".join(COLOURS.sub("", line).rstrip() for line in lines))
    if end is None:
        return None
    # Frames hold source code, in which errors are named that were not raised.
    messages = "\n".join(line for line in end.splitlines() if not line.startswith("  ") or "curl: (" in line)
    kinds: list[Kind] = [kind for kind, pattern in KINDS.items() if pattern.search(messages)]
    return _find_subject(kinds[0], messages, end) if kinds else None


def _end_of(text: str) -> str | None:
    """Return the last chain of tracebacks, or the last lines of a program without one, if they fetch."""
    start = text.rfind(TRACE)
    while start > 0 and CHAINED.search(text[:start]):
        start = text.rfind(TRACE, 0, start)
    chain = text[start:] if start >= 0 else ""
    raised = [found for line in chain.splitlines() if (found := EXCEPTION.match(line))]
    if not raised:
        end = "\n".join(text.splitlines()[-40:])
        return end if TOOLS.search(end) or FETCHES.search(end) else None
    last = chain[chain.rfind(raised[-1][0]) :]
    if FETCHES.search(last) or (raised[-1]["kind"] in VAGUE and THROUGH.search(chain)):
        return chain
    # A wrapper says less than what it wraps: `RuntimeError: could not load the model` after an error of the hub's.
    wrapped = chain.count(TRACE) > 1 and any(FETCHES.search(error[0]) for error in raised[:-1])
    return chain if wrapped and THROUGH.search(chain) else None


def _find_subject(kind: Kind, messages: str, end: str) -> FailedFetch:
    """Return the last repository or address that the output names, else one that the source code names."""
    found = _in_addresses(kind, messages)
    if found.name is None and (tried := RETRIED.search(messages)):
        host, path = tried["host"], tried["path"].rstrip("),")
        found = _repository(kind, host, path) or FailedFetch(kind, host, url=host + path)
    if found.name is None:
        named = next((match for pattern in NAMED if (match := pattern.search(messages))), None)
        if named is not None:
            found = replace(found, name=named["name"].replace("--", "/", 1), file=named.groupdict().get("file"))
    if found.name is None and found.url is None:
        called = CALLED.search(end)
        found = replace(found, name=called["name"]) if called else _in_addresses(kind, end)
    if found.host is None and (resolved := RESOLVED.search(messages)):
        found = replace(found, host=resolved[1])
    if kind == "revision" and (revision := re.search(r"Invalid rev id: (\S+)", messages)):
        found = replace(found, revision=revision[1])
    return found


def _in_addresses(kind: Kind, text: str) -> FailedFetch:
    found = FailedFetch(kind)
    for url in URL.finditer(text):
        if NO_SOURCE.search(url[0]):
            continue
        path = (url["path"] or "").rstrip(".,;:)")
        repository = _repository(kind, url["host"], path)
        if repository is not None or (path not in ("", "/") and found.name is None):
            found = repository or FailedFetch(kind, url["host"], url=url["host"] + path)
        elif found.host is None:
            found = replace(found, host=url["host"])
    return found


def _repository(kind: Kind, host: str, path: str) -> FailedFetch | None:
    """Return the hub repository of an address, or None."""
    hub = HUB_PATH.match(path)
    if hub is None or not (hub["revision"] or "/api/" in path or "huggingface" in host):
        return None
    return FailedFetch(kind, host, hub["name"].removesuffix(".git"), hub["file"], hub["revision"], host + path)
