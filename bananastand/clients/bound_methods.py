"""Turns the builders of requests, flows and paged lists into methods of the two clients.

Beside the builder's own arguments, each method takes the options of one call: `timeout`, `max_retries` and `headers`.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar, cast, overload

from .client import AsyncClient, Client
from .request import ClientRequest, PagedList
from .session import ClientSession, Flow

__all__ = ["async_flow", "async_method", "async_pages", "flow", "method", "pages"]

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", covariant=True)
Headers = Mapping[str, str]

_Builder = Callable[..., Any]
_Send = Callable[[Any, ClientSession, Any], Any]

OPTIONS = {
    "timeout": ("float | None", "Seconds for a response of this call, more than 0; by default the client's."),
    "max_retries": ("int | None", "Most retries of a request of this call, from 0; by default the client's."),
    "headers": ("Mapping[str, str] | None", "Headers to send as well, or in place of the client's own."),
}


class _Method(Protocol[P, R]):
    """How a type checker sees a method: with its own arguments, or with options of the call beside any arguments."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(
        self, *args: Any, timeout: float, max_retries: int = ..., headers: Headers = ..., **kwargs: Any
    ) -> R: ...
    @overload
    def __call__(
        self, *args: Any, max_retries: int, timeout: float = ..., headers: Headers = ..., **kwargs: Any
    ) -> R: ...
    @overload
    def __call__(
        self, *args: Any, headers: Headers, timeout: float = ..., max_retries: int = ..., **kwargs: Any
    ) -> R: ...


class _Descriptor(Protocol[P, R]):
    """How a type checker sees a method in its class."""

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: Client | AsyncClient, owner: type) -> _Method[P, R]: ...


def method(build: Callable[P, ClientRequest[T]]) -> _Descriptor[P, T]:
    """Return a method of `Client` that sends what `build` returns."""
    return _bind(build, lambda client, session, build: client.drive(session.send(build())), "ClientRequest", "{}")


def async_method(build: Callable[P, ClientRequest[T]]) -> _Descriptor[P, Coroutine[Any, Any, T]]:
    """Return a method of `AsyncClient` that sends what `build` returns."""
    return method(build)  # type: ignore[return-value]


def flow(steps: Callable[Concatenate[ClientSession, P], Flow[T]]) -> _Descriptor[P, T]:
    """Return a method of `Client` that drives a flow to its end."""
    return _bind(steps, lambda client, session, steps: client.drive(steps(session)), "Flow", "{}")


def async_flow(steps: Callable[Concatenate[ClientSession, P], Flow[T]]) -> _Descriptor[P, Coroutine[Any, Any, T]]:
    """Return a method of `AsyncClient` that drives a flow to its end."""
    return flow(steps)  # type: ignore[return-value]


def pages(build: Callable[P, PagedList[T]]) -> _Descriptor[P, Iterator[T]]:
    """Return a method of `Client` that iterates over all pages; each page is fetched when it is reached."""

    def iterate(client: Client, session: ClientSession, paged: PagedList[T]) -> Iterator[T]:
        request: ClientRequest[Any] | None = paged.first
        while request is not None:
            page = client.drive(session.send(request))
            yield from paged.items(page)
            request = paged.next_request(request, page)

    return _bind(build, lambda client, session, build: iterate(client, session, build()), "PagedList", "Iterator[{}]")


def async_pages(build: Callable[P, PagedList[T]]) -> _Descriptor[P, AsyncIterator[T]]:
    """Return a method of `AsyncClient` that iterates over all pages; each page is fetched when it is reached."""

    async def iterate(client: AsyncClient, session: ClientSession, paged: PagedList[T]) -> AsyncIterator[T]:
        request: ClientRequest[Any] | None = paged.first
        while request is not None:
            page = await client.drive(session.send(request))
            for item in paged.items(page):
                yield item
            request = paged.next_request(request, page)

    return _bind(
        build, lambda client, session, build: iterate(client, session, build()), "PagedList", "AsyncIterator[{}]"
    )


class _Annotation(str):
    """An annotation that a signature prints as it is written."""

    __repr__ = str.__str__


def _bind(builder: _Builder, send: _Send, wrapper: str, result: str) -> Any:
    """Return a function that calls the builder with the call's own options and sends what it returns."""

    def call(
        self: Client | AsyncClient,
        *args: Any,
        timeout: float | None = None,
        max_retries: int | None = None,
        headers: Headers | None = None,
        **kwargs: Any,
    ) -> Any:
        session = self.session.with_options(timeout, max_retries, headers)

        def build(*first: Any) -> Any:  # a flow takes the session first
            return builder(*first, *args, **kwargs)

        return send(self, session, build)

    described = cast("Any", call)
    described.__name__, described.__qualname__, described.__wrapped__ = builder.__name__, builder.__name__, builder
    described.__module__ = builder.__module__
    described.__signature__ = _signature(builder, wrapper, result)
    described.__doc__ = _documentation(builder)
    return call


def _signature(builder: _Builder, wrapper: str, result: str) -> inspect.Signature:
    """Return the signature of the method: its own arguments, the options, and what it gives in place of a request."""
    own = inspect.signature(builder)
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for parameter in own.parameters.values():
        if parameter.name != "session":
            parameters.append(parameter.replace(annotation=_Annotation(parameter.annotation)))
    for name, (annotation, _) in OPTIONS.items():
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(name, kind, default=None, annotation=_Annotation(annotation)))
    inner = str(own.return_annotation).removeprefix(f"{wrapper}[").removesuffix("]")
    return own.replace(parameters=parameters, return_annotation=_Annotation(result.format(inner)))


def _documentation(builder: _Builder) -> str:
    """Return the builder's documentation with the options among its arguments."""
    lines = inspect.cleandoc(builder.__doc__ or "").splitlines()
    lines = [line for line in lines if not line.startswith("    session:")]
    described = [f"    {name}: {text}" for name, (_, text) in OPTIONS.items()]
    if "Args:" in lines:
        at = lines.index("Args:") + 1
        while at < len(lines) and lines[at].startswith("    "):
            at += 1
        lines[at:at] = described
    else:
        at = next((at for at, line in enumerate(lines) if line in ("Returns:", "Yields:", "Raises:")), len(lines))
        lines[at:at] = ["", "Args:", *described] if at == len(lines) else ["Args:", *described, ""]
    return "\n".join(lines)
