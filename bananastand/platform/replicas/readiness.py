"""Whether an app that is an HTTP server of its own is ready, and why not."""

from __future__ import annotations

from dataclasses import dataclass

from .http_client import HttpClient

__all__ = ["PATHS", "Readiness", "check_readiness", "is_reachable"]

# Banana's first template, our host, Potassium, and what servers are used to. The first that exists decides.
PATHS = ("/healthcheck", "/readyz", "/_k/status", "/healthz", "/health")
NONE = "/no-such-path-of-an-app"  # what an app answers here it answers to any path that it does not have
MISSING = (404, 405, 501)
MOST = 1000  # calls at once


@dataclass(frozen=True, slots=True)
class Readiness:
    """What came of a question.

    Attributes:
        reason: What was asked and what came.
        concurrency: Calls at once, where the app says so.
        path: The one that answered; None for an app that has none.
        answered: Whether anything came.
    """

    is_ready: bool
    reason: str
    concurrency: int = 1
    path: str | None = None
    answered: bool = True


async def check_readiness(client: HttpClient, path: str | None = None) -> Readiness:
    """Ask once.

    Args:
        client: Of the replica.
        path: The one that answers 200 when the app is ready, or None for the first of PATHS that exists. Where none
            exists, an app that answers HTTP at all is ready.
    """
    missing: int | None = None
    for each in (path,) if path else PATHS:
        answer = await client.get(each)
        if answer is None:
            return Readiness(False, f"GET {each} on port {client.address[1]}: no answer", answered=False)
        if 200 <= answer.status < 300:
            value = answer.json()
            declared = value.get("concurrency") if isinstance(value, dict) else None
            concurrency = min(declared, MOST) if isinstance(declared, int) and declared > 0 else 1
            return Readiness(True, f"GET {each} answered {answer.status}", concurrency, each)
        if path is None and answer.status in MISSING:
            continue
        if path is None:
            if missing is None:
                other = await client.get(NONE)
                missing = other.status if other is not None else 0
            if answer.status == missing:
                continue
        return Readiness(False, f"GET {each} answered {answer.status}")
    return Readiness(True, f"it answers HTTP, and has none of {', '.join(PATHS)}")


async def is_reachable(client: HttpClient, path: str | None, timeout: float) -> bool:
    """Whether an app that was ready answers, with whatever status; one without a path must take a connection.

    Args:
        client: Of the replica.
        path: The one that it answered when it became ready.
        timeout: Seconds for its answer.
    """
    if path is None:
        return await client.connects(timeout)
    return await client.get(path, timeout) is not None
