"""The logs of builds and replicas: files of JSON lines, and followers that get new lines at once."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..tracebacks import last_error
from .private_files import open_private

__all__ = ["Log", "iso", "mask", "plain", "tail", "texts_to_mask"]

MAX_LINE = 8 * 2**10  # characters
MAX_BACKLOG = 10_000  # lines that a follower may be behind
MASK = "***"
MIN_SECRET = 4  # characters of a secret that is masked
TAIL_BYTES = 256 * 2**10  # of a file in which its last lines are looked for
CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, links, device strings
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)


class Log:
    """One log. A line that cannot be written, such as on a full disk, is dropped.

    Args:
        path: The file.
        limit: Bytes of the file.
        rotates: Whether a full file is moved aside, replacing an earlier one, and a new one begun; else further lines
            are dropped.
        secrets: Texts that are masked in all lines.
        earlier: The first line of a log that is not here yet, where another machine has the lines before.

    Attributes:
        changed: When the last line was added, on the monotonic clock.
        closed: Whether no further line is added.
    """

    def __init__(
        self,
        path: Path,
        *,
        limit: int = 10 * 2**20,
        rotates: bool = False,
        secrets: Iterable[str] = (),
        earlier: str | None = None,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path, self._limit, self._rotates = path, limit, rotates
        self._secrets = list[str]()
        self.hide(secrets)
        self.closed = self._full = False
        self.changed = time.monotonic()
        self._followers: set[asyncio.Queue[dict[str, Any] | None]] = set()
        self._file: Any = None
        self._size = path.stat().st_size if path.exists() else 0
        if earlier is not None and not path.exists():
            self.add(earlier)

    def hide(self, secrets: Iterable[str]) -> None:
        """Mask these texts too, from now on."""
        self._secrets = sorted({*self._secrets, *texts_to_mask(secrets)}, key=len, reverse=True)

    def add(self, line: str, **fields: str) -> None:
        """Add a line with the current time and these fields; on the event loop's thread."""
        if self.closed or self._full:
            return
        self.changed = time.monotonic()
        row = {"time": iso(time.time()), **fields, "line": mask(line, self._secrets)[:MAX_LINE]}
        if self._size >= self._limit and not self._rotates:
            self._full = True
            row["line"] = f"the log is longer than {self._limit} bytes: the rest is not kept"
        self._write(json.dumps(row, ensure_ascii=False) + "\n")
        for follower in self._followers:
            if follower.qsize() < MAX_BACKLOG:
                follower.put_nowait(row)

    def lines(self) -> list[dict[str, Any]]:
        """Return all lines that are stored, oldest first."""
        found = list[dict[str, Any]]()
        for path in (self._older, self.path):
            with suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
                for line in file:
                    with suppress(ValueError):  # cut off by a kill
                        found.append(json.loads(line))
        return found

    def last(self, count: int) -> list[dict[str, Any]]:
        """Return the last lines, at most `count` and at most TAIL_BYTES of a file, oldest first."""
        found = list[dict[str, Any]]()
        for path in (self.path, self._older):
            begin = 0
            with suppress(FileNotFoundError), open(path, "rb") as file:
                begin = file.seek(max(0, path.stat().st_size - TAIL_BYTES))
                for line in reversed(file.read().splitlines()):
                    with suppress(ValueError):  # the first may be cut
                        found.append(json.loads(line))
                    if len(found) == count:
                        return found[::-1]
            if begin:
                break
        return found[::-1]

    async def follow(self, last: int | None = None) -> AsyncGenerator[dict[str, Any]]:
        """Yield the stored lines, or the last ones of them, and then new ones, until the log is closed."""
        follower = asyncio.Queue[dict[str, Any] | None]()
        stored = self.lines() if last is None else self.last(last)
        self._followers.add(follower)
        if self.closed:
            follower.put_nowait(None)
        try:
            for row in stored:
                yield row
            while (row := await follower.get()) is not None:
                yield row
        finally:
            self._followers.discard(follower)

    def close(self) -> None:
        """Close the log: no line is added any more."""
        self.closed = True
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None
        for follower in self._followers:
            follower.put_nowait(None)

    def remove(self) -> None:
        """Delete the log's files."""
        for path in (self._older, self.path):
            path.unlink(missing_ok=True)

    @property
    def _older(self) -> Path:
        return self.path.with_name(f"{self.path.name}.1")

    def _write(self, text: str) -> None:
        try:
            if self._file is None:
                self._file = open(  # noqa: SIM115
                    self.path, "a", encoding="utf-8", errors="replace", buffering=1, opener=open_private
                )
            self._file.write(text)
            self._size += len(text)
            if self._rotates and self._size >= self._limit:
                self._file.close()
                self._file, self._size = None, 0
                self.path.replace(self._older)
        except OSError:
            with suppress(OSError):
                if self._file is not None:
                    self._file.close()
            self._file = None


def texts_to_mask(secrets: Iterable[str]) -> list[str]:
    """Return the secrets and their lines, without very short ones, the longest first."""
    lines = (line.strip() for secret in secrets for line in (secret, *secret.splitlines()))
    return sorted({line for line in lines if len(line) >= MIN_SECRET}, key=len, reverse=True)


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return the text with these secrets masked; they are as `texts_to_mask` returns them."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def iso(seconds: float) -> str:
    """Return a time in seconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(text: str) -> str:
    """Return the text without escape sequences and control characters, which could rewrite a reader's terminal."""
    return CONTROL.sub("", text)


def tail(lines: Iterable[str], count: int = 3) -> str:
    """Return how the lines end, as the end of a sentence: the last error of a traceback, else the last lines."""
    last = [plain(line).rstrip() for line in lines]
    if (error := last_error(last)) is not None:
        return f"; its last error: {error}"
    words = [line.strip() for line in last if line.strip()][-count:]
    return f"; its last lines: {' | '.join(words)}" if words else ""
