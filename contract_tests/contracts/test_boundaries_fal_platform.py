"""fal's Platform API and its gateway: whole rows of usage, percentiles, list lengths, texts of errors.

Rows are those of FACTS 3.3; texts are C:139's. The clock starts at 2026-01-01T00:00:00Z.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx2
import pytest

from bananastand_mocks.falai import FalAIProvider, FalAIUpstream
from bananastand_mocks.falai.state import Tally, count
from bananastand_mocks.kernel.app import ProviderApp
from bananastand_mocks.running import MockSession, RunningServer
from gateway_caller import GatewayCaller
from in_process import InProcess

INSTANCES = "/v1/compute/instances"
NODE = {"instance_type": "gpu_1x_h100_sxm5", "ssh_key": "ssh-ed25519 AAAA"}
FLUX = "fal-ai/flux/dev"
USAGE = "/v1/models/usage"
KEY = {"authorization": "Key fal-bananastand"}


@pytest.fixture
def native() -> InProcess:
    return InProcess(FalAIProvider(), kind="empty", headers=KEY)


def error(response: httpx2.Response) -> tuple[int, str, str]:
    return response.status_code, *(response.json()["error"][name] for name in ("type", "message"))


def summary(native: InProcess, *metrics: str) -> Any:
    query = {"endpoint_id": FLUX, "expand": ",".join(("summary", *metrics))}
    (row,) = native("GET", "/v1/models/analytics", params=query).json()["summary"]
    return row


def test_a_row_of_usage_is_complete_in_a_bucket_and_in_the_summary(native: InProcess) -> None:
    count(native.world, FLUX, Tally(requests=2, quantity=1.2345674))
    answer = native("GET", USAGE, params={"expand": "time_series,summary"}).json()
    row = {"endpoint_id": FLUX, "unit": "megapixels", "quantity": 1.234567, "unit_price": 0.025,
           "percent_discount": None, "cost_subtotal": 0.030864, "cost_discount": 0, "cost_total": 0.030864,
           "cost": 0.030864, "currency": "USD"}  # fmt: skip
    assert answer["summary"] == [row]
    assert [bucket["results"] for bucket in answer["time_series"] if bucket["results"]] == [[row]]
    assert (answer["next_cursor"], answer["has_more"]) == (None, False)
    alone = native("GET", USAGE, params={"expand": "summary"}).json()
    assert alone == {"next_cursor": None, "has_more": False, "summary": [row]}


def test_a_minute_keeps_a_hundred_durations(native: InProcess) -> None:
    count(native.world, FLUX, Tally(requests=101, durations=[float(n) for n in range(1, 102)]))
    assert summary(native, "total_billable_duration")["total_billable_duration"] == sum(range(2, 102))


def test_a_percentile_is_the_nearest_rank(native: InProcess) -> None:
    for first in (1, 101):
        count(native.world, FLUX, Tally(requests=100, durations=[float(n) for n in range(first, first + 100)]))
        native.world.clock.advance(60)
    names = [f"p{part}_duration" for part in (25, 50, 75, 90, 95, 99)]
    assert [summary(native, *names)[name] for name in names] == [50, 100, 150, 180, 190, 198]


def test_an_empty_window_has_no_bucket(native: InProcess) -> None:
    query = {"start": "2025-12-31T12:00:30Z", "end": "2025-12-31T12:00:30Z", "expand": "time_series,summary"}
    answer = native("GET", USAGE, params=query).json()
    assert (answer["time_series"], answer["summary"]) == ([], [])


def test_a_summary_counts_from_the_first_bucket_on(native: InProcess) -> None:
    count(native.world, FLUX, Tally(requests=1, quantity=1.0))
    native.world.clock.advance(3600)
    query = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:30:00Z", "expand": "summary"}
    (row,) = native("GET", USAGE, params=query).json()["summary"]
    assert row["quantity"] == 1


def test_a_window_holds_its_first_moment_and_not_its_last(native: InProcess) -> None:
    count(native.world, FLUX)
    native.world.clock.advance(3600)

    def requests(start: str, end: str) -> int:
        query = {"endpoint_id": FLUX, "start": start, "end": end, "expand": "summary,request_count",
                 "bound_to_timeframe": "false"}  # fmt: skip
        rows = native("GET", "/v1/models/analytics", params=query).json()["summary"]
        return sum(row["request_count"] for row in rows)

    assert requests("2026-01-01T00:00:00Z", "2026-01-01T00:30:00Z") == 1
    assert requests("2025-12-31T00:00:00Z", "2026-01-01T00:00:00Z") == 0


def test_hours_do_not_count_before_the_moment_in_which_an_instance_runs(native: InProcess) -> None:
    native("POST", INSTANCES, json=NODE)
    native.world.clock.advance(3600)

    def endpoint_ids(end: str) -> list[str]:
        query = {"start": "2026-01-01T00:00:00Z", "end": end, "expand": "summary", "bound_to_timeframe": "false"}
        return [row["endpoint_id"] for row in native("GET", USAGE, params=query).json()["summary"]]

    assert endpoint_ids("2026-01-01T00:00:30Z") == []
    assert endpoint_ids("2026-01-01T00:00:31Z") == ["compute/gpu_1x_h100_sxm5"]


def test_each_key_has_an_id_of_its_own(stand: MockSession, mock_server: RunningServer) -> None:
    ids = set[str]()
    for session in (stand, mock_server.default):
        count(session.world, FLUX)
        at = session.endpoint("fal-native")
        query = "expand=summary,auth_method_structured"
        headers = {"authorization": f"Key {at.key}"}
        (row,) = [
            row
            for row in httpx2.get(f"{at.base_url}{USAGE}?{query}", headers=headers).json()["summary"]
            if row["endpoint_id"] == FLUX
        ]
        ids.add(row["auth_method_structured"]["api_key_id"])
    assert len(ids) == 2


def test_the_documented_instance_has_the_documented_configuration() -> None:
    call = GatewayCaller(FalAIUpstream(), "documents")
    assert call.result("GET", f"{INSTANCES}/instance_id", instance_id="abc123")["config"] == {"max_workers": 4}


@pytest.mark.parametrize("name", ["endpoint_id", "api_key_id", "login_username"])
def test_a_list_has_at_most_fifty_items(name: str, native: InProcess) -> None:
    values = [FLUX if name == "endpoint_id" else f"a{number}" for number in range(51)]
    assert native("GET", USAGE, params={name: values[:50]}).status_code == 200
    refused = native("GET", USAGE, params={name: values})
    assert error(refused) == (400, "validation_error", "Invalid request parameters")


def test_a_page_of_instances_without_a_next_has_no_cursor(native: InProcess) -> None:
    id = native("POST", INSTANCES, json=NODE).json()["id"]
    assert re.fullmatch(r"inst_[a-z0-9]{9}", id, re.IGNORECASE)
    answer = native("GET", INSTANCES).json()
    assert (answer["next_cursor"], answer["has_more"]) == (None, False)


def test_meters_have_a_point_a_minute_with_three_digits() -> None:
    call = GatewayCaller(FalAIUpstream(), "empty")
    id = call.result("POST", INSTANCES, {"instance_type": "gpu-1x-a10g"})["id"]
    call.world.clock.advance(30)
    call.world.clock.advance(120)
    answer = call.result("GET", f"{INSTANCES}/instance_id/monitor", instance_id=id)
    assert answer["interval_seconds"] == 60
    for meter in answer["metrics"].values():
        assert [point["timestamp"][14:19] for point in meter["points"]] == ["00:30", "01:30", "02:30"]
        assert all(round(point["value"], 3) == point["value"] for point in meter["points"])


def test_an_instance_stopped_in_its_first_moment_has_no_points() -> None:
    call = GatewayCaller(FalAIUpstream(), "empty")
    id = call.result("POST", INSTANCES, {"instance_type": "gpu-1x-a10g"})["id"]
    call.world.clock.advance(30)
    call.result("POST", f"{INSTANCES}/instance_id/stop", {}, instance_id=id)
    answer = call.result("GET", f"{INSTANCES}/instance_id/monitor", instance_id=id, metrics="cpu")
    assert answer["metrics"]["cpu"]["points"] == []


def test_latency_is_a_mean_in_millionths_of_a_second_and_0_without_a_request() -> None:
    call = GatewayCaller(FalAIUpstream(), "empty")
    count(call.world, FLUX, Tally(requests=3, durations=[1.0, 1.0, 0.0]))
    count(call.world, "fal-ai/lcm", Tally(requests=1))
    rows = call.result("GET", "/v1/analytics", metric="latency")["summary"]
    assert {row["endpoint_id"]: row["latency"] for row in rows} == {FLUX: 0.666667, "fal-ai/lcm": 0.0}


@pytest.mark.parametrize("body", [b"nonsense", b"[" * 101 + b"]" * 101])
def test_a_body_that_cannot_be_read_is_400(body: bytes, native: InProcess) -> None:
    answer = native("POST", INSTANCES, content=body, headers={"content-type": "application/json"})
    assert error(answer) == (400, "validation_error", "Invalid request parameters")


def test_a_wrong_method_names_the_allowed_ones(native: InProcess) -> None:
    answer = native("PATCH", INSTANCES)
    assert error(answer) == (405, "validation_error", "Method not allowed")
    assert answer.headers["allow"] == "GET, POST"


def test_a_failure_of_the_mock_itself_is_500(native: InProcess) -> None:
    native.world.settings["falai.provisioning_seconds"] = None

    async def send() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=ProviderApp(FalAIProvider(), native.worlds, strict=False))
        async with httpx2.AsyncClient(transport=transport, base_url="http://mock", headers=KEY) as client:
            return await client.post(INSTANCES, json=NODE)

    assert error(asyncio.run(send())) == (500, "server_error", "An unexpected error occurred")
    assert native.world.breaches
