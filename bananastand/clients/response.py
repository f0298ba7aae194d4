"""A response of a provider's API: as it came, as it is read, and the base of the models it is read into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

__all__ = ["CamelModel", "ClientResponse", "RawResponse", "ResponseModel", "media_reader"]

T = TypeVar("T")


class ResponseModel(BaseModel):
    """Part of a response. Fields that the contract does not list stay readable as attributes."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)  # an import builds none of them


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
