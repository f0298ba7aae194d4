"""Go Bananas!, a client of each kind.

>>> with GoBananas() as bananas:  # GOBANANAS_API_KEY
...     made = bananas.create_image("a banana stand by the sea", aspect_ratio="16:9")
...     bananas.save(made.images[0], "stand.png")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ..call import Call, Provider, seconds
from ..client import AsyncClient, Client, aflow, amethod, apages, flow, method, pages
from . import calls

__all__ = ["AsyncGoBananas", "GoBananas"]


class _GoBananasAPI(Provider):
    name = "gobananas"
    base_url = "https://gobananasai.com"
    key_variable = "GOBANANAS_API_KEY"

    def sign(self, call: Call[Any], key: str, query: dict[str, object], headers: dict[str, str]) -> object:
        """A header of its own; a bearer would do as well."""
        headers["X-API-Key"] = key
        return call.json

    def message(self, body: Any) -> str | None:
        """The text beside the code."""
        error = cast("dict[str, Any]", body).get("error") if isinstance(body, dict) else None
        return error if isinstance(error, str) else None

    def hint(self, headers: Mapping[str, str], now: float) -> float | None:
        """The limit tells when it is reset, in Unix seconds."""
        reset = seconds(headers.get("x-ratelimit-reset"))
        return super().hint(headers, now) if reset is None else max(0.0, reset - now)


PROVIDER = _GoBananasAPI()


class GoBananas(Client):
    """Go Bananas!. The key is else that of GOBANANAS_API_KEY."""

    provider = PROVIDER
    get_profile = method(calls.get_profile)
    create_image = method(calls.create_image)
    list_images = method(calls.list_images)
    get_image = method(calls.get_image)
    delete_image = method(calls.delete_image)
    delete_images = method(calls.delete_images)
    continue_image = method(calls.continue_image)
    upload_image = method(calls.upload_image)
    upload_for_editing = method(calls.upload_for_editing)
    list_sessions = method(calls.list_sessions)
    get_session = method(calls.get_session)
    get_usage = method(calls.get_usage)
    list_characters = method(calls.list_characters)
    create_character = method(calls.create_character)
    get_character = method(calls.get_character)
    update_character = method(calls.update_character)
    delete_character = method(calls.delete_character)
    list_style_presets = method(calls.list_style_presets)
    create_style_preset = method(calls.create_style_preset)
    delete_style_preset = method(calls.delete_style_preset)
    get_file = method(calls.get_file)
    each_image = pages(calls.each_image)
    each_character = pages(calls.each_character)
    save = flow(calls.save)


class AsyncGoBananas(AsyncClient):
    """The same for asyncio."""

    provider = PROVIDER
    get_profile = amethod(calls.get_profile)
    create_image = amethod(calls.create_image)
    list_images = amethod(calls.list_images)
    get_image = amethod(calls.get_image)
    delete_image = amethod(calls.delete_image)
    delete_images = amethod(calls.delete_images)
    continue_image = amethod(calls.continue_image)
    upload_image = amethod(calls.upload_image)
    upload_for_editing = amethod(calls.upload_for_editing)
    list_sessions = amethod(calls.list_sessions)
    get_session = amethod(calls.get_session)
    get_usage = amethod(calls.get_usage)
    list_characters = amethod(calls.list_characters)
    create_character = amethod(calls.create_character)
    get_character = amethod(calls.get_character)
    update_character = amethod(calls.update_character)
    delete_character = amethod(calls.delete_character)
    list_style_presets = amethod(calls.list_style_presets)
    create_style_preset = amethod(calls.create_style_preset)
    delete_style_preset = amethod(calls.delete_style_preset)
    get_file = amethod(calls.get_file)
    each_image = apages(calls.each_image)
    each_character = apages(calls.each_character)
    save = aflow(calls.save)
