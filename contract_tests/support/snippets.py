"""The examples of the provider documents as data, and their curl commands as requests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import yaml

from curl_commands import read

DOCUMENTS = Path(__file__).parents[1] / "documents"


@dataclass(frozen=True)
class Snippet:
    """One example: what it is, where it stands, its text, and the operation it is about (None for the whole API).

    `place` is where a parameter travels: query, body or path.
    """

    document: str
    provider: str
    kind: str
    lines: tuple[int, int]
    text: str
    operation: str | None = None
    place: str | None = None

    def __str__(self) -> str:
        return f"{self.document}:{self.lines[0]}"


@dataclass(frozen=True)
class Request:
    """What a snippet sends.

    `target` is the address after the host and the provider's name, as it is written; `path` and `query` are what it
    means, the query with the last value of a name.
    """

    target: str
    method: str
    host: str
    provider: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any = None


def snippets(provider: str, *kinds: str) -> list[Snippet]:
    """The examples of one document, of these kinds, in its order."""
    data = _document(provider)
    return [
        Snippet(
            data["document"],
            provider,
            example["kind"],
            (example["lines"][0], example["lines"][1]),
            example["text"],
            example.get("operation"),
            example.get("in"),
        )
        for example in data["examples"]
        if example["kind"] in kinds
    ]


@cache
def _document(provider: str) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((DOCUMENTS / f"{provider}.yaml").read_text(encoding="utf-8"), loader)


def for_a_page(example: Snippet) -> bool:
    """Whether a JavaScript snippet uses what only a page has."""
    return "document." in example.text or "window." in example.text


def read_curl(text: str) -> Request:
    """Reads a curl command as a request to LowCodeAPI."""
    curl = read(text)
    return read_url(f"https://{curl.host}{curl.target}", curl.method, curl.headers, curl.body)


def read_url(url: str, method: str = "GET", headers: dict[str, str] | None = None, body: Any = None) -> Request:
    """The request an address stands for.

    Document A writes `/v1/start&api_token=...` without a question mark: the path ends at the first `&` as well.
    """
    parts = urlsplit(url)
    path, _, stray = parts.path.partition("&")
    _, provider, rest = path.split("/", 2)
    target = url.partition(f"{parts.netloc}/{provider}")[2]
    query = dict(_pair(part) for part in f"{stray}&{parts.query}".split("&") if part)
    return Request(target, method, parts.netloc, provider, f"/{rest}", query, headers or {}, body)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return unquote_plus(name), unquote_plus(value)
