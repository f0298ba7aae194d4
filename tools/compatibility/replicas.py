"""Checks that each replica of a project answers calls, by the replicas' own counts."""

from __future__ import annotations

import concurrent.futures
import time
from typing import Any, Protocol

from .corpus import CorpusCall
from .expectations import HttpAnswer, mismatch

__all__ = ["Caller", "replica_failure", "wait_for_replicas"]

PARALLEL = 6
READY = ("ready", "busy", "live")


class Caller(Protocol):
    """The part of a platform that is used."""

    def api(self, method: str, path: str, body: Any = None) -> Any: ...

    def call(self, project: dict[str, Any], call: CorpusCall, timeout: float) -> HttpAnswer: ...


def wait_for_replicas(platform: Caller, name: str, count: int, within: float) -> str | None:
    """Wait until a project has `count` ready replicas; return what it has instead, or None."""
    limit = time.monotonic() + within
    while True:
        replicas = platform.api("GET", f"projects/{name}/replicas")["replicas"]
        if sum(replica["state"] in READY for replica in replicas) == count:
            return None
        if time.monotonic() > limit:
            states = ", ".join(replica["state"] for replica in replicas)
            problem = platform.api("GET", f"projects/{name}").get("problem") or ""
            return f"{count} replicas were asked for; there are {len(replicas)} ({states}) {problem}".strip()
        time.sleep(0.2)


def replica_failure(
    platform: Caller, name: str, call: CorpusCall, *, within: float = 30.0, timeout: float = 60.0
) -> str | None:
    """Make parallel calls until each ready replica has answered one; return why not, or None.

    Args:
        platform: Where the project is.
        name: Of the project.
        call: Made again and again; each answer must be the expected one.
        within: Seconds for all of it.
        timeout: Seconds for one call.
    """
    before = _answered(platform, name)
    project, limit = platform.api("GET", f"projects/{name}"), time.monotonic() + within
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        while True:
            for answer in pool.map(lambda _: _answer(platform, project, call, timeout), range(PARALLEL)):
                wrong = answer if isinstance(answer, str) else mismatch(call, answer)
                if wrong is not None and not _is_busy(answer):
                    return f"with {len(before)} replicas: {wrong}"
            after = _answered(platform, name)
            if gone := sorted(before.keys() - after.keys()):
                return f"replica {gone[0]} ended while the {len(before)} replicas were called"
            counts = {replica: after[replica] - count for replica, count in before.items()}
            if counts and all(counts.values()):
                return None
            if time.monotonic() > limit:
                return f"a replica never answered: {', '.join(f'{replica} {n} calls' for replica, n in counts.items())}"


def _answered(platform: Caller, name: str) -> dict[str, int]:
    replicas = platform.api("GET", f"projects/{name}/replicas")["replicas"]
    return {replica["id"]: replica["answered"] for replica in replicas if replica["state"] in READY}


def _answer(platform: Caller, project: dict[str, Any], call: CorpusCall, timeout: float) -> HttpAnswer | str:
    try:
        return platform.call(project, call, timeout)
    except OSError as error:
        return f"{call.method} {call.route} was not answered: {error}"


def _is_busy(answer: HttpAnswer | str) -> bool:
    return not isinstance(answer, str) and answer.status == 400 and b"no available replicas" in answer.body
