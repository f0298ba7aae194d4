"""Banana.dev's own API, a client of each kind.

>>> with Banana() as banana:  # BANANA_API_KEY
...     print(banana.call_project("my-project", "", {"prompt": "a ripe banana"})["output"])
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

from ..call import Call, Provider
from ..client import AsyncClient, Client, aflow, amethod, flow, method
from . import calls
from .answers import LogLine
from .logs import follow, follow_async

__all__ = ["AsyncBanana", "Banana"]


class _BananaAPI(Provider):
    name = "banana"
    base_url = "https://api.banana.dev"
    key_variable = "BANANA_API_KEY"

    def sign(self, call: Call[Any], key: str, query: dict[str, object], headers: dict[str, str]) -> object:
        """In the body of start and check, else a header."""
        if call.path.startswith(("/start/", "/check/")):
            return {**cast("dict[str, object]", call.json), "apiKey": key}
        headers["X-Banana-API-Key"] = key
        return call.json

    def address(self, base_url: str, path: str) -> str:
        """Projects have hosts of their own, where the base is the real one."""
        if base_url == self.base_url and path.startswith("/run/"):
            project, _, route = path.removeprefix("/run/").partition("/")
            return f"https://{project}.run.banana.dev/{route}"
        return base_url + path

    def refusal(self, body: Any) -> str | None:
        """start and check answer failures with 200 and "error" somewhere in the message."""
        message = cast("dict[str, Any]", body).get("message") if isinstance(body, dict) else None
        runs = isinstance(body, dict) and "apiVersion" in body
        return message if runs and isinstance(message, str) and "error" in message.lower() else None

    def message(self, body: Any) -> str | None:
        """What an error of the management API says; run URLs answer plain text."""
        message = cast("dict[str, Any]", body).get("message") if isinstance(body, dict) else None
        return message if isinstance(message, str) else None


PROVIDER = _BananaAPI()


class Banana(Client):
    """Banana.dev's own API. The key is else that of BANANA_API_KEY."""

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
        """The lines of a build's log as they come, to its end. Needs the package `websockets`."""
        return follow(self.session, build_id)


class AsyncBanana(AsyncClient):
    """The same for asyncio."""

    provider = PROVIDER
    start_run = amethod(calls.start_run)
    check_run = amethod(calls.check_run)
    list_projects = amethod(calls.list_projects)
    create_project = amethod(calls.create_project)
    get_project = amethod(calls.get_project)
    update_project = amethod(calls.update_project)
    create_upload = amethod(calls.create_upload)
    put_upload = amethod(calls.put_upload)
    build_project = amethod(calls.build_project)
    warmup_project = amethod(calls.warmup_project)
    call_project = amethod(calls.call_project)
    wait_for_run = aflow(calls.wait_for_run)
    run_and_wait = aflow(calls.run_and_wait)
    deploy = aflow(calls.deploy)

    def build_log(self, build_id: str) -> AsyncIterator[LogLine]:
        """The lines of a build's log as they come, to its end. Needs the package `websockets`."""
        return follow_async(self.session, build_id)
