"""The host names that a server answers to in place of their owners."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

__all__ = ["HostNames", "as_address"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class HostNames:
    """A set of host names, in lower case.

    Attributes:
        exact: Names and IP addresses.
        parents: Domains of which every direct subdomain is served, such as run.banana.dev.
    """

    exact: tuple[str, ...]
    parents: tuple[str, ...] = ()

    @property
    def patterns(self) -> tuple[str, ...]:
        """The names as a certificate has them, `*.` before each parent."""
        return (*(f"*.{parent}" for parent in self.parents), *self.exact)

    def serves(self, host: str) -> bool:
        """Return whether a host is one of them."""
        label, _, parent = host.partition(".")
        is_label = label.replace("-", "").replace("_", "").isalnum() and label.isascii()
        return host in self.exact or (parent in self.parents and is_label)


def as_address(name: str) -> Address | None:
    """Return a name as an IP address; None where it is none."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
