"""Takes a repository of the corpus through the steps from inspection to redeployment, a cell for each step."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .base_images import engine_problem, no_stand_in
from .corpus import CorpusCall, CorpusRepository, check_out
from .expectations import HttpAnswer, mismatch
from .platform_process import ApiError, PlatformProcess
from .potassium import WebhookReceiver
from .redis import RedisServer
from .replicas import replica_failure, wait_for_replicas
from .sdk import SdkCaller, is_for_sdk
from .sockets import exposed

__all__ = ["BLOCKED", "CELLS", "MatrixCell", "LifecycleRun", "fetches", "missing_needs"]

CELLS = ("inspected", "built", "live", "called", "background", "scaled", "redeployed")
CALL_LIMIT = 60.0
NO_BACKGROUND = "no background handler"
BLOCKED = {"built": "not built", "live": "not live"}  # notes of the steps after a failed one


@dataclass(frozen=True)
class MatrixCell:
    """The result of a step; `ok` is None where it does not apply or cannot be tried, and the note says why."""

    ok: bool | None
    note: str = ""
    seconds: float = 0.0


def fetches(requests: list[str], name: str) -> list[str]:
    """Return the requests that brought a file of a hub repository, by this name or the one it moved to."""
    short = re.compile(rf"GET /(?:[\w.-]+/)?{re.escape(name)}/resolve/\S+ (?:200|302)")
    return [request for request in requests if short.fullmatch(request)]


class _Failed(Exception):
    """A step failed; the text is the reason."""


def missing_needs(repository: CorpusRepository, builder: str) -> str | None:
    """Return why this machine cannot try the repository, or None."""
    if builder != "process":
        return engine_problem(builder) or no_stand_in(repository)
    for need in repository.needs:
        names = need.split(" or ")
        programs = {"redis": [], "torch": []}.get(need, names)
        if programs and not any(shutil.which(program) for program in programs):
            return f"this machine has no {need}"
    return None


def _own_address() -> str:
    """Return this machine's address on its network, which containers reach."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        return str(probe.getsockname()[0])


def _result(step: Callable[[], MatrixCell]) -> MatrixCell:
    """Run a step; an error of it becomes a red cell."""
    try:
        return step()
    except (_Failed, ApiError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        return MatrixCell(False, " ".join(str(error).split())[:600] or type(error).__name__)


class LifecycleRun:
    """One repository with one builder on one platform; `hub_requests` returns the hub's requests so far."""

    def __init__(
        self,
        repository: CorpusRepository,
        builder: str,
        platform: PlatformProcess,
        sdk: SdkCaller,
        folder: Path,
        limit: float,
        hub_requests: Callable[[], list[str]] = list,
    ) -> None:
        self.repository, self.builder, self.platform, self.sdk, self.limit = repository, builder, platform, sdk, limit
        self._kind = "process" if builder == "process" else "container"
        self.source = check_out(repository, folder)
        self.name = f"{repository.name}-{builder}"
        self.cells = dict[str, MatrixCell]()
        self.inspected: dict[str, Any] = {}
        self.seconds = dict[str, float]()
        self.log = list[str]()
        self._environment = dict[str, str]()
        self._host = _own_address() if builder == "podman" else "127.0.0.1"  # of what an app of the corpus calls
        self._hub_requests = hub_requests

    def run(self, report: Callable[[str, MatrixCell], None]) -> None:
        """Run every step in order; steps after a failed one that they need fail with that reason."""
        steps = {
            "inspected": self._inspect, "built": self._build, "live": self._live, "called": self._call,
            "background": self._background, "scaled": self._scale, "redeployed": self._redeploy,
        }  # fmt: skip
        with RedisServer(self._host) if "redis" in self.repository.needs else contextlib.nullcontext() as redis:
            self._environment = {"REDIS_HOST": self._host, "REDIS_PORT": str(redis.port)} if redis else {}
            self._run(steps, report)

    def _run(self, steps: dict[str, Callable[[], MatrixCell]], report: Callable[[str, MatrixCell], None]) -> None:
        lacking, blocked = missing_needs(self.repository, self.builder), None
        for name, step in steps.items():
            began = time.monotonic()
            if lacking is not None and self.builder != "process":
                cell = MatrixCell(None, lacking)
            elif name == "background" and self.repository.background is None:
                cell = MatrixCell(None, NO_BACKGROUND)
            elif blocked is not None and name != "inspected":
                cell = MatrixCell(None if lacking else False, blocked)
            else:
                cell = _result(step)
            self.cells[name] = dataclasses.replace(cell, seconds=round(time.monotonic() - began, 2))
            report(name, self.cells[name])
            if name == "inspected" and lacking:
                blocked = lacking
            if name in ("built", "live") and cell.ok is False and blocked is None:
                blocked = BLOCKED[name]
        self.remove()

    def call(self) -> MatrixCell:
        """Make all calls of the manifest, by HTTP and by the SDK."""
        return _result(self._call)

    def _inspect(self) -> MatrixCell:
        command = [
            sys.executable,
            "-c",
            "from bananastand.cli import main; main()",
            "inspect",
            str(self.source),
            "--json",
        ]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env=self.platform.environment)
        try:
            self.inspected = json.loads(ended.stdout)
        except ValueError:
            raise _Failed((ended.stderr or ended.stdout)[-500:]) from None
        wrong = list(self._unsaid(self.inspected))
        return MatrixCell(not wrong, "; ".join(wrong))

    def _unsaid(self, said: dict[str, Any]) -> Iterator[str]:
        """Yield what inspect reports differently from the manifest."""
        known = self.repository
        if known.python and said["base"]["python"] != known.python:
            yield f"it says Python {said['base']['python']}, not {known.python}"
        if said["port"] != known.port:
            yield f"it says port {said['port']}, not {known.port}"
        if known.health and said["health"] != known.health:
            yield f"it says health path {said['health']}, not {known.health}"
        text = json.dumps(said["weights"])
        for name in known.weights:
            if name not in text:
                yield f"it does not name the weights {name}"
        if known.generation.startswith("potassium") and said["template"]["kind"] != "potassium":
            yield f"it says {said['template']['title']}, not Potassium"
        if "open requirements" in known.features and known.as_of not in (said["as_of"] or ""):
            yield f"it does not resolve as of {known.as_of}"

    def _build(self) -> MatrixCell:
        new_requests = self._since()
        self._first = self.platform.deploy(
            self.name, self.source, self._kind, limit=self.limit, environment=self._environment
        )
        self.seconds, self.log = self._first["seconds"], self._first["log"]
        if self._first["state"] != "live" and "deploying" not in self.seconds:
            raise _Failed(self._first["error"] or "failed without a reason")
        reused = any("as in an earlier build" in line for line in self.log)
        for name in () if reused else self.repository.weights:
            if not fetches(new_requests(), self.repository.successors.get(name, name)):
                raise _Failed(f"the build fetched nothing of {name} from the hub")
        return MatrixCell(True)

    def substitutes(self) -> list[str]:
        """Return what the build replaced, as its log says."""
        return [line.partition("environment: ")[2] for line in self.log if " in the place of " in line]

    def _live(self) -> MatrixCell:
        if self._first["state"] != "live":
            raise _Failed(self._first["error"] or "failed without a reason")
        took = self.seconds["live"] - self.seconds.get("deploying", self.seconds["live"])
        bad = exposed(self.platform.pid)
        if bad:
            raise _Failed(f"listens on {', '.join(bad)}")
        return MatrixCell(True, f"live {took:.1f} s after its environment was there")

    def _project(self, **settings: Any) -> dict[str, Any]:
        if settings:
            self.platform.api("PATCH", f"projects/{self.name}", settings)
        return self.platform.api("GET", f"projects/{self.name}")

    def _call(self) -> MatrixCell:
        project, by_sdk = self._project(), 0
        for call in self.repository.calls:
            answer = self.platform.call(project, call, CALL_LIMIT)
            if wrong := mismatch(call, answer):
                raise _Failed(wrong)
            if not is_for_sdk(self.repository.sdk, call):
                continue
            by_sdk += 1
            if wrong := self._mismatch_by_sdk(call, project):
                raise _Failed(f"banana_dev {self.repository.sdk}: {wrong}")
        return MatrixCell(True, f"banana_dev {self.repository.sdk}" if by_sdk else "HTTP: the SDK reads JSON alone")

    def _mismatch_by_sdk(self, call: CorpusCall, project: dict[str, Any]) -> str | None:
        out = self.sdk.call(
            self.repository.sdk, call, key=self.platform.key, project=project, banana=self.platform.banana,
            timeout=CALL_LIMIT,
        )  # fmt: skip
        return mismatch(call, HttpAnswer(200, {}, json.dumps(out).encode()))

    def _background(self) -> MatrixCell:
        job = self.repository.background
        if job is None:
            return MatrixCell(None, NO_BACKGROUND)
        project = self._project(max_replicas=1)
        with WebhookReceiver(self._host) as receiver:
            inputs = {**job.inputs, **({"webhook": receiver.url} if job.webhook is not None else {})}
            if wrong := mismatch(job, self.platform.call(project, dataclasses.replace(job, inputs=inputs), CALL_LIMIT)):
                raise _Failed(wrong)
            if job.webhook is not None:
                receiver.wait()
                if receiver.received != [job.webhook]:
                    raise _Failed(f"the webhook got {receiver.received}, not {[job.webhook]}")
            after = CorpusCall(**(job.then or {}))
            limit = time.monotonic() + 30
            while wrong := mismatch(after, self.platform.call(project, after, CALL_LIMIT)):
                if time.monotonic() > limit:
                    raise _Failed(f"after the job: {wrong}")
                time.sleep(0.2)
        return MatrixCell(True)

    def _scale(self) -> MatrixCell:
        self._project(min_replicas=2, max_replicas=2)
        if wrong := wait_for_replicas(self.platform, self.name, 2, 90.0):
            raise _Failed(wrong)
        call = next((call for call in self.repository.calls if call.status == 200), self.repository.calls[0])
        if wrong := replica_failure(self.platform, self.name, call, timeout=CALL_LIMIT):
            raise _Failed(wrong)
        bad = exposed(self.platform.pid)
        if bad:
            raise _Failed(f"listens on {', '.join(bad)}")
        return MatrixCell(True)

    def _redeploy(self) -> MatrixCell:
        new_requests = self._since()
        self._project(min_replicas=0)
        again = self.platform.deploy(
            self.name, self.source, self._kind, limit=self.limit, environment=self._environment
        )
        if again["state"] != "live":
            raise _Failed(again["error"] or "failed without a reason")
        call = self.repository.calls[0]
        if wrong := mismatch(call, self.platform.call(self._project(), call, CALL_LIMIT)):
            raise _Failed(f"the second version: {wrong}")
        if again_fetched := [request for request in new_requests() if request.startswith("GET /cdn/")]:
            raise _Failed(f"the second version fetched {len(again_fetched)} weights again")
        return MatrixCell(True, f"{again['seconds']['live']:.1f} s")

    def _since(self) -> Callable[[], list[str]]:
        """Return a function that returns the hub's requests from now on."""
        count = len(self._hub_requests())
        return lambda: self._hub_requests()[count:]

    def remove(self) -> None:
        """Delete the project, if it exists."""
        with contextlib.suppress(ApiError):
            self.platform.api("DELETE", f"projects/{self.name}")
