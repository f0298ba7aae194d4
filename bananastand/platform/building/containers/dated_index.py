"""Serves a package index as it was on a day, on loopback, while an image is built.

pip in a container cannot be given a day. It asks this index instead, which leaves out files uploaded later. The
files themselves come from where they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ..environments.as_of import resolve_as_of
from ..environments.installer import PipConfig
from ..environments.package_index import DEFAULT_INDEX, PackageIndex, version_of_file
from ..log import BuildLog
from ..settings import BuildSettings
from ..sources.ignore import Ignored
from ..sources.sources import files_of

__all__ = ["DatedIndex", "serve_dated_index", "exact_pins", "files_before"]

LARGEST = 2**20  # bytes of a file that is read for pins
READ = re.compile(r"(\.txt|\.in|\.toml|\.cfg|\.ya?ml|\.sh|setup\.py|Dockerfile[^/]*)$")
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*===?\s*([A-Za-z0-9.!+]+)")


@dataclass(frozen=True, slots=True)
class DatedIndex:
    """A running index.

    Attributes:
        address: Of its simple API.
        port: On loopback.
        cutoff: Files uploaded later are left out.
    """

    address: str
    port: int
    cutoff: datetime


@contextlib.asynccontextmanager
async def serve_dated_index(
    settings: BuildSettings, source: Path, pip: PipConfig, log: BuildLog
) -> AsyncGenerator[DatedIndex | None]:
    """Serve the index while it is entered; yields None where today's packages count or no open index is configured.

    Args:
        settings: The day that was asked for, and that of the last commit.
        source: Folder whose last commit gives the day where the settings have none.
        pip: This machine's configuration of pip; requests go on to its index.
        log: Called with a line that names the day.

    Raises:
        BuildError: The day is not a date.
    """
    as_of = await asyncio.to_thread(resolve_as_of, settings.as_of, settings.committed, source)
    log(str(as_of))
    indexes = [pip.index or DEFAULT_INDEX, *pip.extra]
    if as_of.cutoff is None or pip.no_index or any("@" in address for address in indexes):
        yield None
        return
    index = PackageIndex(
        [address for address in indexes if not address.startswith(("file:", "/"))], (), pip.certificates
    )
    pins, untimed = await asyncio.to_thread(exact_pins, source), set[str]()
    server = _server(index, as_of.cutoff, pins, untimed)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="dated index", daemon=True)
    thread.start()
    try:
        port = int(server.server_address[1])
        yield DatedIndex(f"http://127.0.0.1:{port}/simple", port, as_of.cutoff)
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()
    if untimed:
        log(f"the index tells no upload times of {', '.join(sorted(untimed))}: all of their versions count")


def exact_pins(source: Path) -> dict[str, set[Version]]:
    """Return the versions that files of the source pin with `==`, by package; they count whatever their upload time."""
    found = dict[str, set[Version]]()
    for name, entry in files_of(source, Ignored()):
        is_file = entry.is_file(follow_symlinks=False) and READ.search(name)
        if not is_file or entry.stat(follow_symlinks=False).st_size > LARGEST:
            continue
        text = Path(entry.path).read_text(encoding="utf-8", errors="replace")
        for package, version in PIN.findall(text):
            with contextlib.suppress(InvalidVersion):
                found.setdefault(str(canonicalize_name(package)), set()).add(Version(version))
    return found


def files_before(
    rows: Iterable[Mapping[str, Any]], cutoff: datetime, pinned: Collection[Version] = ()
) -> list[Mapping[str, Any]]:
    """Return the files uploaded before the cutoff and those of pinned versions; all, where the index has no times.

    The index does not tell when a file was withdrawn (yanked). Of the newest version before the cutoff that counts as
    later: a version is mostly withdrawn once the next one repairs it.
    """
    found = list(rows)
    if not _is_timed(found):
        return found
    versions = {id(row): version_of_file(str(row["filename"])) for row in found}
    before = {id(row) for row in found if _was_there(row, cutoff)}
    newest = max((version for place in before if (version := versions[place]) is not None), default=None)
    return [
        {**row, "yanked": False} if id(row) in before and versions[id(row)] == newest else row
        for row in found
        if id(row) in before or versions[id(row)] in pinned
    ]


def _is_timed(rows: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the index tells when files were uploaded."""
    return any(row.get("upload-time") for row in rows)


def _was_there(row: Mapping[str, Any], cutoff: datetime) -> bool:
    time = row.get("upload-time")
    return bool(time) and _moment(str(time)) <= cutoff


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _server(
    index: PackageIndex, cutoff: datetime, pins: Mapping[str, Collection[Version]], untimed: set[str]
) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            words = unquote(self.path.partition("?")[0]).strip("/").split("/")
            if len(words) != 2 or words[0] != "simple":
                self.send_error(404)
                return
            name = str(canonicalize_name(words[1]))
            rows = index.rows(name)
            if not rows:
                self.send_error(404, f"no index of this machine has {name}")
                return
            if not _is_timed(rows):
                untimed.add(name)
            body = _page(files_before(rows, cutoff, pins.get(name, ()))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: pip reports what it takes."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def _page(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a page of the simple API in HTML, which pip of any version reads."""
    lines = ["<!DOCTYPE html><html><body>"]
    for row in rows:
        digest = (row.get("hashes") or {}).get("sha256")
        url = f"{row['url']}#sha256={digest}" if digest else str(row["url"])
        more = f' data-requires-python="{escape(row["requires-python"])}"' if row.get("requires-python") else ""
        if row.get("yanked"):
            more += f' data-yanked="{escape(str(row["yanked"]))}"'
        lines.append(f'<a href="{escape(url)}"{more}>{escape(str(row["filename"]))}</a><br>')
    return "\n".join([*lines, "</body></html>", ""])
