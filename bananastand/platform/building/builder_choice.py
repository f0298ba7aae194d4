"""Chooses the builder: the one that is asked for, else a container where an engine works, else a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .containers.engines import CONTAINERS, ContainerEngine, find_engine
from .overrides import FILE, Overrides
from .settings import BuildSettings

__all__ = ["BuilderChoice", "choose_builder"]


@dataclass(frozen=True, slots=True)
class BuilderChoice:
    """A builder, its engine where it is a container's, and the reason with the option for the other builder."""

    builder: Literal["process", "container"]
    engine: ContainerEngine | None
    reason: str


async def choose_builder(settings: BuildSettings, overrides: Overrides) -> BuilderChoice:
    """Choose by the deploy's own option, then bananastand.toml, then the engines that work here."""
    for requested, where in ((settings.builder, "as the deploy asks"), (overrides.build.builder, f"as {FILE} asks")):
        if requested == "process":
            return BuilderChoice("process", None, f"{where}; --builder container builds an image")
        if requested == "container":
            return BuilderChoice("container", None, f"{where}; --builder process builds without one")
    # buildah alone runs RUN lines and replicas by chroot where nothing else works: it is used where it is asked for.
    found = await find_engine((settings.engine,) if settings.engine else CONTAINERS, settings.engine_notes)
    if found.engine is not None:
        return BuilderChoice(
            "container", found.engine, f"{found.engine.name} works here; --builder process builds without one"
        )
    names = settings.engine or " nor ".join(CONTAINERS)
    why = f": {found}" if found.problems else ""
    return BuilderChoice(
        "process", None, f"neither {names} works here{why}; --builder container says why, and builds with buildah"
    )
