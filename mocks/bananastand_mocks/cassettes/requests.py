"""Reads a request as a cassette stores it, and says where it differs from a recorded one."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from bananastand.contracts.parameters import parse_query
from bananastand.contracts.redaction import REDACTED

from ..kernel.call import ApiCall
from ..kernel.http_request import HttpRequest
from .bodies import Body, media_type, pack, unpacked
from .cassette import Interaction
from .scrubber import Scrubber

__all__ = ["PARTS", "ReceivedRequest", "differences", "receive", "scrub_body"]

PARTS = ("method", "path", "query", "body")  # that are compared
MISSING = "nothing"
LONGEST = 80  # characters of a value in a message


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request without secrets; the attributes are those of `Interaction`."""

    method: str
    path: str
    query: dict[str, Any]
    headers: dict[str, str]
    body: Body

    def dump(self) -> dict[str, Any]:
        """Return it as the cassette stores it."""
        parts = {"method": self.method, "path": self.path, "query": self.query}
        return {**parts, "headers": self.headers, **({"body": self.body} if self.body else {})}


def receive(request: HttpRequest, call: ApiCall | None, scrubber: Scrubber) -> ReceivedRequest:
    """Learn the secrets of a request, and return it without them."""
    query = parse_query(request.query)
    content, content_type = unpacked(request.body, request.headers)
    body = pack(content, content_type)
    scrubber.learn_headers(request.headers, of_request=True)
    scrubber.learn_value(query)
    scrubber.learn_value(request.path)  # LowCodeAPI takes a query behind an ampersand
    if call is not None:
        scrubber.learn_value(call.path)
    _learn_body(body, content, content_type, scrubber)
    headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
    if content_type:
        headers["content-type"] = content_type
    return ReceivedRequest(
        request.method,
        scrubber.text(request.path),
        scrubber.value(query),
        scrubber.headers(headers, of_request=True),
        scrub_body(body, content, content_type, scrubber),
    )


def scrub_body(body: Body, content: bytes, content_type: str, scrubber: Scrubber) -> Body:
    """Return a body without secrets."""
    if body is None or "json" in body:
        return body and {"json": scrubber.value(body["json"])}
    return pack(scrubber.content(content, media_type(content_type)), "")


def _learn_body(body: Body, content: bytes, content_type: str, scrubber: Scrubber) -> None:
    if body is None:
        return
    if "json" in body:
        scrubber.learn_value(body["json"])
    elif media_type(content_type) == "application/x-www-form-urlencoded":
        scrubber.learn_value(parse_query(content.decode("utf-8", "replace")))
    else:
        if media_type(content_type).startswith("multipart/"):
            scrubber.learn_parts(content)
        scrubber.learn_value(content.decode("utf-8", "replace") if "text" in body else "")


def differences(recorded: Interaction, received: ReceivedRequest, parts: Collection[str] = PARTS) -> list[str]:
    """Return where a request differs from a recorded one, in words; a redacted value is equal to any other."""
    found: list[str] = []
    for part in PARTS:
        if part in parts:
            found += _compare(part, getattr(recorded, part), getattr(received, part))
    return found


def _compare(place: str, recorded: Any, received: Any) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(received, dict):
        for key in dict.fromkeys((*recorded, *received)):
            if key not in received or key not in recorded:
                pair = (recorded.get(key, MISSING), received.get(key, MISSING))
                yield f"{place}.{key}: recorded {_short(pair[0])}, received {_short(pair[1])}"
            else:
                yield from _compare(f"{place}.{key}", recorded[key], received[key])
    elif isinstance(recorded, list) and isinstance(received, list) and len(recorded) == len(received):
        for number, (old, new) in enumerate(zip(recorded, received, strict=True)):
            yield from _compare(f"{place}.{number}", old, new)
    elif not _equal(recorded, received):
        yield f"{place}: recorded {_short(recorded)}, received {_short(received)}"


def _equal(recorded: Any, received: Any) -> bool:
    if isinstance(recorded, str) and isinstance(received, str) and REDACTED in recorded:
        pattern = ".*".join(map(re.escape, recorded.split(REDACTED)))
        return re.fullmatch(pattern, received, re.DOTALL) is not None
    return recorded == received and isinstance(recorded, bool) == isinstance(received, bool)


def _short(value: Any) -> str:
    text = value if value is MISSING else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
