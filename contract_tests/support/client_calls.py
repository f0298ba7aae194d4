"""Every operation of every client with its arguments: the required ones, and all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bananastand.clients.banana import AsyncBanana, Banana
from bananastand.clients.bananadev import AsyncBananaDev, BananaDev
from bananastand.clients.falai import AsyncFalAI, FalAI
from bananastand.clients.falqueue import AsyncFalQueue, FalQueue
from bananastand.clients.gobananas import AsyncGoBananas, GoBananas
from bananastand.clients.paperbanana import AsyncPaperBanana, PaperBanana

CLIENTS: dict[str, tuple[Any, Any]] = {
    "bananadev": (BananaDev, AsyncBananaDev),
    "falai": (FalAI, AsyncFalAI),
    "banana-native": (Banana, AsyncBanana),
    "fal-queue": (FalQueue, AsyncFalQueue),
    "gobananas": (GoBananas, AsyncGoBananas),
    "paperbanana": (PaperBanana, AsyncPaperBanana),
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


# What a contract has for people, and the address of a picture, which clients have from an answer (`save`).
# `stream` is no single answer, and of the two ways to upload a client takes one.
NOT_FOR_CLIENTS = {
    "fal-queue": {
        "stream",
        "get_media",
        "put_media",
        "create_upload_token",
        "upload_file",
        "initiate_multipart_upload",
        "create_multipart_upload",
        "put_part",
        "complete_multipart_upload",
    },
    "gobananas": {"get_public_file", "show_gallery"},
}

CHARACTER = {
    "description": "an old one",
    "negative_prompt": "dull",
    "system_instruction": "be kind",
    "preferred_aspect_ratio": "1:1",
    "reference_image_ids": [1],
    "tags": ["fruit"],
}
VLM = {"vlm_provider": "gemini", "vlm_model": "gemini-2.0-flash"}
WEBHOOK = {"webhook_url": "https://example.com/hook", "webhook_include_image": True}
DRAWN = {"iterations": 2, "aspect_ratio": "16:9", "output_formats": ["png"]}
PAINTED = {"image_model": "nano-banana-pro", "image_resolution": "2K"}
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
    Case(
        "fal-queue",
        "submit",
        ("fal-ai/flux/dev", {"prompt": "a"}),
        {"webhook_url": "https://example.com/hook", "start_timeout": 30.0, "priority": "low", "hint": "here"},
    ),
    Case("fal-queue", "status", ("fal-ai/flux", "a1"), {"logs": True}),
    Case("fal-queue", "result", ("fal-ai/flux", "a1")),
    Case("fal-queue", "cancel", ("fal-ai/flux", "a1")),
    Case("fal-queue", "run", ("fal-ai/flux/dev", {"prompt": "a"})),
    Case("fal-queue", "initiate_upload", ("cat.png", "image/png"), {"storage_type": "gcs"}),
    Case("fal-queue", "get_webhook_keys"),
    Case("gobananas", "get_profile"),
    Case(
        "gobananas",
        "create_image",
        ("a stand",),
        {
            "n": 2,
            "aspect_ratio": "16:9",
            "negative_prompt": "dull",
            "system_instruction": "be kind",
            "style_preset_id": 3,
            "style_preset_name": "watercolour",
            "model_id": "gemini-flash-image",
            "character_id": 5,
            "session_id": "session-abc",
            "seed": 7,
        },
    ),
    Case("gobananas", "list_images", (), {"limit": 2, "offset": 4, "search": "stand"}),
    Case("gobananas", "get_image", (42,)),
    Case("gobananas", "delete_image", (42,)),
    Case("gobananas", "delete_images", ([42, 43],)),
    Case("gobananas", "continue_image", ("in the rain",), {"image_id": 42, "session_id": "session-abc"}),
    Case("gobananas", "upload_for_editing", ("https://example.com/stand.png",)),
    Case("gobananas", "list_sessions"),
    Case("gobananas", "get_session", ("session-abc",)),
    Case("gobananas", "get_usage", (), {"days": 7, "start": "2026-01-01", "end": "2026-01-31"}),
    Case("gobananas", "list_characters", (), {"limit": 2, "offset": 4, "search": "stand", "exact": True}),
    Case("gobananas", "create_character", ("Bo", "a banana with a hat"), CHARACTER),
    Case("gobananas", "get_character", (5,)),
    Case(
        "gobananas",
        "update_character",
        (5,),
        {"character_name": "Bo", "base_prompt": "a banana with a hat", **CHARACTER},
    ),
    Case("gobananas", "delete_character", (5,)),
    Case("gobananas", "list_style_presets"),
    Case(
        "gobananas",
        "create_style_preset",
        ("watercolour", "in watercolour"),
        {"system_instruction": "be kind", "negative_prompt": "dull", "aspect_ratio": "1:1"},
    ),
    Case("gobananas", "delete_style_preset", (3,)),
    Case("gobananas", "get_file", ("tenant/2025-01-15/image.png",), {"download": True}),
    Case("paperbanana", "get_health"),
    Case(
        "paperbanana",
        "create_diagram",
        ("An encoder feeds a decoder.", "Our method"),
        {**DRAWN, **VLM, **PAINTED, **WEBHOOK},
    ),
    Case(
        "paperbanana",
        "create_diagram_from_pdf",
        (b"%PDF-1.4", "Our method"),
        {"pages": "1-3", **DRAWN, **VLM, **PAINTED, **WEBHOOK},
    ),
    Case(
        "paperbanana",
        "optimize_prompt",
        ("a figure of our method",),
        {
            "source_context": "An encoder feeds a decoder.",
            "caption": "Our method",
            "diagram_type": "methodology",
            "guidelines": "no red",
            **VLM,
            **WEBHOOK,
        },
    ),
    Case("paperbanana", "create_plot", ({"a": 1}, "compare"), {**DRAWN, **VLM, **WEBHOOK}),
    Case(
        "paperbanana",
        "create_composite",
        (["task_a", "task_b"],),
        {
            "layout": "1x2",
            "labels": ["(a)", "(b)"],
            "spacing": 10,
            "label_position": "top",
            "label_font_size": 20,
            **WEBHOOK,
        },
    ),
    Case("paperbanana", "get_task", ("task_a",)),
    Case("paperbanana", "get_task_image", ("task_a",), {"format": "svg"}),
    Case("paperbanana", "list_keys"),
    Case(
        "paperbanana",
        "create_key",
        ("mine",),
        {"quota": 3, "webhook_url": "https://example.com/hook", "webhook_secret": "hush"},
    ),
    Case("paperbanana", "get_key", ("pb_0",)),
    Case(
        "paperbanana",
        "update_key",
        ("pb_0",),
        {
            "quota_remaining": 1,
            "quota_total": 3,
            "active": False,
            "webhook_url": "https://example.com/hook",
            "webhook_secret": "hush",
        },
    ),
    Case("paperbanana", "delete_key", ("pb_0",)),
    Case(
        "paperbanana",
        "list_history",
        (),
        {"page": 2, "size": 5, "endpoint": "plot", "status": "failed", "api_key": "pb_0"},
    ),
    Case("paperbanana", "get_history", ("task_a",)),
]
