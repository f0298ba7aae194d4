"""An index of packages as it was on a day, on loopback for the time of an image's build.

pip in a container knows no day. It asks this index, which leaves out what was uploaded later. Files come from where
they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from .as_of import resolve_as_of
from .installer import PipConfig
from .log import BuildLog
from .package_index import DEFAULT_INDEX, PackageIndex
from .settings import BuildSettings

__all__ = ["DatedIndex", "dated_index", "files_before"]


@dataclass(frozen=True, slots=True)
class DatedIndex:
    """address: of its simple API. port: on loopback. cutoff: what was uploaded before it counts."""

    address: str
    port: int
    cutoff: datetime


@contextlib.asynccontextmanager
async def dated_index(
    settings: BuildSettings, source: Path, pip: PipConfig, log: BuildLog
) -> AsyncGenerator[DatedIndex | None]:
    """Serve it while it is entered; None where today's packages are meant, or where this machine has no open index.

    Args:
        settings: The day that was asked for, and that of the last commit.
        source: Asked for its own date where the settings have none.
        pip: What pip is configured with on this machine: its index is the one that is asked.
        log: Hears which day counts. Raises BuildError for a day that is none.
    """
    as_of = await asyncio.to_thread(resolve_as_of, settings.as_of, settings.committed, source)
    log(str(as_of))
    indexes = [pip.index or DEFAULT_INDEX, *pip.extra]
    if as_of.cutoff is None or pip.no_index or any("@" in each for each in indexes):
        yield None
        return
    index = PackageIndex([each for each in indexes if not each.startswith(("file:", "/"))], (), pip.certificates)
    server = _server(index, as_of.cutoff)
    thread = threading.Thread(target=server.serve_forever, name="dated index", daemon=True)
    thread.start()
    try:
        port = int(server.server_address[1])
        yield DatedIndex(f"http://127.0.0.1:{port}/simple", port, as_of.cutoff)
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()


def files_before(rows: Iterable[Mapping[str, Any]], cutoff: datetime) -> list[Mapping[str, Any]]:
    """The files of a package that were there. All of them where its index tells no times."""
    found = list(rows)
    if not any(row.get("upload-time") for row in found):
        return found
    return [row for row in found if (time := row.get("upload-time")) and _moment(str(time)) <= cutoff]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _server(index: PackageIndex, cutoff: datetime) -> ThreadingHTTPServer:
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
            body = _page(files_before(rows, cutoff)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: pip says what it takes."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def _page(rows: Iterable[Mapping[str, Any]]) -> str:
    """A page of the simple API in HTML, which pip of any version reads."""
    lines = ["<!DOCTYPE html><html><body>"]
    for row in rows:
        digest = (row.get("hashes") or {}).get("sha256")
        url = f"{row['url']}#sha256={digest}" if digest else str(row["url"])
        more = f' data-requires-python="{escape(row["requires-python"])}"' if row.get("requires-python") else ""
        if row.get("yanked"):
            more += f' data-yanked="{escape(str(row["yanked"]))}"'
        lines.append(f'<a href="{escape(url)}"{more}>{escape(str(row["filename"]))}</a><br>')
    return "\n".join([*lines, "</body></html>", ""])
