"""Banana's own host names: run URLs at `SLUG.run.banana.dev`, and its API.

Published wrappers have these names built in; they reach the platform by the forward proxy, or by a hosts file.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from bananastand.forward_proxy.host_names import HostNames

from .headers import raw_path

__all__ = ["API_HOSTS", "BANANA_HOSTS", "MOUNT", "RUN_DOMAIN", "host_of", "rewrite_banana_host"]

RUN_DOMAIN = "run.banana.dev"
API_HOSTS = ("api.banana.dev", "app.banana.dev", "build.banana.dev")
MOUNT = "/banana"
BANANA_HOSTS = HostNames(API_HOSTS, (RUN_DOMAIN,))


def host_of(scope: Any) -> str:
    """Return a request's host in lower case, without its port; empty if it has none, or several."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    try:
        return (urlsplit(f"//{hosts[0].decode('latin-1')}").hostname or "").lower() if len(hosts) == 1 else ""
    except ValueError:
        return ""


def rewrite_banana_host(scope: Any) -> Any:
    """Return a request to one of Banana's hosts as one to the platform's path for it; None for any other host."""
    host = host_of(scope)
    slug = _slug(host)
    if slug is None and host not in API_HOSTS:
        return None
    before = f"{MOUNT}/run/{slug}" if slug is not None else MOUNT
    if slug is None and scope["path"].startswith(f"{MOUNT}/"):  # URLs that Banana's API returned
        before = ""
    return {**scope, "path": before + scope["path"], "raw_path": before.encode() + raw_path(scope)}


def _slug(host: str) -> str | None:
    slug, _, domain = host.partition(".")
    return slug if domain == RUN_DOMAIN and BANANA_HOSTS.serves(host) else None
