"""Leads requests by the providers' own host names to the mocks' paths, for clients that have these names built in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from bananastand.forward_proxy.host_names import HostNames

from .provider import Provider

__all__ = ["HostTable"]

MAX_CACHED = 1000  # values of Host whose prefix is cached


class HostTable:
    """The host names of all providers.

    Args:
        providers: The providers; where two name the same host, they name the same path for it.

    Attributes:
        names: The names, for the forward proxy and its certificates.
    """

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._prefixes = {host: prefix for provider in providers for host, prefix in provider.hosts.items()}
        parents = tuple(host[2:] for host in self._prefixes if host.startswith("*."))
        self.names = HostNames(tuple(host for host in self._prefixes if not host.startswith("*.")), parents)
        self._cache = dict[bytes, str | None]()

    def prefix(self, scope: Mapping[str, Any]) -> str | None:
        """Return the path of this server that a request's host stands for; None for a host that no provider has."""
        for name, value in scope["headers"]:
            if name == b"host":
                if value not in self._cache:
                    if len(self._cache) >= MAX_CACHED:
                        self._cache.clear()
                    self._cache[value] = self.prefix_of(value.decode("latin-1"))
                return self._cache[value]
        return None

    def prefix_of(self, netloc: str) -> str | None:
        """Return the path of this server for a host, with or without a port; None for a host of no provider."""
        try:
            host = (urlsplit(f"//{netloc}").hostname or "").lower()
        except ValueError:
            return None
        if not self.names.serves(host):
            return None
        label, _, parent = host.partition(".")
        return self._prefixes[host] if host in self._prefixes else self._prefixes[f"*.{parent}"].format(label)
