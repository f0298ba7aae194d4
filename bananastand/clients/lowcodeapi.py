"""LowCodeAPI, the gateway: the token in the query, the envelope around every answer. Knows no provider behind it."""

from __future__ import annotations

from typing import Any, cast

from .call import Call, Provider

__all__ = ["LowCodeAPI"]


class LowCodeAPI(Provider):
    """A provider behind LowCodeAPI."""

    key_variable = "LOWCODEAPI_TOKEN"

    def __init__(self, name: str) -> None:
        self.name = name
        self.base_url = f"https://api.lowcodeapi.com/{name}"

    def sign(self, call: Call[Any], key: str, query: dict[str, object], headers: dict[str, str]) -> object:
        """The token is a query parameter, on every method (A:13-16, C:54)."""
        query["api_token"] = key
        return call.json

    def refusal(self, body: Any) -> str | None:
        """Banana's runs fail with status 200 and "error" in the upstream's message, which the envelope takes over."""
        message = cast("dict[str, Any]", body).get("message") if isinstance(body, dict) else None
        return message if isinstance(message, str) and "error" in message.lower() else None

    def unwrap(self, body: Any) -> Any:
        """What the upstream answered."""
        return body["result"]

    def message(self, body: Any) -> str | None:
        """The upstream's own words where it has some, else the gateway's."""
        if not isinstance(body, dict):
            return None
        outer = cast("dict[str, Any]", body)
        inner = outer.get("error")
        while isinstance(inner, dict):
            found = cast("dict[str, Any]", inner)
            if isinstance(found.get("message"), str):
                return found["message"]
            inner = found.get("error")
        message = outer.get("message")
        return message if isinstance(message, str) else None
