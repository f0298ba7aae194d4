"""Builds, signs, reads and retries requests, without an HTTP library.

An operation that takes several requests is a flow: a generator that yields a request to send or a pause, and receives
the response. `Client` drives it with a blocking connection, `AsyncClient` with an asynchronous one.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

from pydantic import TypeAdapter, ValidationError

from .errors import (
    APIConnectionError,
    APIError,
    APIRefusedError,
    APIResponseError,
    APIStatusError,
    MissingKey,
    status_error,
)
from .provider import ProviderAPI
from .request import ClientRequest, PreparedRequest
from .response import ClientResponse, RawResponse

__all__ = ["USER_AGENT", "ClientSession", "Flow", "Pause"]

T = TypeVar("T")

USER_AGENT = "bananastand-clients"
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0  # seconds of back-off
LONGEST_HINT = 60.0  # seconds; a provider that asks for more is not waited for


@dataclass(frozen=True)
class Pause:
    """Wait this many seconds, or until `cancelled` returns true."""

    seconds: float
    cancelled: Callable[[], bool] | None = None


Flow = Generator[PreparedRequest | Pause, Any, T]


@dataclass(frozen=True)
class ClientSession:
    """What all requests of one client share."""

    provider: ProviderAPI
    key: str | None = field(repr=False)
    admin_key: str | None = field(repr=False)
    base_url: str
    timeout: float
    max_retries: int
    strict: bool
    random: random.Random = field(default_factory=random.Random, compare=False)

    def prepare(self, request: ClientRequest[Any]) -> PreparedRequest:
        """Sign the request and put it into bytes."""
        query = {name: _query_value(value) for name, value in request.query.items() if value is not None}
        headers = {"accept": "application/json", "user-agent": USER_AGENT, **request.headers}
        body = request.json
        if not request.unsigned:
            body = self.provider.sign(request, self.key_for(admin=request.admin), query, headers)
        content = request.content
        if body is not None:
            content = json.dumps(body, allow_nan=False).encode()
            headers.setdefault("content-type", "application/json")
        url = request.path if "://" in request.path else self.provider.url_of(self.base_url, request.path)
        return PreparedRequest(
            request.method,
            f"{url}?{urlencode(query)}" if query else url,
            headers,
            content,
            self.timeout if request.timeout is None else request.timeout,
            label=f"{request.method} {url}",
            cacheable=request.method == "GET" and not request.fresh,
        )

    def key_for(self, *, admin: bool = False) -> str:
        """Return the API key, or the admin key, that requests are signed with. Raises MissingKey."""
        kind, variable = ("admin key", self.provider.admin_variable) if admin else ("key", None)
        variable, key = variable or self.provider.key_variable, self.admin_key if admin else self.key
        key = (key or "").strip()
        if not key:
            raise MissingKey(f"no {kind} for {self.provider.name}: pass one, or set {variable}")
        if not key.isascii() or not key.isprintable():
            raise MissingKey(f"the {kind} for {self.provider.name} cannot be sent: it is not plain printable text")
        return key

    def read_response(
        self, request: ClientRequest[T], prepared: PreparedRequest, raw: RawResponse
    ) -> ClientResponse[T]:
        """Read the result out of a response.

        Raises:
            APIStatusError: The status is an error.
            APIRefusedError: The status is 200 and the body is an error.
            APIResponseError: The response does not fit the contract.
        """
        lowest, above = (300, 400) if request.redirect else (200, 300)
        if request.read is not None and lowest <= raw.status < above:
            try:
                return ClientResponse(request.read(raw), raw.status, raw.headers, raw.content)
            except ValueError as error:
                raise _misfit(str(error), prepared, raw) from None
        body = _json(raw.content)
        if not 200 <= raw.status < 300:
            text = self.provider.message(body) if body is not None else None
            raise status_error(raw.status)(
                text or _excerpt(raw),
                request=prepared.label,
                status=raw.status,
                headers=raw.headers,
                body=_json_or_text(raw),
            )
        if body is None and raw.status != 204 and raw.content.strip() != b"null":
            raise APIResponseError(
                f"the answer is no JSON: {_excerpt(raw)}", request=prepared.label, body=_json_or_text(raw)
            )
        if (message := self.provider.refusal(body)) is not None:
            raise APIRefusedError(message, request=prepared.label, body=body)
        try:
            result = self._result(request, None if raw.status == 204 else self.provider.unwrap(body))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise _misfit(f"{place + ': ' if place else ''}{first['msg']}", prepared, raw) from None
        except (KeyError, TypeError) as error:
            raise _misfit(f"{error!r} in {_excerpt(raw)}", prepared, raw) from None
        return ClientResponse(cast("T", result), raw.status, raw.headers, body)

    def _result(self, request: ClientRequest[T], value: Any) -> Any:
        """Validate a value; strictly, an unknown field or "4" in place of 4 raises ValidationError."""
        adapter = _type_adapter(request.result)
        if not self.strict:
            return adapter.validate_python(value)
        return adapter.validate_json(json.dumps(value), strict=True, extra="forbid")

    def exchange(self, request: ClientRequest[T]) -> Flow[ClientResponse[T]]:
        """Send the request, and retry it where that may help and does no harm."""
        prepared, started = self.prepare(request), time.monotonic()
        for attempt in count():
            try:
                return self.read_response(request, prepared, (yield prepared))
            except APIError as error:
                seconds = self.pause(request, attempt, time.monotonic() - started, error, time.time())
                if seconds is None:
                    raise
            yield Pause(seconds)
        raise AssertionError("the last attempt returns or raises")

    def send(self, request: ClientRequest[T]) -> Flow[T]:
        """Send the request; the flow returns the result alone."""
        return (yield from self.exchange(request)).result

    def pause(
        self, request: ClientRequest[Any], attempt: int, elapsed: float, error: APIError, now: float
    ) -> float | None:
        """Return the seconds until the next try, or None if there is none.

        A request that may be repeated is retried after a broken connection, a 429 and a 5xx, at most `max_retries`
        times. A request with a retry table is retried as that table says.

        Args:
            request: What was sent.
            attempt: Number of the failed try, from 0.
            elapsed: Seconds since the first try.
            error: How the try failed.
            now: Seconds since 1970.
        """
        if (table := request.retry) is not None and isinstance(error, APIStatusError):
            retried = error.status in table.statuses and table.when(error) and self.max_retries > 0
            seconds = min(table.longest, table.first * 2**attempt)
            return seconds if retried and elapsed + seconds <= table.total else None
        if attempt >= self.max_retries or not request.repeatable:
            return None
        hint = None
        if isinstance(error, APIStatusError) and (error.status == 429 or error.status >= 500):
            hint = self.provider.retry_after(error.headers, now)
        elif not isinstance(error, APIConnectionError):
            return None
        if hint is not None and hint > LONGEST_HINT:
            return None
        backoff = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * self.random.uniform(0.5, 1.0)
        return backoff + (hint or 0.0)  # spread out: many clients got the same hint


@lru_cache(maxsize=256)
def _type_adapter(result: Any) -> TypeAdapter[Any]:
    return TypeAdapter(result)


def _query_value(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _misfit(reason: str, prepared: PreparedRequest, raw: RawResponse) -> APIResponseError:
    return APIResponseError(f"the answer does not fit: {reason}", request=prepared.label, body=_json_or_text(raw))


def _json_or_text(raw: RawResponse) -> object:
    body = _json(raw.content)
    return raw.content.decode("utf-8", "replace") if body is None else body


def _excerpt(raw: RawResponse) -> str:
    text = " ".join(raw.content[:400].decode("utf-8", "replace").split())
    return text[:160] or "an empty body"
