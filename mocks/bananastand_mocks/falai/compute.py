"""Compute instances (C:152-275, C:366-368): their life on the world's clock.

provisioning -> active -> stopping -> stopped -> starting -> active; each transition takes the seconds of the world's
setting of its name, such as falai.provisioning_seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.response import ApiResponse

from ..kernel.world import World
from .monitor import INTERVAL, METRICS, points
from .paging import page
from .state import RUNS, instances, setting

__all__ = [
    "ARRIVED",
    "PAGE",
    "arrive",
    "create_instance",
    "delete_instance",
    "get_instance",
    "list_instances",
    "monitor_instance",
    "find_instance",
    "start_instance",
    "stop_instance",
]

PAGE = 50
ARRIVED = "falai.instance_arrived"
REGION = "us-west"
ADDRESSES = tuple(IPv4Network("203.0.113.0/24").hosts())  # for documentation, RFC 5737
BECOMES = {"provisioning": "active", "starting": "active", "stopping": "stopped"}

Row = dict[str, Any]


def list_instances(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """Instances with a `status`, oldest first; a page of them by `limit`, `offset` or `cursor` (C:169-171)."""
    status = parameters.get("status")
    rows = [row for row in instances(world).values() if status in (None, row["status"])]
    return page(len(rows), parameters, PAGE).to_response("instances", rows, _serialize)


def create_instance(world: World, body: dict[str, Any]) -> ApiResponse:
    """A new instance on its way to active, with the status 201 of fal's own API."""
    row: Row = {
        "id": f"inst_{world.ids.letters(9)}",
        "instance_type": body["instance_type"],
        "name": body.get("name"),
        "config": body.get("config", {}),
        "ip": str(world.random.choice(ADDRESSES)),
        "status": "provisioning",
        "created_at": world.clock.now(),
        "started_at": None,
        "stopped_at": None,
        "running_since": None,
        "runs": [],
        "step": 0,
    }
    if "sector" in body:
        row["sector"] = body["sector"]
    instances(world)[row["id"]] = row
    _enter_state(world, row, "provisioning")
    return ApiResponse(_serialize(row), 201)


def get_instance(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """One instance as it stands. Raises ProviderError: not_found."""
    return _serialize(find_instance(world, parameters["instance_id"]))


def delete_instance(world: World, parameters: dict[str, Any]) -> ApiResponse:
    """The instance is gone, its hours stay counted. Raises ProviderError: not_found."""
    row = find_instance(world, parameters["instance_id"])
    _stop_running(world, row)
    if row["runs"]:
        world.table(RUNS).setdefault(row["instance_type"], []).extend(row["runs"])
    del instances(world)[row["id"]]
    return ApiResponse(None, 204)


def start_instance(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """A stopped instance is on its way to active; any other stays as it is. Raises ProviderError: not_found."""
    row = find_instance(world, parameters["instance_id"])
    if row["status"] in ("stopped", "stopping"):
        _enter_state(world, row, "starting")
    return _serialize(row)


def stop_instance(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """A running instance is on its way to stopped; a stopped one stays as it is. Raises ProviderError: not_found."""
    row = find_instance(world, parameters["instance_id"])
    if row["status"] not in ("stopped", "stopping"):
        _stop_running(world, row)
        _enter_state(world, row, "stopping")
    return _serialize(row)


def monitor_instance(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """Returns a series for each of the `metrics` over the last hour, by default all five.

    Raises:
        ProviderError: not_found.
    """
    row = find_instance(world, parameters["instance_id"])
    names = parameters["metrics"].split(",") if "metrics" in parameters else list(METRICS)
    now = world.clock.now()
    runs = [*row["runs"], *([[row["running_since"], now]] if row["running_since"] is not None else [])]
    return {
        "instance_id": row["id"],
        "interval_seconds": INTERVAL,
        "metrics": {
            name: {"unit": METRICS[name].unit, "points": points(row["id"], METRICS[name], runs, now)} for name in names
        },
    }


def arrive(world: World, details: dict[str, Any]) -> None:
    """A passing state is over, unless the instance has been sent elsewhere since."""
    row = instances(world).get(details["instance_id"])
    if row is None or row["step"] != details["step"]:
        return
    now = world.clock.now()
    row["status"] = BECOMES[row["status"]]
    if row["status"] == "active":
        row["started_at"], row["stopped_at"], row["running_since"] = now, None, now
    else:
        row["stopped_at"] = now


def find_instance(world: World, instance_id: str) -> Row:
    """The instance with this id. Raises ProviderError: not_found."""
    row = instances(world).get(instance_id)
    if row is None:
        raise ProviderError("not_found", f"no instance {instance_id}")
    return row


def _enter_state(world: World, row: Row, status: str) -> None:
    row["status"] = status
    row["step"] += 1
    world.clock.after(setting(world, f"falai.{status}_seconds"), ARRIVED, instance_id=row["id"], step=row["step"])


def _stop_running(world: World, row: Row) -> None:
    since, now = row["running_since"], world.clock.now()
    row["running_since"] = None
    if since is not None and since < now:
        row["runs"].append([since, now])


def _serialize(row: Row) -> dict[str, Any]:
    """An instance with the configuration and lifecycle that C:163 promises; its address only while it is active."""
    fields: dict[str, Any] = {name: row[name] for name in ("id", "instance_type", "name", "config", "status")}
    fields |= {"region": REGION, "creator_user_nickname": "bananastand"}
    fields |= {name: _iso(row[name]) for name in ("created_at", "started_at", "stopped_at")}
    if row["status"] == "active":
        fields["ip"] = row["ip"]
    if "sector" in row:
        fields["sector"] = row["sector"]
    return fields


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
