"""fal at its boundaries: windows, pages, meters, hours and prices, over HTTP, at the gateway and at fal's own address.

The clock starts at 2026-01-01T00:00:00Z.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from bananastand_mocks.falai import FalAIProvider, FalAIUpstream
from bananastand_mocks.running import MockSession
from gateway_caller import GatewayCaller
from in_process import InProcess

INSTANCES = "/v1/compute/instances"
ONE = f"{INSTANCES}/instance_id"
NODE = {"instance_type": "gpu_1x_h100_sxm5", "ssh_key": "ssh-ed25519 AAAA"}
FLUX = "fal-ai/flux-pro"
HOUR = 3600


@pytest.fixture
def call() -> GatewayCaller:
    return GatewayCaller(FalAIUpstream(), "empty")


@pytest.fixture
def native() -> InProcess:
    return InProcess(FalAIProvider(), kind="empty", headers={"authorization": "Key fal-bananastand"})


def start_instance(call: GatewayCaller) -> str:
    """The id of a new instance that has just become active."""
    id = call.result("POST", INSTANCES, {"instance_type": "gpu-1x-a10g"})["id"]
    call.world.clock.advance(30)
    return id


def get(native: InProcess, path: str, **query: Any) -> Any:
    return native("GET", path, params=query).json()


# Windows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "buckets", "first"),
    [
        ("2025-12-31T22:00:01Z", "2026-01-01T00:00:00Z", 120, "2025-12-31T22:00:00+00:00"),  # minutes, below 2 hours
        ("2025-12-31T22:00:00Z", "2026-01-01T00:00:00Z", 2, "2025-12-31T22:00:00+00:00"),  # hours, below 48
        ("2025-12-30T00:00:00Z", "2026-01-01T00:00:00Z", 2, "2025-12-30T00:00:00+00:00"),  # days, below 64
        ("2025-10-29", "2026-01-01T00:00:00Z", 10, "2025-10-27T00:00:00+00:00"),  # weeks, from a Monday, below 183 days
        ("2025-07-02", "2026-01-01T00:00:00Z", 6, "2025-07-01T00:00:00+00:00"),  # months
    ],
)
def test_the_length_of_a_window_decides_the_length_of_its_buckets(
    start: str, end: str, buckets: int, first: str, native: InProcess
) -> None:
    series = get(native, "/v1/models/usage", start=start, end=end, limit=200)["time_series"]

    assert (len(series), series[0]["bucket"]) == (buckets, first)


def test_a_window_may_be_empty_but_not_end_before_it_starts(native: InProcess) -> None:
    noon, before = "2025-12-31T12:00:00Z", "2025-12-31T11:59:59Z"

    assert native("GET", "/v1/models/usage", params={"start": noon, "end": noon}).status_code == 200
    assert native("GET", "/v1/models/usage", params={"start": noon, "end": before}).status_code == 400


@pytest.mark.parametrize(("bound", "quantity"), [("true", [0.5]), ("false", [])])
def test_a_bound_window_is_widened_to_its_buckets(bound: str, quantity: list[float], stand: MockSession) -> None:
    gateway, own = stand.endpoint("falai"), stand.endpoint("fal-native")
    token = {"api_token": gateway.key}
    created = httpx2.post(f"{gateway.base_url}{INSTANCES}", params=token, json={"instance_type": "gpu-1x-a10g"})
    id = created.json()["result"]["id"]
    stand.clock.advance(30 + HOUR / 2)
    httpx2.post(f"{gateway.base_url}{ONE}/stop", params={**token, "instance_id": id})
    stand.clock.advance(HOUR)
    query = {"start": "2026-01-01T00:45:00Z", "end": "2026-01-01T01:00:00Z", "timeframe": "hour", "expand": "summary"}

    response = httpx2.get(
        f"{own.base_url}/v1/models/usage",
        params={**query, "bound_to_timeframe": bound},
        headers={"authorization": f"Key {own.key}"},
    )

    assert [row["quantity"] for row in response.json()["summary"]] == quantity


# Instances -------------------------------------------------------------------------------------------------------


def test_the_states_of_an_instance_in_the_words_of_either_address(stand: MockSession) -> None:
    gateway, own = stand.endpoint("falai"), stand.endpoint("fal-native")
    token = {"api_token": gateway.key}
    response = httpx2.post(f"{gateway.base_url}{INSTANCES}", params=token, json={"instance_type": "gpu-1x-a10g"})
    id = response.json()["result"]["id"]

    def states() -> tuple[str, str]:
        here = httpx2.get(f"{gateway.base_url}{ONE}", params={**token, "instance_id": id})
        native = httpx2.get(f"{own.base_url}{INSTANCES}/{id}", headers={"authorization": f"Key {own.key}"})
        return here.json()["result"]["status"], native.json()["status"]

    def change(action: str) -> None:
        httpx2.post(f"{gateway.base_url}{ONE}/{action}", params={**token, "instance_id": id})

    seen = [states()]
    stand.clock.advance(30)
    seen.append(states())
    change("stop")
    seen.append(states())
    stand.clock.advance(5)
    seen.append(states())
    change("start")
    seen.append(states())

    assert seen == [
        ("provisioning", "provisioning"),
        ("active", "ready"),
        ("stopping", "stopped"),
        ("stopped", "stopped"),
        ("starting", "pending"),
    ]


def test_the_address_of_an_instance_is_in_a_range_for_documentation(call: GatewayCaller) -> None:
    addresses = [call.result("GET", ONE, instance_id=start_instance(call))["ip"] for _ in range(5)]

    assert [address.rpartition(".")[0] for address in addresses] == ["203.0.113"] * 5
    assert len(set(addresses)) > 1


@pytest.mark.parametrize(("minutes", "points", "first"), [(0, 1, 0), (59, 60, 0), (60, 60, 1), (90, 60, 31)])
def test_a_meter_shows_the_last_sixty_minutes(minutes: int, points: int, first: int, call: GatewayCaller) -> None:
    id = start_instance(call)
    began = call.world.clock.now()
    call.world.clock.advance(60 * minutes)

    found = call.result("GET", f"{ONE}/monitor", instance_id=id, metrics="cpu")["metrics"]["cpu"]["points"]

    assert len(found) == points
    assert datetime.fromisoformat(found[0]["timestamp"]) == datetime.fromtimestamp(began + 60 * first, UTC)
    assert [point for point in found if not 0 <= point["value"] <= 100] == []


def test_an_instance_stopped_as_soon_as_it_runs_costs_nothing(call: GatewayCaller) -> None:
    id = start_instance(call)
    call.result("POST", f"{ONE}/stop", instance_id=id)
    call.result("DELETE", ONE, instance_id=id)

    assert call.result("GET", "/v1/usage")["summary"] == []


@pytest.mark.parametrize(
    ("instance_type", "hourly"), [("gpu_8x_h100_sxm5", 15.12), ("gpu_1x_h100_sxm5", 1.89), ("gpu-1x-a10g", 1.2)]
)
def test_an_hour_of_an_instance_costs_its_price(instance_type: str, hourly: float, call: GatewayCaller) -> None:
    call.result("POST", INSTANCES, {"instance_type": instance_type})
    call.world.clock.advance(30 + HOUR)

    (row,) = call.result("GET", "/v1/usage")["summary"]

    assert (row["endpoint_id"], row["quantity"], row["unit_price"], row["cost"]) == (
        f"compute/{instance_type}",
        1.0,
        hourly,
        hourly,
    )


def test_a_row_of_usage_has_quantity_price_and_discount(stand: MockSession) -> None:
    own = stand.endpoint("fal-native")
    headers = {"authorization": f"Key {own.key}"}
    httpx2.post(f"{own.base_url}{INSTANCES}", json=NODE, headers=headers)
    stand.clock.advance(2.5 * HOUR)  # it runs after 30 s

    response = httpx2.get(f"{own.base_url}/v1/models/usage", params={"expand": "summary"}, headers=headers)

    assert response.json()["summary"] == [
        {
            "endpoint_id": "compute/gpu_1x_h100_sxm5",
            "unit": "hours",
            "quantity": 2.491667,
            "unit_price": 1.89,
            "percent_discount": None,
            "cost_subtotal": 4.70925,
            "cost_discount": 0,
            "cost_total": 4.70925,
            "cost": 4.70925,
            "currency": "USD",
        }
    ]


def test_an_idempotency_key_is_remembered_for_ten_minutes(native: InProcess) -> None:
    def create() -> str:
        return native("POST", INSTANCES, json=NODE, headers={"idempotency-key": "one"}).json()["id"]

    first = create()
    native.world.clock.advance(599.9)
    assert create() == first
    native.world.clock.advance(0.1)
    assert create() != first


# Pages -----------------------------------------------------------------------------------------------------------


def cursor(number: int) -> str:
    return base64.urlsafe_b64encode(str(number).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("page", "rows", "following"), [(0, 2, 2), (1, 2, 2), (2, 2, 3), (3, 1, None), (4, 0, None), (1_000_000, 0, None)]
)
def test_a_cursor_holds_the_number_of_a_page(page: int, rows: int, following: int | None, call: GatewayCaller) -> None:
    ids = [call.result("POST", INSTANCES, {"instance_type": "gpu-1x-a10g"})["id"] for _ in range(5)]

    found = call.result("GET", INSTANCES, limit=2, cursor=cursor(page))

    start = 2 * (max(page, 1) - 1)
    assert [row["id"] for row in found["instances"]] == ids[start : start + rows]
    assert found["next_cursor"] == (None if following is None else cursor(following))
    assert found["has_more"] == (following is not None)


def test_a_page_has_fifty_rows_unless_the_query_says_otherwise(call: GatewayCaller, native: InProcess) -> None:
    for _ in range(51):
        call.result("POST", INSTANCES, {"instance_type": "gpu-1x-a10g"})
        native("POST", INSTANCES, json=NODE)

    assert len(call.result("GET", INSTANCES)["instances"]) == 50
    assert len(call.result("GET", INSTANCES, offset=50)["instances"]) == 1
    assert len(call.result("GET", INSTANCES, limit=60)["instances"]) == 51
    assert len(get(native, INSTANCES)["instances"]) == 50


# Prices ----------------------------------------------------------------------------------------------------------


def test_the_second_tier_of_a_price_begins_at_ten_thousand_and_is_a_tenth_cheaper(call: GatewayCaller) -> None:
    (price,) = call.result("GET", "/v1/pricing", model_id="fal-ai/flux/dev")["prices"]

    assert price["usage_tiers"] == [
        {"from_quantity": 0, "unit_price": 0.025},
        {"from_quantity": 10_000, "unit_price": 0.0225},
    ]


def test_an_estimate_is_rounded_to_millionths(native: InProcess) -> None:
    body = {"estimate_type": "unit_price", "endpoints": {"fal-ai/flux/dev": {"unit_quantity": 1.23456789}}}

    assert native("POST", "/v1/models/pricing/estimate", json=body).json()["total_cost"] == 0.030864
