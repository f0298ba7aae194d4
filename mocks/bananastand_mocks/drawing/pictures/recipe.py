"""What a picture is drawn from, and the error for content that is no picture. Imports no drawing library."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NotAPicture", "Recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything a picture depends on: the same recipe gives the same bytes.

    Attributes:
        prompt: What the picture shows.
        negative: What it must not show.
        style: Words on style and finish.
        character: A description of a recurring character.
        seed: Selects one of many pictures of the same words.
        width: Pixels.
        height: Pixels.
        edits: Prompts of later edits, oldest first.
    """

    prompt: str
    negative: str = ""
    style: str = ""
    character: str = ""
    seed: int = 0
    width: int = 1024
    height: int = 1024
    edits: tuple[str, ...] = ()


class NotAPicture(ValueError):
    """The content is not a PNG, JPEG or WebP, is damaged, or has too many pixels; the message says which."""
