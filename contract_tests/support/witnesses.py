"""Witnesses: answers whose shape comes from outside, and what the clients make of them.

`contract_tests/witnesses` has them: those of the documents by line, the others with their source.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import yaml
from pydantic import BaseModel

from bananastand.clients.errors import BananastandError
from client_calls import CASES, CLIENTS
from examples import answers_of_documents

__all__ = ["Witness", "content_of", "headers_of", "is_accepted", "is_kept", "plain", "read_with", "witnesses"]

FOLDER = Path(__file__).parents[1] / "witnesses"
GATEWAY = ("bananadev", "falai")
KEY = "at_r0123456789abcdef0123456789abcdef"
TLS = ssl.create_default_context()  # made once: reading the certificates takes longer than a test
FLOWS: dict[tuple[str, str], tuple[Any, ...]] = {
    ("bananadev", "run_and_wait"): ("value", {"prompt": "a"}),
    ("bananadev", "wait_for_run"): ("call_1", "value"),
    ("banana-native", "run_and_wait"): ("value", {"prompt": "a"}),
    ("banana-native", "wait_for_run"): ("call_1",),
    ("falai", "each_model"): (),
    ("falai", "each_instance"): (),
    ("falai", "wait_for_instance"): ("abc123",),
    ("gobananas", "each_image"): (),
    ("gobananas", "each_character"): (),
    ("gobananas", "upload_image"): (b"\x89PNG\r\n\x1a\n",),
    ("paperbanana", "each_history_item"): (),
    ("paperbanana", "wait_for_task"): ("task_a",),
}


@dataclass(frozen=True)
class Witness:
    """An answer, its source, and the methods that could meet it.

    Attributes:
        provider: The contract's name.
        source: Where the shape is from.
        kind: document, specification, recording or code.
        methods: Methods of the client that could meet the answer.
        body: The provider's own answer.
        result: What of it the client must keep.
        enveloped: The gateway puts the answer into its envelope.
        refused_before: The methods that refused it when clients required what only the contract had invented.
    """

    provider: str
    source: str
    kind: str
    methods: tuple[str, ...]
    body: Any
    result: Any
    enveloped: bool = True
    refused_before: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.provider}: {self.source}"


@cache
def witnesses() -> tuple[Witness, ...]:
    """Return all witnesses: those of the documents, then the others by file."""
    return (*_of_documents(), *_of_files())


def content_of(witness: Witness) -> bytes:
    """Return the bytes of the answer, in LowCodeAPI's envelope where the provider is behind it."""
    if witness.provider not in GATEWAY:
        return json.dumps(witness.body).encode()
    if not witness.enveloped:
        return b""
    message = witness.body.get("message") if isinstance(witness.body, dict) else None
    envelope = {
        "message": message or "Request completed",
        "provider": witness.provider,
        "result": witness.body,
        "response_headers": {"content-type": "application/json"},
    }
    return json.dumps(envelope).encode()


def read_with(witness: Witness, method: str, kind: str, transport: Any = None) -> Any:
    """Return what a method of the blocking (`sync`) or asynchronous client makes of the next answer."""
    blocking, asynchronous = CLIENTS[witness.provider]
    own = httpx2.HTTPTransport if kind == "sync" else httpx2.AsyncHTTPTransport
    options: dict[str, Any] = {"admin_key": f"{KEY}-admin", "max_retries": 0, "transport": transport or own(verify=TLS)}
    arguments = _arguments(witness.provider, method)
    if kind == "sync":
        with blocking(KEY, **options) as client:
            result = getattr(client, method)(*arguments)
            return list(result) if method.startswith("each_") else result

    async def read() -> Any:
        async with asynchronous(KEY, **options) as client:
            result = getattr(client, method)(*arguments)
            return [item async for item in result] if method.startswith("each_") else await result

    return asyncio.run(read())


def headers_of(witness: Witness) -> dict[str, str]:
    """Return the headers of the answer."""
    return {"content-type": "application/json"} if witness.enveloped else {}


def is_accepted(witness: Witness, method: str) -> bool:
    """Tell whether a method of the blocking client reads the answer and keeps its fields."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=content_of(witness), headers=headers_of(witness))

    try:
        return is_kept(witness, method, read_with(witness, method, "sync", httpx2.MockTransport(answer)))
    except BananastandError:
        return False


def plain(result: Any) -> Any:
    """Return a result as JSON, without what was not in the answer."""
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return [plain(item) for item in result] if isinstance(result, list) else result


def is_kept(witness: Witness, method: str, result: Any) -> bool:
    """Tell whether every field of the answer is in the result; null may be an empty list or object."""
    expected = witness.result
    if method.startswith("each_"):
        lists = [expected] if isinstance(expected, list) else expected.values()
        expected = next(value for value in lists if isinstance(value, list))
        result = result[: len(expected)]  # a page that says there are more is given again
    return _within(expected, plain(result))


def _within(expected: Any, found: Any) -> bool:
    if expected is None:
        return found in (None, [], {})
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            (name in found or value is None) and _within(value, found.get(name)) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return len(expected) == len(found) and all(map(_within, expected, found))
    return expected == found


def _arguments(provider: str, method: str) -> tuple[Any, ...]:
    if (provider, method) in FLOWS:
        return FLOWS[provider, method]
    return next(case.required for case in CASES if (case.provider, case.operation) == (provider, method))


def _of_documents() -> Iterator[Witness]:
    rows = {row["answer"]: row for row in _load(FOLDER / "documents.yaml")["witnesses"]}
    for answer in answers_of_documents():
        body, row = json.loads(answer.text), rows[str(answer)]
        before = tuple(row.get("refused_before", ()))
        yield Witness(
            answer.provider, str(answer), "document", tuple(row["methods"]), body, body, refused_before=before
        )


def _of_files() -> Iterator[Witness]:
    for path in sorted(FOLDER.glob("*.yaml")):
        if path.stem == "documents":
            continue
        data = _load(path)
        for row in data["witnesses"]:
            yield Witness(
                data["provider"],
                row["source"],
                row["kind"],
                tuple(row["methods"]),
                row["body"],
                row.get("result", row["body"]),
                row.get("envelope", True),
                tuple(row.get("refused_before", ())),
            )


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
