"""Binds projects to repositories on GitHub, and remembers deliveries.

A repeated delivery gets its first answer again and builds nothing. A project accepts pushes of one repository, by its
full name: pushes of another one are refused, and so is a push older than the last accepted one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Connection, delete, insert, or_, select

from ..store import tables
from ..store.store import Store
from .github import HookAnswer, Push, refusal, repository_of

__all__ = ["REMEMBERED_DAYS", "GitHubRepositories"]

REMEMBERED_DAYS = 7  # GitHub itself redelivers for three days


class GitHubRepositories:
    """Accepts pushes.

    Args:
        store: The database.
        now: Returns the time in seconds since 1970.
    """

    def __init__(self, store: Store, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now

    def accept(self, push: Push, deploy: Callable[[str, str], str]) -> HookAnswer:
        """Deploy a push once, and return the answer.

        Args:
            push: The push.
            deploy: Called with the project's name and the source; returns the build's id.

        Raises:
            StoreError: Nothing is deployed; GitHub may deliver again.
        """
        if (build := self._build_of(push)) is not None:
            return HookAnswer(200, {"message": "delivered before", "project": push.project, "build_id": build})
        with self._store.reading() as connection:
            reason = _refusal_reason(connection, push)
        if reason:
            return refusal(409, reason, "conflict")
        build = deploy(push.project, push.source)
        with self._store.transaction() as connection:
            self._record(connection, push, build)
        return HookAnswer(200, {"message": "deploying", "project": push.project, "build_id": build})

    def _build_of(self, push: Push) -> str | None:
        table = tables.github_deliveries
        with self._store.reading() as connection:
            same = or_(table.c.id == push.delivery, table.c.digest == push.digest)
            return connection.scalar(select(table.c.build_id).where(same))

    def _record(self, connection: Connection, push: Push, build: str) -> None:
        deliveries, bound, now = tables.github_deliveries, tables.github_repositories, self._now()
        connection.execute(delete(deliveries).where(deliveries.c.taken < now - REMEMBERED_DAYS * 86_400))
        connection.execute(insert(deliveries).values(id=push.delivery, digest=push.digest, build_id=build, taken=now))
        project = connection.scalar(select(tables.builds.c.project_id).where(tables.builds.c.id == build))
        connection.execute(delete(bound).where(bound.c.project_id == project))
        connection.execute(
            insert(bound).values(project_id=project, full_name=push.repository, pushed_at=push.pushed_at, bound=now)
        )


def _refusal_reason(connection: Connection, push: Push) -> str | None:
    """Return why the project of that name refuses a push; None if it accepts it, or there is no such project."""
    project = connection.scalar(select(tables.projects.c.id).where(tables.projects.c.name == push.project))
    if project is None:
        return None
    table = tables.github_repositories
    bound = connection.execute(select(table).where(table.c.project_id == project)).one_or_none()
    if bound is None or bound.full_name != push.repository:
        if _deployed_from(connection, project, push.repository, since=bound.bound if bound else 0.0):
            return None
        owner = bound.full_name if bound else "none yet"
        return (
            f"the project {push.project} takes pushes of one repository ({owner}). To give it to this one, deploy "
            f"from it once: bananastand deploy https://{push.repository} --name {push.project}"
        )
    if None not in (bound.pushed_at, push.pushed_at) and push.pushed_at < bound.pushed_at:
        return f"a later push to {push.repository} is deployed already; this one is older"
    return None


def _deployed_from(connection: Connection, project: str, repository: str, since: float) -> bool:
    """Return whether someone with an API key deployed the project from that repository after `since`."""
    table = tables.builds
    sources = connection.scalars(select(table.c.source).where(table.c.project_id == project, table.c.created > since))
    return any(repository_of(source) == repository for source in sources)
