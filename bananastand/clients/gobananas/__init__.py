"""Go Bananas!: a blocking client and one for asyncio.

>>> with GoBananas() as bananas:  # GOBANANAS_API_KEY
...     created = bananas.create_image("a banana stand by the sea", aspect_ratio="16:9")
...     bananas.save(created.images[0], "stand.png")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ..bound_methods import async_flow, async_method, async_pages, flow, method, pages
from ..client import AsyncClient, Client
from ..provider import ProviderAPI, parse_seconds
from ..request import ClientRequest
from . import calls

__all__ = ["AsyncGoBananas", "GoBananas"]


class _GoBananasAPI(ProviderAPI):
    name = "gobananas"
    base_url = "https://gobananasai.com"
    base_variable = "GOBANANAS_BASE_URL"
    key_variable = "GOBANANAS_API_KEY"

    def sign(self, request: ClientRequest[Any], key: str, query: dict[str, object], headers: dict[str, str]) -> object:
        """Put the key into X-API-Key (B:12); the API takes a bearer as well (B:14)."""
        headers["X-API-Key"] = key
        return request.json

    def message(self, body: Any) -> str | None:
        """Return the text beside an error's code."""
        error = cast("dict[str, Any]", body).get("error") if isinstance(body, dict) else None
        return error if isinstance(error, str) else None

    def retry_after(self, headers: Mapping[str, str], now: float) -> float | None:
        """Return the seconds until the limit is reset, which the API gives in Unix seconds."""
        reset = parse_seconds(headers.get("x-ratelimit-reset"))
        return super().retry_after(headers, now) if reset is None else max(0.0, reset - now)


PROVIDER = _GoBananasAPI()


class GoBananas(Client):
    """Client of Go Bananas!; the key comes from GOBANANAS_API_KEY unless it is passed."""

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
    """Client of Go Bananas! for asyncio."""

    provider = PROVIDER
    get_profile = async_method(calls.get_profile)
    create_image = async_method(calls.create_image)
    list_images = async_method(calls.list_images)
    get_image = async_method(calls.get_image)
    delete_image = async_method(calls.delete_image)
    delete_images = async_method(calls.delete_images)
    continue_image = async_method(calls.continue_image)
    upload_image = async_method(calls.upload_image)
    upload_for_editing = async_method(calls.upload_for_editing)
    list_sessions = async_method(calls.list_sessions)
    get_session = async_method(calls.get_session)
    get_usage = async_method(calls.get_usage)
    list_characters = async_method(calls.list_characters)
    create_character = async_method(calls.create_character)
    get_character = async_method(calls.get_character)
    update_character = async_method(calls.update_character)
    delete_character = async_method(calls.delete_character)
    list_style_presets = async_method(calls.list_style_presets)
    create_style_preset = async_method(calls.create_style_preset)
    delete_style_preset = async_method(calls.delete_style_preset)
    get_file = async_method(calls.get_file)
    each_image = async_pages(calls.each_image)
    each_character = async_pages(calls.each_character)
    save = async_flow(calls.save)
