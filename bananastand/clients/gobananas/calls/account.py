"""Account, usage and sessions of Go Bananas!."""

from __future__ import annotations

from urllib.parse import quote

from ...request import ClientRequest, without_none
from ..models import (
    Profile,
    SessionList,
    SessionWithImages,
    Usage,
)

__all__ = ["get_profile", "get_session", "get_usage", "list_sessions"]


def get_profile() -> ClientRequest[Profile]:
    """Return the account of the key, its settings and its storage quota.

    Source: B:31-56.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(Profile, "GET", "/api/profile")


def get_usage(*, days: int | None = None, start: str | None = None, end: str | None = None) -> ClientRequest[Usage]:
    """Return what was made in a period.

    Source: B:226-253.

    Args:
        days: Days up to today, 1 to 90; 30 by default.
        start: First day (YYYY-MM-DD); `start` and `end` win over `days`.
        end: Last day (YYYY-MM-DD), included.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(Usage, "GET", "/api/usage", without_none(days=days, start=start, end=end))


def list_sessions() -> ClientRequest[SessionList]:
    """Return all sessions, the most recent first.

    Source: B:192-212.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(SessionList, "GET", "/api/sessions")


def get_session(id: str) -> ClientRequest[SessionWithImages]:
    """Return one session with its images, oldest first.

    Source: B:214-220.

    Args:
        id: Id of a session.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        NotFoundError: 404: there is no session of that name or id.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(SessionWithImages, "GET", f"/api/sessions/{quote(id, safe='')}")
