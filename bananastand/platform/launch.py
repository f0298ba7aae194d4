"""How a replica of a build is started: the result of building, and the input of running."""

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
        workdir: The working directory: a folder of this machine for a process, of the image for a container.
        environment: Variables of ENV lines and of the deploy, without secrets.
        python: The interpreter of a process.
        image: The image of a container.
        engine: The program that runs a container: "docker", "podman" or "buildah".
        isolation: buildah's --isolation, where its default does not work.
        volumes: Folders of this machine that a container reads, by their paths in it.
        port: The port the app is expected to listen on, from EXPOSE or bananastand.toml; None if neither names one.
        health: The path that answers 200 when the app is ready, from bananastand.toml; None to try the known ones.
        root: The build's file tree, whose absolute paths a process sees where a mount namespace works.
        named: Paths of this machine that the deploy's environment names, which stay visible.
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
        """Return JSON from which `from_json` makes the same launch."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the launch that `to_json` wrote. Raises ValueError for any other text."""
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
