"""What an inspection finds: plain values, which become the report and its JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = [
    "InspectedBase",
    "InspectionDifference",
    "AppRoute",
    "Inspection",
    "MemoryEstimate",
    "RequirementLine",
    "Resolution",
    "Template",
    "InspectedTorch",
    "EnvironmentVariable",
    "Weight",
]

WeightState = Literal["there", "gated", "gone", "moved", "missing", "unknown"]


@dataclass(frozen=True, slots=True)
class Template:
    """How the app answers calls; `kind` is such as "potassium", `versions` those that the pin allows."""

    kind: str
    title: str
    reason: str
    where: str | None = None
    versions: tuple[str, ...] = ()
    first: bool = False  # Banana's first template: `init` and `inference` in app.py, one call at a time


@dataclass(frozen=True, slots=True)
class InspectedBase:
    """The image the Dockerfile starts from and its Python; `image` is None without a Dockerfile."""

    image: str | None
    python: str | None
    reason: str
    where: str | None = None


@dataclass(frozen=True, slots=True)
class InspectedTorch:
    """The version of torch and its CUDA; `problem` says why it cannot drive this machine's GPUs."""

    version: str | None
    cuda: str | None
    reason: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class RequirementLine:
    """One line that pip installs, and where it is written."""

    line: str
    state: Literal["pinned", "open", "git", "url", "local", "unreadable"]
    where: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """Whether all requirements can be had and fit together; `reason` of "yes" names the Python."""

    state: Literal["yes", "no", "unknown"]
    reason: str


@dataclass(frozen=True, slots=True)
class Weight:
    """A download.

    Attributes:
        name: Of a hub repository, or an address.
        source: The kind of the name.
        where: The places that ask for it.
        during: When it is fetched.
        revision: Of the repository.
        state: "unknown" where the hub was not asked or gave no answer.
        reason: Of the state.
        successor: The name to fetch instead.
        size: In bytes, where the hub tells.
        license: As the hub names it.
        token: Whether the code sends one.
    """

    name: str
    source: Literal["hub", "url", "whisper", "torch.hub", "git"]
    where: tuple[str, ...]
    during: Literal["build", "start or call"]
    revision: str | None = None
    state: WeightState = "unknown"
    reason: str | None = None
    successor: str | None = None
    size: int | None = None
    license: str | None = None
    token: bool = False


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """The GPU memory that the weights need, in bytes; None where it is unknown."""

    bytes: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class EnvironmentVariable:
    """A variable that the code or the Dockerfile reads; `value` comes from the Dockerfile or a default."""

    name: str
    where: str
    required: bool
    secret: bool
    value: str | None = None  # that it has by the Dockerfile, or its default


@dataclass(frozen=True, slots=True)
class AppRoute:
    """A route of the app."""

    route: str
    name: str
    kind: Literal["handler", "background", "route"]
    where: str


@dataclass(frozen=True, slots=True)
class InspectionDifference:
    """What differs from Banana; `change` says what to do first, where the app cannot run without it."""

    text: str
    where: str | None = None
    change: str | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything that an inspection finds."""

    source: str
    template: Template
    base: InspectedBase
    as_of: str
    torch: InspectedTorch | None
    memory: MemoryEstimate
    command: str | None
    port: int | None
    health: str | None
    requirements: tuple[RequirementLine, ...] = ()
    resolution: Resolution = field(default=Resolution("unknown", "the package index was not asked"))
    weights: tuple[Weight, ...] = ()
    system_packages: tuple[str, ...] = ()
    variables: tuple[EnvironmentVariable, ...] = ()
    handlers: tuple[AppRoute, ...] = ()
    webhooks: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    differences: tuple[InspectionDifference, ...] = field(default=())

    @property
    def changes(self) -> tuple[InspectionDifference, ...]:
        """What must be changed before the app can run."""
        return tuple(difference for difference in self.differences if difference.change is not None)

    @property
    def runs(self) -> bool:
        """Whether the app should run as it is."""
        return not self.changes

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, and `runs`, for --json."""
        return {"runs": self.runs, **asdict(self)}
