"""What `bananastand up --cluster` begins with: the cluster's credentials, and a Ray that is recent enough."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from bananastand.platform.errors import Refused
from bananastand.platform.nodes import Nodes
from bananastand.platform.settings import Settings

from .cluster_nodes import ClusterNodes
from .credentials import CredentialsError, Identity, cluster_folder
from .prerequisites import check_ray

__all__ = ["cluster_nodes"]

ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:/]+):\d{1,5}")


def cluster_nodes(data: Path, address: str) -> Callable[[Settings, str], Nodes]:
    """Return what makes the nodes of a platform in a cluster.

    Args:
        data: The data directory.
        address: HOST:PORT of Ray's head, or "auto" for the head of the cluster that this machine is in.

    Raises:
        Refused: Ray is missing or too old, there are no credentials, or the address is malformed.
    """
    if address != "auto" and not ADDRESS.fullmatch(address):
        raise Refused(f"--cluster takes auto, or HOST:PORT of Ray's head, not {address[:100]}")
    try:
        check_ray()
        front = Identity.load(cluster_folder(data) / "front")
    except CredentialsError as error:
        raise Refused(str(error)) from None
    head = front.cluster.address if address == "auto" else address
    return lambda settings, platform: ClusterNodes(settings, platform, address=head, front=front)
