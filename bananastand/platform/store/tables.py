"""The tables of the database.

Times are seconds since 1970. A call's route is its path with the query, as it was sent. Small bodies and answers are in
the row, others in a file (`blobs`). `deployments.takes` is the concurrency that the app declares.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

__all__ = [
    "METADATA",
    "HeaderList",
    "builds",
    "calls",
    "deployments",
    "facts",
    "github_deliveries",
    "github_repositories",
    "keys",
    "projects",
    "usage",
    "header_list",
]

METADATA = MetaData()
Count = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers the rows of a plain integer alone


def header_list(pairs: Any) -> str | None:
    """Return headers as they are stored: JSON, or None if there are none."""
    return json.dumps(pairs) if pairs else None


def _where(condition: str) -> dict[str, Any]:
    """Return the condition of an index over some rows, for all databases."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class HeaderList(TypeDecorator[tuple[tuple[str, str], ...]]):
    """Pairs of names and values, stored as JSON; none at all is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Return the JSON of the pairs."""
        return header_list(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[tuple[str, str], ...]:
        """Return the pairs of the JSON."""
        return tuple((name, text) for name, text in json.loads(value)) if value else ()


facts = Table("facts", METADATA, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

keys = Table(
    "keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("created", Float, nullable=False),
    Column("revoked", Float),
)

projects = Table(
    "projects",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("model_key", Text, nullable=False, unique=True),
    Column("min_replicas", Integer, nullable=False),
    Column("max_replicas", Integer, nullable=False),
    Column("inference_timeout", Integer, nullable=False),
    Column("idle_timeout", Integer, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("host", Text, nullable=False),
    Column("live", Text),
    Column("created", Float, nullable=False),
    Column("gpus", Float),
    Column("gpu_memory_gb", Float),
    Column("memory_mb", Integer),
    Column("labels", Text, nullable=False, server_default=""),
)

builds = Table(
    "builds",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("number", Count, nullable=False),
    Column("project_id", Text, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("state", Text, nullable=False),
    Column("error", Text),
    Column("source", Text, nullable=False),
    Column("builder", Text),
    Column("environment", JSON, nullable=False),
    Column("secrets", JSON, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("finished", Float),
    Column("as_of", Text),
    Index("builds_of_project", "project_id", "number"),
)

deployments = Table(
    "deployments",
    METADATA,
    Column("id", Text, ForeignKey("builds.id", ondelete="CASCADE"), primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("launch", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("takes", Integer),
)

calls = Table(
    "calls",
    METADATA,
    Column("number", Count, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("run_id", Text, nullable=False),
    Column("project_id", Text, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("method", Text, nullable=False, server_default="POST"),
    Column("route", Text, nullable=False),
    Column("headers", HeaderList),
    Column("request", Text),
    Column("state", Text, nullable=False),
    Column("body", LargeBinary),
    Column("lease", Text),
    Column("leased_until", Float),
    Column("attempts", Integer, nullable=False),
    Column("cold", Boolean, nullable=False),
    Column("created", Float, nullable=False),
    Column("begun", Float),
    Column("finished", Float),
    Column("status", Integer),
    Column("answer_headers", HeaderList),
    Column("answer", LargeBinary),
    Column("error", Text),
    Column("alone", Boolean, nullable=False, server_default="0"),
    UniqueConstraint("project_id", "request"),
    Index("calls_by_run", "run_id"),
    Index("calls_unfinished", "number", **_where("finished IS NULL")),
    Index("calls_by_end", "finished", **_where("finished IS NOT NULL")),
)

usage = Table(
    "usage",
    METADATA,
    Column("day", Text, primary_key=True),
    Column("model_key", Text, primary_key=True),
    Column("runs", Count, nullable=False),
    Column("succeeded", Count, nullable=False),
    Column("failed", Count, nullable=False),
    Column("compute_seconds", Float, nullable=False),
    Column("cold_starts", Count, nullable=False),
)

github_repositories = Table(
    "github_repositories",
    METADATA,
    Column("project_id", Text, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("full_name", Text, nullable=False),
    Column("pushed_at", Float),
    Column("bound", Float, nullable=False),
)

github_deliveries = Table(
    "github_deliveries",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("build_id", Text, nullable=False),
    Column("taken", Float, nullable=False),
)
