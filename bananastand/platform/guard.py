"""Whose requests are let in: those with a Host that is this machine's or listed, and with no foreign Origin.

A page in a browser on this machine can send requests to loopback; its Origin gives it away, and a name that was rebound
to loopback is not in the list. Knows no key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

__all__ = ["LOOPBACK", "Guard"]

LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))


class Guard:
    """`open_to` are beginnings of paths that have CORS of their own, where any Origin may come."""

    def __init__(self, hosts: Iterable[str] = (), open_to: Iterable[str] = ()) -> None:
        self._hosts, self._open = LOOPBACK | {each.lower() for each in hosts}, tuple(open_to)

    def refusal(self, scope: Any, *, names: Iterable[str] = ()) -> str | None:
        """Why the request is refused; None where it is let in. `names` are hosts that are let in here too."""
        headers = scope["headers"]
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or _name(f"//{hosts[0]}") not in self._hosts.union(names):
            return f"Host {hosts[0][:100] if hosts else 'missing'} is not this stand's; --allow-host lists more"
        path: str = scope["path"]
        if any(path == each or path.startswith(f"{each}/") for each in self._open):
            return None
        for name, value in headers:
            if name == b"origin" and _place(value.decode("latin-1")) != hosts[0].lower():
                return f"Origin {value.decode('latin-1')[:100]} may not use this stand"
            if name == b"sec-fetch-site" and value not in (b"same-origin", b"none") and path != "/":
                return "a page of another site may not use this stand"
        return None


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _place(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""
