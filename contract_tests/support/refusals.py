"""Whether a request is refused as invalid, and whether the refusal names the rule that it broke.

The texts are written by hand. Banana and Go Bananas! name the field and give JSON Schema's words, PaperBanana and fal's
queue (FastAPI) name it and give pydantic's, and fal's Platform API has one sentence for all (C:139).
"""

from __future__ import annotations

import httpx2

from contract_requests import ContractRequest, sender_of
from contract_rules import Rule

__all__ = ["refused"]

JSON_SCHEMA_TEXTS = {
    "required": '"{}" is a required property',
    "type": "is not of type",
    "minimum": "is less than the minimum of {}",
    "maximum": "is greater than the maximum of {}",
    "minLength": "is shorter than {} character",
    "maxLength": "",  # a long value fills the text that is sent
    "minItems": "has less than {} item",
    "maxItems": "has more than {} items",
    "enum": "is not one of",
    "pattern": "does not match",
    "format": 'is not a "{}"',
}
PYDANTIC_TEXTS = {
    "required": "Field required",
    "minimum": "Input should be greater than or equal to {}",
    "maximum": "Input should be less than or equal to {}",
    "minItems": "List should have at least {} item",
    "maxItems": "List should have at most {} item",
    "const": "may hold {}",
}
PYDANTIC_TYPES = {"array": "list", "object": "dictionary"}  # the others have the same name
PATTERN_TEXTS = {"layout": "Layout must be 'RxC' (e.g. '2x3') or 'auto'."}  # D:480
QUEUE = {"start_run", "check_run"}


def refused(request: ContractRequest, rule: Rule | None = None) -> bool:
    """Send the request to a fresh world.

    Args:
        request: The request.
        rule: The rule that the request breaks; the refusal must then name it.

    Returns:
        Whether the mock refused the request as invalid, in its provider's way.

    Raises:
        AssertionError: The refusal does not name the rule.
    """
    provider = sender_of(request.provider)
    provider.reset()
    response = provider(request)
    if rule is not None:
        text = _message(response)
        assert [part for part in _expected(rule) if part not in text] == [], text
    if request.provider == "banana-native" and request.operation in QUEUE:
        return "error" in response.json()["message"]
    return response.status_code == (422 if request.provider in ("paperbanana", "fal-queue") else 400)


def _expected(rule: Rule) -> list[str]:
    """The parts of a refusal's text that name the rule."""
    on_body = (rule.place, rule.path) == ("body", ())
    field = _field(rule)
    match rule.provider:
        case "bananadev" | "falai" if on_body and rule.keyword == "type":
            return ["Unexpected token: an object or an array is expected"]  # LowCodeAPI's own
        case "falai" | "fal-native":
            return ["Invalid request parameters"]
        case "paperbanana" | "fal-queue":
            return _expected_of_pydantic(rule, field)
        case "banana-native" if field == "apiKey" or (rule.operation == "start_run" and on_body and not field):
            return ["An API key is required"]
        case _:
            start = "Invalid parameters: " if rule.provider == "gobananas" else "Invalid request parameters: "
            return [f"{start}{field}: " if field else start, JSON_SCHEMA_TEXTS[rule.keyword].format(rule.value)]


def _expected_of_pydantic(rule: Rule, field: str) -> list[str]:
    match rule.keyword:
        case "type":
            kinds = [rule.value] if isinstance(rule.value, str) else rule.value
            kind = next(kind for kind in kinds if kind != "null")
            return [f"{field or 'body'}: Input should be a valid {PYDANTIC_TYPES.get(kind, kind)}"]
        case "enum":
            start = "Unknown VLM provider: " if field == "vlm_provider" else field
            return [start, *(choice for choice in rule.value if choice is not None)]
        case "pattern":
            return [PATTERN_TEXTS[field]]
        case keyword:
            return [f"{field}: ", PYDANTIC_TEXTS[keyword].format(rule.value)]


def _field(rule: Rule) -> str:
    """The path of the field as errors name it, such as `ids.0`; empty for the body itself."""
    keys = ["0" if key == "[]" else key for key in (rule.place, *rule.path) if key != "body"]
    if rule.keyword == "required" and rule.place == "body":
        keys.append(rule.value)
    return ".".join(keys)


def _message(response: httpx2.Response) -> str:
    """The text of an error in any of the providers' forms."""
    if not response.text.startswith("{"):
        return response.text
    match response.json():
        case {"error": {"error": {"message": str(text)}}} | {"error": {"message": str(text)}}:
            return text
        case {"detail": str(text)} | {"error": str(text)} | {"message": str(text)}:
            return text
        case {"detail": [*items]}:  # fal's queue; below body, which other providers leave out
            return "; ".join(f"{'.'.join(map(str, item['loc'][1:])) or 'body'}: {item['msg']}" for item in items)
        case body:
            raise AssertionError(f"an error without a text: {body}")
