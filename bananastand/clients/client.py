"""The blocking and the asynchronous client: the two places that touch the HTTP library."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from types import TracebackType
from typing import ClassVar, Self, TypeVar

import httpx2

from . import log_filter as log_filter
from .errors import APIConnectionError, APIResponseError, APITimeoutError, ClientClosed
from .provider import ProviderAPI
from .request import ClientRequest, PreparedRequest
from .response import ClientResponse, RawResponse
from .session import ClientSession, Flow, Pause

__all__ = ["AsyncClient", "Client", "closed_error", "connection_error", "raw_response"]

T = TypeVar("T")

TIMEOUT = 60.0  # seconds for a whole response
RETRIES = 2
LARGEST = 256 * 2**20  # bytes of a response
SLICE = 0.1  # seconds between checks of `cancelled`
NOTHING_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class _BaseClient:
    """What both clients share.

    Args:
        key: The API key; without one, that of the environment variable `provider.key_variable`. A missing key is
            raised by the first request that needs it, as MissingKey.
        admin_key: The admin key of a provider that has one; without one, that of `provider.admin_variable`.
        base_url: URL of the API, of a mock for example; without one, that of the environment variable
            `provider.base_variable`, else the provider's own.
        timeout: Seconds for a whole response, more than 0; operations that wait for work have more.
        max_retries: Most retries of a request, from 0.
        cache_ttl: Seconds for which the response of a GET is given again, from 0; 0 switches the cache off.
        strict: Hold responses to the contract: raise APIResponseError for a field that it does not list, a missing
            field, and a value that it does not allow.
        http: HTTP client to use; its owner closes it.
        transport: HTTP transport for a client of its own.
    """

    provider: ClassVar[ProviderAPI]

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
        from_environment = os.environ.get(provider.base_variable)
        base = base_url or (provider.base_of(from_environment) if from_environment else provider.base_url)
        base = base.rstrip("/")
        self.session = ClientSession(provider, key, admin_key, base, timeout, max_retries, strict)
        self._ttl = cache_ttl
        self._cache: dict[str, tuple[float, RawResponse]] = {}
        self._closed = False

    def _check_open(self) -> None:
        if self._closed:
            name = type(self).__name__
            raise ClientClosed(f"this {name} is closed; make the call inside its `with`, or make a new {name}")

    def _cached(self, prepared: PreparedRequest) -> RawResponse | None:
        entry = self._cache.get(prepared.url) if self._ttl and prepared.cacheable else None
        return entry[1] if entry is not None and entry[0] > time.monotonic() else None

    def _remember(self, prepared: PreparedRequest, raw: RawResponse) -> RawResponse:
        if self._ttl and prepared.method == "GET" and raw.status == 200:
            now = time.monotonic()
            self._cache = {url: entry for url, entry in self._cache.items() if entry[0] > now}
            self._cache[prepared.url] = (now + self._ttl, raw)
        elif prepared.method != "GET":
            self._cache.clear()  # a change may have changed what was read
        return raw


class Client(_BaseClient):
    """A blocking client. Close it, or use it in a `with`."""

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
        self._http, self._owns_http = http or httpx2.Client(transport=transport), http is None

    def send(
        self,
        request: ClientRequest[T],
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Send a request and return its result; the options are those of the methods. Raises APIError."""
        return self.drive(self.session.with_options(timeout, max_retries, headers).send(request))

    def exchange(
        self,
        request: ClientRequest[T],
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ClientResponse[T]:
        """Send a request; return its result with status, headers and whole body. Raises APIError."""
        return self.drive(self.session.with_options(timeout, max_retries, headers).exchange(request))

    def drive(self, flow: Flow[T]) -> T:
        """Send the requests of a flow and wait out its pauses; return its result. Raises what the flow raises."""
        try:
            step = next(flow)
            while True:
                try:
                    answer = self._sleep(step) if isinstance(step, Pause) else self._send(step)
                except BaseException as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            return end.value
        finally:
            flow.close()

    def close(self) -> None:
        """Close the client, and its connections unless an `http` of the caller's was passed."""
        self._closed = True
        if self._owns_http:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, prepared: PreparedRequest) -> RawResponse:
        self._check_open()
        if (cached := self._cached(prepared)) is not None:
            return cached
        deadline, body = time.monotonic() + prepared.timeout, bytearray()
        try:
            with self._http.stream(
                prepared.method,
                prepared.url,
                headers=dict(prepared.headers),
                content=prepared.content,
                timeout=prepared.timeout,
                follow_redirects=False,
            ) as response:
                for chunk in response.iter_bytes():
                    _append(body, chunk, deadline, prepared)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise connection_error(prepared, error) from None
        except RuntimeError as error:
            raise closed_error(self._http.is_closed, error) from None
        return self._remember(prepared, raw_response(response, body))

    @staticmethod
    def _sleep(pause: Pause) -> None:
        deadline = time.monotonic() + pause.seconds
        while (left := deadline - time.monotonic()) > 0 and not (pause.cancelled and pause.cancelled()):
            time.sleep(min(left, SLICE) if pause.cancelled else left)


class AsyncClient(_BaseClient):
    """A client for asyncio. Close it with `aclose`, or use it in an `async with`."""

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
        self._http, self._owns_http = http or httpx2.AsyncClient(transport=transport), http is None

    async def send(
        self,
        request: ClientRequest[T],
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Send a request and return its result; the options are those of the methods. Raises APIError."""
        return await self.drive(self.session.with_options(timeout, max_retries, headers).send(request))

    async def exchange(
        self,
        request: ClientRequest[T],
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ClientResponse[T]:
        """Send a request; return its result with status, headers and whole body. Raises APIError."""
        return await self.drive(self.session.with_options(timeout, max_retries, headers).exchange(request))

    async def drive(self, flow: Flow[T]) -> T:
        """Send the requests of a flow and wait out its pauses; return its result. Raises what the flow raises."""
        try:
            step = next(flow)
            while True:
                try:
                    answer = await (self._sleep(step) if isinstance(step, Pause) else self._send(step))
                except BaseException as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            return end.value
        finally:
            flow.close()

    async def aclose(self) -> None:
        """Close the client, and its connections unless an `http` of the caller's was passed."""
        self._closed = True
        if self._owns_http:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _send(self, prepared: PreparedRequest) -> RawResponse:
        self._check_open()
        if (cached := self._cached(prepared)) is not None:
            return cached
        deadline, body = time.monotonic() + prepared.timeout, bytearray()
        try:
            async with self._http.stream(
                prepared.method,
                prepared.url,
                headers=dict(prepared.headers),
                content=prepared.content,
                timeout=prepared.timeout,
                follow_redirects=False,
            ) as response:
                async for chunk in response.aiter_bytes():
                    _append(body, chunk, deadline, prepared)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise connection_error(prepared, error) from None
        except RuntimeError as error:
            raise closed_error(self._http.is_closed, error) from None
        return self._remember(prepared, raw_response(response, body))

    @staticmethod
    async def _sleep(pause: Pause) -> None:
        from asyncio import sleep  # a tenth of the time that an import of the clients takes

        deadline = time.monotonic() + pause.seconds
        while (left := deadline - time.monotonic()) > 0 and not (pause.cancelled and pause.cancelled()):
            await sleep(min(left, SLICE) if pause.cancelled else left)


def _append(body: bytearray, chunk: bytes, deadline: float, prepared: PreparedRequest) -> None:
    body += chunk
    if len(body) > LARGEST:
        raise APIResponseError(f"the answer is larger than {LARGEST} bytes", request=prepared.label)
    if time.monotonic() > deadline:
        raise APITimeoutError(f"the answer was not whole after {prepared.timeout:g} s", request=prepared.label)


def raw_response(response: httpx2.Response, body: bytes | bytearray) -> RawResponse:
    """Return a response without the HTTP library."""
    return RawResponse(
        response.status_code, {name.lower(): value for name, value in response.headers.items()}, bytes(body)
    )


def connection_error(prepared: PreparedRequest, error: Exception) -> APIConnectionError:
    """Return our error in place of the HTTP library's."""
    sent = not isinstance(error, NOTHING_SENT)
    if isinstance(error, httpx2.TimeoutException):
        return APITimeoutError(f"no answer within {prepared.timeout:g} s", request=prepared.label, sent=sent)
    message = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return APIConnectionError(message, request=prepared.label, sent=sent)


def closed_error(is_closed: bool, error: RuntimeError) -> Exception:
    """Return ClientClosed where the HTTP library's client is closed, else the error as it is."""
    return ClientClosed("the `http` that was passed is closed; pass one that is open") if is_closed else error
