"""Finds the last Python error in an app's log, and the line of the app's own code that led to it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LastError", "TracebackFrame", "last_error"]

FRAME = re.compile(r'\s*File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in .+)?$')
ERROR = re.compile(r"[A-Za-z_][\w.]*(: .*|:)?$")
STAGE = re.compile(r".*/stage\d+/root(?=/)")  # a build's file tree, which stands for / of its image
LIBRARY = re.compile(
    r"/(site|dist)-packages/|/lib(64)?/python\d|/python\d\.\d+/|^<|/bananastand/(worker|serving|platform)/"
)
LONGEST = 300  # characters of an error that is quoted


@dataclass(frozen=True, slots=True)
class TracebackFrame:
    """A line of code in a traceback; `code` is its text, empty where Python does not know it."""

    file: str
    line: int
    code: str = ""

    def path(self, source: Path | None = None) -> str:
        """Return the file's path in the folder `source` if it is there, else its path as the app sees it."""
        path = STAGE.sub("", self.file)
        parts = Path(path).parts
        if source is not None:
            for start in range(1, len(parts)):  # the longest end of the path that is a file of the source
                if (source / Path(*parts[start:])).is_file():
                    return str(Path(*parts[start:]))
        return path


@dataclass(frozen=True, slots=True)
class LastError:
    """The last error in some lines; `frame` is the last line of the app's own code in its traceback."""

    message: str
    frame: TracebackFrame | None

    def __str__(self) -> str:
        """Return a text such as `ValueError: no model (/app/app.py:12)`."""
        return self.sentence()

    def sentence(self, source: Path | None = None) -> str:
        """Return the error with file and line; the file as it lies in `source`."""
        at = f" ({self.frame.path(source)}:{self.frame.line})" if self.frame is not None else ""
        return f"{self.message[:LONGEST]}{at}"


def last_error(lines: Iterable[str]) -> LastError | None:
    """Return the error of the last traceback in the lines; None if there is no traceback."""
    found, frames, pending = None, list[TracebackFrame](), False
    for line in lines:
        if pending and line.strip() and found is not None:  # an error whose text begins in the next line
            found, pending = LastError(f"{found.message} {line.strip()}", found.frame), False
        elif frame := FRAME.match(line):
            frames.append(TracebackFrame(frame["file"], int(frame["line"])))
        elif frames and line.startswith((" ", "\t")):
            if not frames[-1].code and not set(line.strip()) <= set("^~ "):
                frames[-1] = TracebackFrame(frames[-1].file, frames[-1].line, line.strip())
        elif frames and ERROR.match(line):
            own = next((frame for frame in reversed(frames) if not LIBRARY.search(frame.file)), None)
            found, pending = LastError(line.strip(), own), line.rstrip().endswith(":")
            frames.clear()
        elif line.strip():
            frames.clear()
    return found
