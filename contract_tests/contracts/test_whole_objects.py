"""Complete objects with the fields that most responses leave out: a name, an address, the reason of a failure."""

from __future__ import annotations

import pytest

from bananastand_mocks.bananadev import BananaDevUpstream
from bananastand_mocks.falai import FalAIProvider, FalAIUpstream
from bananastand_mocks.gobananas import GoBananasProvider
from flat_painter import FlatPainter
from gateway_caller import GatewayCaller
from in_process import InProcess

INSTANCES = "/v1/compute/instances"
ONE = f"{INSTANCES}/instance_id"


def test_an_instance_shows_its_settings_at_every_address() -> None:
    call = GatewayCaller(FalAIUpstream(), "empty")
    request = {"instance_type": "gpu-1x-a10g", "name": "stand", "config": {"max_workers": 4}, "sector": "sector_1"}
    instance = {
        **request,
        "region": "us-west",
        "creator_user_nickname": "bananastand",
        "created_at": "2026-01-01T00:00:00.000Z",
        "started_at": None,
        "stopped_at": None,
    }

    created = call.result("POST", INSTANCES, request)
    id = created["id"]
    call.world.clock.advance(30)
    address = call.result("GET", ONE, instance_id=id)["ip"]

    assert created == {**instance, "id": id, "status": "provisioning"}
    active = {**instance, "id": id, "status": "active", "ip": address, "started_at": "2026-01-01T00:00:30.000Z"}
    assert call.result("GET", ONE, instance_id=id) == active
    assert call.result("GET", INSTANCES)["instances"] == [active]
    assert call.result("POST", f"{ONE}/start", {}, instance_id=id) == active
    stopping = {**instance, "id": id, "status": "stopping", "started_at": "2026-01-01T00:00:30.000Z"}
    assert call.result("POST", f"{ONE}/stop", {}, instance_id=id) == stopping


def test_an_instance_of_fals_own_api_keeps_its_sector() -> None:
    call = InProcess(FalAIProvider(), kind="empty", headers={"authorization": "Key fal-bananastand"})
    body = {"instance_type": "gpu_8x_h100_sxm5", "ssh_key": "ssh-ed25519 AAAA", "sector": "sector_2"}
    instance = {
        "instance_type": "gpu_8x_h100_sxm5",
        "region": "us-west",
        "sector": "sector_2",
        "creator_user_nickname": "bananastand",
    }

    created = call("POST", INSTANCES, json=body).json()
    id = created["id"]
    call.world.clock.advance(30)
    address = call("GET", f"{INSTANCES}/{id}").json()["ip"]

    assert created == {**instance, "id": id, "status": "provisioning"}
    assert call("GET", f"{INSTANCES}/{id}").json() == {**instance, "id": id, "status": "ready", "ip": address}
    assert call("GET", INSTANCES).json()["instances"] == [{**instance, "id": id, "status": "ready", "ip": address}]


def test_a_bucket_of_analytics_has_every_metric() -> None:
    call = GatewayCaller(FalAIUpstream(), "documents")

    analytics = call.result("GET", "/v1/analytics", start_date="2024-01-01", end_date="2024-01-31")

    (bucket,) = [row for row in analytics["time_series"] if row["results"]]
    assert bucket == {
        "bucket": "2024-01-15T00:00:00+00:00",
        "results": [{"endpoint_id": "fal-ai/flux-pro", "requests": 3, "cost": 0.1, "latency": 4.0, "errors": 1}],
    }


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/model_key"])
def test_a_failed_deployment_says_why(path: str) -> None:
    call = GatewayCaller(BananaDevUpstream(), "empty")
    call.world.tasks.fail_next(1, "no Dockerfile")

    begun = call.result("POST", "/v1/deploy", {"modelKey": "new", "source": "https://git.test/new"})
    call.world.clock.advance(3600)

    words = {"model_key": "new"} if "model_key" in path else {}
    result = call.result("GET", path, **words)
    model = result if words else result["models"][0]
    assert model["deployment"] == {
        "deploymentId": begun["deploymentId"],
        "status": "failed",
        "source": "https://git.test/new",
        "environment": {},
        "createdAt": "2026-01-01T00:00:00.000Z",
        "finishedAt": model["deployment"]["finishedAt"],
        "message": "no Dockerfile",
    }


RARE = {
    "fal-ai/flux-lora": {
        "training_endpoint_ids": ["fal-ai/flux-lora-fast-training"],
        "stream_url": "https://fal.run/fal-ai/flux-lora/stream",
        "github_url": "https://github.com/black-forest-labs/flux/blob/main/model_licenses/LICENSE-FLUX1-dev",
    },
    "fal-ai/flux-lora-fast-training": {"inference_endpoint_ids": ["fal-ai/flux-lora"], "duration_estimate": 5.0},
    "fal-ai/kling-video/v1.6/standard/text-to-video": {
        "group": {"key": "kling-video-v1.6", "label": "Kling 1.6 (standard)"},
        "thumbnail_animated_url": "https://fal.media/files/fal-ai/kling-video/v1.6/standard/text-to-video/thumbnail.webp",
    },
}
ALWAYS = {"display_name", "category", "description", "status", "tags", "updated_at", "is_favorited", "kind",
          "thumbnail_url", "model_url", "date", "highlighted", "pinned", "license_type"}  # fmt: skip


@pytest.mark.parametrize("id", RARE)
def test_optional_fields_of_a_model_are_there_for_some_models(id: str) -> None:
    native, gateway = (
        InProcess(FalAIProvider(), headers={"authorization": "Key fal-bananastand"}),
        GatewayCaller(FalAIUpstream(), "empty"),
    )

    (model,) = native("GET", "/v1/models", params={"endpoint_id": id}).json()["models"]
    listed = {row["endpoint_id"]: row for row in gateway.result("GET", "/v1/models", limit=100)["models"]}
    got = gateway.result("GET", "/v1/models/model_id", model_id=id)

    assert set(model["metadata"]) == ALWAYS | RARE[id].keys()
    for row in (model, listed[id], got):
        assert {name: value for name, value in row["metadata"].items() if name not in ALWAYS} == RARE[id]


def test_usage_can_be_expanded_by_key() -> None:
    call = InProcess(FalAIProvider(), headers={"authorization": "Key fal-bananastand"})
    query = {"start": "2024-01-01", "end": "2024-02-01", "expand": "time_series,auth_method,auth_method_structured"}

    buckets = call("GET", "/v1/models/usage", params=query).json()["time_series"]

    ((row,),) = [bucket["results"] for bucket in buckets if bucket["results"]]
    plain = call("GET", "/v1/models/usage", params={**query, "expand": "time_series"}).json()["time_series"]
    ((bare,),) = [item["results"] for item in plain if item["results"]]
    key = row["auth_method_structured"]["api_key_id"]
    structured = {"detail": "Key 1", "api_key_id": key}
    assert row == {**bare, "auth_method": "Key 1", "auth_method_structured": structured}
    assert call("GET", "/v1/models/usage", params={**query, "api_key_id": key}).json()["time_series"] == buckets


@pytest.fixture
def gobananas() -> InProcess:
    return InProcess(GoBananasProvider(FlatPainter()), kind="empty", headers={"x-api-key": "sk_live_bananastand"})


def test_a_character_has_the_addresses_of_its_pictures_at_every_address(gobananas: InProcess) -> None:
    image = gobananas("POST", "/api/images", json={"prompt": "a banana on a hill"}).json()["images"][0]
    body = {
        "character_name": "Peel",
        "base_prompt": "a banana in a red coat",
        "description": "ripe",
        "negative_prompt": "dull",
        "system_instruction": "be kind",
        "preferred_aspect_ratio": "9:16",
        "reference_image_ids": [image["id"]],
        "tags": ["fruit"],
    }

    character = gobananas("POST", "/api/characters", json=body).json()

    pictures = [{name: image[name] for name in ("id", "url", "thumbnail_url")}]
    path = f"/api/characters/{character['id']}"
    assert character == {**character, **body, "created_at": "2026-01-01T00:00:00Z", "reference_images": pictures}
    assert gobananas("GET", path).json() == character
    listed = gobananas("GET", "/api/characters").json()
    assert (listed["characters"], listed["data"]) == ([character], [character])
    changed = gobananas("PATCH", path, json={"tags": ["fruit", "yellow"]}).json()
    assert changed == {**character, "tags": ["fruit", "yellow"]}


def test_a_style_preset_shows_all_its_fields(gobananas: InProcess) -> None:
    body = {
        "name": "Ink",
        "prompt": "ink drawing",
        "negative_prompt": "colour",
        "system_instruction": "few lines",
        "aspect_ratio": "9:16",
    }

    preset = gobananas("POST", "/api/style-presets", json=body).json()

    assert preset == {**body, "id": preset["id"], "created_at": "2026-01-01T00:00:00Z"}
    assert gobananas("GET", "/api/style-presets").json()["presets"] == [preset]
