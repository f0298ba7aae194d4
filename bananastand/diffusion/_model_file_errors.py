"""Puts pydantic's errors about a model file into one line that names file, line and key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

__all__ = ["SIDES", "ModelFileError", "describe", "place", "problem", "unknown_key"]

SIDES = "[width, height] in whole pixels"
KINDS: dict[Any, str] = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
KINDS_OF_ERRORS = {
    "string_type": KINDS[str],
    "path_type": KINDS[str],
    "int_type": KINDS[int],
    "float_type": KINDS[float],
    "finite_number": KINDS[float],
    "bool_type": KINDS[bool],
    "model_type": "a table",
    "mapping_type": "a table",
    "dict_type": "a table",
}


class ModelFileError(Exception):
    """A model file cannot be used, or there is none of that name; the text names file, line and key."""


def problem(message: str, key: str = "") -> PydanticCustomError:
    """Return an error for a validator to raise; `key` names the field where a whole section is validated."""
    return PydanticCustomError("problem", "{message}", {"message": message, "key": key})


def describe(error: ValidationError, model: type[BaseModel], path: Path, text: str) -> str:
    """Put the first error into words, unknown keys before all others: a misspelt key is missing as well.

    Args:
        error: What pydantic found.
        model: The model that was validated.
        path: The model file.
        text: Its content.
    """
    errors = [found for found in error.errors(include_url=False) if found["type"] != "default_factory_not_called"]
    first = min(errors, key=lambda found: found["type"] != "extra_forbidden")
    if first["type"] == "extra_forbidden":
        return unknown_key(model, path, text, first["loc"])
    keys = [str(part) for part in first["loc"]] + [key for key in [first.get("ctx", {}).get("key")] if key]
    return f"{_place_of(path, text, keys)}: {'.'.join(keys)}: {_message(first, model)}"


def unknown_key(model: type[BaseModel], path: Path, text: str, loc: tuple[int | str, ...]) -> str:
    """Put an unknown key into words, with the keys that its table may have."""
    keys = [str(part) for part in loc]
    for key in keys[:-1]:
        model = cast("type[BaseModel]", model.model_fields[key].annotation)
    known = ", ".join(field.alias or name for name, field in model.model_fields.items() if name != "source")
    return f"{_place_of(path, text, keys)}: {'.'.join(keys)}: unknown key; known keys are {known}"


def place(path: Path, line: int | None = None) -> str:
    """Return file:line, with the file as a reader would type it from here."""
    near = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{near}:{line}" if line else str(near)


def _message(error: ErrorDetails, model: type[BaseModel]) -> str:
    value, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case "problem":
            return str(context["message"])
        case "missing":
            kind = _kind_of_field(model, error["loc"])
            return f"must be {kind}, not None" if kind == SIDES else f"missing; it must be {kind}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}, not {value}"
        case "greater_than":
            return f"must be above {context['gt']:g}, not {value:g}"
        case "literal_error":
            choices = str(context["expected"]).replace("'", "").replace(" or ", ", ")
            return f"must be one of {choices}, not {value!r}"
        case other:
            kind = KINDS_OF_ERRORS.get(other)
            return f"must be {kind}, not {value!r}" if kind else error["msg"]


def _kind_of_field(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    annotation: Any = model
    for key in loc:
        model_fields = cast("type[BaseModel]", annotation).model_fields
        annotation = next(field for name, field in model_fields.items() if (field.alias or name) == key).annotation
    if get_origin(annotation) is tuple and len(get_args(annotation)) == 2:
        return SIDES
    return KINDS.get(annotation, "a table")


def _place_of(path: Path, text: str, keys: list[str]) -> str:
    return place(path, _line_of(text, ".".join(keys)))


def _line_of(text: str, dotted: str) -> int | None:
    """Find the line of a key, else that of the table it belongs to; tomllib gives no line numbers."""
    table, lines = "", dict[str, int]()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            table = header[1]
            lines.setdefault(table, number)
        elif key := re.match(r"""\s*("[^"]*"|'[^']*'|[\w.-]+)\s*=""", line):
            name = key[1].strip("\"'")
            lines.setdefault(f"{table}.{name}".removeprefix("."), number)
    return lines.get(dotted) or lines.get(dotted.partition(".")[0])
