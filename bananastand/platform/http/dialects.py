"""The form of responses to requests that the platform refuses before any of its parts has read them."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import replace

from bananastand.asgi.refusals import Dialect, Refusal, plain_json

from .run_hosts import API_HOSTS, MOUNT, RUN_DOMAIN
from .run_url import refusal as run_refusal

__all__ = ["RESERVED", "dialect_of_platform"]

RESERVED = ("/healthz", "/readyz", "/metrics", "/stand/v1")  # answered also where there are too many connections


def dialect_of_platform(
    apis: Mapping[str, Callable[[int, str], tuple[str, bytes]]], others: Dialect, fronts: Container[int]
) -> Dialect:
    """Word refusals of run URLs as three indented lines, and those of APIs as they do themselves.

    Args:
        apis: Words a status and a message as content type and body, by the mount of the API.
        others: Words refusals of all other paths.
        fronts: Ports of fronts, which answer in the platform's own form.
    """

    def worded(refusal: Refusal) -> tuple[str, bytes]:
        if refusal.port in fronts:
            return plain_json(refusal)
        host = refusal.host.lower().partition(":")[0]
        if host in API_HOSTS:
            refusal = replace(refusal, path=MOUNT + refusal.path)
        if refusal.path.startswith(f"{MOUNT}/run/") or host.endswith(f".{RUN_DOMAIN}"):
            response = run_refusal(refusal.status, refusal.message)
            return response.headers["content-type"], bytes(response.body)
        for mount, word in apis.items():
            if refusal.path == mount or refusal.path.startswith(f"{mount}/"):
                return word(refusal.status, refusal.message)
        return others(refusal)

    return worded
