"""Reads bananastand.toml, which completes or overrides a repository's Dockerfile."""

from __future__ import annotations

import re
import shlex
import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from .errors import BuildError

__all__ = ["FILE", "AppOverrides", "BuildOverrides", "Overrides", "read_overrides"]

FILE = "bananastand.toml"

Python = Annotated[str, StringConstraints(pattern=r"^3\.\d{1,2}(\.\d{1,2})?$")]
UrlPath = Annotated[str, StringConstraints(pattern=r"^/[!-~]*$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AppOverrides(_Table):
    """How the app is started and called.

    Attributes:
        command: Replaces CMD and ENTRYPOINT; a text is split into words as a shell would.
        port: The port the app listens on.
        health: The path that answers 200 when the app is ready.
        environment: More variables for the app.
    """

    command: tuple[str, ...] | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    health: UrlPath | None = None
    environment: dict[str, str] = Field(default_factory=dict)

    @field_validator("command", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        words = shlex.split(value) if isinstance(value, str) else value
        if not words:
            raise ValueError("must name a program")
        return words


class BuildOverrides(_Table):
    """How the app is built.

    Attributes:
        builder: "process" or "container".
        python: The version for the environment, such as "3.8".
        system_packages: Debian packages that the app needs.
        requirements: Requirement files that replace what the Dockerfile's pip lines install.
        pins: Requirements, each of which replaces that package's line.
        as_of: Resolve open requirements as of this date, or "now".
        weights: Names on the hub, and the names to fetch instead.
        skip: Lines of the Dockerfile to leave out, each by its beginning, such as "RUN make".
        conda: False reads conda's lines as packages of PyPI even where conda is installed.
    """

    builder: Literal["process", "container"] | None = None
    python: Python | None = None
    system_packages: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    as_of: str | None = None
    weights: dict[str, str] = Field(default_factory=dict)
    skip: tuple[str, ...] = ()
    conda: bool = True

    @field_validator("as_of", mode="before")
    @classmethod
    def _date(cls, value: Any) -> Any:
        text = value.isoformat() if isinstance(value, (date, datetime)) else value
        if text not in (None, "now") and not re.fullmatch(r"\d{4}-\d\d-\d\d(T.*)?", str(text)):
            raise ValueError('must be a date such as 2023-03-01, or "now"')
        return text


@dataclass(frozen=True, slots=True)
class Overrides:
    """The two tables of the file; both are empty without a file."""

    app: AppOverrides = AppOverrides()
    build: BuildOverrides = BuildOverrides()


def read_overrides(source: Path) -> Overrides:
    """Read bananastand.toml in the folder `source`.

    Raises:
        BuildError: The file cannot be read, or has a key or value that is not allowed; the text names it.
    """
    file = source / FILE
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Overrides()
    except (OSError, ValueError) as error:
        raise BuildError(f"{FILE} cannot be read: {error}") from None
    if unknown := sorted(values.keys() - {"app", "build"}):
        raise BuildError(f"{FILE}: {unknown[0]} is unknown; the tables are [app] and [build]")
    try:
        return Overrides(
            AppOverrides.model_validate(values.get("app", {})), BuildOverrides.model_validate(values.get("build", {}))
        )
    except ValidationError as error:
        first = error.errors()[0]
        table = "app" if error.title == "AppOverrides" else "build"
        where = ".".join((table, *(str(part) for part in first["loc"])))
        raise BuildError(f"{FILE}: {where}: {first['msg']}") from None
