"""Banana.dev's own API: a blocking client and one for asyncio.

>>> with Banana() as banana:  # BANANA_API_KEY
...     print(banana.call_project("my-project", "", {"prompt": "a ripe banana"})["output"])
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

from ..bound_methods import async_flow, async_method, flow, method
from ..client import AsyncClient, Client
from ..provider import ProviderAPI
from ..request import ClientRequest
from . import calls
from .logs import follow, follow_async
from .models import LogLine

__all__ = ["AsyncBanana", "Banana"]


class _BananaAPI(ProviderAPI):
    name = "banana"
    base_url = "https://api.banana.dev"
    base_variable = "BANANA_BASE_URL"
    key_variable = "BANANA_API_KEY"

    def sign(self, request: ClientRequest[Any], key: str, query: dict[str, object], headers: dict[str, str]) -> object:
        """Put the key into the body of start and check, else into a header."""
        if request.path.startswith(("/start/", "/check/")):
            return {**cast("dict[str, object]", request.json), "apiKey": key}
        headers["X-Banana-API-Key"] = key
        return request.json

    def url_of(self, base_url: str, path: str) -> str:
        """Return the URL of a path; on the real API each project has a host of its own."""
        if base_url == self.base_url and path.startswith("/run/"):
            project, _, route = path.removeprefix("/run/").partition("/")
            return f"https://{project}.run.banana.dev/{route}"
        return base_url + path

    def refusal(self, body: Any) -> str | None:
        """Return the message of a failed run: start and check fail with status 200 and "error" in the message."""
        message = cast("dict[str, Any]", body).get("message") if isinstance(body, dict) else None
        runs = isinstance(body, dict) and "apiVersion" in body
        return message if runs and isinstance(message, str) and "error" in message.lower() else None

    def message(self, body: Any) -> str | None:
        """Return an error's message; errors of run URLs are plain text."""
        message = cast("dict[str, Any]", body).get("message") if isinstance(body, dict) else None
        return message if isinstance(message, str) else None


PROVIDER = _BananaAPI()


class Banana(Client):
    """Client of Banana.dev's own API; the key comes from BANANA_API_KEY unless it is passed."""

    provider = PROVIDER
    start_run = method(calls.start_run)
    check_run = method(calls.check_run)
    list_projects = method(calls.list_projects)
    create_project = method(calls.create_project)
    get_project = method(calls.get_project)
    update_project = method(calls.update_project)
    create_upload = method(calls.create_upload)
    put_upload = method(calls.put_upload)
    build_project = method(calls.build_project)
    warmup_project = method(calls.warmup_project)
    call_project = method(calls.call_project)
    wait_for_run = flow(calls.wait_for_run)
    run_and_wait = flow(calls.run_and_wait)
    deploy = flow(calls.deploy)

    def build_log(self, build_id: str) -> Iterator[LogLine]:
        """Iterate over the lines of a build's log as they come, to its end. Needs the package `websockets`."""
        self._check_open()
        return follow(self.session, build_id)


class AsyncBanana(AsyncClient):
    """Client of Banana.dev's own API for asyncio."""

    provider = PROVIDER
    start_run = async_method(calls.start_run)
    check_run = async_method(calls.check_run)
    list_projects = async_method(calls.list_projects)
    create_project = async_method(calls.create_project)
    get_project = async_method(calls.get_project)
    update_project = async_method(calls.update_project)
    create_upload = async_method(calls.create_upload)
    put_upload = async_method(calls.put_upload)
    build_project = async_method(calls.build_project)
    warmup_project = async_method(calls.warmup_project)
    call_project = async_method(calls.call_project)
    wait_for_run = async_flow(calls.wait_for_run)
    run_and_wait = async_flow(calls.run_and_wait)
    deploy = async_flow(calls.deploy)

    def build_log(self, build_id: str) -> AsyncIterator[LogLine]:
        """Iterate over the lines of a build's log as they come, to its end. Needs the package `websockets`."""
        self._check_open()
        return follow_async(self.session, build_id)
