"""What a build made: how a replica of it is started. The border between building and running; knows neither."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, cast

__all__ = ["Launch"]


@dataclass(frozen=True, slots=True)
class Launch:
    """How a replica is started.

    Attributes:
        kind: A process of this machine, or a container.
        command: CMD in exec form.
        workdir: A folder of this machine for a process, of the image for a container.
        environment: ENV lines and the deploy's environment, never secrets.
        python: The interpreter of a process.
        image: Of a container.
        engine: "docker", "podman" or "buildah", of a container.
        isolation: buildah's --isolation, where its default does not work.
        volumes: Folders of this machine that a container reads, by their places in it.
        port: The port the app is expected to listen on, from EXPOSE or bananastand.toml; None if neither names one.
        health: The path that answers 200 when the app is ready, from bananastand.toml; None to try the known ones.
        root: The build's file tree, whose absolute paths a process sees where a mount namespace works.
        named: Paths of this machine that the deploy's environment names, which stay in sight.
    """

    kind: Literal["process", "container"]
    command: tuple[str, ...]
    workdir: str
    environment: dict[str, str] = field(default_factory=dict[str, str])
    python: str | None = None
    image: str | None = None
    engine: str | None = None
    port: int | None = None
    health: str | None = None
    root: str | None = None
    named: tuple[str, ...] = ()
    isolation: str | None = None
    volumes: dict[str, str] = field(default_factory=dict[str, str])

    def to_json(self) -> str:
        """As text for a row; from_json gives the same launch back."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ValueError for what to_json did not write."""
        try:
            values = cast("dict[str, Any]", json.loads(text))
            values["command"] = tuple(values["command"])
            values["named"] = tuple(values.get("named", ()))
            launch = cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a launch: {error}") from None
        if launch.kind not in ("process", "container"):
            raise ValueError(f"not a launch: kind {launch.kind!r}")
        return launch
