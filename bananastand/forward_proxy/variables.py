"""The environment variables that lead a program to the proxy, and make it trust the authority."""

from __future__ import annotations

import shlex
from pathlib import Path

from .certificates import Authority
from .node_hook import node_options

__all__ = ["export_lines", "proxy_variables", "trust_variables"]

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
THIS_MACHINE = "localhost,127.0.0.1,::1"


def trust_variables(authority: Authority) -> dict[str, str]:
    """Return what makes OpenSSL, curl, requests and Node trust the authority."""
    bundle = str(authority.bundle)
    return {
        "SSL_CERT_FILE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        "CURL_CA_BUNDLE": bundle,
        "NODE_EXTRA_CA_CERTS": str(authority.certificate),
    }


def proxy_variables(address: str, authority: Authority) -> dict[str, str]:
    """Return what sends a program's requests to the proxy at this address."""
    direct = dict.fromkeys(("NO_PROXY", "no_proxy"), THIS_MACHINE)
    return {**dict.fromkeys(PROXIES, address), **direct, **trust_variables(authority)}


def export_lines(variables: dict[str, str], hook: Path | None = None) -> list[str]:
    """Return the variables as a shell sets them, and NODE_OPTIONS with the hook behind what it has already."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    if hook is not None:
        lines.append(f'export NODE_OPTIONS={shlex.quote(node_options(hook))}"${{NODE_OPTIONS:+ $NODE_OPTIONS}}"')
    return lines
