"""What a stub answers."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from bananastand.contracts.json_body import dump
from bananastand.contracts.response import JSON, ApiResponse

from .custom_headers import check_headers
from .json_integer import JsonInteger

__all__ = ["LONGEST_BODY", "StubResponse"]

LONGEST_BODY = 16 * 2**20  # characters of a text or of base64
WITHOUT_BODY = (204, 304)
BODIES = ("json", "text", "base64")


class StubResponse(BaseModel):
    """One response of a stub, with at most one of the three bodies."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True, populate_by_name=True)

    status: JsonInteger = Field(default=200, ge=200, le=599)
    """The HTTP status, 200 to 599."""
    headers: dict[str, str] = Field(default_factory=dict[str, str])
    """Headers of the response. `content-type` replaces that of the body."""
    json_body: JsonValue = Field(default=None, alias="json")
    """Any JSON value; `json` over HTTP."""
    text: str | None = Field(default=None, max_length=LONGEST_BODY)
    """Text, sent as text/plain in UTF-8."""
    base64: str | None = Field(default=None, max_length=LONGEST_BODY)
    """Bytes, sent as application/octet-stream."""
    delay: float = Field(default=0.0, ge=0, le=600)
    """Seconds in real time before the response is sent, 0 to 600."""

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        return check_headers(headers)

    @field_validator("json_body")
    @classmethod
    def _check_json(cls, body: JsonValue) -> JsonValue:
        dump(body)
        return body

    @model_validator(mode="after")
    def _check_body(self) -> Self:
        bodies = [name for name in BODIES if name in self.dump()]
        if len(bodies) > 1:
            raise ValueError(f"a response has one body; leave out {' or '.join(bodies[1:])}")
        if bodies and self.status in WITHOUT_BODY:
            raise ValueError(f"{bodies[0]}: a response with status {self.status} has no body; leave it out")
        if self.base64 is not None:
            try:
                base64.b64decode(self.base64, validate=True)
            except (binascii.Error, ValueError):
                raise ValueError("base64: this is no base64; encode the bytes with the standard alphabet") from None
        return self

    def dump(self) -> dict[str, Any]:
        """Return what was set, as JSON."""
        rows = {name: value for name, value in (("text", self.text), ("base64", self.base64)) if value is not None}
        body = {"json": self.json_body} if "json_body" in self.model_fields_set else {}
        return {"status": self.status, "headers": self.headers, **body, **rows, "delay": self.delay}

    def build(self) -> ApiResponse:
        """Return the response to be sent."""
        body, media_type = self._body()
        headers = dict(self.headers)
        return ApiResponse(body, self.status, headers, headers.pop("content-type", media_type))

    def _body(self) -> tuple[Any, str]:
        if self.text is not None:
            return self.text.encode("utf-8"), "text/plain; charset=utf-8"
        if self.base64 is not None:
            return base64.b64decode(self.base64), "application/octet-stream"
        if "json_body" in self.model_fields_set:
            return b"null" if self.json_body is None else self.json_body, JSON
        return (None if self.status in WITHOUT_BODY else b""), "text/plain; charset=utf-8"
