"""How the control plane's document describes its refusals."""

from __future__ import annotations

from typing import Any

from .answers import Refusal

__all__ = ["REFUSALS", "REFUSALS_AS_JSON"]

TEXTS: dict[int | str, str] = {
    400: "The body is no JSON, or nested too deep.",
    403: "The request is not this machine's own.",
    404: "There is no world, provider or stub of that name.",
    409: "The name is taken, or the world stays.",
    413: "The body is too long.",
    422: "A value is wrong; the text names its field.",
    503: "Too much is being sent at once.",
}
CONTENT = {"application/json": {"schema": {"$ref": f"#/components/schemas/{Refusal.__name__}"}}}

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": text} for status, text in TEXTS.items()
}
REFUSALS_AS_JSON: dict[int | str, dict[str, Any]] = {  # of routes that answer with text or a page
    status: {"content": CONTENT, "description": text} for status, text in TEXTS.items()
}
