"""Bodies as a cassette has them: `json`, `text`, `base64`, or the `events` of a stream."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

from bananastand.contracts.json_body import dump, parse

__all__ = ["Body", "content_of", "is_stream", "media_type", "pack", "pack_stream", "unpacked"]

Body = Mapping[str, Any] | None

STREAMS = frozenset(("text/event-stream", "application/x-ndjson", "application/jsonl", "application/stream+json"))
BOUNDARY = re.compile(r'boundary="?([^";]+)"?')
CHARSET = re.compile(r'(?i)charset="?(utf-?(?:16|32)(?:-?[lb]e)?)\b')
FIXED_BOUNDARY = "boundary"  # clients draw a new one for every request
# What YAML cannot hold, or turns into ends of lines.
UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
MAX_INFLATED = 64 * 2**20  # bytes


def is_stream(content_type: str) -> bool:
    """Return whether a response of this type arrives in events."""
    return media_type(content_type) in STREAMS


def pack(content: bytes, content_type: str) -> Body:
    """Return a body as the cassette stores it; None for an empty one."""
    if not content:
        return None
    if "json" in media_type(content_type) and (value := _json(content)) is not None:
        return {"json": value[0]}
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
    return {"base64": base64.b64encode(content).decode()} if UNPRINTABLE.search(text) else {"text": text}


def pack_stream(text: str, content_type: str) -> Body:
    """Return the body of a stream, in its events or lines."""
    if UNPRINTABLE.search(text):
        return pack(text.encode(), "")
    end = "\n\n" if media_type(content_type) == "text/event-stream" else "\n"
    events = [part + end for part in text.replace("\r\n", "\n").split(end)]
    events[-1] = events[-1].removesuffix(end)
    return {"events": [event for event in events if event]}


def content_of(body: Body) -> bytes:
    """Return the bytes of a stored body. Raises ValueError if its base64 cannot be decoded."""
    if body is None:
        return b""
    if "json" in body:
        return dump(body["json"])
    if "base64" in body:
        try:
            return base64.b64decode(body["base64"], validate=True)
        except binascii.Error as error:
            raise ValueError(f"the body's base64 is wrong: {error}") from None
    return (body["text"] if "text" in body else "".join(body.get("events", ()))).encode()


def unpacked(content: bytes, headers: Mapping[str, str]) -> tuple[bytes, str]:
    """Return a request's body in UTF-8 without compression, and its content type; a boundary is always the same one.

    A body in an unknown compression becomes its digest, because it may hide secrets.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    content_type = headers.get("content-type", "")
    if content and encoding != "identity":
        content = _inflated(content, encoding)
    if charset := CHARSET.search(content_type):
        with contextlib.suppress(UnicodeError):
            content = content.decode(charset[1]).encode()
    if boundary := BOUNDARY.search(content_type):
        content = content.replace(boundary[1].encode(), FIXED_BOUNDARY.encode())
        content_type = content_type.replace(boundary[1], FIXED_BOUNDARY)
    return content, content_type


def media_type(content_type: str) -> str:
    """Return a content type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def _json(content: bytes) -> tuple[Any] | None:
    """The value, in a tuple because it may be None; nothing where JSON written anew would be another value."""
    try:
        value = parse(content, members=None)
    except ValueError:
        return None
    is_same = json.loads(content) == value and not UNPRINTABLE.search(json.dumps(value, ensure_ascii=False))
    return (value,) if is_same else None


def _inflated(content: bytes, encoding: str) -> bytes:
    if encoding in ("gzip", "x-gzip", "deflate"):
        for window in (47, -15):  # zlib or gzip by its header, and raw deflate
            inflater = zlib.decompressobj(window)
            try:
                text = inflater.decompress(content, MAX_INFLATED)
            except zlib.error:
                continue
            if not inflater.unconsumed_tail:
                return text
    return f"{encoding} body with sha256 {hashlib.sha256(content).hexdigest()}".encode()
