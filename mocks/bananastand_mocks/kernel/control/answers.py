"""The responses of the control plane."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, WithJsonSchema

from ..faults import FaultKind
from ..patterns import RequestPattern
from ..stub_response import StubResponse
from ..world_schema import WORLD

__all__ = [
    "ClockMoved",
    "ClockReading",
    "ClockState",
    "CoverageReport",
    "CoverageRow",
    "Difference",
    "ExportedWorld",
    "FaultInfo",
    "FaultList",
    "Health",
    "JournalCalls",
    "LimitRule",
    "LimitWindow",
    "Limits",
    "NearMiss",
    "PendingEvent",
    "RecordedCall",
    "Refusal",
    "StubInfo",
    "StubList",
    "TaskSettings",
    "VerifyResult",
    "WorldInfo",
    "WorldList",
]

GENERATOR = {"type": "array", "description": "The state of Python's random generator."}
ExportedWorld = Annotated[
    dict[str, Any], WithJsonSchema({**WORLD, "properties": {**WORLD["properties"], "random": GENERATOR}})
]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Refusal(_Answer):
    """Why a request is refused; the text names the field."""

    detail: str


class Health(_Answer):
    """That the server answers."""

    status: Literal["ok"]


class ClockReading(_Answer):
    """A clock; `now` is in seconds since 1970, `step` the seconds by which every call moves it."""

    virtual: bool
    speed: float
    step: float
    now: float


class PendingEvent(_Answer):
    """What is going to happen, at `due` seconds since 1970."""

    due: float
    event: str
    details: dict[str, Any]


class ClockState(ClockReading):
    """A clock and what is scheduled on it, soonest first."""

    pending: list[PendingEvent]


class ClockMoved(ClockState):
    """A clock that was advanced; `ran` counts the events that fell due."""

    ran: int


class WorldInfo(_Answer):
    """A world: its keys by kind, its clock and settings, how many calls its journal holds, and the mocks' defects."""

    name: str
    seed: int
    credentials: dict[str, list[str]]
    clock: ClockReading
    settings: dict[str, Any]
    calls: int
    breaches: list[str]
    prefix: str


class WorldList(_Answer):
    """All worlds."""

    worlds: list[WorldInfo]


class TaskSettings(_Answer):
    """How long work takes, and how many of the next tasks fail."""

    mode: Literal["immediately", "after_polls", "after_seconds"]
    polls: int
    seconds: float
    failures: int
    failure: str


class FaultInfo(_Answer):
    """A fault, with how many calls it was compared with and struck."""

    kind: FaultKind
    operation: str
    first: int
    last: int | None
    status: int
    message: str
    headers: dict[str, str]
    body: Any
    seconds: float
    probability: float
    seen: int
    struck: int


class FaultList(_Answer):
    """The faults in the order in which they were set."""

    faults: list[FaultInfo]


class LimitRule(_Answer):
    """How many calls are allowed in a window of seconds."""

    calls: int
    seconds: float


class LimitWindow(_Answer):
    """A running window: when it began, in seconds since 1970, and how many calls it has seen."""

    begun: float
    used: int


class Limits(_Answer):
    """Rate limits by provider, and the running windows by provider and key."""

    rules: dict[str, LimitRule]
    windows: dict[str, LimitWindow]


class RecordedCall(_Answer):
    """A call without its secrets, and its response; `stub` is the number of the stub that answered."""

    number: int
    at: float
    provider: str
    operation: str | None
    method: str
    path: str
    query: dict[str, Any]
    headers: dict[str, str]
    body: Any
    status: int
    answer: str
    faults: list[str]
    stub: int | None


class JournalCalls(_Answer):
    """Calls, oldest first."""

    calls: list[RecordedCall]


class Difference(_Answer):
    """One value of a call that is not as expected; `field` is a dotted path."""

    field: str
    expected: Any
    got: Any


class NearMiss(_Answer):
    """A call that nearly fits, and where it differs."""

    call: RecordedCall
    differences: list[Difference]


class VerifyResult(_Answer):
    """Whether as many calls matched as expected; if not, those that came nearest."""

    verified: bool
    matched: int
    expected: dict[str, int]
    near_misses: list[NearMiss]


class StubInfo(_Answer):
    """A stub.

    `call_count` says how many calls it answered, `calls` their numbers in the journal, `contract_differences` where its
    responses are not those of the contract. A stub that answered none has the calls that came nearest.
    """

    id: int
    request: RequestPattern
    responses: list[StubResponse]
    times: int | None
    call_count: int
    calls: list[int]
    contract_differences: list[str]
    near_misses: list[NearMiss]


class StubList(_Answer):
    """Stubs, newest first."""

    stubs: list[StubInfo]


class CoverageRow(_Answer):
    """How an operation was exercised: calls by status, and what was seen and is missing."""

    provider: str
    operation: str
    calls: int
    statuses: dict[str, int]
    missing_statuses: list[str]
    parameters: list[str]
    missing_parameters: list[str]


class CoverageReport(_Answer):
    """A row for each operation."""

    operations: list[CoverageRow]
