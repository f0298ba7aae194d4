"""PaperBanana called in process, as its contract tests do: API key and admin key, one world. Knows no expectation."""

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


class Caller:
    """One world; `key` is the API key that calls carry, changed at will."""

    def __init__(self, kind: str = "development", provider: PaperBananaProvider | None = None) -> None:
        self.send = InProcess(provider or PaperBananaProvider(), kind=kind)
        self.world: World = self.send.world
        self.key = KEY

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """A call with the API key, below /api/admin with the admin's."""
        key = ADMIN if path.startswith("/api/admin") else self.key
        given = {"authorization": f"Bearer {key}", **headers}
        return self.send(method, path, headers=given, **({} if body is None else {"json": body}))

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of a call that has to succeed."""
        answer = self(method, path, body)
        assert answer.is_success, answer.text
        return answer.json()

    def submit(self, path: str = "/api/plot", **body: Any) -> str:
        """The id of a new task; a plot without any word."""
        return self.ok("POST", path, {**(PLOT if path == "/api/plot" else {}), **body})["task_id"]

    def task(self, task_id: str) -> Any:
        """A task as its key's holder sees it."""
        return self.ok("GET", f"/api/tasks/{task_id}")

    def new_key(self, **body: Any) -> str:
        """A key of the admin's making, in full."""
        return self.ok("POST", "/api/admin/keys", {"name": "team", **body})["key"]

    def detail(self, key: str) -> Any:
        """A key as the admin sees it."""
        return self.ok("GET", f"/api/admin/keys/{key}")


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    """Status and text."""
    assert list(answer.json()) == ["detail"]
    assert isinstance(answer.json()["detail"], str), json.dumps(answer.json())
    return answer.status_code, answer.json()["detail"]
