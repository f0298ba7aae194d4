"""How the platform words what it refuses before any of its parts has the request: as that part does. Sends nothing."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from bananastand.asgi.refusals import Dialect, Refusal, plain_json

from .run_hosts import API_HOSTS, MOUNT, RUN_DOMAIN
from .run_url import refusal as run_refusal

__all__ = ["RESERVED", "dialect_of_platform"]

RESERVED = ("/healthz", "/readyz", "/metrics", "/stand/v1")  # answered also where there are too many connections


def dialect_of_platform(providers: Dialect, fronts: Container[int]) -> Dialect:
    """Refusals of run URLs are three indented lines, those of Banana's APIs and of the mocks their own.

    Args:
        providers: Words refusals of the providers' paths.
        fronts: Ports of fronts, which answer in the platform's own shape.
    """

    def worded(refusal: Refusal) -> tuple[str, bytes]:
        if refusal.port in fronts:
            return plain_json(refusal)
        host = refusal.host.lower().partition(":")[0]
        if host in API_HOSTS:
            refusal = replace(refusal, path=MOUNT + refusal.path)
        if refusal.path.startswith(f"{MOUNT}/run/") or host.endswith(f".{RUN_DOMAIN}"):
            answer = run_refusal(refusal.status, refusal.message)
            return answer.headers["content-type"], bytes(answer.body)
        return providers(refusal)

    return worded
