"""The request bodies of the control plane."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..clock import FASTEST
from ..faults import FaultKind
from ..settings import MAX_NUMBER
from ..worlds import Kind

__all__ = ["Advance", "NewFault", "NewLimit", "NewTasks", "NewWorld", "Reset", "Verify"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewWorld(_Body):
    """A world to be made."""

    name: str = Field("", pattern=r"^([A-Za-z0-9_-][A-Za-z0-9_.-]{0,63})?$")
    kind: Kind = "development"
    seed: int | None = None
    time: Literal["real", "virtual"] = "virtual"
    speed: float = Field(1.0, gt=0, le=FASTEST)
    auto_advance: bool = False


class Reset(_Body):
    """How a world begins anew; what is left out stays."""

    kind: Kind | None = None
    seed: int | None = None


class Advance(_Body):
    """Seconds by which a clock is moved."""

    advance: float = Field(ge=0, le=100 * 366 * 86400)


class NewFault(_Body):
    """A fault to be set; see `Fault`."""

    kind: FaultKind
    operation: str = "*"
    first: int = Field(1, ge=1)
    last: int | None = Field(None, ge=1)
    status: int = Field(500, ge=400, le=599)
    message: str = ""
    seconds: float = Field(0.0, ge=0, le=600)
    probability: float = Field(1.0, ge=0, le=1)


class Verify(_Body):
    """Calls that are expected."""

    expected: dict[str, Any] = Field(default_factory=dict[str, Any])
    exactly: int | None = Field(None, ge=0)
    at_least: int | None = Field(None, ge=0)
    at_most: int | None = Field(None, ge=0)


class NewLimit(_Body):
    """How many calls are allowed in a window of seconds."""

    calls: int = Field(ge=0, le=int(MAX_NUMBER))
    seconds: float = Field(gt=0, le=MAX_NUMBER)


class NewTasks(_Body):
    """How long work takes, and how many of the next tasks fail."""

    mode: Literal["immediately", "after_polls", "after_seconds"] = "immediately"
    polls: int = Field(0, ge=0, le=int(MAX_NUMBER))
    seconds: float = Field(0.0, ge=0, le=MAX_NUMBER)
    failures: int = Field(0, ge=0, le=int(MAX_NUMBER))
    failure: str = "the task was set to fail"
