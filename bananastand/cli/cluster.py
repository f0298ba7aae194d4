"""`bananastand cluster`: makes a cluster of this machine, lets others join, and shows its state."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ._cluster_options import Address, Cpus, FirstPort, Gpus, Label, ObjectStore, labels, run_in_foreground, say
from ._connection import AsJson, as_json, table
from ._ends import USAGE, fail

__all__ = ["build_cluster"]

Data = Annotated[Path | None, typer.Option(help="The data directory of `bananastand up`.", envvar="BANANASTAND_DATA")]
Hours = Annotated[float, typer.Option(min=0.1, help="Hours for which the join token may be used.")]


def build_cluster() -> typer.Typer:
    """Return the group of commands."""
    group = typer.Typer(
        help="Run replicas on many machines. Start with: bananastand cluster init, then bananastand up --cluster auto.",
        no_args_is_help=True,
    )
    group.command("init")(_init)
    group.command("token")(_token)
    group.command("head")(_head)
    group.command("status")(_status)
    group.command("forget")(_forget)
    return group


def _init(
    data: Data = None,
    address: Address = None,
    replicas: Annotated[bool, typer.Option(help="Whether this machine runs replicas too.")] = True,
    cpus: Cpus = None,
    gpus: Gpus = None,
    label: Label = None,
    ray_port: Annotated[int, typer.Option(min=1024, max=65535, help="Port of Ray's head.")] = 6379,
    join_port: Annotated[int, typer.Option(min=1024, max=65535, help="Port that machines join at.")] = 8752,
    first_port: FirstPort = 8790,
    object_store: ObjectStore = 1024,
    ray_tls: Annotated[
        bool, typer.Option(help="Encrypt Ray's connections; without, use a network that encrypts, such as WireGuard.")
    ] = True,
    replace: Annotated[bool, typer.Option(help="Replace a cluster that is there: all machines join again.")] = False,
    hours: Hours = 24,
    json_: AsJson = False,
) -> None:
    """Make this machine the first of a cluster: its own authority, Ray's token, and how other machines join.

    Nothing runs yet: [bold]bananastand up --cluster auto[/bold] starts Ray's head here and the platform with it.

    Example: [bold]bananastand cluster init --address 10.0.0.1 --label gpu=a100[/bold]
    """
    from bananastand.cluster.credentials import CredentialsError
    from bananastand.cluster.head import init_cluster
    from bananastand.cluster.ray_process import PORTS, NodeOptions, port_notice

    folder = _data(data)
    options = NodeOptions(
        address or _own_address(),
        cpus=cpus if replicas else 0,
        gpus=gpus if replicas else 0,
        labels=labels(label),
        first_port=first_port,
        object_store_mb=object_store,
    )
    ports: dict[str, Any] = {"ray_port": ray_port, "enrolment_port": join_port, "encrypts_ray": ray_tls}
    try:
        cluster = init_cluster(folder, options, replace=replace, **ports)
    except (CredentialsError, OSError) as error:
        fail(str(error), USAGE)
    command = _join_command(folder, "node", hours)
    if json_:
        return as_json({"cluster": cluster.id, "address": cluster.address, "join": command})
    typer.echo(f"This machine is the first of cluster {cluster.id}, at {options.address}. Its secrets are in")
    typer.echo(f"{folder / 'cluster'}, readable by this user only.\n")
    typer.echo("1. On this machine:          bananastand up --cluster auto")
    typer.echo(f"2. On each other machine:    pip install 'bananastand[cluster]=={_version()}'")
    typer.echo(f"                             {command}")
    typer.echo("3. See them:                 bananastand nodes\n")
    workers = f"{first_port + 10} to {first_port + PORTS - 1}"
    typer.echo(f"{port_notice((str(ray_port), str(first_port), str(first_port + 1), workers))}.\n")
    typer.echo(f"The token is valid for {hours:g} hours; `bananastand cluster token` prints another.")
    return None


def _token(
    data: Data = None,
    front: Annotated[bool, typer.Option(help="For a machine with a platform of its own, a second front.")] = False,
    hours: Hours = 24,
    revoke: Annotated[bool, typer.Option("--revoke", help="Make all join tokens useless instead.")] = False,
    json_: AsJson = False,
) -> None:
    """Print how a machine joins the cluster, with a new join token. Run it on the first machine.

    Whoever has the token can run code on every machine of the cluster: treat it as a password.
    """
    from bananastand.cluster.registry import Registry

    folder = _data(data)
    _require_first_machine(folder)
    if revoke:
        revoked = Registry(folder / "cluster").revoke_tokens()
        return as_json({"revoked": revoked}) if json_ else typer.echo(f"{revoked} join tokens are revoked")
    command = _join_command(folder, "front" if front else "node", hours)
    return as_json({"join": command, "hours": hours}) if json_ else typer.echo(command)


def _head(
    data: Data = None,
    of_platform: Annotated[bool, typer.Option("--of-platform", hidden=True)] = False,
) -> None:
    """Run Ray's head and let machines join, in the foreground, as a service of its own.

    `bananastand up --cluster auto` does this itself. Run it as a service where several fronts share the cluster, so
    that it outlives each of them.
    """
    from bananastand.cluster.head import run_head

    run_in_foreground(lambda: run_head(_data(data), say, is_of_platform=of_platform))


def _status(data: Data = None, json_: AsJson = False) -> None:
    """Show this machine's cluster: its address, who has joined, and whether its head runs here.

    `bananastand nodes` shows what runs on each node now.
    """
    from bananastand.cluster.authority import fingerprint
    from bananastand.cluster.credentials import Identity
    from bananastand.cluster.head import is_running
    from bananastand.cluster.registry import Registry

    folder = _data(data)
    _require_first_machine(folder)
    identity, members = Identity.load(folder / "cluster" / "head"), Registry(folder / "cluster").members()
    cluster, runs = identity.cluster, is_running(folder / "cluster")
    pin = fingerprint(identity.authority.read_bytes())
    if json_:
        public = {name: {key: row[key] for key in ("role", "address", "joined")} for name, row in members.items()}
        return as_json({"cluster": cluster.id, "address": cluster.address, "runs": runs, "authority": pin,
                        "encrypts_ray": cluster.encrypts_ray, "members": public})  # fmt: skip
    state = "runs" if runs else "does not run: bananastand up --cluster auto, or bananastand cluster head"
    typer.echo(f"cluster    {cluster.id}\nhead       {cluster.address}, {state}")
    typer.echo(f"join at    {cluster.host}:{cluster.enrolment_port}\nauthority  {pin}")
    tls = "with TLS" if cluster.encrypts_ray else "without TLS: use a network that encrypts"
    typer.echo(f"Ray        token, {tls}\nends       {identity.ends():%Y-%m-%d} (this machine's certificate)\n")
    rows = [(name, row["role"], row["address"], time.strftime("%Y-%m-%d %H:%M", time.localtime(row["joined"])))
            for name, row in sorted(members.items())]  # fmt: skip
    return table(("MEMBER", "ROLE", "ADDRESS", "JOINED"), rows)


def _forget(
    name: Annotated[str, typer.Argument(help="The member's name, as `cluster status` shows it.")], data: Data = None
) -> None:
    """Remove a machine from the cluster: it needs a join token to come again.

    Its certificate stays valid, and it knows Ray's token: after a theft, run `cluster init --replace`.
    """
    from bananastand.cluster.registry import Registry

    folder = _data(data)
    _require_first_machine(folder)
    if not Registry(folder / "cluster").forget(name):
        fail(f"there is no member named {name}", USAGE, hints=["bananastand cluster status lists the members"])
    typer.echo(f"{name} is forgotten; stop `bananastand join` there")


def _join_command(folder: Path, role: str, hours: float) -> str:
    from bananastand.cluster.credentials import Identity
    from bananastand.cluster.registry import Registry

    cluster = Identity.load(folder / "cluster" / "head").cluster
    token = Registry(folder / "cluster").create_token("front" if role == "front" else "node", hours * 3600)
    host = f"[{cluster.host}]" if ":" in cluster.host else cluster.host
    option = " --front" if role == "front" else ""
    return f"bananastand join {host}:{cluster.enrolment_port}{option} --token {token}"


def _require_first_machine(folder: Path) -> None:
    from bananastand.cluster.head import is_first_machine

    if not is_first_machine(folder):
        fail(f"{folder} is not of a cluster's first machine", USAGE, hints=["bananastand cluster init makes a cluster"])


def _own_address() -> str:
    from bananastand.cluster.ray_process import own_address

    try:
        return own_address("192.0.2.1")  # of the documentation's own network: nothing is sent
    except OSError:
        fail("this machine has no network: name its address with --address", USAGE)


def _data(data: Path | None) -> Path:
    from bananastand.platform.settings import default_data
    from bananastand.platform.store.private_files import UMASK

    os.umask(UMASK)
    return (data or default_data()).expanduser().resolve()


def _version() -> str:
    from bananastand import __version__

    return __version__
