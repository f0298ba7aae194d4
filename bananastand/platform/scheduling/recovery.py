"""Takes up the calls that an earlier supervisor left, when the platform starts."""

from __future__ import annotations

from collections import Counter

from ..settings import Settings
from ..store.calls import WEBSOCKET, CallRow, Calls
from . import outcomes
from .call_registry import CallRegistry
from .call_runner import CallRunner
from .pending_call import PendingCall

__all__ = ["recover"]


async def recover(settings: Settings, calls: Calls, registry: CallRegistry, runner: CallRunner) -> int:
    """Queue or end every call that is not over.

    A call that ran when the supervisor was killed is tried alone from now on; that run counts as an attempt if no
    other call was in the replica.

    Returns:
        How many calls there were.
    """
    unfinished = await calls.unfinished()
    calls_of_lease = Counter(call.lease for call in unfinished if call.state == "running")
    for call in unfinished:
        if call.state == "running":
            call = calls.requeue(call, counted=calls_of_lease[call.lease] == 1, alone=True)
        _take_up(call, settings, calls, registry, runner)
    return len(unfinished)


def _take_up(call: CallRow, settings: Settings, calls: Calls, registry: CallRegistry, runner: CallRunner) -> None:
    pending = PendingCall(call, None, size=calls.body_size(call), answers=registry.answers)
    registry.add(pending)
    queue = registry.queue(call.project_id)
    if call.alone:
        queue.isolated.add(call.id)
    if call.method == WEBSOCKET:
        runner.end(pending, outcomes.CUT_OFF)
    elif call.attempts >= settings.attempts:
        runner.end(pending, outcomes.retries_exhausted(call.attempts, "the platform was killed while it ran"))
    else:
        queue.waiting.append(pending)
