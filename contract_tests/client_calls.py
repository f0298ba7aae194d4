"""Every operation of every client with the arguments to call it: as few as it takes, and all there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bananastand.clients.banana import AsyncBanana, Banana
from bananastand.clients.bananadev import AsyncBananaDev, BananaDev
from bananastand.clients.falai import AsyncFalAI, FalAI

CLIENTS: dict[str, tuple[Any, Any]] = {
    "bananadev": (BananaDev, AsyncBananaDev),
    "falai": (FalAI, AsyncFalAI),
    "banana-native": (Banana, AsyncBanana),
}


@dataclass(frozen=True)
class Case:
    """One operation: positional arguments, and the optional ones by name."""

    provider: str
    operation: str
    required: tuple[Any, ...] = ()
    optional: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.provider}.{self.operation}"


DAYS = {"start_date": "2026-01-01", "end_date": "2026-01-31"}

CASES = [
    Case("bananadev", "get_base"),
    Case("bananadev", "start_run", ("value", {"prompt": "a"}), {"start_only": True}),
    Case("bananadev", "check_run", ("call_1", "value")),
    Case("bananadev", "run", ("value", {"prompt": "a"})),
    Case("bananadev", "list_models"),
    Case("bananadev", "get_model", ("a/b c",)),
    Case("bananadev", "get_account"),
    Case("bananadev", "get_usage", (), DAYS),
    Case("bananadev", "deploy_model", ("value", "https://example.com/repo"), {"environment": {"STEPS": "4"}}),
    Case("falai", "list_models", (), {"limit": 2, "offset": 4, "search": "flux", "cursor": "Mg"}),
    Case("falai", "get_model", ("fal-ai/flux-pro",)),
    Case("falai", "get_pricing", (), {"model_id": "fal-ai/flux-pro"}),
    Case("falai", "get_usage", (), {**DAYS, "model_id": "fal-ai/flux-pro"}),
    Case("falai", "get_analytics", (), {**DAYS, "metric": "requests", "model_id": "fal-ai/flux-pro", "cursor": "Mg"}),
    Case("falai", "list_instances", (), {"status": "active", "limit": 2, "offset": 4, "cursor": "Mg"}),
    Case("falai", "create_instance", ("gpu-1x-a10g",), {"name": "one", "config": {"disk": 10}}),
    Case("falai", "get_instance", ("abc123",)),
    Case("falai", "delete_instance", ("abc123",)),
    Case("falai", "start_instance", ("abc123",)),
    Case("falai", "stop_instance", ("abc123",)),
    Case("falai", "monitor_instance", ("abc123",), {"metrics": ["cpu", "gpu"]}),
    Case("falai", "batch", ([{"method": "GET", "path": "/v1/models"}],)),
    Case("banana-native", "start_run", ("value", {"prompt": "a"}), {"start_only": True, "id": "one"}),
    Case("banana-native", "check_run", ("call_1",), {"long_poll": True, "id": "one"}),
    Case("banana-native", "list_projects"),
    Case("banana-native", "create_project", ("stand-in",)),
    Case("banana-native", "get_project", ("a b",)),
    Case(
        "banana-native",
        "update_project",
        ("a b",),
        {"min_replicas": 1, "max_replicas": 2, "inference_timeout": 60, "idle_timeout": 10},
    ),
    Case("banana-native", "create_upload", ("a b",)),
    Case("banana-native", "put_upload", ("/upload/key", b"a tar.gz")),
    Case("banana-native", "build_project", ("a b", "key")),
    Case("banana-native", "warmup_project", ("a b",), {"request_id": "one"}),
    Case("banana-native", "call_project", ("a b", "deep/route", {"prompt": "a"}), {"request_id": "one"}),
]
