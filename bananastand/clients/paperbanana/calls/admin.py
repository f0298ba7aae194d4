"""API keys and history of PaperBanana, which need the admin key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast
from urllib.parse import quote

from ...request import ClientRequest, PagedList, without_none
from ..models import (
    Endpoint,
    HistoryDetail,
    HistoryItem,
    HistoryPage,
    Key,
    KeyDetail,
    Status,
)

__all__ = [
    "create_key",
    "delete_key",
    "each_history_item",
    "get_history",
    "get_key",
    "list_history",
    "list_keys",
    "update_key",
]


def list_keys() -> ClientRequest[list[Key]]:
    """Return all API keys. Needs the admin key.

    Source: D:763-789.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(list[Key], "GET", "/api/admin/keys", admin=True)


def create_key(
    name: str, *, quota: int | None = None, webhook_url: str | None = None, webhook_secret: str | None = None
) -> ClientRequest[Key]:
    """Create an API key; only this response shows it in full. Needs the admin key.

    Source: D:715-761.

    Args:
        name: Name of the key.
        quota: Tasks it may submit, from 1; unlimited by default.
        webhook_url: URL that its finished tasks are posted to.
        webhook_secret: Secret that signs those posts.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        UnprocessableError: 422: an argument does not fit.
        RateLimitError: 429: too many requests, after the retries.
    """
    body = without_none(name=name, quota=quota, webhook_url=webhook_url, webhook_secret=webhook_secret)
    return ClientRequest(Key, "POST", "/api/admin/keys", json=body, admin=True)


def get_key(key: str) -> ClientRequest[KeyDetail]:
    """Return an API key and its usage. Needs the admin key.

    Source: D:791-825.

    Args:
        key: The key in full, or masked as lists show it.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        NotFoundError: 404: there is no key of that name or id.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(KeyDetail, "GET", f"/api/admin/keys/{quote(key, safe='')}", admin=True, hidden=key)


def update_key(
    key: str,
    *,
    quota_remaining: int | None = None,
    quota_total: int | None = None,
    active: bool | None = None,
    webhook_url: str | None = None,
    webhook_secret: str | None = None,
) -> ClientRequest[Key]:
    """Change the passed fields of an API key. Needs the admin key.

    Source: D:827-855.

    Args:
        key: The key in full, or masked as lists show it.
        quota_remaining: Tasks it may still submit, from 0.
        quota_total: Tasks in all, from 0.
        active: Whether it may be used.
        webhook_url: URL that its finished tasks are posted to; "" removes it.
        webhook_secret: Secret that signs those posts; "" removes it.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        NotFoundError: 404: there is no key of that name or id.
        UnprocessableError: 422: an argument does not fit.
        RateLimitError: 429: too many requests, after the retries.
    """
    body = without_none(
        quota_remaining=quota_remaining,
        quota_total=quota_total,
        active=active,
        webhook_url=webhook_url,
        webhook_secret=webhook_secret,
    )
    return ClientRequest(
        Key, "PATCH", f"/api/admin/keys/{quote(key, safe='')}", json=body, idempotent=True, admin=True, hidden=key
    )


def delete_key(key: str) -> ClientRequest[None]:
    """Delete an API key. Needs the admin key.

    Source: D:857-873.

    Args:
        key: The key in full, or masked as lists show it.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        NotFoundError: 404: there is no key of that name or id.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(
        None, "DELETE", f"/api/admin/keys/{quote(key, safe='')}", idempotent=True, admin=True, hidden=key
    )


def list_history(
    *,
    page: int | None = None,
    size: int | None = None,
    endpoint: Endpoint | None = None,
    status: Status | None = None,
    api_key: str | None = None,
) -> ClientRequest[HistoryPage]:
    """Return a page of all tasks, newest first. Needs the admin key.

    Source: the published source (D:579 mentions it).

    Args:
        page: Page number, 1 to 1000000.
        size: Entries of a page, 1 to 100; 20 by default.
        endpoint: Only tasks of this endpoint.
        status: Only tasks in this state.
        api_key: Only tasks of this key.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        UnprocessableError: 422: an argument does not fit.
        RateLimitError: 429: too many requests, after the retries.
    """
    query = without_none(page=page, size=size, endpoint=endpoint, status=status, api_key=api_key)
    return ClientRequest(HistoryPage, "GET", "/api/admin/history", query, admin=True)


def get_history(task_id: str) -> ClientRequest[HistoryDetail]:
    """Return a task's input, outcome and webhook deliveries. Needs the admin key.

    Source: the published source (D:579 mentions it).

    Args:
        task_id: Id of a task.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        NotFoundError: 404: there is no task of that name or id.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(HistoryDetail, "GET", f"/api/admin/history/{quote(task_id, safe='')}", admin=True)


def each_history_item(
    *,
    size: int | None = None,
    endpoint: Endpoint | None = None,
    status: Status | None = None,
    api_key: str | None = None,
) -> PagedList[HistoryItem]:
    """Iterate over all tasks, newest first. Needs the admin key.

    Args:
        size: Entries fetched at once, 1 to 100; 20 by default.
        endpoint: Only tasks of this endpoint.
        status: Only tasks in this state.
        api_key: Only tasks of this key.

    Yields:
        One task after another; a page is fetched when it is reached.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        UnprocessableError: 422: an argument does not fit.
        RateLimitError: 429: too many requests, after the retries.
    """
    first = list_history(size=size, endpoint=endpoint, status=status, api_key=api_key)
    return PagedList(first, lambda page: page.items, _next_page)


def _next_page(call: ClientRequest[Any], page: HistoryPage) -> ClientRequest[Any] | None:
    turned = cast("int", call.query.get("page", 1))
    return (
        replace(call, query={**call.query, "page": turned + 1}) if page.items and turned < (page.pages or 0) else None
    )
