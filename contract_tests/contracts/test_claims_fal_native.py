"""The mock keeps each claim of claims/fal-native.yaml, over HTTP. A test has the name of its claim."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from bananastand_mocks.falai import FalAIProvider
from in_process import InProcess

KEY = {"authorization": "Key fal-bananastand"}
INSTANCES = "/v1/compute/instances"
H100 = {"instance_type": "gpu_1x_h100_sxm5", "ssh_key": "ssh-ed25519 AAAA"}
USAGE = "/v1/models/usage"
ANALYTICS = "/v1/models/analytics?endpoint_id=fal-ai/flux-pro"
JANUARY = "start=2024-01-01&end=2024-02-01"


@pytest.fixture
def call() -> InProcess:
    return InProcess(FalAIProvider(), kind="documents", headers=KEY)


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["message"]


def ids(answer: httpx2.Response) -> list[str]:
    return [model["endpoint_id"] for model in answer.json()["models"]]


def buckets(answer: httpx2.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    return answer.json()["time_series"]


def test_fal_native_auth_key(call: InProcess):
    assert call("GET", INSTANCES).status_code == 200
    assert call("GET", INSTANCES, headers={"authorization": "Bearer fal-bananastand"}).status_code == 200
    assert call("GET", INSTANCES, headers={"authorization": "fal-bananastand"}).status_code == 401


def test_fal_native_auth_models_open(call: InProcess):
    without = call("GET", "/v1/models?limit=1", headers={"authorization": ""})
    assert without.json()["models"][0]["metadata"]["is_favorited"] is None
    assert call("GET", "/v1/models?limit=1").json()["models"][0]["metadata"]["is_favorited"] is False


def test_fal_native_auth_admin(call: InProcess):
    call.world.settings["falai.admin_key"] = False
    for path in (USAGE, ANALYTICS, INSTANCES, f"{INSTANCES}/abc123"):
        assert refusal(call("GET", path)) == (403, "Access denied")
    assert refusal(call("POST", INSTANCES, json=H100)) == (403, "Access denied")
    assert refusal(call("DELETE", f"{INSTANCES}/abc123")) == (403, "Access denied")


def test_fal_native_errors_texts(call: InProcess):
    assert refusal(call("GET", "/v1/models?limit=many")) == (400, "Invalid request parameters")
    assert refusal(call("GET", INSTANCES, headers={"authorization": ""})) == (401, "Authentication required")
    assert refusal(call("GET", f"{INSTANCES}/none")) == (404, "Resource not found")
    call.world.faults.next_calls(1, "status", "list_models", status=500)
    assert refusal(call("GET", "/v1/models")) == (500, "An unexpected error occurred")
    call.world.limits.set("fal-native", 0, 60)
    assert refusal(call("GET", "/v1/models")) == (429, "Rate limit exceeded")


def test_fal_native_pages_cursor(call: InProcess):
    assert call("GET", "/v1/models?limit=5").json()["next_cursor"] == "Mg"
    second = ids(call("GET", "/v1/models"))[5:10]
    assert ids(call("GET", "/v1/models?limit=5&cursor=Mg")) == second
    assert ids(call("GET", "/v1/models?limit=5&cursor=Mg==")) == second


def test_fal_native_models_endpoint_ids(call: InProcess):
    listed = ids(call("GET", "/v1/models?endpoint_id=fal-ai/whisper,fal-ai/esrgan"))
    assert listed == ["fal-ai/esrgan", "fal-ai/whisper"]
    assert ids(call("GET", "/v1/models?endpoint_id=fal-ai/whisper&endpoint_id=fal-ai/esrgan")) == listed


def test_fal_native_pricing_flux_dev(call: InProcess):
    (price,) = call("GET", "/v1/models/pricing?endpoint_id=fal-ai/flux/dev").json()["prices"]
    assert price == {
        "endpoint_id": "fal-ai/flux/dev",
        "unit_price": 0.025,
        "unit": "megapixels",
        "currency": "USD",
    }


def test_fal_native_pricing_estimate(call: InProcess):
    body = {"estimate_type": "unit_price", "endpoints": {"fal-ai/flux/dev": {"unit_quantity": 100}}}
    assert call("POST", "/v1/models/pricing/estimate", json=body).json()["total_cost"] == 2.5


def test_fal_native_pricing_unknown(call: InProcess):
    assert refusal(call("GET", "/v1/models/pricing?endpoint_id=fal-ai/none")) == (404, "Resource not found")


@pytest.mark.parametrize(
    ("end", "second"),
    [
        ("2024-01-01T01:00:00Z", "2024-01-01T00:01:00+00:00"),
        ("2024-01-02", "2024-01-01T01:00:00+00:00"),
        ("2024-02-01", "2024-01-02T00:00:00+00:00"),
        ("2024-05-01", "2024-01-08T00:00:00+00:00"),
        ("2024-12-01", "2024-02-01T00:00:00+00:00"),
    ],
)
def test_fal_native_usage_timeframe(call: InProcess, end: str, second: str):
    assert buckets(call("GET", f"{USAGE}?start=2024-01-01&end={end}"))[1]["bucket"] == second


def test_fal_native_usage_default_window(call: InProcess):
    assert buckets(call("GET", USAGE))[0]["bucket"] == "2025-12-31T00:00:00+00:00"
    until_noon = "start=2024-01-15&end=2024-01-15T12:00:00Z&expand=summary"
    assert call("GET", f"{USAGE}?{until_noon}").json()["summary"] == []
    past_noon = "start=2024-01-15&end=2024-01-15T12:01:00Z&expand=summary"
    assert len(call("GET", f"{USAGE}?{past_noon}").json()["summary"]) == 1


def test_fal_native_usage_zero_filled(call: InProcess):
    default = buckets(call("GET", USAGE))
    assert len(default) == 26
    assert [row["bucket"] for row in default] == sorted(row["bucket"] for row in default)
    filled = [bucket["bucket"] for bucket in buckets(call("GET", f"{USAGE}?{JANUARY}")) if bucket["results"]]
    assert filled == ["2024-01-15T00:00:00+00:00"]


def test_fal_native_usage_limit_buckets(call: InProcess):
    first = call("GET", f"{USAGE}?{JANUARY}&limit=30").json()
    assert (len(first["time_series"]), first["has_more"]) == (30, True)
    second = call("GET", f"{USAGE}?{JANUARY}&limit=30&cursor={first['next_cursor']}").json()
    assert [bucket["bucket"] for bucket in second["time_series"]] == ["2024-01-31T00:00:00+00:00"]


def test_fal_native_usage_expand(call: InProcess):
    assert set(call("GET", USAGE).json()) == {"time_series", "next_cursor", "has_more"}
    summary = call("GET", f"{USAGE}?{JANUARY}&expand=summary").json()
    assert [row["endpoint_id"] for row in summary["summary"]] == ["fal-ai/flux-pro"]
    assert "time_series" not in summary
    assert call("GET", f"{USAGE}?expand=auth_method").status_code == 400


def test_fal_native_analytics_expand(call: InProcess):
    (filled,) = [bucket for bucket in buckets(call("GET", f"{ANALYTICS}&{JANUARY}")) if bucket["results"]]
    assert filled["results"] == [{"endpoint_id": "fal-ai/flux-pro", "request_count": 3}]
    expanded = call("GET", f"{ANALYTICS}&{JANUARY}&expand=summary,p95_duration,error_count").json()
    assert expanded["summary"] == [{"endpoint_id": "fal-ai/flux-pro", "p95_duration": 5.0, "error_count": 1}]
    assert call("GET", f"{ANALYTICS}&expand=summary,speed").status_code == 400


def test_fal_native_usage_keys(call: InProcess):
    summary = f"{USAGE}?{JANUARY}&expand=summary,auth_method_structured"
    key = call("GET", summary).json()["summary"][0]["auth_method_structured"]["api_key_id"]
    assert len(call("GET", f"{summary}&api_key_id=another&api_key_id={key}").json()["summary"]) == 1
    assert len(call("GET", f"{summary}&api_key_id={key},another").json()["summary"]) == 1
    assert call("GET", f"{summary}&api_key_id=another,third").json()["summary"] == []
    assert call("GET", f"{summary}&login_username=ada&login_username=bob").json()["summary"] == []
    assert call("GET", f"{summary}&api_key_id={','.join(map(str, range(51)))}").status_code == 400


def test_fal_native_usage_auth_method(call: InProcess):
    expand = "expand=summary,auth_method,auth_method_structured"
    (row,) = call("GET", f"{USAGE}?{JANUARY}&{expand}").json()["summary"]
    assert row["auth_method"] == "Key 1"
    assert row["auth_method_structured"].keys() == {"detail", "api_key_id"}
    assert row["auth_method_structured"]["detail"] == "Key 1"


def test_fal_native_analytics_numbers(call: InProcess):
    parts = [f"p{part}_duration" for part in (25, 50, 75, 90, 95, 99)]
    unmeasured = [f"p{part}_prepare_duration" for part in (50, 75, 90, 95, 99)]
    unmeasured += [f"p{part}_cold_boot_duration" for part in (50, 75, 90)]
    expand = ",".join(["summary", *parts, *unmeasured])
    (row,) = call("GET", f"{ANALYTICS}&{JANUARY}&expand={expand}").json()["summary"]
    assert [row[name] for name in parts] == [3.0, 3.0, 5.0, 5.0, 5.0, 5.0]
    assert [row[name] for name in unmeasured] == [0.0] * 8


def test_fal_native_instances_lifecycle(call: InProcess):
    response = call("POST", INSTANCES, json=H100)
    assert (response.status_code, response.json()["status"]) == (201, "provisioning")
    assert "ip" not in response.json()
    call.world.clock.advance(30)
    ready = call("GET", f"{INSTANCES}/{response.json()['id']}").json()
    assert ready["status"] == "ready"
    assert ready["ip"].startswith("203.0.113.")


def test_fal_native_instances_idempotency(call: InProcess):
    first = call("POST", INSTANCES, json=H100, headers={"idempotency-key": "k"}).json()
    call.world.clock.advance(599)
    assert call("POST", INSTANCES, json=H100, headers={"idempotency-key": "k"}).json() == first
    assert len(call("GET", INSTANCES).json()["instances"]) == 2
    call.world.clock.advance(1)
    assert call("POST", INSTANCES, json=H100, headers={"idempotency-key": "k"}).json()["id"] != first["id"]


def test_fal_native_instances_delete(call: InProcess):
    gone = call("DELETE", f"{INSTANCES}/abc123")
    assert (gone.status_code, gone.content) == (204, b"")
    assert call("GET", f"{INSTANCES}/abc123").status_code == 404
