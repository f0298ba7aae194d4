"""Checks over HTTP whether an app that is a server of its own is ready."""

from __future__ import annotations

from dataclasses import dataclass

from .http_client import HttpClient

__all__ = ["PATHS", "Readiness", "check_readiness", "is_reachable"]

# Of Banana's first template, our own host, Potassium, and common servers. The first that exists decides.
PATHS = ("/healthcheck", "/readyz", "/_k/status", "/healthz", "/health")
UNKNOWN_PATH = "/no-such-path-of-an-app"  # what an app answers here, it answers for every path that it does not have
MISSING = (404, 405, 501)
MAX_CONCURRENCY = 1000


@dataclass(frozen=True, slots=True)
class Readiness:
    """The result of one check.

    Attributes:
        is_ready: Whether the app takes calls.
        reason: The request and its response, in words.
        concurrency: Calls at once, where the app declares a number.
        path: The health path that answered; None for an app without one.
        answered: Whether the app answered at all.
    """

    is_ready: bool
    reason: str
    concurrency: int = 1
    path: str | None = None
    answered: bool = True


async def check_readiness(client: HttpClient, path: str | None = None) -> Readiness:
    """Check once whether an app is ready.

    Args:
        client: Of the replica.
        path: The path that answers 200 when the app is ready; None for the first of `PATHS` that exists. Where none
            exists, an app that answers HTTP at all is ready.
    """
    missing: int | None = None
    for candidate in (path,) if path else PATHS:
        response = await client.get(candidate)
        if response is None:
            return Readiness(False, f"GET {candidate} on port {client.address[1]}: no answer", answered=False)
        if 200 <= response.status < 300:
            value = response.json()
            declared = value.get("concurrency") if isinstance(value, dict) else None
            concurrency = min(declared, MAX_CONCURRENCY) if isinstance(declared, int) and declared > 0 else 1
            return Readiness(True, f"GET {candidate} answered {response.status}", concurrency, candidate)
        if path is None and response.status in MISSING:
            continue
        if path is None:
            if missing is None:
                unknown = await client.get(UNKNOWN_PATH)
                missing = unknown.status if unknown is not None else 0
            if response.status == missing:
                continue
        return Readiness(False, f"GET {candidate} answered {response.status}")
    return Readiness(True, f"it answers HTTP, and has none of {', '.join(PATHS)}")


async def is_reachable(client: HttpClient, path: str | None, timeout: float) -> bool:
    """Check whether an app that was ready still answers, with any status.

    Args:
        client: Of the replica.
        path: The health path that answered when the app became ready; None to open a connection only.
        timeout: Seconds for the answer.
    """
    if path is None:
        return await client.connects(timeout)
    return await client.get(path, timeout) is not None
