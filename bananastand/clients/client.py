"""The blocking and the asynchronous client: the two places that touch the HTTP library."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from types import TracebackType
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

import httpx2

from .call import Book, Call, Exchange, Flow, Pause, Prepared, Provider, Raw, Session
from .errors import APIConnectionError, APIResponseError, APITimeoutError

__all__ = ["AsyncClient", "Client", "aflow", "amethod", "apages", "flow", "method", "pages"]

P = ParamSpec("P")
T = TypeVar("T")

TIMEOUT = 60.0  # seconds, of a whole answer
RETRIES = 2
LARGEST = 256 * 2**20  # bytes of an answer
SLICE = 0.1  # seconds between looks at `cancelled`


class _Base:
    """What both clients are made with.

    key: else the environment variable of `provider.key_variable`. admin_key: else that of `provider.admin_variable`,
    for a provider that has one. A missing key is raised by the first call that wants it, as MissingKey. timeout:
    seconds for a whole answer. max_retries: of calls that may be repeated. cache_ttl: seconds for which the answer of
    a GET is given again. strict: raise APIResponseError for a field the contract does not know and a value of another
    type. An `http` of one's own is closed by whoever made it.
    """

    provider: ClassVar[Provider]

    def __init__(
        self,
        key: str | None,
        admin_key: str | None,
        base_url: str | None,
        timeout: float,
        max_retries: int,
        cache_ttl: float,
        strict: bool,
    ) -> None:
        provider = self.provider
        key = key or os.environ.get(provider.key_variable)
        admin_key = admin_key or (os.environ.get(provider.admin_variable) if provider.admin_variable else None)
        base = (base_url or provider.base_url).rstrip("/")
        self.session = Session(provider, key, admin_key, base, timeout, max_retries, strict)
        self._ttl = cache_ttl
        self._kept: dict[str, tuple[float, Raw]] = {}

    def _fresh(self, sent: Prepared) -> Raw | None:
        kept = self._kept.get(sent.url) if self._ttl and sent.kept else None
        return kept[1] if kept is not None and kept[0] > time.monotonic() else None

    def _keep(self, sent: Prepared, raw: Raw) -> Raw:
        if self._ttl and sent.method == "GET" and raw.status == 200:
            now = time.monotonic()
            self._kept = {url: each for url, each in self._kept.items() if each[0] > now}
            self._kept[sent.url] = (now + self._ttl, raw)
        elif sent.method != "GET":
            self._kept.clear()  # what was read may be another now
        return raw


class Client(_Base):
    """A provider, called and waited for. Close it, or use it in a `with`."""

    def __init__(
        self,
        key: str | None = None,
        *,
        admin_key: str | None = None,
        base_url: str | None = None,
        timeout: float = TIMEOUT,
        max_retries: int = RETRIES,
        cache_ttl: float = 0.0,
        strict: bool = False,
        http: httpx2.Client | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        super().__init__(key, admin_key, base_url, timeout, max_retries, cache_ttl, strict)
        self._http, self._own = http or httpx2.Client(transport=transport), http is None

    def send(self, call: Call[T]) -> T:
        """Make a call. Raises APIError."""
        return self.drive(self.session.send(call))

    def exchange(self, call: Call[T]) -> Exchange[T]:
        """Make a call; the result with its status, headers and whole body. Raises APIError."""
        return self.drive(self.session.exchange(call))

    def drive(self, flow: Flow[T]) -> T:
        """Send what the flow wants sent, wait as long as it wants, until it is done."""
        try:
            step = next(flow)
            while True:
                try:
                    answer = self._sleep(step) if isinstance(step, Pause) else self._wire(step)
                except BaseException as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            return end.value
        finally:
            flow.close()

    def close(self) -> None:
        """Close the connections, unless they are those of an `http` of one's own."""
        if self._own:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wire(self, sent: Prepared) -> Raw:
        if (kept := self._fresh(sent)) is not None:
            return kept
        until, body = time.monotonic() + sent.timeout, bytearray()
        try:
            with self._http.stream(
                sent.method,
                sent.url,
                headers=dict(sent.headers),
                content=sent.content,
                timeout=sent.timeout,
                follow_redirects=False,
            ) as response:
                for chunk in response.iter_bytes():
                    _take(body, chunk, until, sent)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise _broken(sent, error) from None
        return self._keep(sent, _raw(response, body))

    @staticmethod
    def _sleep(pause: Pause) -> None:
        until = time.monotonic() + pause.seconds
        while (left := until - time.monotonic()) > 0 and not (pause.cancelled and pause.cancelled()):
            time.sleep(min(left, SLICE) if pause.cancelled else left)


class AsyncClient(_Base):
    """The same for asyncio. Close it with `aclose`, or use it in an `async with`."""

    def __init__(
        self,
        key: str | None = None,
        *,
        admin_key: str | None = None,
        base_url: str | None = None,
        timeout: float = TIMEOUT,
        max_retries: int = RETRIES,
        cache_ttl: float = 0.0,
        strict: bool = False,
        http: httpx2.AsyncClient | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(key, admin_key, base_url, timeout, max_retries, cache_ttl, strict)
        self._http, self._own = http or httpx2.AsyncClient(transport=transport), http is None

    async def send(self, call: Call[T]) -> T:
        """Make a call. Raises APIError."""
        return await self.drive(self.session.send(call))

    async def exchange(self, call: Call[T]) -> Exchange[T]:
        """Make a call; the result with its status, headers and whole body. Raises APIError."""
        return await self.drive(self.session.exchange(call))

    async def drive(self, flow: Flow[T]) -> T:
        """Send what the flow wants sent, wait as long as it wants, until it is done."""
        try:
            step = next(flow)
            while True:
                try:
                    answer = await (self._sleep(step) if isinstance(step, Pause) else self._wire(step))
                except BaseException as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            return end.value
        finally:
            flow.close()

    async def aclose(self) -> None:
        """Close the connections, unless they are those of an `http` of one's own."""
        if self._own:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _wire(self, sent: Prepared) -> Raw:
        if (kept := self._fresh(sent)) is not None:
            return kept
        until, body = time.monotonic() + sent.timeout, bytearray()
        try:
            async with self._http.stream(
                sent.method,
                sent.url,
                headers=dict(sent.headers),
                content=sent.content,
                timeout=sent.timeout,
                follow_redirects=False,
            ) as response:
                async for chunk in response.aiter_bytes():
                    _take(body, chunk, until, sent)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise _broken(sent, error) from None
        return self._keep(sent, _raw(response, body))

    @staticmethod
    async def _sleep(pause: Pause) -> None:
        from asyncio import sleep  # a tenth of the time that an import of the clients takes

        until = time.monotonic() + pause.seconds
        while (left := until - time.monotonic()) > 0 and not (pause.cancelled and pause.cancelled()):
            await sleep(min(left, SLICE) if pause.cancelled else left)


def _take(body: bytearray, chunk: bytes, until: float, sent: Prepared) -> None:
    body += chunk
    if len(body) > LARGEST:
        raise APIResponseError(f"the answer is larger than {LARGEST} bytes", request=sent.named)
    if time.monotonic() > until:
        raise APITimeoutError(f"the answer was not whole after {sent.timeout:g} s", request=sent.named)


def _raw(response: httpx2.Response, body: bytearray) -> Raw:
    return Raw(response.status_code, {name.lower(): value for name, value in response.headers.items()}, bytes(body))


def _broken(sent: Prepared, error: Exception) -> APIConnectionError:
    if isinstance(error, httpx2.TimeoutException):
        return APITimeoutError(f"no answer within {sent.timeout:g} s", request=sent.named)
    return APIConnectionError(f"{type(error).__name__}: {' '.join(str(error).split())}", request=sent.named)


_Build = Callable[..., Any]


class _Bound(Generic[P, T]):
    """A builder of calls as a method: fetched from a client it is a function with the builder's own arguments."""

    def __init__(self, build: _Build, bind: Callable[[Any, _Build], Callable[..., Any]]) -> None:
        self.build, self._bind = build, bind
        self.__doc__, self.__name__, self.__wrapped__ = build.__doc__, build.__name__, build

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: _Base, owner: type) -> Callable[P, T]: ...
    def __get__(self, client: _Base | None, owner: type) -> Any:
        if client is None:
            return self
        return wraps(self.build)(self._bind(client, self.build))


def method(build: Callable[P, Call[T]]) -> _Bound[P, T]:
    """A method of a Client from a builder of calls."""
    return _Bound(build, lambda client, build: lambda *args, **words: client.send(build(*args, **words)))


def amethod(build: Callable[P, Call[T]]) -> _Bound[P, Coroutine[Any, Any, T]]:
    """A method of an AsyncClient from a builder of calls."""
    return method(build)  # type: ignore[arg-type,return-value]


def flow(work: Callable[Concatenate[Session, P], Flow[T]]) -> _Bound[P, T]:
    """A method of a Client from a flow."""
    return _Bound(work, lambda client, work: lambda *args, **words: client.drive(work(client.session, *args, **words)))


def aflow(work: Callable[Concatenate[Session, P], Flow[T]]) -> _Bound[P, Coroutine[Any, Any, T]]:
    """A method of an AsyncClient from a flow."""
    return flow(work)  # type: ignore[arg-type,return-value]


def pages(build: Callable[P, Book[T]]) -> _Bound[P, Iterator[T]]:
    """An iterator over all pages, as a method of a Client; the next page is asked for when it is come to."""

    def turn(client: Client, book: Book[T]) -> Iterator[T]:
        call: Call[Any] | None = book.first
        while call is not None:
            page = client.send(call)
            yield from book.items(page)
            call = book.following(call, page)

    return _Bound(build, lambda client, build: lambda *args, **words: turn(client, build(*args, **words)))


def apages(build: Callable[P, Book[T]]) -> _Bound[P, AsyncIterator[T]]:
    """An iterator over all pages, as a method of an AsyncClient."""

    async def turn(client: AsyncClient, book: Book[T]) -> AsyncIterator[T]:
        call: Call[Any] | None = book.first
        while call is not None:
            page = await client.send(call)
            for item in book.items(page):
                yield item
            call = book.following(call, page)

    return _Bound(build, lambda client, build: lambda *args, **words: turn(client, build(*args, **words)))
