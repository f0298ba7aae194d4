"""Compares a response with what the manifest expects."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from .corpus import CorpusCall

__all__ = ["HttpAnswer", "mismatch"]


@dataclass(frozen=True)
class HttpAnswer:
    """A response.

    Attributes:
        status: Of HTTP.
        headers: With names in lower case.
        body: In octets.
        pieces: When reads brought parts of the body, some time apart.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    pieces: list[float] = field(default_factory=list)

    @property
    def media_type(self) -> str:
        """The Content-Type in lower case, without blanks."""
        return self.headers.get("content-type", "").replace(" ", "").lower()

    def json(self) -> Any:
        """Return the body as JSON, or None."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def mismatch(call: CorpusCall, answer: HttpAnswer) -> str | None:
    """Return what is wrong with a response, or None."""
    if answer.status != call.status:
        return f"{call.method} {call.route} answered {answer.status}, not {call.status}: {_brief(answer.body)}"
    for name, value in call.headers.items():
        if answer.headers.get(name, "").replace("; ", ";") != value:
            return f"header {name} is {answer.headers.get(name)!r}, not {value!r}"
    if call.text is not None and answer.body.decode(errors="replace") != call.text:
        return f"{call.route} answered {_brief(answer.body)}, not {call.text!r}"
    if call.octets is not None and len(answer.body) != call.octets:
        return f"{call.route} answered {len(answer.body)} octets, not {call.octets}"
    if len(answer.pieces) < call.pieces:
        return f"the stream of {call.route} came in {len(answer.pieces)} piece(s), not in {call.pieces} or more"
    return _json_mismatch(call, answer)


def _json_mismatch(call: CorpusCall, answer: HttpAnswer) -> str | None:
    found = answer.json()
    if call.json is not None and found != call.json:
        return f"{call.route} answered {_brief(answer.body)}, not {json.dumps(call.json)}"
    if call.keys and (not isinstance(found, dict) or set(found) != set(call.keys)):
        return f"{call.route} answered {_brief(answer.body)}, not an object of {call.keys}"
    if call.has:
        wrong = {
            key: value for key, value in call.has.items() if not isinstance(found, dict) or found.get(key) != value
        }
        if wrong:
            return f"{call.route} answered {_brief(answer.body)}, without {json.dumps(wrong)}"
    if call.image is not None:
        return _image_mismatch(call.image, found)
    return None


def _image_mismatch(expected: dict[str, Any], found: Any) -> str | None:
    try:
        with Image.open(io.BytesIO(base64.b64decode(found[expected["field"]]))) as image:
            image.load()
            seen = (list(image.size), image.format)
    except (KeyError, TypeError, ValueError, OSError) as error:
        return f"no picture in {expected['field']}: {error}"
    return None if seen == (expected["size"], expected["format"]) else f"the picture is {seen}"


def _brief(body: bytes) -> str:
    text = body.decode(errors="replace")
    return repr(text if len(text) <= 300 else text[:300] + "...")
