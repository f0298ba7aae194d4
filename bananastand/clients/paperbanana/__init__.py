"""PaperBanana: a blocking client and one for asyncio.

>>> with PaperBanana() as paper:  # PAPERBANANA_API_KEY
...     task = paper.run_and_wait(calls.create_plot({"a": 1, "b": 2}, "compare the two as bars"))
...     paper.save(task.task_id, "bars.pdf")
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, cast

from pydantic import ValidationError

from ..bound_methods import async_flow, async_method, async_pages, flow, method, pages
from ..client import AsyncClient, Client
from ..errors import InvalidWebhook
from ..provider import ProviderAPI
from ..request import ClientRequest
from . import calls
from .models import WebhookEvent

__all__ = ["AsyncPaperBanana", "PaperBanana", "parse_webhook", "verify_webhook"]


class _PaperBananaAPI(ProviderAPI):
    name = "paperbanana"
    base_url = "https://api.paperbanana.me"
    base_variable = "PAPERBANANA_BASE_URL"
    key_variable = "PAPERBANANA_API_KEY"
    admin_variable = "PAPERBANANA_ADMIN_KEY"

    def sign(self, request: ClientRequest[Any], key: str, query: dict[str, object], headers: dict[str, str]) -> object:
        """Send the key, or the admin key, as a bearer token."""
        headers["Authorization"] = f"Bearer {key}"
        return request.json

    def message(self, body: Any) -> str | None:
        """Return the text of `detail`."""
        detail = cast("dict[str, Any]", body).get("detail") if isinstance(body, dict) else None
        return detail if isinstance(detail, str) else None


PROVIDER = _PaperBananaAPI()


class PaperBanana(Client):
    """Client of PaperBanana.

    Keys and history need the admin key, from PAPERBANANA_ADMIN_KEY unless it is passed; everything else needs the API
    key, from PAPERBANANA_API_KEY unless it is passed.
    """

    provider = PROVIDER
    get_health = method(calls.get_health)
    create_diagram = method(calls.create_diagram)
    create_diagram_from_pdf = method(calls.create_diagram_from_pdf)
    optimize_prompt = method(calls.optimize_prompt)
    create_plot = method(calls.create_plot)
    create_composite = method(calls.create_composite)
    get_task = method(calls.get_task)
    get_task_image = method(calls.get_task_image)
    list_keys = method(calls.list_keys)
    create_key = method(calls.create_key)
    get_key = method(calls.get_key)
    update_key = method(calls.update_key)
    delete_key = method(calls.delete_key)
    list_history = method(calls.list_history)
    get_history = method(calls.get_history)
    each_history_item = pages(calls.each_history_item)
    wait_for_task = flow(calls.wait_for_task)
    run_and_wait = flow(calls.run_and_wait)
    save = flow(calls.save)


class AsyncPaperBanana(AsyncClient):
    """Client of PaperBanana for asyncio."""

    provider = PROVIDER
    get_health = async_method(calls.get_health)
    create_diagram = async_method(calls.create_diagram)
    create_diagram_from_pdf = async_method(calls.create_diagram_from_pdf)
    optimize_prompt = async_method(calls.optimize_prompt)
    create_plot = async_method(calls.create_plot)
    create_composite = async_method(calls.create_composite)
    get_task = async_method(calls.get_task)
    get_task_image = async_method(calls.get_task_image)
    list_keys = async_method(calls.list_keys)
    create_key = async_method(calls.create_key)
    get_key = async_method(calls.get_key)
    update_key = async_method(calls.update_key)
    delete_key = async_method(calls.delete_key)
    list_history = async_method(calls.list_history)
    get_history = async_method(calls.get_history)
    each_history_item = async_pages(calls.each_history_item)
    wait_for_task = async_flow(calls.wait_for_task)
    run_and_wait = async_flow(calls.run_and_wait)
    save = async_flow(calls.save)


def verify_webhook(body: bytes | str, signature: str | None, secret: str) -> bool:
    """Check the signature of a webhook in constant time.

    Args:
        body: The body as it was received, bytes or text.
        signature: The header X-PaperBanana-Signature.
        secret: The webhook secret of the key.
    """
    received = body.encode() if isinstance(body, str) else body
    expected = "sha256=" + hmac.new(secret.encode(), received, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), (signature or "").encode("utf-8", "replace"))


def parse_webhook(body: bytes | str, signature: str | None, secret: str) -> WebhookEvent:
    """Return the event that a webhook brings, once its signature is checked.

    Source: D:505-568.

    Args:
        body: The body as it was received, bytes or text; parsed and encoded again it would have another signature.
        signature: The header X-PaperBanana-Signature; None if there is none.
        secret: The webhook secret of the key, at least one character.

    Raises:
        InvalidWebhook: The signature is not that of the body, or the body is no event.
    """
    if not secret:
        raise InvalidWebhook("there is no secret to check the webhook with; pass the key's webhook_secret")
    if not verify_webhook(body, signature, secret):
        raise InvalidWebhook("the webhook is not signed with this secret; answer it with 401 and ignore it")
    try:
        return WebhookEvent.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidWebhook(f"the webhook is no event: {place + ': ' if place else ''}{first['msg']}") from None
