"""LowCodeAPI, a gateway: it takes a token in the query and wraps every response of the provider behind it."""

from __future__ import annotations

from typing import Any, cast

from .provider import ProviderAPI
from .request import ClientRequest

__all__ = ["LowCodeAPI"]


class LowCodeAPI(ProviderAPI):
    """A provider behind LowCodeAPI, by its name there."""

    key_variable = "LOWCODEAPI_TOKEN"
    base_variable = "LOWCODEAPI_BASE_URL"

    def __init__(self, name: str) -> None:
        self.name = name
        self.base_url = f"https://api.lowcodeapi.com/{name}"

    def base_of(self, text: str) -> str:
        """Return the provider's address at a gateway."""
        return f"{text.rstrip('/')}/{self.name}"

    def sign(self, request: ClientRequest[Any], key: str, query: dict[str, object], headers: dict[str, str]) -> object:
        """Put the token into the query, whatever the method (A:13-16, C:54)."""
        query["api_token"] = key
        return request.json

    def refusal(self, body: Any) -> str | None:
        """Return the message of a failed run: Banana fails with status 200 and "error" in the message."""
        message = cast("dict[str, Any]", body).get("message") if isinstance(body, dict) else None
        return message if isinstance(message, str) and "error" in message.lower() else None

    def unwrap(self, body: Any) -> Any:
        """Return the provider's own response."""
        return body["result"]

    def message(self, body: Any) -> str | None:
        """Return the provider's error message where there is one, else the gateway's."""
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
