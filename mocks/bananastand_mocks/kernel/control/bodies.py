"""The request bodies of the control plane."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..clock import FASTEST
from ..faults import FaultKind
from ..json_integer import JsonInteger
from ..settings import MAX_NUMBER
from ..worlds import Kind

__all__ = ["Advance", "ClockStep", "NewFault", "NewLimit", "NewTasks", "NewWorld", "Reset", "Verify"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewWorld(_Body):
    """A world to be made."""

    name: str = Field(default="", pattern=r"^([A-Za-z0-9_-][A-Za-z0-9_.-]{0,63})?$")
    kind: Kind = "development"
    seed: JsonInteger | None = None
    time: Literal["real", "virtual"] = "virtual"
    speed: float = Field(default=1.0, gt=0, le=FASTEST)
    step: float = Field(default=0.0, ge=0, le=MAX_NUMBER)
    auto_advance: bool = False


class Reset(_Body):
    """How a world begins anew; what is left out stays."""

    kind: Kind | None = None
    seed: JsonInteger | None = None


class Advance(_Body):
    """Seconds by which a clock is moved."""

    advance: float = Field(ge=0, le=100 * 366 * 86400)


class ClockStep(_Body):
    """Seconds by which every call to a provider moves the clock from now on; 0 leaves it alone."""

    step: float = Field(ge=0, le=MAX_NUMBER)


class NewFault(_Body):
    """A fault to be set; see `Fault`."""

    kind: FaultKind
    operation: str = "*"
    first: JsonInteger = Field(default=1, ge=1)
    last: JsonInteger | None = Field(default=None, ge=1)
    status: JsonInteger = Field(default=500, ge=400, le=599)
    message: str = ""
    headers: dict[str, str] = Field(default_factory=dict[str, str])
    body: Any = None
    seconds: float = Field(default=0.0, ge=0, le=600)
    probability: float = Field(default=1.0, ge=0, le=1)


class Verify(_Body):
    """Calls that are expected."""

    expected: dict[str, Any] = Field(default_factory=dict[str, Any])
    exactly: JsonInteger | None = Field(default=None, ge=0)
    at_least: JsonInteger | None = Field(default=None, ge=0)
    at_most: JsonInteger | None = Field(default=None, ge=0)


class NewLimit(_Body):
    """How many calls are allowed in a window of seconds."""

    calls: JsonInteger = Field(ge=0, le=int(MAX_NUMBER))
    seconds: float = Field(gt=0, le=MAX_NUMBER)


class NewTasks(_Body):
    """How long work takes, and how many of the next tasks fail."""

    mode: Literal["immediately", "after_polls", "after_seconds"] = "immediately"
    polls: JsonInteger = Field(default=0, ge=0, le=int(MAX_NUMBER))
    seconds: float = Field(default=0.0, ge=0, le=MAX_NUMBER)
    failures: JsonInteger = Field(default=0, ge=0, le=int(MAX_NUMBER))
    failure: str = "the task was set to fail"
