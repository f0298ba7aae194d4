"""Records how calls end: once, whatever the database does, before those who wait are told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from ..errors import StoreError
from ..store.calls import Calls, Outcome
from ..store.projects import Projects
from . import outcomes
from .pending_call import PendingCall

__all__ = ["AGAIN", "Recorder"]

log = logging.getLogger("bananastand.platform")

UNRECORDED = 30.0  # seconds that an end may wait for the disk
AGAIN = 0.5  # seconds between two tries to record it


class Recorder:
    """`ended` is called with each call that has ended, its outcome, and the seconds it ran."""

    def __init__(self, calls: Calls, projects: Projects) -> None:
        self._calls, self._projects = calls, projects
        self.ended: list[Callable[[PendingCall, Outcome, float], None]] = []

    async def record(self, pending: PendingCall, outcome: Outcome) -> Outcome:
        """Write the end; which one was written.

        Where the disk takes nothing it is tried until it does. Those who wait are dismissed after a while: nobody is
        told of an end that is not recorded. An end that no database takes is replaced by one that says so.
        """
        until = time.monotonic() + UNRECORDED
        while (project := self._projects.get(pending.made.project_id)) is not None:
            try:
                pending.call = await self._calls.finish(pending.made, outcome, project.model_key)
                break
            except StoreError as error:
                if time.monotonic() > until:
                    pending.release_waiters(outcomes.not_recorded(pending.made.id, error))
            except Exception as error:
                log.exception("the end of call %s cannot be stored", pending.made.id)
                outcome = outcomes.platform_failed(error)
            await asyncio.sleep(AGAIN)
        return outcome

    def report(self, pending: PendingCall, outcome: Outcome, seconds: float) -> None:
        """Tell those who wait, and those who count. A fault of theirs is logged."""
        pending.end(outcome)
        for tell in self.ended:
            try:
                tell(pending, outcome, seconds)
            except Exception:
                log.exception("the end of call %s was not counted", pending.made.id)
