"""Whether an answer is what the contract and a step expect. Knows no HTTP library."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from bananastand.contracts.operation import Operation

from .outcome import Difference, normal
from .plan import MISSING, at

__all__ = ["Got", "met", "parts"]

BEGINNINGS = {"image/png": b"\x89PNG\r\n", "image/jpeg": b"\xff\xd8\xff", "application/pdf": b"%PDF-"}


@dataclass(frozen=True)
class Got:
    """An answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @cached_property
    def json(self) -> Any:
        """MISSING where it is none."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return MISSING


def parts(operation: Operation, statuses: Sequence[int], got: Got) -> Iterator[Difference]:
    """Where an answer and the contract part. `statuses` are those that the request must have."""
    if got.status not in statuses:
        yield Difference("status", " or ".join(map(str, statuses)), str(got.status))
    expected = operation.responses.get(str(got.status)) or operation.responses.get("default")
    if expected is None:
        if got.status in statuses:
            yield Difference("status", f"one of {', '.join(operation.responses)}", str(got.status))
        return
    for name in expected.headers:
        if name not in got.headers:
            yield Difference(f"header {name}", "is there", "is not there")
    if not expected.content:
        if got.content and got.status == 204:
            yield Difference("body", "is empty", normal(got.content[:200].decode("utf-8", "replace")))
        return
    if got.kind not in expected.content:
        yield Difference("content-type", " or ".join(expected.content), got.kind or "none")
        return
    if (schema := expected.content[got.kind]) is not None:
        yield from _json(schema, got)
    elif not got.content.startswith(BEGINNINGS.get(got.kind, b"")):
        yield Difference("body", got.kind, normal(got.content[:40].decode("latin-1")))


def _json(schema: Any, got: Got) -> Iterator[Difference]:
    if got.json is MISSING:
        yield Difference("body", "JSON", normal(got.content[:400].decode("utf-8", "replace")))
        return
    for each in schema.violations("body", got.json):
        value = at(got.json, each.field) if each.field else got.json
        told = "nothing" if value is MISSING else normal(value)
        yield Difference(f"body.{each.field}".rstrip("."), normal(f"{each.rule}: {each.message}"), told)


def met(expect: Mapping[str, Any], got: Got) -> Iterator[Difference]:
    """Where the answer is not what the step expects."""
    for place, wanted in expect.items():
        found = at(got.json, place)
        if isinstance(wanted, dict):
            text = cast("dict[str, str]", wanted)["contains"]
            if not isinstance(found, str) or text not in found.lower():
                yield Difference(f"body.{place}", f"contains {text!r}", _shown(found))
        elif found != wanted or isinstance(found, bool) != isinstance(wanted, bool):
            yield Difference(f"body.{place}", normal(wanted), _shown(found))


def _shown(found: Any) -> str:
    return "nothing" if found is MISSING else normal(found)
