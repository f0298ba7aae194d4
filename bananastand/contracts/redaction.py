"""Takes secrets out of what is about to be stored, by their common names and by their values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["REDACTED", "hide", "redact", "redact_text"]

REDACTED = "[redacted]"
SECRET_NAMES = frozenset(
    ("authorization", "cookie", "set-cookie", "proxy-authorization", "x-api-key", "x-banana-api-key", "x-admin-key")
    + ("x-credential-value", "api_token", "apikey", "api_key", "webhook_secret", "ssh_key", "password")
)
SECRET_IN_TEXT = re.compile(
    r'(?i)("?(?:api_token|api_?key|webhook_secret|ssh_key|password)"?\s*[=:]\s*)("?)[^"&,\s/}]*'
)


def redact(value: Any) -> Any:
    """Return a copy of a JSON value without secrets; the value itself where it has none."""
    if isinstance(value, Mapping):
        changed = {key: REDACTED if str(key).lower() in SECRET_NAMES else redact(item) for key, item in value.items()}
        return changed if any(changed[key] is not item for key, item in value.items()) else value
    if isinstance(value, list):
        items = [redact(item) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def redact_text(text: str) -> str:
    """Return a path, or a body that is not JSON, without what follows the name of a secret."""
    return SECRET_IN_TEXT.sub(rf"\1\2{REDACTED}", text)


def hide(value: Any, secrets: Iterable[str]) -> Any:
    """Return a copy of a JSON value or of bytes in which none of the secrets occurs."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, REDACTED)
        return value
    if isinstance(value, bytes):
        for secret in secrets:
            value = value.replace(secret.encode(), REDACTED.encode())
        return value
    if isinstance(value, Mapping):
        return {hide(key, secrets): hide(item, secrets) for key, item in value.items()}
    return [hide(item, secrets) for item in value] if isinstance(value, list) else value
