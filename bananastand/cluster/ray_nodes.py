"""The nodes of a Ray cluster, in the bridge's process: placement groups, a keeper on each node, and their reports.

Ray places replicas, names their GPUs and says which nodes are gone. Nothing durable is in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.placement_group import placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from bananastand.platform.errors import StoreError

from .build_files import BuildFiles
from .keeper import Keeper
from .shipping import Shipper, Unusable
from .versions import own_versions, version_problem

__all__ = ["RayNodes"]

log = logging.getLogger("bananastand.cluster")

Ray: Any = ray  # its decorators and references have no useful types
make_group: Any = placement_group  # nor has the default of its selector
NODE_ID = "ray.io/node-id"  # a label that Ray gives to each node
LOOK = 1.0  # seconds between two looks at the nodes
PLACE_TIMEOUT = 30.0  # seconds for room that the platform has reckoned with
GPU_TIMEOUT = 60.0  # seconds to learn the numbers of the GPUs
SILENCE = 12.0  # seconds without a word of a keeper after which its node counts as frozen
OPEN_TIMEOUT = 60.0  # seconds for a keeper to begin its work, with a sweep of what an earlier one left
BATCH = 500  # events that are sent to the platform at once, which does nothing else meanwhile
RETRY, MAX_RETRY = 0.5, 15.0  # seconds until a lost keeper is started again
MAX_PENDING = 4  # placement groups that show an autoscaler what is wanted


@dataclass(eq=False)
class _Node:
    """A node, and the keeper on it.

    Attributes:
        facts: What the keeper's `open` has returned.
        warm: The versions with a fork server there.
        heard: When it was heard of last, on this process's monotonic clock.
        problem: Why it cannot be used.
    """

    id: str
    name: str
    address: str
    labels: dict[str, str]
    resources: dict[str, float]
    keeper: Any = None
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    warm: list[str] = field(default_factory=list[str])
    heard: float = field(default_factory=time.monotonic)
    problem: str | None = None
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    life: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class _Placed:
    """Where a replica is: its placement group, and the node."""

    group: Any
    node: _Node


class RayNodes:
    """Ray's nodes for one platform.

    Args:
        options: address (of Ray's head), platform (the id of the data directory), data, encrypted, settings, cgroups.
        send: Sends a message to the platform: its kind and fields.
        drain: Waits until the platform has taken most of what was sent.
    """

    def __init__(
        self, options: dict[str, Any], send: Callable[..., None], drain: Callable[[], Awaitable[None]]
    ) -> None:
        self._options, self._send, self._drain = options, send, drain
        self._own_versions = own_versions()
        self._files = BuildFiles(Path(options["data"]))
        self._shipper = Shipper(self._files, send)
        self._nodes: dict[str, _Node] = {}
        self._groups: dict[str, Any] = {}  # by replica
        self._places: dict[str, _Node] = {}
        self._pending = list[asyncio.Task[None]]()
        self._head_seen = time.monotonic()
        self._keeper = Ray.remote(num_cpus=0, num_gpus=0, max_restarts=0, max_concurrency=1000)(Keeper)

    def connect(self) -> None:
        """Connect to the cluster. Blocks for seconds. Raises what Ray raises."""
        logging.getLogger("ray").setLevel(logging.ERROR)  # it says more than a user of the platform needs
        context = Ray.init(
            address=self._options["address"], namespace="bananastand", log_to_driver=False, configure_logging=False
        )
        if url := getattr(context, "dashboard_url", None):
            raise RuntimeError(
                f"Ray's head serves its dashboard at {url}, whose job API runs anybody's code: start the head with "
                "`bananastand cluster init`, or with --include-dashboard=false"
            )
        self._front_node = str(ray.get_runtime_context().get_node_id())
        self._files.sweep()

    async def run(self) -> None:
        """Follow the nodes until cancelled."""
        while True:
            try:
                found: list[dict[str, Any]] = await asyncio.to_thread(Ray.nodes)
                self._head_seen = time.monotonic()
                self._note(found)
            except RayError as error:
                log.warning("Ray's head does not answer: %s", error)
            await asyncio.sleep(LOOK)

    def snapshot(self) -> dict[str, Any]:
        """Return what the platform needs to know of the nodes, as a JSON object."""
        now = time.monotonic()
        nodes = [
            {
                "id": node.id,
                "name": node.name,
                "address": node.address,
                "labels": {**node.facts.get("labels", {}), **node.labels},
                "cpus": node.resources.get("CPU", 0.0),
                "gpus": node.resources.get("GPU", 0.0),
                "memory_mb": int(node.resources.get("memory", 0.0) / 2**20),
                "gpu_memory_gb": node.facts.get("gpu_memory_gb"),
                "port_problem": node.facts.get("port_problem"),
                "relay": node.facts.get("relay"),
                "certificate": node.facts.get("certificate"),
                "is_open": node.is_open.is_set(),
                "is_front": node.id == self._front_node,
                "warm": node.warm,
                "seen": round(now - node.heard, 1),
                "problem": node.problem,
            }
            for node in self._nodes.values()
        ]
        return {"nodes": nodes, "head_seen": round(now - self._head_seen, 1)}

    def _note(self, found: list[dict[str, Any]]) -> None:
        alive = {about["NodeID"]: about for about in found if about["Alive"]}
        for id, about in alive.items():
            resources: dict[str, float] = about["Resources"]
            if id not in self._nodes and (resources.get("CPU") or resources.get("GPU")):
                labels = {name: value for name, value in about["Labels"].items() if not name.startswith("ray.io/")}
                node = _Node(id, self._unique_name(about), about["NodeManagerAddress"], labels, resources)
                self._nodes[id] = node
                node.life = asyncio.create_task(self._live(node), name=f"node {node.name}")
        for id in self._nodes.keys() - alive.keys():
            self._drop(self._nodes[id])

    def _unique_name(self, about: dict[str, Any]) -> str:
        name = about["NodeName"] or about["NodeManagerAddress"]
        taken = {node.name for node in self._nodes.values()}
        return name if name not in taken else f"{name}-{about['NodeID'][:6]}"

    def _drop(self, node: _Node) -> None:
        del self._nodes[node.id]
        self._lose(node, "the node is gone: Ray does not reach it any more")
        if node.life is not None:
            node.life.cancel()

    def _lose(self, node: _Node, reason: str) -> None:
        """Report all replicas of a node as lost."""
        node.is_open.clear()
        self._send("lost", node=node.id, reason=reason)

    # A node's keeper

    async def _live(self, node: _Node) -> None:
        pause = RETRY
        while True:
            try:
                await self._keep(node)
            except RayError as error:
                node.problem = _explain(error)
            except TimeoutError:
                node.problem = f"the node is frozen or cut off: its keeper has not answered for {SILENCE:g} s"
            except Exception as error:  # one node must not end the others' bridge
                log.exception("node %s", node.name)
                node.problem = f"its keeper reports what cannot be read ({type(error).__name__}: {str(error)[:200]})"
            self._lose(node, node.problem or "its keeper has ended")
            if node.keeper is not None:
                with contextlib.suppress(Exception):
                    Ray.kill(node.keeper)
                node.keeper = None
            await asyncio.sleep(pause)
            pause = min(MAX_RETRY, pause * 2)

    async def _keep(self, node: _Node) -> None:
        """Start a keeper and follow it to its end. Raises RayError, TimeoutError."""
        affinity = NodeAffinitySchedulingStrategy(node.id, soft=False)
        keeper = node.keeper = self._keeper.options(scheduling_strategy=affinity).remote()
        versions = await _within(OPEN_TIMEOUT, keeper.versions.remote())
        if (problem := version_problem(self._own_versions, versions, node.name)) is not None:
            node.problem = problem
            return
        options = {
            "platform": self._options["platform"],
            "address": node.address,
            "name": node.name,
            "gpus": int(node.resources.get("GPU", 0)),
            "front": self._options["data"] if node.id == self._front_node else None,
            "encrypted": self._options["encrypted"],
            "settings": self._options["settings"],
            "cgroups": self._options["cgroups"],
        }
        node.facts = await _within(OPEN_TIMEOUT, keeper.open.remote(options))
        for message in node.facts.pop("messages"):
            log.warning("node %s: %s", node.name, message)
        node.problem, node.heard = None, time.monotonic()
        node.is_open.set()
        self._send("nodes", **self.snapshot())
        while True:
            events = await _within(SILENCE, keeper.events.remote())
            node.heard = time.monotonic()
            for event in events:
                if event["kind"] == "look":
                    node.warm = event["warm"]
            for at in range(0, len(events), BATCH):
                self._send("events", node=node.id, events=events[at : at + BATCH])
                await self._drain()

    # Replicas

    async def start(self, message: dict[str, Any]) -> None:
        """Start a replica, and report how that went.

        Args:
            message: order, bundle (what it takes, in Ray's words), target (the preferred node), excluded (nodes that
                must not be taken), gpus (their numbers, where they are shared; else None).
        """
        id: str = message["order"]["replica"]
        try:
            facts = await self._start(id, message)
        except Unusable as error:
            self._fail(id, error.kind, str(error))
        except (RayError, TimeoutError) as error:
            self._fail(id, "lost", _explain(error) if isinstance(error, RayError) else "its node does not answer")
        except (StoreError, OSError) as error:
            self._fail(id, "failed", str(error))
        except asyncio.CancelledError:
            self._give_up(id)
            raise
        except Exception as error:
            log.exception("replica %s cannot be started", id)
            self._fail(id, "failed", f"{type(error).__name__}: {error}")
        else:
            self._send("started", replica=id, **facts)

    def _fail(self, id: str, reason: str, text: str) -> None:
        node = self._places.get(id)
        self._give_up(id)
        self._send("failed", replica=id, node=node.id if node is not None else None, reason=reason, text=text)

    def _give_up(self, id: str) -> None:
        node = self._places.get(id)
        if node is not None and node.keeper is not None:
            node.keeper.clean_up.remote(id)
        self.release(id)

    async def _start(self, id: str, message: dict[str, Any]) -> dict[str, Any]:
        order = message["order"]
        tasks = list[asyncio.Task[Any]]()
        try:
            if message["target"] != self._front_node:  # while Ray places it
                tasks.append(asyncio.create_task(self._shipper.describe(order)))
            placed = await self._place(id, message)
            node, keeper = placed.node, placed.node.keeper
            tasks.append(asyncio.create_task(self._gpus_of(placed.group, message)))
            is_front = node.id == self._front_node
            shipment = None if is_front else await self._shipper.ship(node.name, keeper, order)
            facts = await _get(keeper.start.remote({**order, "gpus": await tasks[-1]}, shipment))
        finally:
            for task in tasks:
                task.cancel()
        if (problem := facts.get("failed")) is not None:
            raise Unusable("failed", f"{problem} (on node {node.name})")
        return {"node": node.id, **facts}

    async def _place(self, id: str, message: dict[str, Any]) -> _Placed:
        """Have Ray place a replica, and wait until the node's keeper works."""
        selector = {NODE_ID: f"!in({','.join(message['excluded'])})"} if message["excluded"] else None
        group = make_group(
            [message["bundle"]],
            strategy="STRICT_PACK",
            _soft_target_node_id=message["target"],
            bundle_label_selector=[selector] if selector is not None else None,
        )
        self._groups[id] = group
        try:
            await _within(PLACE_TIMEOUT, group.ready())
        except TimeoutError:
            raise Unusable("lost", "the cluster has no room for it any more") from None
        table = await asyncio.to_thread(placement_group_table, group)
        node = self._nodes.get(table["bundles_to_node_id"][0])
        if node is None:
            raise Unusable("lost", "its node is gone")
        self._places[id] = node
        self._send("placed", replica=id, node=node.id)
        if not node.is_open.is_set():
            async with asyncio.timeout(OPEN_TIMEOUT):
                await node.is_open.wait()
        return _Placed(group, node)

    async def _gpus_of(self, group: Any, message: dict[str, Any]) -> list[str]:
        """Ask Ray for the numbers of a placement group's GPUs, by a task that gets them and says which they are."""
        if message["gpus"] is not None:
            return message["gpus"]
        if not (count := message["bundle"].get("GPU", 0)):
            return []
        strategy = PlacementGroupSchedulingStrategy(group)
        task = Ray.remote(num_cpus=0, num_gpus=count, max_retries=0, max_calls=0)(_gpu_numbers)
        return await _within(GPU_TIMEOUT, task.options(scheduling_strategy=strategy).remote())

    async def call(self, replica: str, method: str, arguments: list[Any]) -> None:
        """Call a method of the keeper about a replica; nothing happens if its node is gone."""
        node = self._places.get(replica)
        if node is not None and node.keeper is not None:
            with contextlib.suppress(RayError):
                await _get(getattr(node.keeper, method).remote(replica, *arguments))

    async def clean_up(self, replica: str) -> None:
        """Have a replica's leftovers removed on its node, and report it."""
        await self.call(replica, "clean_up", [])
        self._send("cleaned", replica=replica)

    def release(self, replica: str) -> None:
        """Free what a replica has taken of its node."""
        self._places.pop(replica, None)
        if (group := self._groups.pop(replica, None)) is not None:
            with contextlib.suppress(RayError):
                remove_placement_group(group)

    def want(self, bundles: list[dict[str, Any]]) -> None:
        """Keep some placement groups pending, for an autoscaler of the cluster to see.

        Args:
            bundles: Objects with a bundle and the labels of its node.
        """
        for task in self._pending:
            task.cancel()
        self._pending = [asyncio.create_task(_stay_pending(demand)) for demand in bundles[:MAX_PENDING]]

    async def close(self) -> None:
        """End all keepers, with what they run."""
        keepers = [node.keeper for node in self._nodes.values() if node.keeper is not None and node.is_open.is_set()]
        for node in self._nodes.values():
            if node.life is not None:
                node.life.cancel()
        with contextlib.suppress(TimeoutError, RayError):
            async with asyncio.timeout(5.0):
                await asyncio.gather(*(_get(keeper.close.remote()) for keeper in keepers))


async def _stay_pending(demand: dict[str, Any]) -> None:
    """Keep a placement group while there is no room for it: once there is, it is a replica's."""
    group = make_group([demand["bundle"]], bundle_label_selector=[demand["labels"]] if demand["labels"] else None)
    try:
        await group.ready()
    finally:
        remove_placement_group(group)


def _gpu_numbers() -> list[str]:
    return [str(number) for number in ray.get_gpu_ids()]


async def _get(reference: Any) -> Any:
    return await reference


async def _within(seconds: float, reference: Any) -> Any:
    """Return what a call of Ray returns. Raises TimeoutError after so many seconds, and RayError."""
    async with asyncio.timeout(seconds):
        return await reference


def _explain(error: Exception) -> str:
    """Return the cause of an error of Ray's in one line."""
    if isinstance(error, RayTaskError):
        cause = getattr(error, "cause", None) or error
        lines = [line for line in str(cause).splitlines() if line.strip()]
        return f"{type(cause).__name__}: {lines[-1].strip()[:300]}" if lines else type(cause).__name__
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip() and "_id:" not in line)
    if "ModuleNotFoundError" in text or "ImportError" in text:
        missing = text[max(text.find("ModuleNotFoundError"), text.find("ImportError")) :]
        return f"Bananastand cannot be imported there ({missing[:200]}): pip install 'bananastand[cluster]' on it"
    return f"its keeper has ended: {text[:300]}"
