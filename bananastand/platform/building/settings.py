"""What a build may do and is given. Made by whoever asks for a build; knows no project."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..replicas.isolation_policy import IsolationPolicy

__all__ = ["BuildSettings", "Builder"]

Builder = Literal["auto", "process", "container"]


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """cache: shared by all builds. roots: where local sources may lie.

    builder: "auto" is the process builder, unless the Dockerfile asks for what only a container gives and an engine
    answers. adopt: interpreters whose environments are used as they are where they satisfy a build's requirements.
    environment: reaches ARG lines and replicas. secrets: reach RUN lines alone, never a layer, a log or a launch.
    images: other base images by pattern. engine: this one and no other. engine_options: further arguments of its build
    command.

    Of environments: python: the version, over all that the repository says. as_of: a date, or "now", as of which open
    requirements resolve; None for the source's own. committed: the date of the source's last commit, where its fetch
    knows it. requirements: requirement files of the source that replace what its pip lines install. pins: requirements,
    each of which replaces that package's line. torch_index: where CPU builds of torch come from on a machine without a
    GPU. torch_wheels: files, and folders of files, that stand in where that index cannot be reached.
    """

    cache: Path
    roots: tuple[Path, ...] = ()
    builder: Builder = "auto"
    dockerfile: str = "Dockerfile"
    adopt: tuple[str, ...] = (sys.executable,)
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    images: Mapping[str, str] = field(default_factory=dict[str, str])
    engine: str | None = None
    engine_options: tuple[str, ...] = ()
    python: str | None = None
    as_of: str | None = None
    committed: str | None = None
    requirements: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    torch_index: str = "https://download.pytorch.org/whl/cpu"
    torch_wheels: tuple[str, ...] = ()
    isolation_policy: IsolationPolicy | None = None  # what the programs of a build are kept from
    largest_source: int = 4 * 2**30  # bytes, unpacked
    most_files: int = 100_000
    largest_log: int = 4 * 2**20  # characters

    @property
    def engine_notes(self) -> Path:
        """Where it is noted which container engine works."""
        return self.cache / "engines"
