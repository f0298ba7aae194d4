"""Checks Host and Origin, so that pages of other sites cannot use a server that listens on this machine.

A page in a browser can send requests to loopback: its Origin shows that it is foreign. A DNS name that was rebound to
loopback is not among the allowed hosts.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

__all__ = ["LOOPBACK", "HostGuard"]

LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))
ANY_HOST = "*"
CACHED_HOSTS = 100  # Host values that were accepted and are not parsed again
SAME_SITE = (b"same-origin", b"none")


class HostGuard:
    """Decides whether a request may come in, by its Host, Origin and Sec-Fetch-Site headers.

    Args:
        hosts: Allowed host names beside loopback; "*" allows all.
        cross_origin: Path prefixes that have CORS of their own, where any Origin is allowed.
        local_names: Whether IP addresses and names without a dot are allowed too. No public name server can point
            such a name here, and containers call each other by them.
        server: What the error texts call the server.
        option: The option that allows more hosts, for the error texts.
    """

    def __init__(
        self,
        hosts: Iterable[str] = (),
        cross_origin: Iterable[str] = (),
        *,
        local_names: bool = False,
        server: str = "stand",
        option: str = "--allow-host",
    ) -> None:
        self._hosts = LOOPBACK | {host.lower() for host in hosts if host}
        self._cross_origin, self._local_names = tuple(cross_origin), local_names
        self._server, self._option = server, option
        self._accepted = set[bytes]()

    def refusal(self, scope: Any, *, names: Iterable[str] = ()) -> str | None:
        """Return why a request is refused, or None if it is allowed.

        Args:
            scope: ASGI's, or any mapping with its `headers` and `path`.
            names: Hosts that are allowed for this request beside the others.
        """
        host, origin, site = b"", None, b"none"
        hosts = 0
        for name, value in scope["headers"]:
            if name == b"host":
                host, hosts = value, hosts + 1
            elif name == b"origin":
                origin = value if origin is None else b""  # no browser sends two
            elif name == b"sec-fetch-site" and value not in SAME_SITE:
                site = value
        text = host.decode("latin-1")
        if hosts != 1 or not (host in self._accepted or self._allows(_hostname(f"//{text}"), names)):
            return f"Host {text[:100] if hosts else 'missing'} is not this {self._server}'s; {self._option} lists more"
        if not names and len(self._accepted) < CACHED_HOSTS:
            self._accepted.add(host)
        if origin is None and site in SAME_SITE:
            return None
        path: str = scope["path"]
        if any(path == prefix or path.startswith(f"{prefix}/") for prefix in self._cross_origin):
            return None
        if origin is not None and _netloc(origin.decode("latin-1")) != text.lower():
            return f"Origin {origin.decode('latin-1')[:100]} may not use this {self._server}"
        if site not in SAME_SITE and (path != "/" or self._local_names):
            return f"a page of another site may not use this {self._server}"
        return None

    def _allows(self, host: str, names: Iterable[str]) -> bool:
        if host in self._hosts or host in names or (ANY_HOST in self._hosts and host):
            return True
        return self._local_names and _is_local_name(host)


def _is_local_name(host: str) -> bool:
    """Return whether a host is an IP address, or a name that no public name server can resolve."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(host) and "." not in host and not host.isdigit()
    return True


def _hostname(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""
