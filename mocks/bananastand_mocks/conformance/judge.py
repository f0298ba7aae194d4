"""Compares a response with the contract and with what a step of the plan expects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from bananastand.contracts.operation import ANY_TYPE, Operation

from .outcome import ContractDifference, normalize
from .plan import MISSING, value_at

__all__ = ["ReceivedResponse", "contract_differences", "expectation_differences"]

MAGIC_BYTES = {"image/png": b"\x89PNG\r\n", "image/jpeg": b"\xff\xd8\xff", "application/pdf": b"%PDF-"}


@dataclass(frozen=True)
class ReceivedResponse:
    """A response; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def media_type(self) -> str:
        """The content type without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @cached_property
    def json(self) -> Any:
        """The body's value; MISSING where it is no JSON."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return MISSING


def contract_differences(
    operation: Operation, statuses: Sequence[int], response: ReceivedResponse
) -> Iterator[ContractDifference]:
    """Yield where a response differs from the contract; it must have one of the statuses."""
    if response.status not in statuses:
        yield ContractDifference("status", " or ".join(map(str, statuses)), str(response.status))
    expected = operation.expected(response.status)
    if expected is None:
        if response.status in statuses:
            yield ContractDifference("status", f"one of {', '.join(operation.responses)}", str(response.status))
        return
    for name in expected.headers:
        if name not in response.headers:
            yield ContractDifference(f"header {name}", "is there", "is not there")
    if not expected.content:
        if response.content and response.status == 204:
            yield ContractDifference("body", "is empty", normalize(response.content[:200].decode("utf-8", "replace")))
        return
    media_type = response.media_type
    if ANY_TYPE in expected.content:
        return
    if media_type not in expected.content:
        yield ContractDifference("content-type", " or ".join(expected.content), media_type or "none")
    elif (schema := expected.content[media_type]) is not None:
        yield from _schema_differences(schema, response)
    elif not response.content.startswith(MAGIC_BYTES.get(media_type, b"")):
        yield ContractDifference("body", media_type, normalize(response.content[:40].decode("latin-1")))


def expectation_differences(
    expectations: Mapping[str, Any], response: ReceivedResponse
) -> Iterator[ContractDifference]:
    """Yield where a response differs from what a step expects."""
    for place, expected in expectations.items():
        value = value_at(response.json, place)
        if isinstance(expected, dict):
            text = cast("dict[str, str]", expected)["contains"]
            if not isinstance(value, str) or text not in value.lower():
                yield ContractDifference(f"body.{place}", f"contains {text!r}", _describe(value))
        elif value != expected or isinstance(value, bool) != isinstance(expected, bool):
            yield ContractDifference(f"body.{place}", normalize(expected), _describe(value))


def _schema_differences(schema: Any, response: ReceivedResponse) -> Iterator[ContractDifference]:
    if response.json is MISSING:
        yield ContractDifference("body", "JSON", normalize(response.content[:400].decode("utf-8", "replace")))
        return
    for violation in schema.violations("body", response.json):
        value = value_at(response.json, violation.field) if violation.field else response.json
        where = f"body.{violation.field}".rstrip(".")
        yield ContractDifference(where, normalize(f"{violation.rule}: {violation.message}"), _describe(value))


def _describe(value: Any) -> str:
    return "nothing" if value is MISSING else normalize(value)
