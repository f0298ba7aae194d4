"""Words the responses of an operation: status, type, example or drawn body, headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.response import JSON, ApiResponse

from ..kernel.call import ApiCall
from .upgrade import resolve
from .values import MISSING, Drawer

__all__ = ["Answers", "preferences"]

CODE = re.compile("[1-5][0-9]{2}")
PREFERENCE = re.compile(r"(code|example)\s*=\s*\"?([^\",;\s]+)\"?")
PIXEL = bytes.fromhex(  # a PNG of one pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000" "1f15c4890000000d49444154789c6360f8cfc0f01f000501017f"
    "27b8c2f30000000049454e44ae426082"
)  # fmt: skip
TRIES = 8  # drawings before one that does not fit its schema is taken


def preferences(call: ApiCall) -> dict[str, str]:
    """Return what the caller asks for in `Prefer`: the `code` of the response, the name of an `example`."""
    return dict(PREFERENCE.findall(call.headers.get("prefer", "")))


class Answers:
    """The responses of one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def respond(self, call: ApiCall, status: int | None = None) -> ApiResponse:
        """Return a response from the document's example, else drawn from its schema.

        Args:
            call: The call, whose `Accept` chooses among several types.
            status: The status; None for the first success.

        Raises:
            ProviderError: not_acceptable, or not_found for an example or a code that the operation does not have.
        """
        preferred = preferences(call)
        code = preferred.get("code", "") if status is None else str(status)
        status = int(code) if CODE.fullmatch(code) else call.operation.status
        spec = self.response(call, status)
        if spec is None or code not in ("", str(status)):
            raise ProviderError("not_found", f"{call.operation.id} has no response {code[:20]}: ask for another code")
        headers = self._headers(call, spec)
        if not (content := spec.get("content")):
            return ApiResponse(None, status, headers)
        kind = _choose(content, call.headers.get("accept", "*/*"))
        body = self._body(call, status, kind, content[kind], preferred.get("example"))
        return ApiResponse(body, status, headers, kind if "json" not in kind else _json_type(kind))

    def response(self, call: ApiCall, status: int) -> Any:
        """Return the response object for a status; None where the document has none."""
        responses = call.operation.spec["responses"]
        for key in (str(status), f"{status // 100}XX", "default"):
            if key in responses:
                return resolve(self._document, responses[key])
        return None

    def drawer(self, call: ApiCall, *more: object) -> Drawer:
        """Return a drawer that the world's seed, the operation and its path decide."""
        return Drawer(self._document, ":".join(map(str, (call.world.seed, call.operation.id, call.target, *more))))

    def example(self, media: Mapping[str, Any], name: str | None = None) -> Any:
        """Return the example of a media type object, by name if it has several; MISSING if it has none."""
        named = media.get("examples") or {}
        if name is not None and name not in named:
            raise ProviderError("not_found", f"there is no example {name}; there are {', '.join(named) or 'none'}")
        if "example" in media and name is None:
            return media["example"]
        for example in [named[name]] if name is not None else named.values():
            return resolve(self._document, example).get("value", MISSING)
        return MISSING

    def _body(self, call: ApiCall, status: int, kind: str, media: Mapping[str, Any], name: str | None) -> Any:
        body = self.example(media, name)
        if body is MISSING:
            body = self.draw_fitting(call, status, kind, media.get("schema", {}))
        if "json" in kind or isinstance(body, bytes):
            return body
        if kind.startswith("image/") and not isinstance(body, str):
            return PIXEL
        return PIXEL if kind == "image/png" else str(body).encode()

    def draw_fitting(self, call: ApiCall, status: int, kind: str, schema: Any) -> Any:
        """Return a value that fits the schema of a response, as far as one can be drawn."""
        expected = call.operation.expected(status)
        compiled = expected.content.get(kind) if expected is not None else None
        body = None
        for attempt in range(TRIES):
            body = self.drawer(call, attempt).draw(schema)
            if compiled is None or compiled.fits(body):
                break
        return body

    def _headers(self, call: ApiCall, spec: Mapping[str, Any]) -> dict[str, str]:
        """The headers that the response must have, or has an example of."""
        headers: dict[str, str] = {}
        for name, header in spec.get("headers", {}).items():
            header = resolve(self._document, header)
            if header.get("required") or "example" in header:
                value = header.get("example", MISSING)
                value = self.drawer(call, name).draw(header.get("schema", {})) if value is MISSING else value
                headers[name.lower()] = str(value).lower() if isinstance(value, bool) else str(value)
        return headers


def _choose(content: Mapping[str, Any], accept: str) -> str:
    """The type that the caller accepts: the first JSON one, else the first."""
    ranges = [part.partition(";")[0].strip().lower() for part in accept.split(",") if "q=0," not in f"{part},"]
    kinds = sorted(content, key=lambda kind: "json" not in kind)
    for preferred in ranges:
        for kind in kinds:
            name = kind.partition(";")[0].lower()
            if preferred in ("*/*", "", name) or (preferred.endswith("/*") and name.startswith(preferred[:-1])):
                return kind
    raise ProviderError("not_acceptable", f"{accept[:100]} is not offered; there are {', '.join(content)}")


def _json_type(kind: str) -> str:
    return JSON if kind.partition(";")[0] == JSON else kind
