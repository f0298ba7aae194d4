"""`bananastand join`: makes this machine a node of a cluster, for as long as it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ._cluster_options import Address, Cpus, FirstPort, Gpus, Label, ObjectStore, labels, run_in_foreground, say
from ._ends import USAGE, fail

__all__ = ["join"]


def join(
    head: Annotated[str, typer.Argument(metavar="HEAD:PORT", help="The first machine, as `cluster init` prints it.")],
    token: Annotated[
        str | None,
        typer.Option(
            envvar="BANANASTAND_JOIN_TOKEN",
            help="The join token that `bananastand cluster token` prints; needed the first time only.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Its name in the cluster; default: the machine's.")] = None,
    address: Address = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    label: Label = None,
    first_port: FirstPort = 8790,
    object_store: ObjectStore = 1024,
    folder: Annotated[
        Path | None, typer.Option(help="For its credentials, builds and logs.", envvar="BANANASTAND_NODE")
    ] = None,
    front: Annotated[
        bool, typer.Option("--front", help="Only fetch the credentials of a second front into the data directory.")
    ] = False,
) -> None:
    """Make this machine a node of a cluster: replicas run here until Ctrl-C.

    It needs pip install 'bananastand[cluster]' and nothing else, and the same versions as the first machine. It keeps
    running when the first machine or the network is lost, and joins again. Its private key never leaves it.

    Example: [bold]bananastand join 10.0.0.1:8752 --token 5f2c91.9b1e...@sha256:... --label gpu=a100[/bold]
    """
    from bananastand.platform.settings import default_data
    from bananastand.platform.store.private_files import UMASK, protect_memory

    host, _, port = head.rpartition(":")
    if not host or not port.isdigit():
        fail(f"name the first machine as HEAD:PORT, such as 10.0.0.1:8752, not {head}", USAGE)
    host = host.strip("[]")
    os.umask(UMASK)
    protect_memory()
    try:
        from bananastand.cluster.join import join as run
        from bananastand.cluster.join import join_as_front
        from bananastand.cluster.ray_process import NodeOptions
    except ImportError as error:
        fail(f"the package {error.name} is not installed: pip install 'bananastand[cluster]'")
    if front:
        data = default_data().expanduser().resolve()
        return run_in_foreground(lambda: join_as_front(data, host, int(port), say, name=name, token=token))
    place = (folder or default_data().with_name("bananastand-node")).expanduser().resolve()
    options = NodeOptions(
        address or "", cpus=cpus, gpus=gpus, labels=labels(label), first_port=first_port, object_store_mb=object_store
    )
    return run_in_foreground(lambda: run(place, host, int(port), options, say, name=name, token=token))
