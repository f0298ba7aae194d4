"""The calls of Go Bananas!: one function for each operation. B:31 is line 31 of its API document."""

from __future__ import annotations

from .account import get_profile, get_session, get_usage, list_sessions
from .characters import (
    create_character,
    delete_character,
    each_character,
    get_character,
    list_characters,
    update_character,
)
from .images import (
    continue_image,
    create_image,
    delete_image,
    delete_images,
    each_image,
    get_file,
    get_image,
    list_images,
    save,
    upload_for_editing,
    upload_image,
)
from .style_presets import create_style_preset, delete_style_preset, list_style_presets

__all__ = [
    "continue_image",
    "create_character",
    "create_image",
    "create_style_preset",
    "delete_character",
    "delete_image",
    "delete_images",
    "delete_style_preset",
    "each_character",
    "each_image",
    "get_character",
    "get_file",
    "get_image",
    "get_profile",
    "get_session",
    "get_usage",
    "list_characters",
    "list_images",
    "list_sessions",
    "list_style_presets",
    "save",
    "update_character",
    "upload_for_editing",
    "upload_image",
]
