"""A stub: the answers that a test sets for the requests that fit a pattern, instead of the provider's own."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from bananastand.contracts.json_body import dump

from .journal_entry import JournalEntry
from .json_integer import JsonInteger
from .mismatches import NEAREST, Mismatch, compare, explain_near_misses
from .patterns import MISSING, RequestPattern, ValuePattern
from .stub_response import StubResponse
from .stubs import Stubs

__all__ = ["IncomingRequest", "Stub", "StubSpec"]

PLACE = re.compile(r"\\\{[^{}/]+\\\}")  # {name} in an escaped path
UNSET: Any = object()


@dataclass(frozen=True, slots=True)
class IncomingRequest:
    """A request as stubs see it; `body` is JSON, text or None, `text` the body as it came."""

    provider: str
    operation: str | None
    method: str
    path: str
    query: Any
    headers: Any
    body: Any
    text: str

    @classmethod
    def of(cls, entry: JournalEntry) -> Self:
        """Return a recorded call."""
        body = entry.body
        text = body if isinstance(body, str) else "" if body is None else dump(body).decode()
        return cls(
            entry.provider, entry.operation, entry.method, entry.path, entry.query, entry.headers, body, text
        )  # fmt: skip


class StubSpec(BaseModel):
    """A stub to be set."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    request: RequestPattern = Field(default_factory=RequestPattern)
    """Which requests it answers."""
    responses: list[StubResponse] = Field(default_factory=list[StubResponse], max_length=100)
    """What it answers, one after another; the last one again and again. Without any it answers 200."""
    times: JsonInteger | None = Field(default=None, ge=1)
    """How many requests it answers; None for no end."""


class Stub:
    """One stub of a world.

    Attributes:
        id: Its number in the world, from 1.
        spec: What it answers to what.
        call_count: How many calls it answered.
    """

    def __init__(self, id: int, spec: StubSpec, owner: Stubs) -> None:
        self.id, self.spec, self.call_count = id, spec, 0
        self._owner = owner

    def respond(
        self,
        status: int = 200,
        *,
        json: Any = UNSET,
        text: str | None = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        delay: float = 0.0,
    ) -> Self:
        """Add a response: the first call gets the first, the next call the next, and all later calls the last.

        Args:
            status: The HTTP status, 200 to 599.
            json: A JSON body.
            text: A body of text.
            content: A body of bytes.
            headers: Headers of the response.
            delay: Seconds in real time before it is sent, 0 to 600.

        Returns:
            The stub.

        Raises:
            ValueError: A value is out of range, or there are two bodies.
        """
        row: dict[str, Any] = {"status": status, "headers": headers or {}, "delay": delay, "text": text}
        if json is not UNSET:
            row["json"] = json
        if content is not None:
            row["base64"] = base64.b64encode(content).decode()
        self.spec.responses.append(StubResponse.model_validate(row, strict=False))
        return self

    @property
    def is_over(self) -> bool:
        """Whether it has answered as many calls as it may."""
        return self.spec.times is not None and self.call_count >= self.spec.times

    @property
    def called(self) -> bool:
        """Whether it answered a call."""
        return self.call_count > 0

    @property
    def calls(self) -> list[JournalEntry]:
        """The calls that it answered, as far as the journal still has them."""
        return [entry for entry in self._owner.journal if entry.stub == self.id]

    def assert_called(self, times: int | None = None) -> None:
        """Raise AssertionError where it was not called, or not so many times; the text says what came nearest."""
        if self.call_count == times or (times is None and self.called):
            return
        expected = "a call" if times is None else f"{times} calls"
        lines = [f"stub {self.id} ({self.spec.request.describe()}): expected {expected}, got {self.call_count}"]
        raise AssertionError("\n".join([*lines, *explain_near_misses(self.near_misses())]))

    def assert_called_once(self) -> None:
        """Raise AssertionError where it was not called exactly once."""
        self.assert_called(times=1)

    def assert_not_called(self) -> None:
        """Raise AssertionError where it was called."""
        self.assert_called(times=0)

    def near_misses(self) -> list[tuple[JournalEntry, list[Mismatch]]]:
        """Return the recorded calls that came nearest without fitting, and where they differ."""
        others = [entry for entry in self._owner.journal if entry.stub != self.id]
        compared = [(entry, list(self.mismatches(IncomingRequest.of(entry)))) for entry in others]
        return sorted((pair for pair in compared if pair[1]), key=lambda pair: len(pair[1]))[:NEAREST]

    def fits(self, request: IncomingRequest) -> bool:
        """Return whether a request fits the pattern."""
        return next(self.mismatches(request), None) is None

    def mismatches(self, request: IncomingRequest) -> Iterator[Mismatch]:
        """Return where a request differs from the pattern."""
        pattern = self.spec.request
        for name in ("provider", "operation", "method"):
            expected = getattr(pattern, name)
            if expected is not None and expected != getattr(request, name):
                yield Mismatch(name, expected, getattr(request, name))
        if pattern.path is not None and not _fits_path(pattern.path, request.path):
            yield Mismatch("path", pattern.path.model_dump(), request.path)
        yield from _values("query", pattern.query, request.query)
        yield from _values("headers", {name.lower(): value for name, value in pattern.headers.items()}, request.headers)
        if "body" in pattern.model_fields_set:
            yield from compare("body", pattern.body, request.body)
        if pattern.body_text is not None and not pattern.body_text.accepts(request.text):
            yield Mismatch("body_text", pattern.body_text.model_dump(), request.text)
        yield from _found_by_paths(pattern, request.body)

    def take(self) -> StubResponse:
        """Count a call, and return its response."""
        self.call_count += 1
        responses = self.spec.responses
        return responses[min(self.call_count, len(responses)) - 1] if responses else StubResponse()

    def remove(self) -> None:
        """Remove it from its world."""
        self._owner.remove(self.id)

    def dump(self) -> dict[str, Any]:
        """Return the stub as JSON, with how many calls it answered."""
        return {
            "id": self.id,
            "request": self.spec.request.model_dump(exclude_unset=True),
            "responses": [response.dump() for response in self.spec.responses],
            "times": self.spec.times,
            "call_count": self.call_count,
        }


def _fits_path(pattern: ValuePattern, path: str) -> bool:
    literal = pattern.equal_to
    if isinstance(literal, str) and "{" in literal:
        return re.fullmatch(PLACE.sub("[^/]+", re.escape(literal)), path) is not None
    return pattern.accepts(path)


def _values(part: str, patterns: dict[str, ValuePattern], values: Any) -> Iterator[Mismatch]:
    for name, pattern in patterns.items():
        value = values.get(name, MISSING)
        if not pattern.accepts(value):
            yield Mismatch(f"{part}.{name}", pattern.model_dump(), _readable(value))


def _found_by_paths(pattern: RequestPattern, body: Any) -> Iterator[Mismatch]:
    for text, path, value in pattern.paths:
        found = [match.obj for match in path.finditer(body)] if isinstance(body, dict | list) else []
        if not any(value.accepts(item) for item in found or [MISSING]):
            got = [_readable(item) for item in found] or [_readable(MISSING)]
            yield Mismatch(f"body_paths.{text}", value.model_dump(), got if len(got) > 1 else got[0])


def _readable(value: Any) -> Any:
    return repr(MISSING) if value is MISSING else value
