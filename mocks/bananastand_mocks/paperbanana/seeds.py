"""What a new world holds: the ready-made key, and in the documents world all that document D names."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from ..kernel.world import World
from ..kernel.worlds import DEFAULT, Kind
from . import state

__all__ = ["fill"]

DOCUMENTED_KEY = "pb_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"  # D:732
DATA = {"models": ["ResNet-50", "ViT-B/16", "EfficientNet-B4"], "accuracy": [76.1, 81.8, 82.9]}  # D:390
INTENT = "Bar chart comparing model accuracy with value labels"  # D:391
REAL_SECONDS = 1.0  # seconds of real time


def fill(world: World, kind: Kind) -> None:
    """The settings and the world's own key; in the documents world also a key, its usage and four tasks."""
    for name, value in state.SETTINGS.items():
        world.settings.setdefault(name, list(value) if isinstance(value, list) else value)
    if not world.clock.virtual:
        world.settings["paperbanana.seconds"] = [REAL_SECONDS, REAL_SECONDS]
    own = world.credentials[state.KEY_KIND][0]
    for key in world.credentials[state.KEY_KIND][1:]:
        world.expel(state.KEY_KIND, key)
    state.add_key(world, own, "ready-made")
    if kind == "documents":
        _add_documented_key(world)
        for name in ("a1b2c3d4e5f6", "task_a", "task_b", "task_c"):
            _add_finished_task(world, own, name, ["png", "svg", "pdf"] if name == "a1b2c3d4e5f6" else ["png"])


def _add_documented_key(world: World) -> None:
    """The key of D:732 as D:804-820 shows it; it opens the default world only, being the same everywhere."""
    created = datetime(2026, 2, 15, 10, 30, tzinfo=UTC).timestamp()
    row = state.add_key(world, DOCUMENTED_KEY, "my-app", quota=100)
    row |= {"quota_remaining": 87, "total_used": 13, "created_at": created}
    entry = state.number(world, "usage")
    used = {
        "id": entry,
        "api_key": DOCUMENTED_KEY,
        "task_id": "abc123",
        "endpoint": "generate",
        "created_at": created + 1800,
    }
    state.usage(world)[str(entry)] = used
    if world.name == DEFAULT:
        world.admit(state.KEY_KIND, DOCUMENTED_KEY)


def _add_finished_task(world: World, key: str, name: str, formats: list[str]) -> None:
    """A plot that is there already (D:632-656, D:469)."""
    parameters: dict[str, Any] = {"data_json": json.dumps(DATA), "intent": INTENT, "aspect_ratio": "4:3"}
    now = world.clock.now()
    state.keep_task(
        world,
        {
            "task_id": name,
            "number": state.number(world, "tasks"),
            "api_key": key,
            "key_name": "ready-made",
            "endpoint": "plot",
            "diagram_type": "statistical_plot",
            "status": "completed",
            "created_at": now,
            "completed_at": now,
            "description": INTENT,
            "error": None,
            "formats": formats,
            "recipe": {"kind": "plot", **parameters, "formats": formats},
            "input_params": {**parameters, "output_formats": formats},
            "base": "",
            "webhook": None,
            "failure": None,
            "polls": None,
        },
    )
