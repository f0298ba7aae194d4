"""Records how calls end: exactly once, however long the database takes, before anybody learns of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from ..errors import StoreError
from ..store.blobs import SMALL
from ..store.calls import CallOutcome, Calls
from ..store.projects import Projects
from . import outcomes
from .pending_call import PendingCall

__all__ = ["RETRY_SECONDS", "Recorder"]

log = logging.getLogger("bananastand.platform")

WAIT_SECONDS = 30.0  # that callers wait for an end to be recorded
RETRY_SECONDS = 0.5  # between two tries to record it


class Recorder:
    """Writes outcomes to the database.

    Attributes:
        on_end: Called with every call that has ended, its outcome, and the seconds it ran.
    """

    def __init__(self, calls: Calls, projects: Projects) -> None:
        self._calls, self._projects = calls, projects
        self.on_end: list[Callable[[PendingCall, CallOutcome, float], None]] = []

    async def record(self, pending: PendingCall, outcome: CallOutcome) -> CallOutcome:
        """Write the end of a call, trying again until the disk takes it.

        Callers wait for WAIT_SECONDS and are then released: nobody learns of an end that is not recorded.

        Returns:
            What was recorded: an outcome that no database can store is replaced by one that says so.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        while (project := self._projects.get(pending.call.project_id)) is not None:
            try:
                pending.call = await self._calls.finish(
                    pending.call, outcome, project.model_key, has_file=pending.size > SMALL
                )
                break
            except StoreError as error:
                if time.monotonic() > deadline:
                    pending.release_waiters(outcomes.not_recorded(pending.call.id, error))
            except Exception as error:
                log.exception("the end of call %s cannot be stored", pending.call.id)
                outcome = outcomes.platform_failed(error)
            await asyncio.sleep(RETRY_SECONDS)
        return outcome

    def report(self, pending: PendingCall, outcome: CallOutcome, seconds: float) -> None:
        """Give the outcome to those who wait and to `on_end`, whose errors are logged."""
        pending.end(outcome)
        for callback in self.on_end:
            try:
                callback(pending, outcome, seconds)
            except Exception:
                log.exception("the end of call %s was not counted", pending.call.id)
