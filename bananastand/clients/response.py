"""A response of a provider's API: as it came, as it is read, and the base of the models it is read into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from .fields import InferredField, is_strict

__all__ = ["CamelModel", "ClientResponse", "RawResponse", "ResponseModel", "media_reader"]

T = TypeVar("T")


class ResponseModel(BaseModel):
    """Part of a response. Fields that the contract does not list stay readable as attributes."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)  # an import builds none of them

    @model_validator(mode="after")
    def _has_all_fields(self, info: ValidationInfo) -> Self:
        """Refuse an answer without a field of the contract, for a strict client."""
        if is_strict(info):
            for name, field in type(self).model_fields.items():
                if name not in self.model_fields_set and any(
                    isinstance(mark, InferredField) for mark in field.metadata
                ):
                    raise PydanticCustomError("missing", "{name}: Field required", {"name": field.alias or name})
        return self


class CamelModel(ResponseModel):
    """Part of a response whose JSON says modelKey where Python says model_key."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


@dataclass(frozen=True)
class RawResponse:
    """A response as it came; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class ClientResponse(Generic[T]):
    """A result with the response it was in: status, headers, and the body before it was unwrapped."""

    result: T
    status: int
    headers: Mapping[str, str]
    body: Any


def media_reader(*media_types: str) -> Callable[[RawResponse], bytes]:
    """Return a reader of files whose media type begins with one of these; it raises ValueError for another type."""

    def read(raw: RawResponse) -> bytes:
        media_type = raw.headers.get("content-type", "no type")
        if not media_type.startswith(media_types):
            raise ValueError(f"{media_type} is not {' or '.join(media_types)}")
        return raw.content

    return read
