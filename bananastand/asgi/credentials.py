"""Reads the Authorization header: bearer tokens and Basic credentials (RFC 6750, RFC 7617)."""

from __future__ import annotations

import base64
import binascii

__all__ = ["basic_credentials", "bearer_token"]


def bearer_token(authorization: str) -> str | None:
    """Return the token of `Bearer TOKEN`, in whatever case the scheme is written; None for any other scheme.

    >>> bearer_token("Bearer abc"), bearer_token("Basic YTpi")
    ('abc', None)
    """
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def basic_credentials(authorization: str) -> tuple[str, str] | None:
    """Return user name and password of `Basic BASE64`; None for another scheme, and for what is not base64.

    >>> basic_credentials("Basic YTpi"), basic_credentials("Basic !")
    (('a', 'b'), None)
    """
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return None
    user, _, password = text.partition(":")
    return user, password
