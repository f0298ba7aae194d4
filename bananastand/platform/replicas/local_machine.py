"""Runs replicas on this machine: the default of `Nodes`. A cluster's node runs its replicas by it too."""

from __future__ import annotations

import json
import platform as host
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

import psutil

from ..errors import NotFound, ReplicaFailed
from ..gpus import GpuModel, list_models
from ..launch import Launch
from ..nodes import NodeState, ReplicaOrder, Resources, RunningReplica, has_labels
from ..settings import Settings
from ..store.private_files import open_private
from .cgroups import Cgroups
from .fork_servers import ForkServers
from .gpu_shares import GpuShares
from .isolation import make_isolation_policy
from .local_replica import LocalReplica, clean_up
from .moved_ports import redirection_problem
from .start_command import StartCommand, fixed_port, make_start_command

__all__ = ["LocalMachine"]

PLACE = "this machine"


class LocalMachine:
    """This machine as the only node.

    Args:
        settings: Of the platform; on a cluster's node, with folders and GPUs of its own.
        platform: The id of the platform's data directory.
        models: The models of the GPUs by number; None to ask the driver once it matters.
    """

    def __init__(self, settings: Settings, platform: str, *, models: dict[str, GpuModel] | None = None) -> None:
        self.listeners: list[Callable[[], None]] = []
        self._settings, self._platform = settings, platform
        self._policy = make_isolation_policy(
            settings.isolation, settings.data, network=settings.network, processes=settings.processes
        )
        self._cgroups = Cgroups(None, "not set up")
        self._fork_servers = ForkServers(settings.fork_servers)
        models = models if models is not None else list_models() if settings.gpus else {}
        self._labels = _labels(models)
        self._gpus = GpuShares(settings.gpus, {gpu: model.memory_gb for gpu, model in models.items()})
        self._reserved = set[str]()  # replicas
        self._warm: dict[str, StartCommand] = {}  # by version
        self._is_cordoned = False

    def use_cgroups(self) -> str | None:
        """Limit replicas by cgroups, where some are delegated to this process; returns the reason where not."""
        self._cgroups = Cgroups.delegated()
        return self._cgroups.problem

    async def open(self) -> list[str]:
        """Begin to work."""
        return []

    def room_for(self, resources: Resources) -> int | None:
        """Return how many further replicas may be started now; None for any number."""
        if self._is_cordoned or self.why_never(resources) is not None:
            return 0
        return self._gpus.room_for(resources)

    def want(self, resources: Resources) -> None:
        """Do nothing: nothing adds GPUs to this machine."""

    def why_never(self, resources: Resources) -> str | None:
        """Return why this machine could never run such a replica; None where it could."""
        if not has_labels(self._labels, resources.labels):
            requested = ",".join(f"{name}={value}" for name, value in sorted(resources.labels.items()))
            own = ",".join(f"{name}={value}" for name, value in sorted(self._labels.items())) or "no labels"
            return f"no node has the labels {requested}: {PLACE} has {own}"
        count = self._gpus.requested(resources)
        if count > len(self._gpus):
            return f"a replica needs {count:g} GPUs, and {PLACE} has {len(self._gpus)}"
        if count > len(self._gpus.suitable(resources)):
            return f"a replica needs {count:g} GPUs of {resources.gpu_memory_gb:g} GiB, and {PLACE} has too few"
        return None

    def why_single(self, launch: Launch) -> str | None:
        """Return why two replicas of a launch cannot run at the same time, in words; None where they can."""
        problem = redirection_problem() if fixed_port(launch) is not None else None
        return f"the app fixes port {launch.port}, and ports cannot be moved here ({problem})" if problem else None

    def reserve(self, order: ReplicaOrder) -> bool:
        """Reserve the GPUs of an order; returns False where there is no room now."""
        if order.gpus is None:
            if self._is_cordoned or self.why_never(order.resources) is not None:
                return False
            if not self._gpus.take(order.replica, order.resources, may_share=order.may_share_gpu):
                return False
        self._reserved.add(order.replica)
        return True

    async def start(self, order: ReplicaOrder, on_line: Callable[[str], None]) -> RunningReplica:
        """Start the program of an order, and attach the client of its worker. Raises ReplicaFailed."""
        running = await self.launch(order, on_line)
        await running.attach_worker()
        return running

    async def launch(self, order: ReplicaOrder, on_line: Callable[[str], None]) -> LocalReplica:
        """Start the program of an order; the stream to its worker stays open for whoever attaches.

        Args:
            order: What to start.
            on_line: Called with each line that it prints.

        Raises:
            ReplicaFailed: The program cannot be started.
        """
        assert order.replica in self._reserved, "an order is reserved before it is started"
        gpu = self._visible_gpus(order)
        start = make_start_command(
            order.launch,
            platform=self._platform,
            replica=order.replica,
            port=_free_port(),
            host=order.host,
            concurrency=order.concurrency,
            secrets=order.secrets,
            gpu=gpu,
            memory_mb=order.resources.memory_mb,
            policy=self._policy,
        )
        if order.launch.kind == "process":
            limits = {"memory_mb": order.resources.memory_mb, "processes": self._settings.processes}
            start = replace(start, cgroup=self._cgroups.create(order.replica, **limits))
        try:
            program = await self._fork_servers.start(start, on_line)
        except OSError as error:
            await clean_up(start, None)
            raise ReplicaFailed(f"{start.command[0]} cannot be started: {error.strerror}") from error
        except BaseException:
            await clean_up(start, None)
            raise
        return LocalReplica(order, start, program, gpu)

    def release(self, replica: str) -> None:
        """Free the GPUs of a replica, if it has some."""
        self._reserved.discard(replica)
        self._gpus.release(replica)

    def warm_up(self, running: RunningReplica, modules: Sequence[str], log_event: Callable[[str], None]) -> None:
        """Record what the app has imported, and start a fork server for the version's next replicas."""
        if not self._settings.fork_servers or not isinstance(running, LocalReplica):
            return
        version = running.order.deployment
        file = self._settings.data / "modules" / f"{version}.json"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(file, "w", encoding="utf-8", opener=open_private) as output:
                json.dump(list(modules), output)
        self._fork_servers.warm_up(running.start, file, log_event)
        self._warm[version] = running.start

    def states(self) -> Sequence[NodeState]:
        """Return this machine."""
        self._warm = {version: start for version, start in self._warm.items() if self._fork_servers.is_known(start)}
        return [
            NodeState(
                name="",
                address="127.0.0.1",
                labels=self._labels,
                gpus=len(self._gpus),
                free_gpus=self._gpus.free,
                memory_mb=psutil.virtual_memory().total // 2**20,
                replicas=len(self._reserved),
                is_cordoned=self._is_cordoned,
                warm=tuple(version for version, start in self._warm.items() if self._fork_servers.is_warm(start)),
            )
        ]

    def cordon(self, name: str, is_cordoned: bool) -> None:
        """Start no further replicas, or allow them again. Raises NotFound for a name that is not this machine's."""
        if name not in ("", host.node()):
            raise NotFound(f"there is no node {name[:100]}: the only one is this machine, {host.node()}")
        self._is_cordoned = is_cordoned
        for listener in self.listeners:
            listener()

    async def close(self) -> None:
        """End the fork servers."""
        await self._fork_servers.close()

    def _visible_gpus(self, order: ReplicaOrder) -> str | None:
        """Return the value of CUDA_VISIBLE_DEVICES; None to leave it as it is."""
        chosen = order.gpus if order.gpus is not None else self._gpus.of(order.replica)
        return ",".join(chosen) if chosen or order.resources.gpus is not None else None


def _labels(models: dict[str, GpuModel]) -> dict[str, str]:
    names = sorted({model.label for model in models.values()})
    return {"gpu": names[0]} if len(names) == 1 else {}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
