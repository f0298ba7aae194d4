"""Reads numbers and booleans as the provider's own models do: `"3"` is 3 and `"yes"` is true.

The published source (zhwcoding/paperbanana, api_server.py) declares plain pydantic models, which are lax, and so are
FastAPI's query parameters. pydantic itself converts here; what it does not take stays as it came, and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bananastand.contracts.schemas import Schemas

from ..kernel.call import ApiCall

__all__ = ["coerce"]

LAX: Mapping[str, TypeAdapter[Any]] = {"integer": TypeAdapter(int), "boolean": TypeAdapter(bool)}


def coerce(call: ApiCall, schemas: Schemas) -> None:
    """Convert the fields of a call's body and its query, where the contract has a number or a boolean."""
    spec = call.operation.spec
    for parameter in map(schemas.resolve, spec.get("parameters", ())):
        if isinstance(text := call.query.get(parameter["name"]), str):
            call.query[parameter["name"]] = str(_read(text, parameter["schema"], schemas))
    if isinstance(call.body, dict) and "requestBody" in spec:
        declared = schemas.resolve(spec["requestBody"]["content"]["application/json"]["schema"])["properties"]
        call.sent = call.body
        call.body = {name: _read(value, declared.get(name, {}), schemas) for name, value in call.body.items()}


def _read(value: Any, schema: Any, schemas: Schemas) -> Any:
    """The value as pydantic reads it into the schema's type; itself where it does not fit."""
    kind = schemas.resolve(schema).get("type", "")
    adapter = next((LAX[name] for name in LAX if name in kind), None)
    if adapter is None or value is None:
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return value
