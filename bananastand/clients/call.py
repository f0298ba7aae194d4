"""A call of a provider before and after the wire: built, signed, read, tried again. Knows no HTTP library.

What takes several exchanges is a flow: a generator that yields what is to be sent or how long to wait, and is sent the
answers. `Client` drives it with a blocking connection, `AsyncClient` with an asynchronous one.
"""

from __future__ import annotations

import json
import random
import time
from abc import ABC, abstractmethod
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
    "media",
    "seconds",
]

T = TypeVar("T")

AGENT = "bananastand-clients"
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0  # seconds of back-off
LONGEST_HINT = 60.0  # a provider that says to come back later than this is not waited for


class Answer(BaseModel):
    """Part of an answer. Fields the contract does not know are kept."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)  # an import builds none of them


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
    the client's own rules. No key goes with a call that is `unsigned`, the admin key with one that is `admin`. A
    `redirect` is what is wanted of it, and is not followed. What is `fresh` is never answered from the cache.
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
    redirect: bool = False
    fresh: bool = False

    @property
    def repeatable(self) -> bool:
        return self.idempotent or self.method == "GET"


@dataclass(frozen=True)
class Prepared:
    """What goes on the wire. `named` is the call without its secrets; `kept` whether its answer may be given again."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)
    timeout: float
    named: str
    kept: bool


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


class Provider(ABC):
    """How a provider is spoken to; a subclass for each."""

    name: str
    base_url: str
    key_variable: str
    admin_variable: str | None = None

    @abstractmethod
    def sign(self, call: Call[Any], key: str, query: dict[str, object], headers: dict[str, str]) -> object:
        """Put the key where it belongs; returns the body."""

    def address(self, base_url: str, path: str) -> str:
        """Where a path is."""
        return base_url + path

    def refusal(self, body: Any) -> str | None:
        """What an answer of status 200 says that is an error all the same."""
        return None

    def unwrap(self, body: Any) -> Any:
        """The result inside an answer's JSON. Raises KeyError or TypeError where it has another shape."""
        return body

    @abstractmethod
    def message(self, body: Any) -> str | None:
        """What an error's body says, in words."""

    def hint(self, headers: Mapping[str, str], now: float) -> float | None:
        """Seconds after which the provider wants to hear from us again. `now` is seconds since 1970."""
        return seconds(headers.get("retry-after"))


@dataclass(frozen=True)
class Session:
    """What all calls of one client share."""

    provider: Provider
    key: str | None = field(repr=False)
    admin_key: str | None = field(repr=False)
    base_url: str
    timeout: float
    max_retries: int
    strict: bool
    random: random.Random = field(default_factory=random.Random, compare=False)

    def prepare(self, call: Call[Any]) -> Prepared:
        """Sign the call and put it into bytes."""
        query = {name: _said(value) for name, value in call.query.items() if value is not None}
        headers = {"accept": "application/json", "user-agent": AGENT, **call.headers}
        body = call.json
        if not call.unsigned:
            body = self.provider.sign(call, self.key_for(admin=call.admin), query, headers)
        content = call.content
        if body is not None:
            content = json.dumps(body, allow_nan=False).encode()
            headers.setdefault("content-type", "application/json")
        address = call.path if "://" in call.path else self.provider.address(self.base_url, call.path)
        return Prepared(
            call.method,
            f"{address}?{urlencode(query)}" if query else address,
            headers,
            content,
            self.timeout if call.timeout is None else call.timeout,
            f"{call.method} {address}",
            call.method == "GET" and not call.fresh,
        )

    def key_for(self, *, admin: bool = False) -> str:
        """The key, or the admin's, that calls are signed with. Raises MissingKey."""
        which, variable = ("admin key", self.provider.admin_variable) if admin else ("key", None)
        variable, key = variable or self.provider.key_variable, self.admin_key if admin else self.key
        key = (key or "").strip()
        if not key:
            raise MissingKey(f"no {which} for {self.provider.name}: pass one, or set {variable}")
        if not key.isascii() or not key.isprintable():
            raise MissingKey(f"the {which} for {self.provider.name} cannot be sent: it is not plain printable text")
        return key

    def conclude(self, call: Call[T], sent: Prepared, raw: Raw) -> Exchange[T]:
        """The result in an answer. Raises APIStatusError, APIRefusedError or APIResponseError."""
        lowest, above = (300, 400) if call.redirect else (200, 300)
        if call.read is not None and lowest <= raw.status < above:
            try:
                return Exchange(call.read(raw), raw.status, raw.headers, raw.content)
            except ValueError as error:
                told = f"the answer does not fit: {error}"
                raise APIResponseError(told, request=sent.named, body=_shown(raw, _json(raw.content))) from None
        body = _json(raw.content)
        if not 200 <= raw.status < 300:
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
            result = self._result(call, None if raw.status == 204 else self.provider.unwrap(body))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            told = f"the answer does not fit: {where + ': ' if where else ''}{first['msg']}"
            raise APIResponseError(told, request=sent.named, body=_shown(raw, body)) from None
        except (KeyError, TypeError) as error:
            told = f"the answer does not fit: {error!r} in {_excerpt(raw)}"
            raise APIResponseError(told, request=sent.named, body=_shown(raw, body)) from None
        return Exchange(cast("T", result), raw.status, raw.headers, body)

    def _result(self, call: Call[T], value: Any) -> Any:
        """Strictly: no field the contract does not know, and no "4" where it has 4. Raises ValidationError."""
        reader = _reader(call.result)
        if not self.strict:
            return reader.validate_python(value)
        return reader.validate_json(json.dumps(value), strict=True, extra="forbid")

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
        return own + (hint or 0.0)  # not all at the moment that all were told


def seconds(text: str | None) -> float | None:
    """A number of seconds as headers have it, whole or with a point; None for anything else."""
    digits = (text or "").replace(".", "", 1)
    return float(text or "") if digits.isascii() and digits.isdigit() else None


def media(*kinds: str) -> Callable[[Raw], bytes]:
    """Reads a file of one of these types, given by their beginnings. Raises ValueError for another."""

    def read(raw: Raw) -> bytes:
        kind = raw.headers.get("content-type", "no type")
        if not kind.startswith(kinds):
            raise ValueError(f"{kind} is not {' or '.join(kinds)}")
        return raw.content

    return read


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
