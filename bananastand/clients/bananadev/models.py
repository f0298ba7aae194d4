"""What Banana.dev behind LowCodeAPI returns. Its document shows no answer, so every field may be missing."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ..fields import Inferred, InferredList, InferredMap, InferredOrNull, Open
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

    id: Inferred[str] = None
    message: Inferred[str] = None
    created: Inferred[int] = None  # seconds since 1970
    api_version: Inferred[str] = None
    call_id: Inferred[str] = Field(None, alias="callID")
    finished: Inferred[bool] = None
    model_outputs: InferredOrNull[list[Any]] = None

    @property
    def has_outputs(self) -> bool:
        """Whether the run is finished, as it says itself or as its outputs show."""
        return bool(self.finished) or self.model_outputs is not None


class CheckedRun(CamelModel):
    """A run as it stands. `message` is running or success; anything with "error" in it is a failure."""

    id: Inferred[str] = None
    message: Inferred[str] = None
    created: Inferred[int] = None
    api_version: Inferred[str] = None
    model_outputs: InferredOrNull[list[Any]] = None

    @property
    def finished(self) -> bool:
        """Whether the run has its outputs."""
        return self.model_outputs is not None


class Deployment(CamelModel):
    """One version of a model, on its way or live."""

    deployment_id: Inferred[str] = None
    status: Inferred[Open[Status]] = None
    source: Inferred[str] = None
    environment: InferredMap[str, Any] = {}
    created_at: Inferred[str] = None
    finished_at: str | None = None
    message: str | None = None


class Model(CamelModel):
    """A model; times in seconds."""

    id: Inferred[str] = None
    team_id: Inferred[str] = None
    min_replicas: Inferred[int] = None
    max_replicas: Inferred[int] = None
    inference_timeout: Inferred[int] = None
    idle_timeout: Inferred[int] = None
    model_key: Inferred[str] = None
    name: Inferred[str] = None
    status: Inferred[Open[Status]] = None
    url: Inferred[str] = None
    created_at: Inferred[str] = None
    deployment: InferredOrNull[Deployment] = None


class ModelDetail(Model):
    """A model with all its deployments, newest first."""

    deployments: InferredList[Deployment] = []


class ModelList(CamelModel):
    """All models of the account."""

    models: InferredList[Model] = []


class Limits(CamelModel):
    """The account's limits."""

    max_replicas: Inferred[int] = None
    concurrent_builds: Inferred[int] = None


class Account(CamelModel):
    """The account of a token."""

    id: Inferred[str] = None
    team_id: Inferred[str] = None
    team_name: Inferred[str] = None
    email: Inferred[str] = None
    plan: Inferred[str] = None
    created_at: Inferred[str] = None
    api_keys: Inferred[int] = None
    limits: Inferred[Limits] = None


class Sums(CamelModel):
    """What ran; compute time in seconds."""

    runs: Inferred[int] = None
    succeeded: Inferred[int] = None
    failed: Inferred[int] = None
    compute_seconds: Inferred[float] = None


class Summary(Sums):
    """Sums of a period."""

    cold_starts: Inferred[int] = None


class Day(Sums):
    """Sums of one day."""

    date: Inferred[str] = None


class ModelUsage(CamelModel):
    """Sums of one model."""

    model_key: Inferred[str] = None
    runs: Inferred[int] = None
    compute_seconds: Inferred[float] = None


class Usage(CamelModel):
    """Both days included."""

    start_date: Inferred[str] = None
    end_date: Inferred[str] = None
    summary: Inferred[Summary] = None
    daily: InferredList[Day] = []
    models: InferredList[ModelUsage] = []


class Deployed(CamelModel):
    """A deployment that was started."""

    model_key: Inferred[str] = None
    deployment_id: Inferred[str] = None
    status: Inferred[Open[Status]] = None
    created_at: Inferred[str] = None
