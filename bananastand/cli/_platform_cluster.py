"""What `bananastand up --cluster` adds to a platform: the cluster's head, where it is to run here, and its nodes."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from functools import partial
from pathlib import Path

from rich.console import Console

from bananastand.platform.errors import Conflict
from bananastand.platform.platform import MakeNodes
from bananastand.platform.replicas.local_machine import LocalMachine

__all__ = ["AUTO", "nodes_of"]

AUTO = "auto"  # the address of Ray's head stands in the front's credentials


@contextlib.contextmanager
def nodes_of(cluster: str | None, data: Path, console: Console) -> Generator[MakeNodes]:
    """Yield what makes the nodes of a platform, with the head running if this is the cluster's first machine.

    Args:
        cluster: HOST:PORT of Ray's head, or AUTO; None for this machine alone.
        data: The data directory.
        console: For progress.

    Raises:
        Conflict: There are no credentials, or the head has not started.
    """
    if cluster is None:
        yield LocalMachine
        return
    try:
        from bananastand.cluster.cluster_nodes import ClusterNodes
        from bananastand.cluster.credentials import CredentialsError, Identity, cluster_folder
        from bananastand.cluster.head import ensure_head, is_first_machine
        from bananastand.cluster.prerequisites import check_ray

        check_ray()
        front = Identity.load(cluster_folder(data) / "front")
        if is_first_machine(data):
            console.print("starting the cluster's head (some seconds)")
        head = ensure_head(data)
    except ImportError as error:
        raise Conflict(f"the package {error.name} is not installed: pip install 'bananastand[cluster]'") from None
    except CredentialsError as error:
        raise Conflict(str(error)) from None
    address = front.cluster.address if cluster == AUTO else cluster
    try:
        yield partial(ClusterNodes, address=address, front=front)
    finally:
        if head is not None:
            head.stop()
