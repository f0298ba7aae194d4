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
SEEN = 100  # hosts that are not looked at again
NO_SITE = (b"same-origin", b"none")


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
        self._seen = set[bytes]()  # hosts that were let in

    def refusal(self, scope: Any, *, names: Iterable[str] = ()) -> str | None:
        """Why the request is refused; None where it is let in. `names` are hosts that are let in here too."""
        host, origin, site = b"", None, b"none"
        count = 0
        for name, value in scope["headers"]:
            if name == b"host":
                host, count = value, count + 1
            elif name == b"origin":
                origin = value if origin is None else b""  # two are none of a browser's
            elif name == b"sec-fetch-site" and value not in NO_SITE:
                site = value
        text = host.decode("latin-1")
        if count != 1 or not (host in self._seen or self._is_host(_name(f"//{text}"), names)):
            return f"Host {text[:100] if count else 'missing'} is not this {self._name}'s; {self._option} lists more"
        if not names and len(self._seen) < SEEN:
            self._seen.add(host)
        if origin is None and site in NO_SITE:
            return None
        path: str = scope["path"]
        if any(path == each or path.startswith(f"{each}/") for each in self._open):
            return None
        if origin is not None and _place(origin.decode("latin-1")) != text.lower():
            return f"Origin {origin.decode('latin-1')[:100]} may not use this {self._name}"
        if site not in NO_SITE and (path != "/" or self._plain):
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
