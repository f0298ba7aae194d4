"""fal's part of a world: counted requests, instances, and the catalogue, which every world shares.

Requests are counted by the minute and the model, so that a long test does not fill the memory. Counted are the runs of
the queue, the requests to this API that name a model, at no cost, and the hours of instances.
"""

from __future__ import annotations

import tomllib
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from bananastand.contracts.errors import ProviderError

from ..kernel.world import World
from ..kernel.worlds import Kind

__all__ = [
    "DOCUMENTED_INSTANCE",
    "REQUESTS",
    "RUNS",
    "Tally",
    "catalogue",
    "count",
    "fill",
    "instances",
    "key_id",
    "find_model",
    "setting",
]

INSTANCES = "falai.instances"
REQUESTS = "falai.requests"
RUNS = "falai.runs"
SETTINGS: dict[str, Any] = {
    "falai.provisioning_seconds": 30.0,
    "falai.starting_seconds": 10.0,
    "falai.stopping_seconds": 5.0,
    "falai.admin_key": True,  # whether the world's key may see usage, analytics and compute on fal's own API
}
DOCUMENTED_INSTANCE = "abc123"  # C:245, C:272
DURATIONS = 100  # kept of each minute and model, for percentiles


@dataclass(slots=True)
class Tally:
    """What was counted.

    Attributes:
        requests: All requests.
        errors: Those that failed by a fault of the service (5xx).
        user_errors: Those whose input was refused (4xx).
        quantity: Billed units.
        durations: The seconds that the newest ones ran, where they are known.
        waits: The seconds that the newest ones were in the queue, where they are known.
    """

    requests: int = 0
    errors: int = 0
    user_errors: int = 0
    quantity: float = 0.0
    durations: list[float] = field(default_factory=list[float])
    waits: list[float] = field(default_factory=list[float])

    def add(self, other: Tally) -> None:
        """Count what another has counted, too."""
        self.requests += other.requests
        self.errors += other.errors
        self.user_errors += other.user_errors
        self.quantity += other.quantity
        self.durations += other.durations
        self.waits += other.waits


@cache
def catalogue() -> Mapping[str, Mapping[str, Any]]:
    """The models by id, in the catalogue's order."""
    with Path(__file__).with_name("catalogue.toml").open("rb") as file:
        content = tomllib.load(file)
    return {row["endpoint_id"]: {"date": content["date"], **row} for row in content["models"]}


def find_model(model_id: str) -> Mapping[str, Any]:
    """The model with this id. Raises ProviderError: not_found."""
    if model_id not in catalogue():
        raise ProviderError("not_found", f"no model {model_id}")
    return catalogue()[model_id]


def count(world: World, model_id: str, tally: Tally | None = None) -> None:
    """Count a request that names a model, or a whole tally, in the minute that is now."""
    minute = world.table(REQUESTS).setdefault(str(int(world.clock.now() // 60)), {})
    total = Tally(**minute.get(model_id, {}))
    total.add(tally or Tally(requests=1))
    del total.durations[:-DURATIONS], total.waits[:-DURATIONS]
    minute[model_id] = asdict(total)


def key_id(world: World) -> str:
    """The id of the world's key, which tells nothing of the key itself."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"fal:{(world.credentials.get('fal') or [''])[0]}"))


def instances(world: World) -> dict[str, Any]:
    """The instances by id, oldest first."""
    return world.table(INSTANCES)


def setting(world: World, name: str) -> Any:
    """A setting of the world, such as falai.provisioning_seconds, or its default."""
    return world.settings.get(name, SETTINGS[name])


def fill(world: World, kind: Kind) -> None:
    """The settings; in the documents world also the instance of C:245 and a day of January 2024 (C:145)."""
    for name, value in SETTINGS.items():
        world.settings.setdefault(name, value)
    if kind != "documents" or DOCUMENTED_INSTANCE in instances(world):
        return
    now = world.clock.now()
    instances(world)[DOCUMENTED_INSTANCE] = {
        "id": DOCUMENTED_INSTANCE,
        "instance_type": "gpu-1x-a10g",
        "name": "my-ai-instance",
        "config": {"max_workers": 4},
        "ip": "203.0.113.7",
        "status": "active",
        "created_at": now,
        "started_at": now,
        "stopped_at": None,
        "running_since": now,
        "runs": [],
        "step": 0,
    }
    noon = int(datetime(2024, 1, 15, 12, tzinfo=UTC).timestamp() // 60)
    day = Tally(requests=3, errors=1, quantity=2.0, durations=[3.0, 5.0])
    world.table(REQUESTS)[str(noon)] = {"fal-ai/flux-pro": asdict(day)}
