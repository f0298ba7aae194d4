"""Delivers webhooks from a few threads, with a limit of concurrent deliveries to one host."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .outbound import AddressPolicy, Attempt, deliver_once, may_retry

__all__ = ["WebhookQueue"]

log = logging.getLogger("bananastand.webhooks")


@dataclass(slots=True)
class _Webhook:
    url: str
    body: bytes
    host: str
    tries: int = 0
    failed: Callable[[Attempt], None] | None = field(default=None, repr=False)


class WebhookQueue:
    """A queue of webhooks and the threads that deliver them, which end when the queue is empty.

    Args:
        policy: The addresses that may be connected to.
        threads: Concurrent deliveries.
        per_host: Concurrent deliveries to one host.
        length: Undelivered webhooks at most; `send` blocks while there are so many.
        waits: Seconds before every retry of a webhook.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        threads: int = 16,
        per_host: int = 4,
        length: int = 256,
        waits: Sequence[float] = (1.0, 5.0, 15.0),
    ) -> None:
        self._policy, self._max_threads, self._per_host = policy, threads, per_host
        self._length, self._waits = length, waits
        self._changed = threading.Condition()
        self._waiting: deque[_Webhook] = deque()
        self._later: list[tuple[float, int, _Webhook]] = []
        self._numbers = itertools.count()
        self._active: Counter[str] = Counter()
        self._threads = self._undelivered = 0

    def send(self, url: str, body: bytes, *, failed: Callable[[Attempt], None] | None = None) -> None:
        """Queue a webhook, once the queue has room.

        Args:
            url: Where to post to.
            body: The body.
            failed: Called with the last attempt if none succeeds.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._undelivered < self._length)
            self._undelivered += 1
            self._waiting.append(_Webhook(url, body, _host(url), failed=failed))
            if self._threads < self._max_threads:
                self._threads += 1
                threading.Thread(target=self._work, name="webhook", daemon=True).start()
            self._changed.notify_all()

    def _work(self) -> None:
        while (webhook := self._next()) is not None:
            is_final = True
            try:
                attempt = deliver_once(webhook.url, webhook.body, policy=self._policy)
                is_final = attempt.ok or not may_retry(attempt) or webhook.tries >= len(self._waits)
                if is_final and not attempt.ok and webhook.failed is not None:
                    webhook.failed(attempt)
            except Exception:
                log.exception("the webhook to %s is dropped", webhook.host)
            finally:
                self._settle(webhook, is_final=is_final)

    def _next(self) -> _Webhook | None:
        """Return the next webhook that may be sent; None when nothing is left for this thread."""
        with self._changed:
            while True:
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    self._waiting.append(heapq.heappop(self._later)[2])
                for webhook in self._waiting:
                    if self._active[webhook.host] < self._per_host:
                        self._waiting.remove(webhook)
                        self._active[webhook.host] += 1
                        return webhook
                if not self._waiting and len(self._later) < self._threads:  # as many other threads wait for those
                    self._threads -= 1
                    return None
                self._changed.wait(self._later[0][0] - now if self._later else None)

    def _settle(self, webhook: _Webhook, *, is_final: bool) -> None:
        with self._changed:
            self._active[webhook.host] -= 1
            if not self._active[webhook.host]:
                del self._active[webhook.host]
            if is_final:
                self._undelivered -= 1
            else:
                due = time.monotonic() + self._waits[webhook.tries]
                webhook.tries += 1
                heapq.heappush(self._later, (due, next(self._numbers), webhook))
            self._changed.notify_all()


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""
