"""The rules of .dockerignore, as Docker applies them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Ignored", "read_ignored"]


class Ignored:
    """Patterns in order: the last one that matches a path, or a folder above it, decides; `!` includes again."""

    def __init__(self, lines: Sequence[str] = ()) -> None:
        self._prefix = ""
        self._rules = list[tuple[bool, re.Pattern[str]]]()
        for line in lines:
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            lets_in = text.startswith("!")
            pattern = posixpath.normpath(text.removeprefix("!").strip()).lstrip("/")
            if pattern not in (".", ""):
                self._rules.append((lets_in, re.compile(_expression(pattern))))
        self.lets_in_again = any(lets_in for lets_in, _ in self._rules)

    def __call__(self, path: str) -> bool:
        """Whether a path, written with / and relative to the source, is left out."""
        parts = (self._prefix + path).split("/")
        above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        left_out = False
        for lets_in, pattern in self._rules:
            if lets_in == left_out and any(pattern.fullmatch(folder) for folder in above):
                left_out = not lets_in
        return left_out

    def below(self, prefix: str) -> Ignored:
        """Return the same rules for paths relative to a folder; `prefix` is the folder and a /."""
        other = Ignored()
        other._rules, other.lets_in_again, other._prefix = self._rules, self.lets_in_again, self._prefix + prefix
        return other


def read_ignored(source: Path, dockerfile: str = "Dockerfile") -> Ignored:
    """Return the source's rules: Dockerfile.dockerignore where it exists, else .dockerignore."""
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        file = source / name
        if file.is_file() and not file.is_symlink():
            return Ignored(file.read_text(encoding="utf-8", errors="replace").removeprefix("\ufeff").splitlines())
    return Ignored()


def _expression(pattern: str) -> str:
    """Return a regular expression for a pattern with *, ?, ** over folders, [classes] and escapes."""
    out, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            at += 2
            if pattern.startswith("/", at):
                at += 1
                out += "(?:.*/)?"
            else:
                out += ".*"
            continue
        char = pattern[at]
        at += 1
        closing = pattern.find("]", at + 1)
        if char == "*":
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "[" and closing > 0:
            inside = pattern[at:closing].replace("\\", "\\\\").replace("[", "\\[")
            out, at = f"{out}(?!/)[{inside}]", closing + 1
        elif char == "\\" and at < len(pattern):
            out, at = out + re.escape(pattern[at]), at + 1
        else:
            out += re.escape(char)
    return f"(?s:{out})"
