"""Reads curl commands as requests."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

__all__ = ["Curl", "read"]


@dataclass(frozen=True)
class Curl:
    """`target` is path and query as they are written."""

    method: str
    host: str
    target: str
    headers: dict[str, str]
    body: Any

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))


def read(text: str) -> Curl:
    """The request; -o counts for nothing."""
    words = iter(shlex.split(text.replace("\\\n", " "))[1:])
    method, url, headers, body = "GET", "", dict[str, str](), None
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(":")
            headers[name.lower()] = value.strip()
        elif word == "-d":
            body = json.loads(next(words))
        elif word == "-o":
            next(words)
        else:
            url = word
    parts = urlsplit(url)
    return Curl(method, parts.netloc, url.partition(parts.netloc)[2], headers, body)
