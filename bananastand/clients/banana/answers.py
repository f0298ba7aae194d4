"""What Banana.dev's own API answers, as its contract has it. Runs are those of the gateway's client."""

from __future__ import annotations

from ..bananadev.answers import CheckedRun, StartedRun
from ..call import CamelAnswer

__all__ = ["Build", "CheckedRun", "Deployment", "LogLine", "Project", "ProjectList", "StartedRun", "Upload"]


class Project(CamelAnswer):
    """Settings of a project; times in seconds."""

    id: str
    team_id: str
    min_replicas: int
    max_replicas: int
    inference_timeout: int
    idle_timeout: int
    name: str | None = None


class ProjectList(CamelAnswer):
    results: list[Project]


class Upload(CamelAnswer):
    """Where to put one tar.gz, and the key that names it in a build."""

    upload_url: str
    key: str


class Build(CamelAnswer):
    """A build; its id names its log."""

    id: str


class Deployment(CamelAnswer):
    """What `deploy` set going."""

    project: Project
    build: Build


class LogLine(CamelAnswer):
    """One line of a build's log: `t` its time, ISO 8601, `m` its text."""

    t: str
    m: str
