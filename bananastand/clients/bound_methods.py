"""Turns the builders of requests, flows and paged lists into methods of the two clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from .client import AsyncClient, Client
from .request import ClientRequest, PagedList
from .session import ClientSession, Flow

__all__ = ["async_flow", "async_method", "async_pages", "flow", "method", "pages"]

P = ParamSpec("P")
T = TypeVar("T")

_Builder = Callable[..., Any]


class _BoundMethod(Generic[P, T]):
    """A builder as a method: fetched from a client, it is a function with the builder's own arguments."""

    def __init__(self, builder: _Builder, bind: Callable[[Any, _Builder], Callable[..., Any]]) -> None:
        self.builder, self._bind = builder, bind
        self.__doc__, self.__name__, self.__wrapped__ = builder.__doc__, builder.__name__, builder

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: Client | AsyncClient, owner: type) -> Callable[P, T]: ...
    def __get__(self, client: Client | AsyncClient | None, owner: type) -> Any:
        if client is None:
            return self
        return wraps(self.builder)(self._bind(client, self.builder))


def method(build: Callable[P, ClientRequest[T]]) -> _BoundMethod[P, T]:
    """Return a method of `Client` that sends what `build` returns."""
    return _BoundMethod(build, lambda client, build: lambda *args, **kwargs: client.send(build(*args, **kwargs)))


def async_method(build: Callable[P, ClientRequest[T]]) -> _BoundMethod[P, Coroutine[Any, Any, T]]:
    """Return a method of `AsyncClient` that sends what `build` returns."""
    return method(build)  # type: ignore[arg-type,return-value]


def flow(steps: Callable[Concatenate[ClientSession, P], Flow[T]]) -> _BoundMethod[P, T]:
    """Return a method of `Client` that drives a flow to its end."""
    return _BoundMethod(
        steps, lambda client, steps: lambda *args, **kwargs: client.drive(steps(client.session, *args, **kwargs))
    )


def async_flow(steps: Callable[Concatenate[ClientSession, P], Flow[T]]) -> _BoundMethod[P, Coroutine[Any, Any, T]]:
    """Return a method of `AsyncClient` that drives a flow to its end."""
    return flow(steps)  # type: ignore[arg-type,return-value]


def pages(build: Callable[P, PagedList[T]]) -> _BoundMethod[P, Iterator[T]]:
    """Return a method of `Client` that iterates over all pages; each page is fetched when it is reached."""

    def iterate(client: Client, paged: PagedList[T]) -> Iterator[T]:
        request: ClientRequest[Any] | None = paged.first
        while request is not None:
            page = client.send(request)
            yield from paged.items(page)
            request = paged.next_request(request, page)

    return _BoundMethod(build, lambda client, build: lambda *args, **kwargs: iterate(client, build(*args, **kwargs)))


def async_pages(build: Callable[P, PagedList[T]]) -> _BoundMethod[P, AsyncIterator[T]]:
    """Return a method of `AsyncClient` that iterates over all pages; each page is fetched when it is reached."""

    async def iterate(client: AsyncClient, paged: PagedList[T]) -> AsyncIterator[T]:
        request: ClientRequest[Any] | None = paged.first
        while request is not None:
            page = await client.send(request)
            for item in paged.items(page):
                yield item
            request = paged.next_request(request, page)

    return _BoundMethod(build, lambda client, build: lambda *args, **kwargs: iterate(client, build(*args, **kwargs)))
