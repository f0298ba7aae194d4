"""What differs from provider to provider: where the API is, how a request is signed, how errors read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from .request import ClientRequest

__all__ = ["ProviderAPI", "parse_retry_after", "parse_seconds"]


class ProviderAPI(ABC):
    """One provider's API; a subclass for each provider.

    Attributes:
        name: The provider's name, as in error messages.
        base_url: URL without a slash at the end.
        base_variable: Environment variable of a URL in place of `base_url`.
        key_variable: Environment variable of the API key.
        admin_variable: Environment variable of the admin key, where the provider has one.
    """

    name: str
    base_url: str
    base_variable: str
    key_variable: str
    admin_variable: str | None = None

    @abstractmethod
    def sign(self, request: ClientRequest[Any], key: str, query: dict[str, object], headers: dict[str, str]) -> object:
        """Put the key where the provider expects it.

        Args:
            request: The request to sign.
            key: The API key, or the admin key of an admin request.
            query: Query parameters, changed in place.
            headers: Headers, changed in place.

        Returns:
            The JSON body to send.
        """

    def base_of(self, text: str) -> str:
        """Return the base URL that the environment variable's text means."""
        return text

    def url_of(self, base_url: str, path: str) -> str:
        """Return the URL of a path."""
        return base_url + path

    def refusal(self, body: Any) -> str | None:
        """Return the error message inside a response of status 200, or None if the call succeeded."""
        return None

    def unwrap(self, body: Any) -> Any:
        """Return the result inside a response's JSON.

        Raises:
            KeyError: The body lacks a field.
            TypeError: The body has another shape.
        """
        return body

    @abstractmethod
    def message(self, body: Any) -> str | None:
        """Return the text of an error's body, or None if it has none."""

    def retry_after(self, headers: Mapping[str, str], now: float) -> float | None:
        """Return the seconds that the provider asks to wait, by Retry-After; `now` is seconds since 1970."""
        return parse_retry_after(headers.get("retry-after"), now)


def parse_seconds(text: str | None) -> float | None:
    """Return a header's number of seconds, whole or with a decimal point; None for anything else."""
    digits = (text or "").replace(".", "", 1)
    return float(text or "") if digits.isascii() and digits.isdigit() else None


def parse_retry_after(text: str | None, now: float) -> float | None:
    """Return the seconds from `now` that Retry-After asks to wait, given as seconds or as a date; None for neither."""
    if (seconds := parse_seconds(text)) is not None or not text:
        return seconds
    try:
        moment = parsedate_to_datetime(text)
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError):
        return None
