"""Whose requests are let in: those with a Host that is this machine's or listed, and with no foreign Origin.

A page in a browser on this machine can send requests to loopback; its Origin gives it away, and a name that was rebound
to loopback is not in the list. Knows no key.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

__all__ = ["LOOPBACK", "Guard"]

LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))
ANY = "*"


class Guard:
    """Looks at Host and Origin.

    Args:
        hosts: Names that are let in beside this machine's own; "*" lets in all.
        open_to: Beginnings of paths that have CORS of their own, where any Origin may come.
        plain: Let in addresses and names without a dot too. Nobody outside can have such a name lead here, and
            containers call each other by them.
        name: What refuses, in its texts.
        option: What lists more hosts, in its texts.
    """

    def __init__(
        self,
        hosts: Iterable[str] = (),
        open_to: Iterable[str] = (),
        *,
        plain: bool = False,
        name: str = "stand",
        option: str = "--allow-host",
    ) -> None:
        self._hosts, self._open = LOOPBACK | {each.lower() for each in hosts if each}, tuple(open_to)
        self._plain, self._name, self._option = plain, name, option

    def refusal(self, scope: Any, *, names: Iterable[str] = ()) -> str | None:
        """Why the request is refused; None where it is let in. `names` are hosts that are let in here too."""
        headers = scope["headers"]
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not self._is_host(_name(f"//{hosts[0]}"), names):
            return (
                f"Host {hosts[0][:100] if hosts else 'missing'} is not this {self._name}'s; {self._option} lists more"
            )
        path: str = scope["path"]
        if any(path == each or path.startswith(f"{each}/") for each in self._open):
            return None
        for name, value in headers:
            if name == b"origin" and _place(value.decode("latin-1")) != hosts[0].lower():
                return f"Origin {value.decode('latin-1')[:100]} may not use this {self._name}"
            if name == b"sec-fetch-site" and value not in (b"same-origin", b"none") and (path != "/" or self._plain):
                return f"a page of another site may not use this {self._name}"
        return None

    def _is_host(self, host: str, names: Iterable[str]) -> bool:
        if host in self._hosts or host in names or (ANY in self._hosts and host):
            return True
        return self._plain and _is_plain(host)


def _is_plain(host: str) -> bool:
    """Whether this is an address, or a name that no public name server can give away."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(host) and "." not in host and not host.isdigit()
    return True


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
