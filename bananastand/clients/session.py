"""Builds, signs, reads and retries requests, without an HTTP library.

An operation that takes several requests is a flow: a generator that yields a request to send or a pause, and receives
the response. `Client` drives it with a blocking connection, `AsyncClient` with an asynchronous one.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode, urlsplit

from pydantic import TypeAdapter, ValidationError

from .clock import ADVANCE, ServerClock
from .errors import (
    APIConnectionError,
    APIError,
    APIRefusedError,
    APIResponseError,
    APIStatusError,
    MissingKey,
    status_error,
)
from .fields import STRICT
from .provider import ProviderAPI
from .request import ClientRequest, PreparedRequest
from .response import ClientResponse, RawResponse

__all__ = ["USER_AGENT", "ClientSession", "Flow", "Pause"]

T = TypeVar("T")

log = logging.getLogger("bananastand.clients")

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
    """What all requests of one client share, or those of one call with options of its own.

    Raises:
        ValueError: `timeout` is not more than 0, or `max_retries` is less than 0.
    """

    provider: ProviderAPI
    key: str | None = field(repr=False)
    admin_key: str | None = field(repr=False)
    base_url: str = field(repr=False)  # it may have a password
    timeout: float
    max_retries: int
    strict: bool
    random: random.Random = field(default_factory=random.Random, compare=False)
    call_timeout: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    def __post_init__(self) -> None:
        if not self.timeout_of(None) > 0:
            raise ValueError(f"timeout is {self.timeout_of(None)}: it must be more than 0 seconds")
        if self.max_retries < 0:
            raise ValueError(f"max_retries is {self.max_retries}: it must be 0 or more")

    def with_options(
        self, timeout: float | None = None, max_retries: int | None = None, headers: Mapping[str, str] | None = None
    ) -> ClientSession:
        """Return a session for one call.

        Args:
            timeout: Seconds for each response, more than 0, in place of the client's and the operation's.
            max_retries: Most retries of a request, from 0, in place of the client's.
            headers: Headers to add to each request, or to send in place of the client's own.
        """
        if timeout is None and max_retries is None and headers is None:
            return self
        retries = self.max_retries if max_retries is None else max_retries
        return replace(self, call_timeout=timeout, max_retries=retries, headers=dict(headers or {}))

    def timeout_of(self, request: ClientRequest[Any] | None) -> float:
        """Return the seconds for a response: the call's own, else the operation's, else the client's."""
        if self.call_timeout is not None:
            return self.call_timeout
        return self.timeout if request is None or request.timeout is None else request.timeout

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
        replaced = {name.lower() for name in self.headers}
        headers = {name: value for name, value in headers.items() if name.lower() not in replaced} | {**self.headers}
        url = request.path if "://" in request.path else self.provider.url_of(self.base_url, request.path)
        return PreparedRequest(
            request.method,
            f"{url}?{urlencode(query)}" if query else url,
            headers,
            content,
            self.timeout_of(request),
            label=f"{request.method} {_public_url(url, request.hidden)}",
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
        # A gateway passes on a deletion's 204 as a 200 without a body.
        is_empty = raw.status == 204 or (request.method == "DELETE" and not raw.content.strip() and not self.strict)
        if body is None and not is_empty and raw.content.strip() != b"null":
            raise APIResponseError(
                f"the answer is no JSON: {_excerpt(raw)}", request=prepared.label, body=_json_or_text(raw)
            )
        if (message := self.provider.refusal(body)) is not None:
            raise APIRefusedError(message, request=prepared.label, body=body, task=self._failed_task(request, body))
        try:
            result = self._result(request, None if is_empty else self.provider.unwrap(body))
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
        return adapter.validate_json(json.dumps(value), strict=True, extra="forbid", context=STRICT)

    def _failed_task(self, request: ClientRequest[Any], body: Any) -> Any:
        """Return the run that failed, or the body where it is none."""
        try:
            return _type_adapter(request.result).validate_python(self.provider.unwrap(body))
        except (ValidationError, KeyError, TypeError):
            return body

    def exchange(self, request: ClientRequest[T]) -> Flow[ClientResponse[T]]:
        """Send the request, and retry it where that may help and does no harm."""
        first, started, skipped = self.prepare(request), time.monotonic(), 0.0
        prepared = first
        for attempt in count():
            sent = time.monotonic()
            try:
                raw: RawResponse = yield prepared
                log.debug("%s answered %d in %.3f s", prepared.label, raw.status, time.monotonic() - sent)
                return self.read_response(request, prepared, raw)
            except APIError as error:
                clock = ServerClock.of(error.headers) if isinstance(error, APIStatusError) else None
                now = time.time() if clock is None else clock.now
                seconds = self.pause(request, attempt, time.monotonic() - started + skipped, error, now)
                if seconds is None:
                    raise
                if clock is not None and not clock.moves and self._hint(error, now) is not None:
                    error.add_note(clock.advice())
                    raise
                reason = error.status if isinstance(error, APIStatusError) else error.message
                log.info("%s failed (%s), retry %d in %.3f s", prepared.label, reason, attempt + 1, seconds)
            if clock is not None and clock.moves:
                skipped += seconds
                prepared = replace(first, headers={**first.headers, ADVANCE: f"{seconds:.3f}"})
            else:
                prepared = first
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
        times. Any other is retried only where the provider surely did nothing: no connection came about, or a 429 says
        when to come again. A request with a retry table is retried as that table says.

        Args:
            request: What was sent.
            attempt: Number of the failed try, from 0.
            elapsed: Seconds since the first try.
            error: How the try failed.
            now: Seconds since 1970, by the provider's clock.
        """
        if (table := request.retry) is not None and isinstance(error, APIStatusError):
            retried = error.status in table.statuses and table.when(error) and self.max_retries > 0
            seconds = min(table.longest, table.first * 2**attempt)
            return seconds if retried and elapsed + seconds <= table.total else None
        hint = self._hint(error, now)
        if isinstance(error, APIStatusError):
            undone, helps = error.status == 429 and hint is not None, error.status == 429 or error.status >= 500
        else:
            helps = isinstance(error, APIConnectionError)
            undone = helps and not cast("APIConnectionError", error).sent
        if not helps or attempt >= self.max_retries or not (undone or request.repeatable):
            return None
        if hint is not None and hint > LONGEST_HINT:
            return None
        backoff = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * self.random.uniform(0.5, 1.0)
        return backoff + (hint or 0.0)  # spread out: many clients got the same hint

    def _hint(self, error: APIError, now: float) -> float | None:
        """Return the seconds that the provider asks to wait, or None."""
        return self.provider.retry_after(error.headers, now) if isinstance(error, APIStatusError) else None


@lru_cache(maxsize=256)
def _type_adapter(result: Any) -> TypeAdapter[Any]:
    return TypeAdapter(result)


def _public_url(url: str, hidden: str) -> str:
    """Return a URL for messages: without credentials and query, of what is hidden the first characters at most."""
    try:
        parts = urlsplit(url)
        url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else parts.path
    except ValueError:
        url = url.partition("?")[0]
    return url.replace(quote(hidden, safe=""), f"{hidden[:6] if len(hidden) > 9 else ''}...") if hidden else url


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
