"""Compiles the schemas of one contract and says where a value breaks them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import jsonschema_rs

from .errors import ContractError, Violation

__all__ = ["Schema", "Schemas"]

LONGEST = 300  # characters of a validator's message; it quotes the value


class Schema:
    """One compiled schema."""

    __slots__ = ("_validator", "fits")

    def __init__(self, validator: Any) -> None:
        self._validator = validator
        self.fits = validator.is_valid

    def violations(self, where: str, value: Any) -> list[Violation]:
        """Every way in which the value does not fit, in the order of the schema."""
        return list(_violations(where, self._validator.iter_errors(value)))


class Schemas:
    """The schemas of a document, compiled where they stand, so that their references hold."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self._registry = jsonschema_rs.Registry([("contract:///", document)])

    def at(self, *keys: str) -> Schema:
        """The schema at a place of the document, given as keys from its root."""
        pointer = quote("/".join(key.replace("~", "~0").replace("/", "~1") for key in keys), safe="/~")
        return self._compile({"$ref": f"contract:///#/{pointer}"}, "/".join(keys))

    def object_of(self, schemas: dict[str, Any], required: Sequence[str], name: str) -> Schema:
        """An object with these properties; references in them are to the document."""
        rooted = {key: _rooted(schema) for key, schema in schemas.items()}
        return self._compile({"type": "object", "properties": rooted, "required": list(required)}, name)

    def resolve(self, value: Any) -> Any:
        """The value, or what its $ref names."""
        while isinstance(value, dict) and "$ref" in value:
            value = self.named(value["$ref"])
        return value

    def named(self, reference: str) -> Any:
        """What `#/a/b` names in the document."""
        found: Any = self._document
        try:
            for key in reference.removeprefix("#/").split("/"):
                found = found[key.replace("~1", "/").replace("~0", "~")]
        except (KeyError, TypeError):
            raise ContractError(f"$ref {reference} names nothing in the contract") from None
        return found

    def _compile(self, schema: Any, name: str) -> Schema:
        try:
            return Schema(
                jsonschema_rs.Draft202012Validator(schema, registry=self._registry, validate_formats=True, offline=True)
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise ContractError(f"{name}: {error}") from error


def _rooted(value: Any) -> Any:
    """The schema with `#/...` references made absolute, for use outside the document."""
    if isinstance(value, dict):
        return {
            key: f"contract:///{item}" if key == "$ref" and str(item).startswith("#") else _rooted(item)
            for key, item in value.items()
        }
    return [_rooted(item) for item in value] if isinstance(value, list) else value


def _violations(where: str, errors: Any) -> Iterator[Violation]:
    for error in errors:
        path = [str(part) for part in error.instance_path]
        missing = getattr(error.kind, "property", None) if error.kind.name == "required" else None
        if missing is not None:
            path.append(missing)
        yield Violation(where, ".".join(path), error.kind.name, _short(error.message))


def _short(message: str) -> str:
    return message if len(message) <= LONGEST else message[: LONGEST - 3] + "..."
