"""Calls PaperBanana in process, with an API key or the admin's key."""

from __future__ import annotations

import json
from typing import Any

import httpx2

from bananastand_mocks.kernel.world import World
from bananastand_mocks.paperbanana import PaperBananaProvider
from in_process import InProcess

KEY = "pb_" + "0" * 32
ADMIN = "admin-bananastand"
SHOWN = "pb_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"
PLOT = {"data_json": '{"model": ["a", "b"], "accuracy": [1, 2]}', "intent": "Bar chart with value labels"}
DIAGRAM = {"source_context": "An encoder feeds a decoder.", "caption": "Figure 1: Overview"}


class PaperBananaCaller:
    """One world; `key` is the API key that calls carry, changed at will."""

    def __init__(self, kind: str = "development", provider: PaperBananaProvider | None = None) -> None:
        self.send = InProcess(provider or PaperBananaProvider(), kind=kind)
        self.world: World = self.send.world
        self.key = KEY

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """Sends a request with the API key, or with the admin's key below /api/admin."""
        key = ADMIN if path.startswith("/api/admin") else self.key
        headers_sent = {"authorization": f"Bearer {key}", **headers}
        return self.send(method, path, headers=headers_sent, **({} if body is None else {"json": body}))

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """Returns the JSON of a call that must succeed."""
        answer = self(method, path, body)
        assert answer.is_success, answer.text
        return answer.json()

    def submit(self, path: str = "/api/plot", **body: Any) -> str:
        """Returns the id of a new task, which is a plot by default."""
        return self.ok("POST", path, {**(PLOT if path == "/api/plot" else {}), **body})["task_id"]

    def task(self, task_id: str) -> Any:
        """Returns a task as the holder of its key sees it."""
        return self.ok("GET", f"/api/tasks/{task_id}")

    def new_key(self, **body: Any) -> str:
        """Creates a key and returns it in full."""
        return self.ok("POST", "/api/admin/keys", {"name": "team", **body})["key"]

    def detail(self, key: str) -> Any:
        """Returns a key as the admin sees it."""
        return self.ok("GET", f"/api/admin/keys/{key}")


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    """Returns status and text of an error."""
    assert list(answer.json()) == ["detail"]
    assert isinstance(answer.json()["detail"], str), json.dumps(answer.json())
    return answer.status_code, answer.json()["detail"]
