"""Characters of Go Bananas!, which images can show."""

from __future__ import annotations

from collections.abc import Sequence

from ...request import ClientRequest, PagedList, without_none
from ..models import (
    AspectRatio,
    Character,
    CharacterList,
    Deleted,
)
from .paging import next_page

__all__ = [
    "create_character",
    "delete_character",
    "each_character",
    "get_character",
    "list_characters",
    "update_character",
]


def list_characters(
    *, limit: int | None = None, offset: int | None = None, search: str | None = None, exact: bool | None = None
) -> ClientRequest[CharacterList]:
    """Return a page of characters.

    Source: B:259-265.

    Args:
        limit: Entries of a page, from 1; more than 100 count as 100, the default.
        offset: Entries to skip, from 0.
        search: Text to look for in names.
        exact: `search` is the whole name.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    query = without_none(limit=limit, offset=offset, search=search, exact=exact)
    return ClientRequest(CharacterList, "GET", "/api/characters", query)


def each_character(*, search: str | None = None, limit: int | None = None) -> PagedList[Character]:
    """Iterate over all characters.

    Source: B:259-265.

    Args:
        search: Text to look for in names.
        limit: Entries fetched at once, 1 to 100.

    Yields:
        One character after another; a page is fetched when it is reached.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return PagedList(list_characters(search=search, limit=limit), lambda page: page.characters, next_page)


def create_character(
    character_name: str,
    base_prompt: str,
    *,
    description: str | None = None,
    negative_prompt: str | None = None,
    system_instruction: str | None = None,
    preferred_aspect_ratio: AspectRatio | None = None,
    reference_image_ids: Sequence[int] | None = None,
    tags: Sequence[str] | None = None,
) -> ClientRequest[Character]:
    """Create a character that images can show.

    Source: B:267-278.

    Args:
        character_name: 1 to 100 characters.
        base_prompt: Description that goes into each prompt, 10 to 2000 characters.
        description: At most 2000 characters.
        negative_prompt: What its pictures must not show, at most 2000 characters.
        system_instruction: Instruction for the model, at most 2000 characters.
        preferred_aspect_ratio: Aspect ratio of its pictures.
        reference_image_ids: Ids of images that show it, at most 10.
        tags: At most 20.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        NotFoundError: 404: there is no reference image of that name or id.
        RateLimitError: 429: too many requests, after the retries.
    """
    body = without_none(
        character_name=character_name,
        base_prompt=base_prompt,
        description=description,
        negative_prompt=negative_prompt,
        system_instruction=system_instruction,
        preferred_aspect_ratio=preferred_aspect_ratio,
        reference_image_ids=reference_image_ids,
        tags=tags,
    )
    return ClientRequest(Character, "POST", "/api/characters", json=body)


def get_character(id: int) -> ClientRequest[Character]:
    """Return one character with its reference images.

    Source: a published client.

    Args:
        id: Id of a character.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        NotFoundError: 404: there is no character of that name or id.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(Character, "GET", f"/api/characters/{id}")


def update_character(
    id: int,
    *,
    character_name: str | None = None,
    base_prompt: str | None = None,
    description: str | None = None,
    negative_prompt: str | None = None,
    system_instruction: str | None = None,
    preferred_aspect_ratio: AspectRatio | None = None,
    reference_image_ids: Sequence[int] | None = None,
    tags: Sequence[str] | None = None,
) -> ClientRequest[Character]:
    """Change the passed fields of a character.

    Source: a published client.

    Args:
        id: Id of a character.
        character_name: 1 to 100 characters.
        base_prompt: Description that goes into each prompt, 10 to 2000 characters.
        description: At most 2000 characters.
        negative_prompt: What its pictures must not show, at most 2000 characters.
        system_instruction: Instruction for the model, at most 2000 characters.
        preferred_aspect_ratio: Aspect ratio of its pictures.
        reference_image_ids: Ids of images that show it, at most 10.
        tags: At most 20.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        NotFoundError: 404: there is no character or reference image of that name or id.
        RateLimitError: 429: too many requests, after the retries.
    """
    body = without_none(
        character_name=character_name,
        base_prompt=base_prompt,
        description=description,
        negative_prompt=negative_prompt,
        system_instruction=system_instruction,
        preferred_aspect_ratio=preferred_aspect_ratio,
        reference_image_ids=reference_image_ids,
        tags=tags,
    )
    return ClientRequest(Character, "PATCH", f"/api/characters/{id}", json=body)


def delete_character(id: int) -> ClientRequest[Deleted]:
    """Delete a character.

    Source: B:280-286.

    Args:
        id: Id of a character.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        NotFoundError: 404: there is no character of that name or id.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(Deleted, "DELETE", f"/api/characters/{id}", idempotent=True)
