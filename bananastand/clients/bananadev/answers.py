"""What Banana.dev behind LowCodeAPI answers, as its contract has it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ..call import CamelAnswer

__all__ = [
    "Account",
    "CheckedRun",
    "Day",
    "Deployed",
    "Deployment",
    "Limits",
    "Model",
    "ModelDetail",
    "ModelList",
    "ModelUsage",
    "StartedRun",
    "Status",
    "Summary",
    "Sums",
    "Usage",
]

Status = Literal["queued", "building", "deploying", "live", "failed"]


class StartedRun(CamelAnswer):
    """A run as it was started. `call_id` is what to check it by, empty once it is finished."""

    id: str
    message: str
    created: int  # seconds since 1970
    api_version: str
    call_id: str = Field(alias="callID")
    finished: bool
    model_outputs: list[Any] | None


class CheckedRun(CamelAnswer):
    """A run as it stands. `message` is running or success; anything with "error" in it is a failure."""

    id: str
    message: str
    created: int
    api_version: str
    model_outputs: list[Any] | None

    @property
    def finished(self) -> bool:
        return self.model_outputs is not None


class Deployment(CamelAnswer):
    """One version of a model, on its way or live."""

    deployment_id: str
    status: Status
    source: str
    environment: dict[str, Any]
    created_at: str
    finished_at: str | None = None
    message: str | None = None


class Model(CamelAnswer):
    """A model; times in seconds."""

    id: str
    team_id: str
    min_replicas: int
    max_replicas: int
    inference_timeout: int
    idle_timeout: int
    model_key: str
    name: str
    status: Status
    url: str
    created_at: str
    deployment: Deployment | None


class ModelDetail(Model):
    """A model with all its deployments, newest first."""

    deployments: list[Deployment]


class ModelList(CamelAnswer):
    models: list[Model]


class Limits(CamelAnswer):
    max_replicas: int
    concurrent_builds: int


class Account(CamelAnswer):
    id: str
    team_id: str
    team_name: str
    email: str
    plan: str
    created_at: str
    api_keys: int
    limits: Limits


class Sums(CamelAnswer):
    """What ran; compute time in seconds."""

    runs: int
    succeeded: int
    failed: int
    compute_seconds: float


class Summary(Sums):
    cold_starts: int


class Day(Sums):
    date: str


class ModelUsage(CamelAnswer):
    model_key: str
    runs: int
    compute_seconds: float


class Usage(CamelAnswer):
    """Both days included."""

    start_date: str
    end_date: str
    summary: Summary
    daily: list[Day]
    models: list[ModelUsage]


class Deployed(CamelAnswer):
    model_key: str
    deployment_id: str
    status: Status
    created_at: str
