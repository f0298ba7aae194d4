"""What Banana keeps in a world: account, models with their deployments, runs, usage, uploads.

A model is a project of Banana's own API: the same row, seen with the words of either.
"""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime
from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.json_body import dump

from ..kernel.world import World
from ..kernel.worlds import Kind

__all__ = [
    "RUN_DUE",
    "Row",
    "account",
    "count_run",
    "add_model",
    "deployments",
    "drop_work",
    "end_run",
    "fill",
    "find_model",
    "find_run",
    "forget_old_deployments",
    "is_cold",
    "iso",
    "keep_output",
    "keep_run",
    "log_lines",
    "model",
    "models",
    "run_is_due",
    "runs",
    "setting",
    "uploads",
    "usage_rows",
    "work",
]

Row = dict[str, Any]

PROJECT = {"minReplicas": 0, "maxReplicas": 3, "inferenceTimeout": 300, "idleTimeout": 30}  # the page's own example
SETTINGS: dict[str, Any] = {
    "bananadev.hold_seconds": 50.0,  # how long start and run wait for their outputs
    "bananadev.long_poll_seconds": 50.0,
    "bananadev.build_seconds": [1.0, 20.0, 10.0],  # until building, until deploying, until live
    "bananadev.routes": ["/"],  # handlers of an app that is drawn, not run
    "bananadev.busy": False,  # every app answers 423 on its run URL
}
RUNS_KEPT = 2000
RUNS_BYTES = 64 * 2**20  # in memory, of their inputs and outputs, about
UNPACKED = 8  # bytes in memory for each byte of JSON, about
DEPLOYMENTS_KEPT = 50  # of a model
RUN_DUE = "bananadev.run"
SEEDED = {"development": ("value", "stable-diffusion"), "documents": ("value", "VALUE"), "empty": ()}


def fill(world: World, kind: Kind) -> None:
    """An account and live models; the documents call theirs `value` and `VALUE` (A:36, A:99)."""
    if world.table("bananadev.account"):
        return
    for name, value in SETTINGS.items():
        world.settings.setdefault(name, copy.deepcopy(value))
    team = world.ids.uuid()
    world.table("bananadev.account")["account"] = {
        "id": world.ids.uuid(),
        "teamId": team,
        "teamName": "Bluth",
        "email": "michael@bananastand.test",
        "plan": "free",
        "createdAt": iso(world.clock.now()),
        "limits": {"maxReplicas": 10, "concurrentBuilds": 2},
    }
    for key in SEEDED[kind]:
        row = add_model(world, key)
        deployments(world)[world.ids.uuid()] = {
            "modelKey": row["modelKey"],
            "status": "live",
            "source": f"https://github.com/bluth/{key}",
            "environment": {},
            "createdAt": iso(world.clock.now()),
            "finishedAt": iso(world.clock.now()),
        }
    if kind == "documents":
        _documented_run(world)


def account(world: World) -> Row:
    """The one account of a world."""
    return world.table("bananadev.account")["account"]


def models(world: World) -> dict[str, Row]:
    """All models, by modelKey."""
    return world.table("bananadev.models")


def deployments(world: World) -> dict[str, Row]:
    """All deployments of all models, oldest first, by id."""
    return world.table("bananadev.deployments")


def runs(world: World) -> dict[str, Row]:
    """The last runs, oldest first, by callID."""
    return world.table("bananadev.runs")


def usage_rows(world: World) -> dict[str, Row]:
    """What was run, by day and modelKey: `2026-01-31 value`."""
    return world.table("bananadev.usage")


def uploads(world: World) -> dict[str, Row]:
    """Return the uploads by key: {"project": id, "bytes": int or None}."""
    return world.table("bananadev.uploads")


def log_lines(world: World, build: str) -> list[Row]:
    """The log of one build: {"t": ISO time, "m": text}."""
    return world.table("bananadev.logs").setdefault(build, [])


def forget_old_deployments(world: World, model_key: str) -> None:
    """Of a model's deployments that are over, forget the oldest beyond the last DEPLOYMENTS_KEPT."""
    table = deployments(world)
    own = [key for key, row in table.items() if row["modelKey"] == model_key]
    for key in own[:-DEPLOYMENTS_KEPT]:
        if table[key]["status"] in ("live", "failed"):
            del table[key]
            world.table("bananadev.logs").pop(key, None)


def model(world: World, key: str) -> Row:
    """The model of that key. Raises ProviderError: model_not_found."""
    row = models(world).get(key)
    if row is None:
        raise ProviderError("model_not_found")
    return row


def find_model(world: World, name: str) -> Row | None:
    """The model whose project id, key or slug this is."""
    if row := models(world).get(name):
        return row
    return next((row for row in models(world).values() if name in (row["id"], row["slug"])), None)


def add_model(world: World, key: str, name: str = "", *, id: str = "") -> Row:
    """A new model, with the settings that projects begin with; `id` is its project's, else drawn."""
    row: Row = {
        "id": id or world.ids.uuid(),
        "teamId": account(world)["teamId"],
        **PROJECT,
        "modelKey": key,
        "name": name or key,
        "slug": _slug(world, name or key),
        "createdAt": iso(world.clock.now()),
        "lastRun": None,
    }
    models(world)[key] = row
    return row


def keep_run(world: World, run: Row) -> None:
    """Remember a run, and forget the oldest beyond the last RUNS_KEPT and RUNS_BYTES."""
    table, calls = runs(world), world.table("bananadev.calls")
    table[run["callID"]] = run
    calls[run["id"]] = run["callID"]
    run["bytes"] = 0
    _weigh(world, run, UNPACKED * len(dump(run["inputs"])))


def keep_output(world: World, run: Row, output: Any) -> None:
    """Remember what a run gave."""
    run["output"] = output
    _weigh(world, run, len(dump(output)))


def _weigh(world: World, run: Row, size: int) -> None:
    """Count more bytes of a run, and forget the oldest of the others until there is room."""
    table, sizes = runs(world), world.table("bananadev.sizes")
    run["bytes"] += size
    sizes["runs"] = sizes.get("runs", 0) + size
    while len(table) > RUNS_KEPT or (sizes["runs"] > RUNS_BYTES and len(table) > 1):
        oldest = table.pop(next(iter(table)))
        sizes["runs"] -= oldest["bytes"]
        drop_work(world, oldest["callID"])
        calls = world.table("bananadev.calls")
        if calls.get(oldest["id"]) == oldest["callID"]:
            del calls[oldest["id"]]


def work(world: World) -> dict[str, Any]:
    """The tasks of runs that are under way, by callID."""
    return world.live.setdefault("bananadev.work", {})


def drop_work(world: World, call: str) -> None:
    """What is done for this run is done in vain."""
    if task := work(world).pop(call, None):
        task.cancel()


def find_run(world: World, name: str) -> Row | None:
    """By callID, or by the id of the start's answer, the newest of that id (A:47)."""
    table = runs(world)
    return table.get(name) or table.get(world.table("bananadev.calls").get(name, ""))


def end_run(world: World, run: Row, end: str) -> None:
    """A run is over: succeeded or failed. It is counted on the day on which it ends."""
    run["state"] = end
    seconds = max(0.0, (run["due"] or world.clock.now()) - run["begun"])
    count_run(world, run["modelKey"], succeeded=end == "succeeded", seconds=round(seconds, 3), cold=run["cold"])


def run_is_due(world: World, details: Row) -> None:
    """End a run whose set seconds have passed, whether or not a client polls for it."""
    run = runs(world).get(details["call"])
    if run is not None and run["state"] == "running":
        end_run(world, run, "succeeded" if run["error"] is None else "failed")


def count_run(world: World, model_key: str, *, succeeded: bool, seconds: float, cold: bool) -> None:
    """One more run, today."""
    key = f"{world.clock.moment().date().isoformat()} {model_key}"
    rows = usage_rows(world)
    if key not in rows:
        rows[key] = {"runs": 0, "succeeded": 0, "failed": 0, "computeSeconds": 0.0, "coldStarts": 0}
    row = rows[key]
    row["runs"] += 1
    row["succeeded" if succeeded else "failed"] += 1
    row["computeSeconds"] += seconds
    row["coldStarts"] += cold


def is_cold(world: World, model: Row) -> bool:
    """Whether a run would have to start a replica: none is kept, and the last call is longer ago than idleTimeout."""
    if model["minReplicas"] > 0:
        return False
    return model["lastRun"] is None or world.clock.now() - model["lastRun"] > model["idleTimeout"]


def setting(world: World, name: str) -> Any:
    """A setting of this provider; its default where the world has lost it."""
    full = f"bananadev.{name}"
    return world.settings.get(full, SETTINGS[full])


def iso(seconds: float) -> str:
    """A moment, in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _slug(world: World, name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "model"
    taken = {row["slug"] for row in models(world).values()}
    return plain if plain not in taken else f"{plain}-{world.ids.hex(6)}"


def _documented_run(world: World) -> None:
    """The run that the document's own example of check asks for: id and modelKey `value` (A:53)."""
    keep_run(
        world,
        {"callID": "value", "id": "value", "modelKey": "value", "inputs": "value", "created": int(world.clock.now()),
         "begun": world.clock.now(), "due": None, "polls": 0, "state": "running", "error": None, "cold": False},
    )  # fmt: skip
