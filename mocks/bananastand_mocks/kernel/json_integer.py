"""A whole number in JSON, which may be written 5 or 5.0 (JSON Schema 2020-12, validation, 6.1.1)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

__all__ = ["JsonInteger"]


def _as_integer(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


JsonInteger = Annotated[int, BeforeValidator(_as_integer)]
