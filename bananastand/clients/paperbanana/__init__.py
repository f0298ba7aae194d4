"""PaperBanana, a client of each kind.

>>> with PaperBanana() as paper:  # PAPERBANANA_API_KEY
...     task = paper.run_and_wait(calls.create_plot({"a": 1, "b": 2}, "compare the two as bars"))
...     paper.save(task.task_id, "bars.pdf")
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, cast

from ..call import Call, Provider
from ..client import AsyncClient, Client, aflow, amethod, apages, flow, method, pages
from . import calls

__all__ = ["AsyncPaperBanana", "PaperBanana", "verify_webhook"]


class _PaperBananaAPI(Provider):
    name = "paperbanana"
    base_url = "https://api.paperbanana.me"
    key_variable = "PAPERBANANA_API_KEY"
    admin_variable = "PAPERBANANA_ADMIN_KEY"

    def sign(self, call: Call[Any], key: str, query: dict[str, object], headers: dict[str, str]) -> object:
        """A bearer, the admin key as well."""
        headers["Authorization"] = f"Bearer {key}"
        return call.json

    def message(self, body: Any) -> str | None:
        """Text in `detail`."""
        detail = cast("dict[str, Any]", body).get("detail") if isinstance(body, dict) else None
        return detail if isinstance(detail, str) else None


PROVIDER = _PaperBananaAPI()


class PaperBanana(Client):
    """PaperBanana. Keys and history want the admin key, else PAPERBANANA_ADMIN_KEY; all else PAPERBANANA_API_KEY's."""

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
    """The same for asyncio."""

    provider = PROVIDER
    get_health = amethod(calls.get_health)
    create_diagram = amethod(calls.create_diagram)
    create_diagram_from_pdf = amethod(calls.create_diagram_from_pdf)
    optimize_prompt = amethod(calls.optimize_prompt)
    create_plot = amethod(calls.create_plot)
    create_composite = amethod(calls.create_composite)
    get_task = amethod(calls.get_task)
    get_task_image = amethod(calls.get_task_image)
    list_keys = amethod(calls.list_keys)
    create_key = amethod(calls.create_key)
    get_key = amethod(calls.get_key)
    update_key = amethod(calls.update_key)
    delete_key = amethod(calls.delete_key)
    list_history = amethod(calls.list_history)
    get_history = amethod(calls.get_history)
    each_history_item = apages(calls.each_history_item)
    wait_for_task = aflow(calls.wait_for_task)
    run_and_wait = aflow(calls.run_and_wait)
    save = aflow(calls.save)


def verify_webhook(body: bytes, signature: str | None, secret: str) -> bool:
    """Whether a webhook's body, as it was received, bears this X-PaperBanana-Signature. In constant time."""
    wanted = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted.encode(), (signature or "").encode("utf-8", "replace"))
