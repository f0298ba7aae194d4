"""What a build may do and gets."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..replicas.isolation_policy import IsolationPolicy

__all__ = ["BuildSettings", "BuilderName"]

BuilderName = Literal["auto", "process", "container"]


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """Settings of one build.

    Attributes:
        cache: Shared by all builds.
        roots: Folders that local sources may come from.
        builder: "auto" is the process builder, unless the Dockerfile needs a container and an engine works.
        dockerfile: Its path in the source.
        adopt: Interpreters whose environments are used as they are where they satisfy the requirements.
        environment: For ARG lines and replicas.
        secrets: For RUN lines alone, never in a layer, a log or a launch.
        images: Replacements of base images, by pattern.
        engine: This container engine and no other.
        engine_options: Further arguments of its build command.
        python: The version, over all that the repository says.
        as_of: A date, or "now", that open requirements resolve as of; None for the source's own.
        committed: The date of the source's last commit, where it is known.
        requirements: Requirement files of the source that replace its pip lines.
        pins: Requirements, each of which replaces that package's line.
        torch_index: Where CPU builds of torch come from on a machine without a GPU.
        torch_wheels: Files, and folders of files, that replace an index which cannot be reached.
        walls: What the programs of a build are kept from.
        largest_source: In bytes, unpacked.
        most_files: Of a source.
        largest_log: In characters.
    """

    cache: Path
    roots: tuple[Path, ...] = ()
    builder: BuilderName = "auto"
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
        """The folder that records which container engine works."""
        return self.cache / "engines"
