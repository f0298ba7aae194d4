"""Webhooks (D:505-617): what is sent, how it is signed, when it is tried again.

The row of a task is the outbox: each try is noted there before the next is planned, and one that is noted as delivered
is never made again. A try that was under way when the process died is made again, because nothing tells how it ended.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from bananastand import outbound
from bananastand.contracts.redaction import redact_text

from ..kernel.background import BackgroundJob, WorkerThreads
from ..kernel.world import World
from . import state
from .health import VERSION

__all__ = ["DELIVER", "WebhookSender", "outbox", "payload"]

DELIVER = "paperbanana.deliver"
TIMEOUT = 30.0

Picture = Callable[[], bytes | None]


def outbox(url: str, *, include_image: bool) -> state.Row:
    """The row of a delivery that is still to come."""
    return {"url": url, "include_image": include_image, "status": None, "tries": []}


def payload(row: state.Row, image: bytes | None) -> dict[str, Any]:
    """Return the webhook body of a finished task, its keys in the document's order (D:531-542)."""
    completed = row["status"] == "completed"
    url = f"{row['base']}/api/tasks/{row['task_id']}/image"
    return {
        "event": f"task.{row['status']}",
        "task_id": row["task_id"],
        "status": row["status"],
        "diagram_type": row["diagram_type"],
        "description": row["description"],
        "image_url": url if completed and row["formats"] else None,
        "image_base64": base64.b64encode(image).decode() if image is not None else None,
        "error": row["error"],
        "created_at": state.iso(row["created_at"]),
        "completed_at": state.iso(row["completed_at"]),
    }


class WebhookSender:
    """Delivers, to the addresses its policy permits."""

    def __init__(self, policy: outbound.AddressPolicy) -> None:
        self.policy = policy
        self.threads = WorkerThreads("paperbanana-posting", 16)

    def begin(self, world: World, row: state.Row) -> None:
        """Have a finished task's webhook delivered, if it has one."""
        if row["webhook"] is not None:
            world.clock.after(0, DELIVER, task_id=row["task_id"], tried=0)

    def deliver(
        self, world: World, details: dict[str, Any], picture: Callable[[state.Row], Picture]
    ) -> BackgroundJob | None:
        """The next try; None where it has been made. The secret is the key's own as it is now."""
        row = state.tasks(world).get(details["task_id"])
        if row is None or len(row["webhook"]["tries"]) != details["tried"]:
            return None
        hook, snapshot = row["webhook"], dict(row)
        secret = state.keys(world).get(row["api_key"], {}).get("webhook_secret")
        pictured = hook["include_image"] and row["status"] == "completed" and row["formats"]
        image = picture(row) if pictured else lambda: None

        def work() -> outbound.Attempt:
            body = json.dumps(payload(snapshot, image())).encode()
            return outbound.deliver_once(
                hook["url"], body, policy=self.policy, headers=_headers(snapshot, body, secret), timeout=TIMEOUT
            )

        return BackgroundJob(self.threads, work, lambda outcome: self._record_try(world, row, outcome))

    def _record_try(self, world: World, row: state.Row, outcome: Future[outbound.Attempt]) -> None:
        """Write the try down, and plan the next where it failed and one is left (D:570-577)."""
        hook, waits = row["webhook"], state.setting(world, "webhook_waits")
        status, error = _judge(outcome)
        now = world.clock.now()
        hook["tries"].append({"at": now, "status": status, "error": error})
        world.journal.record_delivery(now, row["task_id"], redact_text(hook["url"]), status, error)
        left = len(hook["tries"]) <= len(waits)
        hook["status"] = "delivered" if error is None else "retrying" if left else "failed"
        if hook["status"] == "retrying":
            tried = len(hook["tries"])
            world.clock.after(waits[tried - 1], DELIVER, task_id=row["task_id"], tried=tried)


def _headers(row: state.Row, body: bytes, secret: str | None) -> list[tuple[str, str]]:
    headers = [
        ("Content-Type", "application/json"),
        ("User-Agent", f"PaperBanana-Webhook/{VERSION}"),
        ("X-PaperBanana-Event", f"task.{row['status']}"),
    ]
    if secret:
        headers.append(("X-PaperBanana-Signature", f"sha256={outbound.sign(body, secret)}"))
    return headers


def _judge(outcome: Future[outbound.Attempt]) -> tuple[int | None, str | None]:
    """Status and error of a try: below 400 is a success, redirects too, which are not followed (D:572)."""
    if (raised := outcome.exception()) is not None:
        return None, f"{type(raised).__name__}: {raised}"[:200]
    attempt = outcome.result()
    if attempt.status is None:
        return None, attempt.error
    return attempt.status, None if attempt.status < 400 else f"HTTP {attempt.status}"
