"""The JSON Schema of an exported world; the rows of its tables are the providers' own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from bananastand.contracts.schemas import Schema, Schemas

from .clock import FASTEST, LATEST
from .errors import StateError
from .settings import MAX_NUMBER

__all__ = ["VERSION", "check_world"]

VERSION = 1

COUNT = {"type": "integer", "minimum": 0}
SECONDS = {"type": "number", "minimum": 0, "maximum": MAX_NUMBER}
MOMENT = {"type": "number", "minimum": 0, "maximum": LATEST}
SECRETS = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string", "minLength": 1}}}

WORLD: dict[str, Any] = {
    "type": "object",
    "required": [
        "version",
        "seed",
        "random",
        "clock",
        "faults",
        "limits",
        "tasks",
        "credentials",
        "settings",
        "tables",
        "blobs",
    ],
    "properties": {
        "version": {"const": VERSION},
        "kind": {"enum": ["development", "documents", "empty"]},
        "seed": {"type": "integer"},
        "random": {
            "type": "array",
            "minItems": 3,
            "maxItems": 3,
            "prefixItems": [
                {"const": 3},
                {
                    "type": "array",
                    "minItems": 625,
                    "maxItems": 625,
                    "items": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
                },
                {"type": ["number", "null"]},
            ],
        },
        "clock": {
            "type": "object",
            "required": ["virtual", "speed", "now", "pending"],
            "properties": {
                "virtual": {"type": "boolean"},
                "speed": {"type": "number", "exclusiveMinimum": 0, "maximum": FASTEST},
                "now": MOMENT,
                "step": SECONDS,
                "pending": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["due", "event", "details"],
                        "properties": {
                            "due": {"type": "number", "minimum": 0, "maximum": LATEST + MAX_NUMBER},
                            "event": {"type": "string"},
                            "details": {"type": "object"},
                        },
                    },
                },
            },
        },
        "faults": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["kind"],
                "additionalProperties": False,
                "properties": {
                    "kind": {"type": "string"},
                    "operation": {"type": "string"},
                    "first": COUNT,
                    "last": {"type": ["integer", "null"]},
                    "status": COUNT,
                    "message": {"type": "string"},
                    "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                    "body": True,
                    "seconds": SECONDS,
                    "probability": {"type": "number"},
                    "seen": COUNT,
                    "struck": COUNT,
                },
            },
        },
        "stubs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "request", "responses", "times", "call_count"],
                "additionalProperties": False,
                "properties": {
                    "id": COUNT,
                    "request": {"type": "object"},
                    "responses": {"type": "array", "items": {"type": "object"}},
                    "times": {"type": ["integer", "null"], "minimum": 1},
                    "call_count": COUNT,
                },
            },
        },
        "limits": {
            "type": "object",
            "required": ["rules", "windows"],
            "properties": {
                "rules": {
                    "type": "object",
                    "additionalProperties": {
                        "type": "object",
                        "required": ["calls", "seconds"],
                        "properties": {"calls": COUNT, "seconds": {**SECONDS, "exclusiveMinimum": 0}},
                    },
                },
                "windows": {
                    "type": "object",
                    "additionalProperties": {
                        "type": "object",
                        "required": ["begun", "used"],
                        "properties": {"begun": MOMENT, "used": COUNT},
                    },
                },
            },
        },
        "tasks": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "mode": {"enum": ["immediately", "after_polls", "after_seconds"]},
                "polls": COUNT,
                "seconds": SECONDS,
                "failures": COUNT,
                "failure": {"type": "string"},
            },
        },
        "credentials": SECRETS,
        "issued": SECRETS,
        "settings": {"type": "object"},
        "tables": {"type": "object", "additionalProperties": {"type": "object"}},
        "blobs": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


def check_world(state: Mapping[str, Any]) -> None:
    """Raise StateError with the name of the field where a state is no exported world."""
    if "version" in state and state["version"] != VERSION:
        raise StateError(f"version: a world of version {VERSION} is wanted, this is {str(state['version'])[:40]}")
    if not _schema().fits(state):
        first = _schema().violations("body", state)[0]
        raise StateError(f"{first.field}: {first.message}")


@cache
def _schema() -> Schema:
    return Schemas({"world": WORLD}).at("world")
