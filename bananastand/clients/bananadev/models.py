"""What Banana.dev behind LowCodeAPI returns, as its contract says."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ..response import CamelModel

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


class StartedRun(CamelModel):
    """A run as it was started. `call_id` is what to check it by, empty once it is finished."""

    id: str
    message: str
    created: int  # seconds since 1970
    api_version: str
    call_id: str = Field(alias="callID")
    finished: bool
    model_outputs: list[Any] | None


class CheckedRun(CamelModel):
    """A run as it stands. `message` is running or success; anything with "error" in it is a failure."""

    id: str
    message: str
    created: int
    api_version: str
    model_outputs: list[Any] | None

    @property
    def finished(self) -> bool:
        """Whether the run has its outputs."""
        return self.model_outputs is not None


class Deployment(CamelModel):
    """One version of a model, on its way or live."""

    deployment_id: str
    status: Status
    source: str
    environment: dict[str, Any]
    created_at: str
    finished_at: str | None = None
    message: str | None = None


class Model(CamelModel):
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


class ModelList(CamelModel):
    """All models of the account."""

    models: list[Model]


class Limits(CamelModel):
    """The account's limits."""

    max_replicas: int
    concurrent_builds: int


class Account(CamelModel):
    """The account of a token."""

    id: str
    team_id: str
    team_name: str
    email: str
    plan: str
    created_at: str
    api_keys: int
    limits: Limits


class Sums(CamelModel):
    """What ran; compute time in seconds."""

    runs: int
    succeeded: int
    failed: int
    compute_seconds: float


class Summary(Sums):
    """Sums of a period."""

    cold_starts: int


class Day(Sums):
    """Sums of one day."""

    date: str


class ModelUsage(CamelModel):
    """Sums of one model."""

    model_key: str
    runs: int
    compute_seconds: float


class Usage(CamelModel):
    """Both days included."""

    start_date: str
    end_date: str
    summary: Summary
    daily: list[Day]
    models: list[ModelUsage]


class Deployed(CamelModel):
    """A deployment that was started."""

    model_key: str
    deployment_id: str
    status: Status
    created_at: str
