"""The mock keeps each claim of claims/falai.yaml, over HTTP. A test has the name of its claim."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from bananastand_mocks.falai import FalAIUpstream
from gateway_caller import TOKEN, GatewayCaller

INSTANCES = "/v1/compute/instances"
ONE = f"{INSTANCES}/instance_id"


@pytest.fixture
def call() -> GatewayCaller:
    return GatewayCaller(FalAIUpstream(), "development")


@pytest.fixture
def documents() -> GatewayCaller:
    return GatewayCaller(FalAIUpstream(), "documents")


def create(call: GatewayCaller, **body: Any) -> str:
    """The id of a new instance."""
    return call.result("POST", INSTANCES, {"instance_type": "gpu-1x-a10g", **body})["id"]


def ids(models: Any) -> list[str]:
    return [model["endpoint_id"] for model in models["models"]]


def fal_error(answer: httpx2.Response) -> tuple[int, str, str]:
    error = answer.json()["error"]["error"]
    return answer.status_code, error["type"], error["message"]


def test_falai_auth_token_in_query(call: GatewayCaller):
    body = {"instance_type": "a", "api_token": TOKEN}
    assert call.send("POST", INSTANCES, json=body, headers={"api_token": TOKEN}).status_code == 401
    assert call("POST", INSTANCES, {"instance_type": "a", "api_token": "wrong"}).status_code == 200


def test_falai_auth_token_missing(call: GatewayCaller):
    for answer in (call.send("GET", "/v1/models"), call.send("GET", "/v1/models?api_token=YOUR_API_TOKEN")):
        assert answer.status_code == 401
        assert answer.json()["message"] == "A valid API token is required to access this API."


def test_falai_auth_token_unknown(call: GatewayCaller):
    answer = call.send("GET", "/v1/models?api_token=at_rffffffffffffffffffffffffffffffff")
    assert (answer.status_code, answer.json()["message"]) == (403, "Invalid api_token")


def test_falai_envelope_success(call: GatewayCaller):
    answer = call("POST", INSTANCES, {"instance_type": "a"})
    assert answer.status_code == 200
    assert set(answer.json()) == {"message", "provider", "result", "response_headers"}
    assert (answer.json()["message"], answer.json()["provider"]) == ("Request completed", "falai")


def test_falai_envelope_error(call: GatewayCaller):
    answer = call("GET", "/v1/models/model_id", model_id="fal-ai/none")
    assert answer.status_code == 404
    assert answer.json()["message"] == "Error received from the falai API"
    assert answer.json()["error"] == {"error": {"type": "not_found", "message": "Resource not found"}}


def test_falai_errors_texts(call: GatewayCaller):
    invalid = call("GET", "/v1/models", limit=-1)
    assert fal_error(invalid) == (400, "validation_error", "Invalid request parameters")
    unknown = call("GET", ONE, instance_id="none")
    assert fal_error(unknown) == (404, "not_found", "Resource not found")
    call.world.limits.set("falai", 0, 60)
    assert fal_error(call("GET", "/v1/models")) == (429, "rate_limited", "Rate limit exceeded")


def test_falai_address_unknown(call: GatewayCaller):
    for answer in (call("GET", "/v1/nothing"), call("PATCH", "/v1/models")):
        assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


def test_falai_address_path_parameter(documents: GatewayCaller):
    in_query = documents.result("GET", "/v1/models/model_id", model_id="fal-ai/flux/dev")
    assert documents.result("GET", "/v1/models/fal-ai/flux/dev") == in_query
    assert documents.result("GET", f"{INSTANCES}/abc123") == documents.result("GET", ONE, instance_id="abc123")


def test_falai_models_search(call: GatewayCaller):
    assert ids(call.result("GET", "/v1/models", search="SCHNELL")) == ["fal-ai/flux/schnell"]
    assert ids(call.result("GET", "/v1/models", search="Speech recognition")) == ["fal-ai/whisper"]


def test_falai_models_pages(call: GatewayCaller):
    pages = [ids(call.result("GET", "/v1/models", limit=4, offset=offset)) for offset in (0, 4, 8, 12)]
    assert [len(page) for page in pages] == [4, 4, 4, 2]
    assert sum(pages, []) == ids(call.result("GET", "/v1/models"))


def test_falai_models_cursor(call: GatewayCaller):
    first = call.result("GET", "/v1/models", limit=10)
    assert first["has_more"] is True
    last = call.result("GET", "/v1/models", limit=10, cursor=first["next_cursor"])
    assert ids(first) + ids(last) == ids(call.result("GET", "/v1/models"))
    assert (last["next_cursor"], last["has_more"]) == (None, False)


def test_falai_models_details(call: GatewayCaller):
    listed = call.result("GET", "/v1/models", limit=1)["models"][0]
    details = call.result("GET", "/v1/models/model_id", model_id=listed["endpoint_id"])
    assert details["metadata"] == listed["metadata"]
    assert details.keys() - listed.keys() == {"capabilities", "configuration"}
    assert call("GET", "/v1/models/model_id", model_id="fal-ai/none").status_code == 404


def test_falai_models_flux_pro(call: GatewayCaller):
    details = call.result("GET", "/v1/models/model_id", model_id="fal-ai/flux-pro")
    assert details["metadata"]["display_name"] == "FLUX.1 [pro]"


def test_falai_pricing_all(call: GatewayCaller):
    every = call.result("GET", "/v1/pricing")["prices"]
    assert [row["endpoint_id"] for row in every] == ids(call.result("GET", "/v1/models"))
    assert call.result("GET", "/v1/pricing", model_id="fal-ai/flux-pro")["prices"] == every[:1]


def test_falai_pricing_content(call: GatewayCaller):
    (price,) = call.result("GET", "/v1/pricing", model_id="fal-ai/flux/dev")["prices"]
    assert (price["cost_per_request"], price["unit"], price["currency"]) == (0.025, "megapixels", "USD")
    assert price["usage_tiers"][0] == {"from_quantity": 0, "unit_price": 0.025}
    assert price["billing"] == {"model": "pay_per_use", "period": "month"}


def test_falai_usage_counts(call: GatewayCaller):
    for _ in range(3):
        call.result("GET", "/v1/models/model_id", model_id="fal-ai/flux-pro")
    create(call)
    call.world.clock.advance(30 + 2 * 3600)
    instance, model = call.result("GET", "/v1/usage")["summary"]
    assert (model["endpoint_id"], model["requests"], model["cost"]) == ("fal-ai/flux-pro", 3, 0)
    assert (instance["endpoint_id"], instance["quantity"], instance["cost"]) == ("compute/gpu-1x-a10g", 2.0, 2.4)


def test_falai_usage_model_filter(call: GatewayCaller):
    for model_id in ("fal-ai/flux-pro", "fal-ai/whisper"):
        call.result("GET", "/v1/models/model_id", model_id=model_id)
    (row,) = call.result("GET", "/v1/usage", model_id="fal-ai/whisper")["summary"]
    assert row["endpoint_id"] == "fal-ai/whisper"
    assert call("GET", "/v1/usage", model_id="fal-ai/none").status_code == 404


def test_falai_usage_buckets(documents: GatewayCaller):
    window = {"start_date": "2024-01-14", "end_date": "2024-01-16"}
    buckets = documents.result("GET", "/v1/usage", **window)["time_series"]
    assert [bucket["bucket"][:10] for bucket in buckets] == ["2024-01-14", "2024-01-15", "2024-01-16"]
    assert [len(bucket["results"]) for bucket in buckets] == [0, 1, 0]


def test_falai_usage_window(documents: GatewayCaller):
    day = documents.result("GET", "/v1/usage", start_date="2024-01-15", end_date="2024-01-15")
    assert day["summary"][0]["requests"] == 3
    assert documents.result("GET", "/v1/usage", start_date="2024-01-01", end_date="2024-01-14")["summary"] == []
    default = documents.result("GET", "/v1/usage")["time_series"]
    assert default[0]["bucket"] == "2025-12-31T00:00:00+00:00"


def test_falai_usage_inverted(call: GatewayCaller):
    assert call("GET", "/v1/usage", start_date="2024-02-01", end_date="2024-01-01").status_code == 400


def test_falai_analytics_metric(documents: GatewayCaller):
    january = {"start_date": "2024-01-01", "end_date": "2024-01-31"}
    (row,) = documents.result("GET", "/v1/analytics", metric="requests", **january)["summary"]
    assert row == {"endpoint_id": "fal-ai/flux-pro", "requests": 3}
    (row,) = documents.result("GET", "/v1/analytics", **january)["summary"]
    assert row == {"endpoint_id": "fal-ai/flux-pro", "requests": 3, "cost": 0.1, "latency": 4.0, "errors": 1}


def test_falai_instances_lifecycle(call: GatewayCaller):
    instance_id = create(call)
    assert call.result("GET", ONE, instance_id=instance_id)["status"] == "provisioning"
    call.world.clock.advance(30)
    assert call.result("GET", ONE, instance_id=instance_id)["status"] == "active"


def test_falai_instances_start(documents: GatewayCaller):
    assert documents.result("POST", f"{ONE}/start", instance_id="abc123")["status"] == "active"
    documents.result("POST", f"{ONE}/stop", instance_id="abc123")
    documents.world.clock.advance(5)
    assert documents.result("POST", f"{ONE}/start", instance_id="abc123")["status"] == "starting"
    documents.world.clock.advance(10)
    assert documents.result("GET", ONE, instance_id="abc123")["status"] == "active"


def test_falai_instances_stop(documents: GatewayCaller):
    assert documents.result("POST", f"{ONE}/stop", instance_id="abc123")["status"] == "stopping"
    documents.world.clock.advance(5)
    assert documents.result("GET", ONE, instance_id="abc123")["status"] == "stopped"
    assert documents.result("POST", f"{ONE}/stop", instance_id="abc123")["status"] == "stopped"


def test_falai_instances_status_filter(documents: GatewayCaller):
    new = create(documents)
    listed = documents.result("GET", INSTANCES, status="active")["instances"]
    assert [row["id"] for row in listed] == ["abc123"]
    listed = documents.result("GET", INSTANCES, status="provisioning")["instances"]
    assert [row["id"] for row in listed] == [new]
    assert documents.result("GET", INSTANCES, status="bananas")["instances"] == []


def test_falai_instances_pages(call: GatewayCaller):
    ids = [create(call) for _ in range(3)]
    pages = [call.result("GET", INSTANCES, limit=2, offset=offset)["instances"] for offset in (0, 2)]
    assert [[row["id"] for row in page] for page in pages] == [ids[:2], ids[2:]]


def test_falai_instances_unknown(call: GatewayCaller):
    for method, path in (("GET", ONE), ("DELETE", ONE), ("POST", f"{ONE}/start"), ("POST", f"{ONE}/stop")):
        assert call(method, path, instance_id="none").status_code == 404
    assert call("GET", f"{ONE}/monitor", instance_id="none").status_code == 404


def test_falai_instances_delete(documents: GatewayCaller):
    documents.world.clock.advance(3600)
    assert documents.result("DELETE", ONE, instance_id="abc123") == ""
    assert documents("GET", ONE, instance_id="abc123").status_code == 404
    assert documents.result("GET", INSTANCES)["instances"] == []
    assert documents.result("GET", "/v1/usage")["summary"][0]["quantity"] == 1.0


def test_falai_instances_config(call: GatewayCaller):
    instance_id = create(call, name="my-ai-instance", config={"max_workers": 4})
    instance = call.result("GET", ONE, instance_id=instance_id)
    assert (instance["name"], instance["config"]) == ("my-ai-instance", {"max_workers": 4})


def test_falai_monitor_metrics(documents: GatewayCaller):
    documents.world.clock.advance(90)
    two = documents.result("GET", f"{ONE}/monitor", instance_id="abc123", metrics="cpu,memory")["metrics"]
    assert {name: len(value["points"]) for name, value in two.items()} == {"cpu": 2, "memory": 2}
    every = documents.result("GET", f"{ONE}/monitor", instance_id="abc123")["metrics"]
    assert set(every) == {"cpu", "memory", "gpu", "disk", "network"}
    idle = documents.result("GET", f"{ONE}/monitor", instance_id=create(documents), metrics="gpu")["metrics"]
    assert idle["gpu"]["points"] == []


def answers(call: GatewayCaller, *requests: Any) -> list[Any]:
    return call.result("POST", "/v1/batch", {"requests": list(requests)})["responses"]


def test_falai_batch_order(call: GatewayCaller):
    models = {"method": "GET", "path": "/v1/models", "params": {"limit": 1}}
    prices = {"method": "GET", "path": "/v1/pricing", "params": {"model_id": "fal-ai/flux-pro"}}
    assert [set(answer["body"]) & {"models", "prices"} for answer in answers(call, models, prices)] == [
        {"models"},
        {"prices"},
    ]
    assert [set(answer["body"]) & {"models", "prices"} for answer in answers(call, prices, models)] == [
        {"prices"},
        {"models"},
    ]


def test_falai_batch_one_bad_item(call: GatewayCaller):
    good = {"method": "GET", "path": "/v1/pricing"}
    bad = {"method": "GET", "path": "/v1/models", "params": {"limit": "many"}}
    assert [answer["status"] for answer in answers(call, good, bad, good)] == [200, 400, 200]


def test_falai_batch_nested(call: GatewayCaller):
    nested = {"method": "POST", "path": "/v1/batch", "body": {"requests": []}}
    outside = {"method": "GET", "path": "/definition"}
    assert [answer["status"] for answer in answers(call, nested, outside)] == [400, 400]


def test_falai_batch_no_params(call: GatewayCaller):
    (answer,) = answers(call, {"method": "GET", "path": "/v1/pricing"})
    assert len(answer["body"]["prices"]) == 14
