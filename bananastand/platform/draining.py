"""Moves the replicas of a node to others, so that the node can be switched off."""

from __future__ import annotations

import asyncio

from .replicas.pool import Pool
from .replicas.replica import Replica
from .store.projects import Projects

__all__ = ["drain_node"]

REASON = "its node drains"


def drain_node(pool: Pool, projects: Projects, name: str) -> int:
    """Cordon a node and move its traffic: its replicas drain once others have taken their place.

    A replica that no other node has room for drains at once; its calls wait in the queue then.

    Args:
        pool: The replicas.
        projects: Their projects.
        name: The node's name.

    Returns:
        How many replicas leave the node; it is empty when they have ended.

    Raises:
        NotFound: There is no such node.
    """
    pool.nodes.cordon(name, True)
    leaving = [replica for replica in pool.replicas.values() if replica.node == name and not replica.is_moving]
    for replica in leaving:
        project = projects.get(replica.project_id)
        is_live = project is not None and project.live == replica.deployment.id
        if project is None or not is_live or replica.state not in ("starting", "ready"):
            replica.drain(REASON)
            continue
        replica.is_moving = True
        successor = pool.start(project, replica.deployment)
        if successor is None:
            replica.drain(REASON)
        else:
            _drain_after(replica, successor)
    return len(leaving)


def _drain_after(replica: Replica, successor: Replica) -> None:
    """Drain a replica once its successor takes calls, or has failed."""

    def drain(_: asyncio.Future[None]) -> None:
        replica.drain(REASON)

    successor.ready.add_done_callback(drain)
