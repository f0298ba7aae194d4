"""The credentials of a cluster's members, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bananastand.cluster.authority import Authority
from bananastand.cluster.credentials import Cluster, Identity, create_cluster, issue

__all__ = ["Members", "members"]

HOSTS = ("127.0.0.1", "127.0.1.1", "127.0.1.2", "127.0.1.3")


@dataclass(frozen=True)
class Members:
    """A front, and two nodes of its cluster."""

    front: Identity
    head: Identity
    node: Identity


def members(folder: Path) -> Members:
    """Make a cluster's credentials in a folder."""
    cluster = Cluster(folder.name, "127.0.1.1", encrypts_ray=False)
    front, head = create_cluster(folder, cluster, HOSTS)
    node = issue(Authority(folder), folder / "node", cluster, "node", "node-2", HOSTS)
    return Members(front, head, node)
