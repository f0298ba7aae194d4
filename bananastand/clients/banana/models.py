"""What Banana.dev's own API returns, as its contract says. Runs are those of the gateway's client."""

from __future__ import annotations

from ..bananadev.models import CheckedRun, StartedRun
from ..fields import Inferred, InferredList
from ..response import CamelModel

__all__ = ["Build", "CheckedRun", "Deployment", "LogLine", "Project", "ProjectList", "StartedRun", "Upload"]


class Project(CamelModel):
    """Settings of a project; times in seconds. A project that was just created may have its id alone."""

    id: str
    team_id: Inferred[str] = None
    min_replicas: Inferred[int] = None
    max_replicas: Inferred[int] = None
    inference_timeout: Inferred[int] = None
    idle_timeout: Inferred[int] = None
    name: str | None = None


class ProjectList(CamelModel):
    """All projects of the team."""

    results: InferredList[Project] = []


class Upload(CamelModel):
    """Where to put one tar.gz, and the key that names it in a build."""

    upload_url: str
    key: str


class Build(CamelModel):
    """A build; its id names its log."""

    id: str


class Deployment(CamelModel):
    """What `deploy` set going."""

    project: Project
    build: Build


class LogLine(CamelModel):
    """One line of a build's log: `t` its time, ISO 8601, `m` its text."""

    t: str
    m: str
