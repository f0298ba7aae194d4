"""What a build made: how a replica of it is started. The border between building and running; knows neither."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, cast

__all__ = ["Launch"]


@dataclass(frozen=True, slots=True)
class Launch:
    """How a replica is started.

    command: CMD in exec form. workdir: a folder of this host for a process, of the image for a container.
    environment: ENV lines and the deploy's environment, never secrets. python: the interpreter of a process.
    image and engine ("docker", "podman" or "buildah"): of a container. port: what EXPOSE or the app fixes.
    """

    kind: Literal["process", "container"]
    command: tuple[str, ...]
    workdir: str
    environment: dict[str, str] = field(default_factory=dict[str, str])
    python: str | None = None
    image: str | None = None
    engine: str | None = None
    port: int | None = None

    def to_json(self) -> str:
        """As text for a row; from_json gives the same launch back."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ValueError for what to_json did not write."""
        try:
            data = cast("dict[str, Any]", json.loads(text))
            data["command"] = tuple(data["command"])
            launch = cls(**data)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a launch: {error}") from None
        if launch.kind not in ("process", "container"):
            raise ValueError(f"not a launch: kind {launch.kind!r}")
        return launch
