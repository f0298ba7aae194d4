"""What `bananastand up --cluster` adds to a platform: the cluster's head, where it is to run here, and its nodes."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path

from rich.console import Console

from bananastand.platform.errors import Refused
from bananastand.platform.platform import MakeNodes
from bananastand.platform.replicas.local_machine import LocalMachine

__all__ = ["nodes_of"]


@contextlib.contextmanager
def nodes_of(cluster: str | None, data: Path, console: Console) -> Generator[MakeNodes]:
    """Yield what makes the nodes of a platform, with the head running if this is the cluster's first machine.

    Args:
        cluster: HOST:PORT of Ray's head, or "auto"; None for this machine alone.
        data: The data directory.
        console: For progress.

    Raises:
        Refused: Ray is missing or too old, the credentials or the address cannot be used, or the head has not started.
    """
    if cluster is None:
        yield LocalMachine
        return
    try:
        from bananastand.cluster.credentials import CredentialsError, cluster_folder
        from bananastand.cluster.head import ensure_head, is_first_machine
        from bananastand.cluster.ray_process import port_notice, wide_ports
        from bananastand.cluster.start import cluster_nodes
    except ImportError as error:
        advice = "pip install 'bananastand[cluster]'"
        raise Refused(f"--cluster needs the package {error.name}, which is not installed: {advice}") from None
    make_nodes = cluster_nodes(data, cluster)
    if is_first_machine(data):
        console.print("starting the cluster's head (some seconds)")
    try:
        head = ensure_head(data)
    except CredentialsError as error:
        raise Refused(str(error)) from None
    if head is not None and (ports := wide_ports(cluster_folder(data) / "head")):
        console.print(port_notice(map(str, ports)), markup=False)
    try:
        yield make_nodes
    finally:
        if head is not None:
            head.stop()
