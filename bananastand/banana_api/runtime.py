"""What the operations of Banana's API call: the `Runtime` protocol, and the values that a runtime returns.

A project and a model are the same thing, named by Banana's own API and by LowCodeAPI's document. Times of creation and
end are ISO 8601 in UTC with milliseconds, durations are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, Protocol, runtime_checkable

from bananastand.contracts.response import ApiResponse

__all__ = [
    "WARMUP",
    "BananaAccount",
    "BananaDeployment",
    "BananaProject",
    "BananaRun",
    "BuildOutput",
    "DailyUsage",
    "RunUrls",
    "Runtime",
]

WARMUP = "/_k/warmup"  # the route of a run URL that starts a replica


@dataclass(frozen=True, slots=True)
class BananaAccount:
    """The account behind a key. `api_keys` counts its valid keys."""

    id: str
    team_id: str
    team_name: str
    email: str
    plan: str
    created_at: str
    max_replicas: int
    concurrent_builds: int
    api_keys: int


@dataclass(frozen=True, slots=True)
class BananaProject:
    """A project and its settings. `slug` names it in run URLs, `live` is the deployment that takes its traffic."""

    id: str
    team_id: str
    min_replicas: int
    max_replicas: int
    inference_timeout: int
    idle_timeout: int
    model_key: str
    name: str
    slug: str
    created_at: str
    live: str | None = None


@dataclass(frozen=True, slots=True)
class BananaDeployment:
    """A build of a project and what became of it. `message` says why it failed."""

    id: str
    model_key: str
    status: Literal["queued", "building", "deploying", "live", "failed"]
    source: str
    environment: Any
    created_at: str
    finished_at: str | None = None
    message: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it is live or failed."""
        return self.status in ("live", "failed")


@dataclass(frozen=True, slots=True)
class BananaRun:
    """A run of a model. `output` is the app's JSON once it succeeded, `error` says why it failed.

    `created` is in seconds since 1970.
    """

    call_id: str
    id: str
    model_key: str
    created: int
    status: Literal["running", "succeeded", "failed"]
    output: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class BuildOutput:
    """The log of a build so far. `lines` are {"t": ISO time, "m": text}."""

    lines: Sequence[Mapping[str, str]]
    is_over: bool


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """The runs of one model that ended on one day."""

    day: date
    model_key: str
    runs: int
    succeeded: int
    failed: int
    compute_seconds: float
    cold_starts: int


class Runtime(Protocol):
    """Runs models and keeps projects, deployments and usage.

    Attributes:
        hold_seconds: How long start and run wait for a run to end.
        long_poll_seconds: How long a check with longPoll waits.
    """

    @property
    def hold_seconds(self) -> float: ...

    @property
    def long_poll_seconds(self) -> float: ...

    def now(self) -> float:
        """Return the time in seconds since 1970."""
        ...

    def new_id(self) -> str:
        """Return a UUID that nothing has yet."""
        ...

    def account(self) -> BananaAccount:
        """Return the account."""
        ...

    def projects(self) -> Sequence[BananaProject]:
        """Return all projects, oldest first."""
        ...

    def find_project(self, name: str) -> BananaProject | None:
        """Return the project of that id, model key or slug."""
        ...

    def find_model(self, key: str) -> BananaProject | None:
        """Return the project of that model key, as LowCodeAPI's operations name it."""
        ...

    def create_project(self, name: str) -> BananaProject:
        """Create a project."""
        ...

    def change_project(self, project: BananaProject, changes: Mapping[str, int]) -> BananaProject:
        """Change settings, named as attributes of BananaProject.

        Raises:
            ProviderError: violation, failed.
        """
        ...

    def deployments(self) -> Mapping[str, Sequence[BananaDeployment]]:
        """Return the deployments of all projects, newest first, by model key."""
        ...

    def deploy(self, model_key: str, source: str, environment: Any) -> BananaDeployment:
        """Queue a build; a project is created if none has that key.

        Args:
            model_key: The model.
            source: A repository, a folder, an image, or the key of an upload.
            environment: The environment as it was sent.

        Raises:
            ProviderError: violation, failed.
        """
        ...

    def build_output(self, deployment: str) -> BuildOutput | None:
        """Return the log of a deployment's build; None if there is no such deployment."""
        ...

    def create_upload(self, project: BananaProject) -> str:
        """Return a key under which one archive of the project can be uploaded."""
        ...

    def put_upload(self, key: str, content: bytes) -> None:
        """Store an uploaded archive.

        Raises:
            ProviderError: upload_refused, for an unknown key.
        """
        ...

    def has_upload(self, key: str, project: BananaProject) -> bool:
        """Return whether an archive of that project was uploaded under the key."""
        ...

    def usage(self) -> Iterable[DailyUsage]:
        """Return the usage of all days on which something ran."""
        ...

    async def submit(self, model_key: str, inputs: Any, *, id: str | None, wait: float | None) -> BananaRun:
        """Begin a run.

        Args:
            model_key: The model.
            inputs: Its inputs, any JSON.
            id: The caller's id for the run; None to draw one.
            wait: Seconds to wait for its end; None where its output is not wanted.

        Raises:
            ProviderError: model_not_found, queue_full, violation, failed.
        """
        ...

    async def check(self, call: str, *, wait: float) -> BananaRun | None:
        """Return the run of that callID or id after waiting up to `wait` seconds for its end; None if there is none."""
        ...


@runtime_checkable
class RunUrls(Protocol):
    """A runtime that also answers calls to run URLs. The platform serves run URLs by itself instead."""

    async def call(
        self, project: BananaProject, route: str, body: Any, raw: bytes, *, request_id: str | None = None
    ) -> ApiResponse:
        """Call a handler of the project's app.

        Args:
            project: The project.
            route: The path of the handler.
            body: The JSON of the request's body.
            raw: Its bytes.
            request_id: The caller's id; a call of the same id is the same call, tried again.

        Raises:
            ProviderError: no_replicas, busy, timed_out, failed, unavailable.
        """
        ...
