"""A call of a provider before and after the wire: built, signed, read, tried again. Knows no HTTP library.

What takes several exchanges is a flow: a generator that yields what is to be sent or how long to wait, and is sent the
answers. `Client` drives it with a blocking connection, `AsyncClient` with an asynchronous one.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import Any, Generic, TypeVar, cast
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from .errors import (
    APIConnectionError,
    APIError,
    APIRefusedError,
    APIResponseError,
    APIStatusError,
    MissingKey,
    status_error,
)

__all__ = [
    "Answer",
    "Book",
    "Call",
    "CamelAnswer",
    "Exchange",
    "Flow",
    "Pause",
    "Prepared",
    "Provider",
    "Raw",
    "Retry",
    "Session",
    "given",
]

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0  # seconds of back-off
LONGEST_HINT = 60.0  # a provider that says to come back later than this is not waited for


class Answer(BaseModel):
    """Part of an answer. Fields the contract does not know are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)


class CamelAnswer(Answer):
    """The same, of a provider that writes modelKey where Python writes model_key."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


@dataclass(frozen=True)
class Raw:
    """An answer as it came; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class Retry:
    """A table of statuses to try again at, whatever the call does, and its back-off in seconds; `total` ends it.

    `when` decides of the statuses that mean this only sometimes.
    """

    statuses: frozenset[int]
    first: float
    longest: float
    total: float
    when: Callable[[APIStatusError], bool] = lambda error: True


@dataclass(frozen=True)
class Call(Generic[T]):
    """One operation with its arguments. `result` is what pydantic reads the answer as, unless `read` does, which is
    handed a success only, or a redirect where that is what is asked for.

    A query value of None is left out. What is `idempotent` may be sent again; every GET is. `retry` is in place of
    the client's own rules. No key goes with a call that is `unsigned`, the admin key with one that is `admin`.
    """

    result: Any
    method: str
    path: str
    query: Mapping[str, object] = field(default_factory=dict[str, object])
    json: object = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | None = None
    idempotent: bool = False
    read: Callable[[Raw], T] | None = None
    timeout: float | None = None  # seconds, in place of the client's
    retry: Retry | None = None
    unsigned: bool = False
    admin: bool = False
    redirects: bool = False

    @property
    def repeatable(self) -> bool:
        return self.idempotent or self.method == "GET"


@dataclass(frozen=True)
class Prepared:
    """What goes on the wire. `named` is the call without its secrets."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None
    timeout: float
    named: str


@dataclass(frozen=True)
class Pause:
    """Wait so many seconds, less if `cancelled` says so meanwhile."""

    seconds: float
    cancelled: Callable[[], bool] | None = None


@dataclass(frozen=True)
class Exchange(Generic[T]):
    """A result with the answer it was in: status, headers, and the body before it was unwrapped."""

    result: T
    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Book(Generic[T]):
    """A list in pages: the call for the first, what is on one, and the call for the next, None at the end."""

    first: Call[Any]
    items: Callable[[Any], Sequence[T]]
    following: Callable[[Call[Any], Any], Call[Any] | None]


Flow = Generator[Prepared | Pause, Any, T]


class Provider:
    """How a provider is spoken to; a subclass for each."""

    name: str
    base_url: str
    key_variable: str
    admin_variable: str | None = None

    def sign(self, call: Call[Any], key: str, query: dict[str, object], headers: dict[str, str]) -> object:
        """Put the key where it belongs; returns the body."""
        raise NotImplementedError

    def address(self, base_url: str, path: str) -> str:
        """Where a path is."""
        return base_url + path

    def refusal(self, body: Any) -> str | None:
        """What an answer of status 200 says that is an error all the same."""
        return None

    def unwrap(self, body: Any) -> Any:
        """The result inside an answer's JSON. Raises KeyError or TypeError where it has another shape."""
        return body

    def message(self, body: Any) -> str | None:
        """What an error's body says, in words."""
        raise NotImplementedError

    def hint(self, headers: Mapping[str, str], now: float) -> float | None:
        """Seconds after which the provider wants to hear from us again. `now` is seconds since 1970."""
        after = headers.get("retry-after", "")
        return float(after) if after.replace(".", "", 1).isdigit() else None


@dataclass(frozen=True)
class Session:
    """What all calls of one client share."""

    provider: Provider
    key: str | None
    admin_key: str | None
    base_url: str
    timeout: float
    max_retries: int
    strict: bool
    random: random.Random = field(default_factory=random.Random, compare=False)

    def prepare(self, call: Call[Any]) -> Prepared:
        """Sign the call and put it into bytes."""
        query = {name: _said(value) for name, value in call.query.items() if value is not None}
        headers = {"accept": "application/json", **call.headers}
        body = call.json if call.unsigned else self.provider.sign(call, self.key_for(call), query, headers)
        content = call.content
        if body is not None:
            content = json.dumps(body).encode()
            headers.setdefault("content-type", "application/json")
        address = call.path if "://" in call.path else self.provider.address(self.base_url, call.path)
        return Prepared(
            call.method,
            f"{address}?{urlencode(query)}" if query else address,
            headers,
            content,
            self.timeout if call.timeout is None else call.timeout,
            f"{call.method} {address}",
        )

    def key_for(self, call: Call[Any]) -> str:
        """The key that a call is signed with. Raises MissingKey."""
        if not (key := self.admin_key if call.admin else self.key):
            which, variable = ("admin key", self.provider.admin_variable) if call.admin else ("key", None)
            told = f"no {which} for {self.provider.name}: pass one, or set {variable or self.provider.key_variable}"
            raise MissingKey(told)
        return key

    def conclude(self, call: Call[T], sent: Prepared, raw: Raw) -> Exchange[T]:
        """The result in an answer. Raises APIStatusError, APIRefusedError or APIResponseError."""
        body, wanted = _json(raw.content), 3 if call.redirects else 2
        if call.read is not None and raw.status // 100 == wanted:
            return Exchange(call.read(raw), raw.status, raw.headers, raw.content)
        if raw.status // 100 != 2:
            text = self.provider.message(body) if body is not None else None
            raise status_error(raw.status)(
                text or _excerpt(raw),
                request=sent.named,
                status=raw.status,
                headers=raw.headers,
                body=raw.content.decode("utf-8", "replace") if body is None else body,
            )
        if body is None and raw.status != 204 and raw.content.strip() != b"null":
            raise APIResponseError(
                f"the answer is no JSON: {_excerpt(raw)}", request=sent.named, body=_shown(raw, body)
            )
        if (refused := self.provider.refusal(body)) is not None:
            raise APIRefusedError(refused, request=sent.named, body=body)
        try:
            result = _reader(call.result).validate_python(
                None if raw.status == 204 else self.provider.unwrap(body), extra="forbid" if self.strict else None
            )
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            told = f"the answer does not fit: {where + ': ' if where else ''}{first['msg']}"
            raise APIResponseError(told, request=sent.named, body=_shown(raw, body)) from None
        except (KeyError, TypeError) as error:
            told = f"the answer does not fit: {error!r} in {_excerpt(raw)}"
            raise APIResponseError(told, request=sent.named, body=_shown(raw, body)) from None
        return Exchange(cast("T", result), raw.status, raw.headers, body)

    def exchange(self, call: Call[T]) -> Flow[Exchange[T]]:
        """Send the call, again where that may help and does no harm."""
        sent, began = self.prepare(call), time.monotonic()
        for attempt in count():
            try:
                return self.conclude(call, sent, (yield sent))
            except APIError as error:
                seconds = self.pause(call, attempt, time.monotonic() - began, error, time.time())
                if seconds is None:
                    raise
            yield Pause(seconds)
        raise AssertionError("the last attempt returns or raises")

    def send(self, call: Call[T]) -> Flow[T]:
        """The result alone."""
        return (yield from self.exchange(call)).result

    def pause(self, call: Call[Any], attempt: int, spent: float, error: APIError, now: float) -> float | None:
        """Seconds until the next try, or None if there is to be none.

        Tried again: a broken connection, 429 and 5xx, of a call that may be repeated, at most `max_retries` times; a
        call with a table of its own at what that says, for as long.
        """
        if (table := call.retry) is not None and isinstance(error, APIStatusError):
            wanted = error.status in table.statuses and table.when(error) and self.max_retries > 0
            seconds = min(table.longest, table.first * 2**attempt)
            return seconds if wanted and spent + seconds <= table.total else None
        if attempt >= self.max_retries or not call.repeatable:
            return None
        hint = None
        if isinstance(error, APIStatusError) and (error.status == 429 or error.status >= 500):
            hint = self.provider.hint(error.headers, now)
        elif not isinstance(error, APIConnectionError):
            return None
        if hint is not None and hint > LONGEST_HINT:
            return None
        own = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * self.random.uniform(0.5, 1.0)
        return max(own, hint or 0.0)


def given(**fields: object) -> dict[str, object]:
    """The fields that are not None: what the caller did not say is not sent."""
    return {name: value for name, value in fields.items() if value is not None}


@lru_cache(maxsize=256)
def _reader(result: Any) -> TypeAdapter[Any]:
    return TypeAdapter(result)


def _said(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _shown(raw: Raw, body: Any) -> object:
    return raw.content.decode("utf-8", "replace") if body is None else body


def _excerpt(raw: Raw) -> str:
    text = " ".join(raw.content[:400].decode("utf-8", "replace").split())
    return text[:160] or "an empty body"
