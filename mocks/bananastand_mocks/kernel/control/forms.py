"""Reads the forms of the pages as the bodies of the control plane's routes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import HTTPException

from ..stub import StubSpec
from .bodies import Advance, ClockStep, NewFault, NewLimit, NewWorld, Reset

__all__ = [
    "Form",
    "read_advance",
    "read_fault",
    "read_form",
    "read_limit",
    "read_reset",
    "read_step",
    "read_stub",
    "read_world",
]

Form = dict[str, str]

LONGEST_FORM = 2**20  # bytes


def read_form(raw: bytes) -> Form:
    """Return the fields that are filled in. Raises HTTPException 422 for what no form of these pages sends."""
    if len(raw) > LONGEST_FORM:
        raise HTTPException(422, f"the form is longer than {LONGEST_FORM} bytes; use the API for long bodies")
    try:
        pairs = parse_qsl(raw.decode("utf-8", "replace"), max_num_fields=50)
    except ValueError as error:
        raise HTTPException(422, f"the form cannot be read: {error}") from None
    return {name: value.strip() for name, value in pairs if value.strip()}


def read_world(form: Form) -> NewWorld:
    """Read the form for a new world. Raises ValidationError, as the next ones do."""
    return NewWorld.model_validate(form, strict=False)


def read_reset(form: Form) -> Reset:
    """Read how a world begins anew."""
    return Reset.model_validate(form, strict=False)


def read_advance(form: Form) -> Advance:
    """Read by how much a clock is to be moved."""
    return Advance.model_validate(form, strict=False)


def read_step(form: Form) -> ClockStep:
    """Read by how much every call is to move a clock."""
    return ClockStep.model_validate(form, strict=False)


def read_limit(form: Form) -> NewLimit:
    """Read a rate limit; the field `provider` is no part of it."""
    return NewLimit.model_validate(_only(form, "calls", "seconds"), strict=False)


def read_fault(form: Form) -> NewFault:
    """Read a fault. Raises HTTPException 422 where the headers cannot be read."""
    row: dict[str, Any] = _only(form, "kind", "operation", "last", "seconds")
    if form.get("kind") == "status":
        row |= _only(form, "status")
        row["headers"] = _headers(form.get("headers", ""))
        row["body"] = _json_or_text(form["body"]) if "body" in form else None
    return NewFault.model_validate(row, strict=False)


def read_stub(form: Form) -> StubSpec:
    """Read a stub. Raises HTTPException 422 where the headers cannot be read."""
    request: dict[str, Any] = _only(form, "provider", "operation", "method", "path")
    if "contains" in form:
        request["body_text"] = {"contains": form["contains"]}
    if "json_path" in form:
        value = {"equal_to": _json_or_text(form["json_value"])} if "json_value" in form else {"absent": False}
        request["body_paths"] = {form["json_path"]: value}
    response: dict[str, Any] = _only(form, "status", "delay")
    response["headers"] = _headers(form.get("headers", ""))
    if "body" in form:
        body = _json_or_text(form["body"])
        response["text" if isinstance(body, str) else "json"] = body
    row = {"request": request, "responses": [response], **_only(form, "times")}
    return StubSpec.model_validate(row, strict=False)


def _only(form: Mapping[str, str], *names: str) -> dict[str, Any]:
    return {name: form[name] for name in names if name in form}


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _headers(text: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, value = line.partition(":")
        if not colon:
            raise HTTPException(422, f"headers: {line[:80]} has no colon; write one header a line, as Name: value")
        headers[name.strip()] = value.strip()
    return headers
