"""A request of a provider's API: what an operation builds, what goes on the wire, and when to retry it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .errors import APIStatusError
from .response import RawResponse

__all__ = ["ClientRequest", "PagedList", "PreparedRequest", "RetryTable", "without_none"]

T = TypeVar("T")


@dataclass(frozen=True)
class RetryTable:
    """When and how often one operation is retried, in place of the client's own rules.

    Attributes:
        statuses: Statuses that are retried, whatever the method.
        first: Seconds before the first retry; doubled for each one after it.
        longest: Most seconds between two tries.
        total: Seconds after which no further try begins.
        when: Decides about an error whose status means "retry" only sometimes.
    """

    statuses: frozenset[int]
    first: float
    longest: float
    total: float
    when: Callable[[APIStatusError], bool] = lambda error: True


@dataclass(frozen=True)
class ClientRequest(Generic[T]):
    """One operation with its arguments.

    Attributes:
        result: Type that pydantic reads the response as, unless `read` is set.
        method: HTTP method in capitals. Every GET may be retried.
        path: Path below the base URL, or a whole URL.
        query: Query parameters; None leaves one out.
        json: Body, sent as JSON.
        headers: Further headers.
        content: Body as bytes, in place of `json`.
        idempotent: The request may be sent again although it is no GET.
        read: Reads a successful response in place of pydantic, or a redirect where `redirect` is set.
        timeout: Seconds for the whole response, in place of the client's.
        retry: Retry rules in place of the client's.
        unsigned: Send no key.
        admin: Sign with the admin key.
        redirect: A redirect is the expected response; it is not followed.
        fresh: Never answer from the cache.
        hidden: Part of the path that messages and logs show masked, such as a key.
    """

    result: Any
    method: str
    path: str
    query: Mapping[str, object] = field(default_factory=dict[str, object])
    json: object = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | None = None
    idempotent: bool = False
    read: Callable[[RawResponse], T] | None = None
    timeout: float | None = None
    retry: RetryTable | None = None
    unsigned: bool = False
    admin: bool = False
    redirect: bool = False
    fresh: bool = False
    hidden: str = field(default="", repr=False)

    @property
    def repeatable(self) -> bool:
        """Whether sending the request twice does no more than sending it once."""
        return self.idempotent or self.method == "GET"


@dataclass(frozen=True)
class PreparedRequest:
    """A signed request in bytes.

    Attributes:
        method: HTTP method in capitals.
        url: URL with its query, which may hold a key.
        headers: All headers, with the key.
        content: Body.
        timeout: Seconds for the whole response.
        label: Method and URL without key and query, for messages and logs.
        cacheable: The response may be given again to an equal request.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)
    timeout: float
    label: str
    cacheable: bool


@dataclass(frozen=True)
class PagedList(Generic[T]):
    """A list that comes in pages.

    Attributes:
        first: Request of the first page.
        items: Takes the items out of a page.
        next_request: Request of the page after the given one, or None at the end.
    """

    first: ClientRequest[Any]
    items: Callable[[Any], Sequence[T]]
    next_request: Callable[[ClientRequest[Any], Any], ClientRequest[Any] | None]


def without_none(**fields: object) -> dict[str, object]:
    """Return the fields that are not None: an argument left out is not sent."""
    return {name: value for name, value in fields.items() if value is not None}
