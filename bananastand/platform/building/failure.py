"""Finds the line that says why a program of a build failed.

What to do about it is in `bananastand.platform.replicas.advice`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["decisive_line", "explain_windows_line_ends"]

# The last of these says what went wrong.
ERROR = re.compile(
    r"^\s*(?:[\w.]*(?:Error|Exception|Exit|Interrupt)\b(?::|$)|(?:E|ERROR|error|fatal|FATAL|Error)\b ?:|"
    r"npm (?:ERR!|error)|curl: \(\d+\)|wget: |"
    r".*: command not found|.*: not found$|.*No such file or directory|.*: cannot |.*: error: )"
)
# Never the reason, however late it comes.
NOISE = re.compile(
    r"^\s*(?:note:|hint:|\[notice\]|WARNING|warning:|Traceback|File \"|During handling|The above exception|debconf:|"
    r"Reading (?:package|state)|Building dependency|\^+\s*$|~+|For further information|If you want to|See above|$)",
    re.IGNORECASE,
)


def decisive_line(lines: Sequence[str]) -> str:
    """Return the line that says what failed, or the last line that is no notice; empty without output."""
    candidates = [line.strip() for line in lines if line.strip() and not NOISE.match(line)]
    errors = [line for line in candidates if ERROR.match(line)]
    return (errors or candidates or [""])[-1][:400]


def explain_windows_line_ends(script: Path) -> str | None:
    """Return what to do where a script's first line ends with a carriage return, else None."""
    try:
        with script.open("rb") as file:
            first = file.readline(200)
    except OSError:
        return None
    if not (first.startswith(b"#!") and first.endswith(b"\r\n")):
        return None
    name = script.name
    return (
        f"{name} has the line ends of Windows, and its first line names no program: convert it "
        f"(sed -i 's/\\r$//' {name}), and keep it so (echo '*.sh text eol=lf' >> .gitattributes)"
    )
