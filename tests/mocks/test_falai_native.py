"""fal's own API at its own address: its names, its keys, its errors."""

from __future__ import annotations

from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from bananastand_mocks.falai import FalAIProvider
from bananastand_mocks.falai.state import Tally, count
from in_process import InProcess

H100 = {"instance_type": "gpu_1x_h100_sxm5", "ssh_key": "ssh-ed25519 AAAA"}


@pytest.fixture
def send() -> InProcess:
    return InProcess(FalAIProvider(), kind="development", headers={"authorization": "Key fal-bananastand"})


def error(kind: str, message: str) -> dict[str, str]:
    return {"type": kind, "message": message}


def reported_error(answer: Any) -> dict[str, str]:
    return {name: answer.json()["error"][name] for name in ("type", "message")}


def test_the_key_follows_key_or_bearer(send: InProcess):
    assert send("GET", "/v1/compute/instances").status_code == 200
    bearer = send("GET", "/v1/compute/instances", headers={"authorization": "Bearer fal-bananastand"})
    assert bearer.status_code == 200
    for wrong in ("fal-bananastand", "Key other", "Basic fal-bananastand", ""):
        answer = send("GET", "/v1/compute/instances", headers={"authorization": wrong})
        assert answer.status_code == 401
        assert reported_error(answer) == error("authorization_error", "Authentication required")


def test_models_need_no_key_and_then_know_no_favourites(send: InProcess):
    with_key = send("GET", "/v1/models").json()["models"][0]
    without = send("GET", "/v1/models", headers={"authorization": ""}).json()["models"][0]
    assert with_key["metadata"]["is_favorited"] is False
    assert without["metadata"]["is_favorited"] is None


def test_a_key_that_is_no_admins_is_denied_usage_analytics_and_compute(send: InProcess):
    send.world.settings["falai.admin_key"] = False
    for path in ("/v1/models/usage", "/v1/models/analytics?endpoint_id=fal-ai/flux-pro", "/v1/compute/instances"):
        answer = send("GET", path)
        assert answer.status_code == 403
        assert reported_error(answer) == error("authorization_error", "Access denied")
    assert send("GET", "/v1/models/pricing?endpoint_id=fal-ai/flux-pro").status_code == 200


def test_a_fault_is_told_in_fals_words(send: InProcess):
    send.world.faults.next_calls(1, "status", "list_models", status=500)
    answer = send("GET", "/v1/models")
    assert (answer.status_code, reported_error(answer)) == (500, error("server_error", "An unexpected error occurred"))
    assert send("GET", "/v1/models").status_code == 200


def test_answers_carry_the_recorded_header(send: InProcess):
    assert send("GET", "/v1/models").headers["cache-control"] == "public, max-age=0, must-revalidate"


def test_ids_are_repeated_or_separated_by_commas(send: InProcess):
    repeated = send("GET", "/v1/models?endpoint_id=fal-ai/flux/dev&endpoint_id=fal-ai/whisper").json()
    listed = send("GET", "/v1/models?endpoint_id=fal-ai/whisper,fal-ai/flux/dev").json()
    assert [model["endpoint_id"] for model in repeated["models"]] == ["fal-ai/flux/dev", "fal-ai/whisper"]
    assert repeated == listed
    many = ",".join(f"a{n}" for n in range(51))
    assert send("GET", f"/v1/models?endpoint_id={many}").status_code == 400


def test_models_by_text_category_and_status(send: InProcess):
    def ids(query: str) -> list[str]:
        return [model["endpoint_id"] for model in send("GET", f"/v1/models?{query}").json()["models"]]

    assert ids("q=schnell") == ["fal-ai/flux/schnell"]
    assert ids("category=speech-to-text") == ["fal-ai/whisper"]
    assert ids("status=deprecated") == ["fal-ai/lcm"]


def test_expand_adds_to_a_model(send: InProcess):
    plain = send("GET", "/v1/models?limit=1").json()["models"][0]
    assert set(plain) == {"endpoint_id", "metadata"}
    full = send("GET", "/v1/models?limit=1&expand=openapi-3.0,enterprise_status").json()["models"][0]
    assert list(full["openapi"]["paths"]) == [f"/{plain['endpoint_id']}"]
    assert full["enterprise_status"] == "ready"


def test_every_model_has_an_openapi_of_its_own(send: InProcess):
    models = send("GET", "/v1/models?expand=openapi-3.0").json()["models"]
    assert len(models) > 1
    for model in models:
        document = model["openapi"]
        assert [violation.message for violation in OpenAPIV30SpecValidator(document).iter_errors()] == []
        body = document["paths"][f"/{model['endpoint_id']}"]["post"]["requestBody"]["content"]["application/json"]
        assert len(body["schema"]["required"]) == 1
        assert document["info"]["title"] == model["metadata"]["display_name"]


def test_usage_is_told_by_key(send: InProcess):
    count(send.world, "fal-ai/flux/dev", Tally(requests=1, quantity=100))
    (row,) = send("GET", "/v1/models/usage?expand=summary,auth_method_structured").json()["summary"]
    key = row["auth_method_structured"]["api_key_id"]
    assert row["auth_method_structured"] == {"detail": "Key 1", "api_key_id": key}
    assert "fal-bananastand" not in key
    assert "auth_method" not in row
    own = send("GET", f"/v1/models/usage?expand=summary&api_key_id={key}").json()
    assert [row["endpoint_id"] for row in own["summary"]] == ["fal-ai/flux/dev"]
    other = send("GET", "/v1/models/usage?expand=summary,time_series&api_key_id=another").json()
    assert other["summary"] == []
    assert {len(bucket["results"]) for bucket in other["time_series"]} == {0}


def test_prices_are_as_recorded(send: InProcess):
    assert send("GET", "/v1/models/pricing?endpoint_id=fal-ai/flux/dev").json() == {
        "prices": [{"endpoint_id": "fal-ai/flux/dev", "unit_price": 0.025, "unit": "megapixels", "currency": "USD"}],
        "next_cursor": None,
        "has_more": False,
    }
    assert send("GET", "/v1/models/pricing").status_code == 400
    assert send("GET", "/v1/models/pricing?endpoint_id=,").status_code == 400
    assert send("GET", "/v1/models/pricing?endpoint_id=fal-ai/none").status_code == 404


@pytest.mark.parametrize(
    ("kind", "quantity"), [("unit_price", {"unit_quantity": 100}), ("historical_api_price", {"call_quantity": 100})]
)
def test_an_estimate_is_as_recorded(send: InProcess, kind: str, quantity: dict[str, int]):
    body = {"estimate_type": kind, "endpoints": {"fal-ai/flux/dev": quantity}}
    answer = send("POST", "/v1/models/pricing/estimate", json=body)
    assert answer.json() == {"estimate_type": kind, "total_cost": 2.5, "currency": "USD"}


def test_a_long_window_of_minutes_is_cut_into_pages(send: InProcess):
    send("POST", "/v1/compute/instances", json=H100)
    answer = send("GET", "/v1/models/usage?start=1970-01-01&end=2199-01-01&timeframe=minute").json()
    assert (len(answer["time_series"]), answer["has_more"]) == (1000, True)
    most = "limit=9007199254740991"
    answer = send("GET", f"/v1/models/usage?start=1970-01-01&end=2199-01-01&timeframe=minute&{most}").json()
    assert (len(answer["time_series"]), answer["next_cursor"]) == (1000, "Mg")


def test_usage_expand_selects_summary_and_auth_method(send: InProcess):
    count(send.world, "fal-ai/flux/dev", Tally(requests=1, quantity=100))
    answer = send("GET", "/v1/models/usage?expand=summary,auth_method").json()
    assert set(answer) == {"summary", "next_cursor", "has_more"}
    assert (answer["summary"][0]["cost"], answer["summary"][0]["auth_method"]) == (2.5, "Key 1")
    assert send("GET", "/v1/models/usage?expand=auth_method").status_code == 400


def test_the_end_of_a_window_is_not_included(send: InProcess):
    count(send.world, "fal-ai/flux/dev")
    day = send("GET", "/v1/models/usage?start=2025-12-31&end=2026-01-01&expand=summary").json()
    assert day["summary"] == []
    two = send("GET", "/v1/models/usage?start=2025-12-31&end=2026-01-02&expand=summary").json()
    assert len(two["summary"]) == 1


def test_usage_buckets_follow_the_timezone(send: InProcess):
    answer = send("GET", "/v1/models/usage?start=2024-07-01&end=2024-07-04&timezone=Europe/Berlin").json()
    assert [bucket["bucket"] for bucket in answer["time_series"]] == [
        "2024-07-01T00:00:00+02:00",
        "2024-07-02T00:00:00+02:00",
        "2024-07-03T00:00:00+02:00",
    ]
    for wrong in ("Mars/Olympus", "../../etc/passwd", "/etc", ""):
        assert send("GET", "/v1/models/usage", params={"timezone": wrong}).status_code == 400


def test_analytics_counts_requests_unless_asked_for_more(send: InProcess):
    count(send.world, "fal-ai/flux-pro", Tally(requests=4, errors=1, durations=[1.0, 2.0, 3.0, 10.0]))
    flux = "/v1/models/analytics?endpoint_id=fal-ai/flux-pro"
    answer = send("GET", flux).json()
    assert [bucket["results"] for bucket in answer["time_series"] if bucket["results"]] == [
        [{"endpoint_id": "fal-ai/flux-pro", "request_count": 4}]
    ]
    metrics = "success_count,error_count,p50_duration,p90_duration,p50_prepare_duration,cold_boot_count"
    assert send("GET", f"{flux}&expand=summary,{metrics}").json()["summary"] == [
        {
            "endpoint_id": "fal-ai/flux-pro",
            "success_count": 3,
            "error_count": 1,
            "p50_duration": 2.0,
            "p90_duration": 10.0,
            "p50_prepare_duration": 0.0,
            "cold_boot_count": 0,
        }
    ]


def test_analytics_refuses_what_it_does_not_know(send: InProcess):
    assert send("GET", "/v1/models/analytics").status_code == 400
    assert send("GET", "/v1/models/analytics?endpoint_id=fal-ai/none").status_code == 404
    flux = "/v1/models/analytics?endpoint_id=fal-ai/flux-pro"
    assert send("GET", f"{flux}&expand=time_series,speed").status_code == 400
    assert send("GET", f"{flux}&expand=request_count").status_code == 400
    assert send("GET", f"{flux}&expand=summary").status_code == 400


def test_a_sector_is_kept_for_the_eight_fold_type(send: InProcess):
    eight = {**H100, "instance_type": "gpu_8x_h100_sxm5", "sector": "sector_2"}
    assert send("POST", "/v1/compute/instances", json=eight).json()["sector"] == "sector_2"
    assert send("POST", "/v1/compute/instances", json={**H100, "sector": "sector_2"}).status_code == 400
