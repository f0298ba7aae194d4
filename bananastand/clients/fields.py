"""What a field of a response may be: inferred, which an answer may lack, or one of a set of words that may grow.

A strict client holds such a field to the contract: it must be there, not null, and one of the words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BeforeValidator, GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

__all__ = ["STRICT", "Inferred", "InferredList", "InferredMap", "InferredOrNull", "InferredField", "Open", "is_strict"]

T = TypeVar("T")
K = TypeVar("K")

STRICT: Mapping[str, bool] = {"strict": True}  # the validation context of a strict client


def is_strict(info: ValidationInfo) -> bool:
    """Return whether the contract is to be held."""
    return info.context is STRICT


class InferredField:
    """Marks a field that the contract has and no document shows; `nullable` if the contract allows null."""

    def __init__(self, *, nullable: bool) -> None:
        self.nullable = nullable

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Refuse null where the contract does, for a strict client."""
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def _check(self, value: Any, info: ValidationInfo) -> Any:
        if value is None and not self.nullable and is_strict(info):
            raise PydanticCustomError("null", "Input should not be null")
        return value


class _OpenSet:
    """Marks words of which a provider may have more; a strict client refuses those."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        words = [word for part in get_args(source) if get_origin(part) is Literal for word in get_args(part)]

        def check(value: Any, info: ValidationInfo) -> Any:
            if value not in words and is_strict(info):
                known = ", ".join(map(repr, words))
                raise PydanticCustomError("unknown_word", "Input should be one of {known}", {"known": known})
            return value

        return core_schema.with_info_after_validator_function(check, handler(source))


def _empty_list(value: Any, info: ValidationInfo) -> Any:
    return [] if value is None and not is_strict(info) else value


def _empty_map(value: Any, info: ValidationInfo) -> Any:
    return {} if value is None and not is_strict(info) else value


Inferred = Annotated[T | None, InferredField(nullable=False)]
InferredOrNull = Annotated[T | None, InferredField(nullable=True)]
InferredList = Annotated[list[T], BeforeValidator(_empty_list), InferredField(nullable=False)]
InferredMap = Annotated[dict[K, T], BeforeValidator(_empty_map), InferredField(nullable=False)]
Open = Annotated[T | str, _OpenSet()]
