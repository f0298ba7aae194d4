"""fal.ai over HTTP: life of instances, windows of usage, and an exported world."""

from __future__ import annotations

import json

import pytest

from bananastand_mocks.falai import FalAIProvider
from in_process import InProcess

KEY = {"authorization": "Key fal-bananastand"}
H100 = {"instance_type": "gpu_1x_h100_sxm5", "ssh_key": "ssh-ed25519 AAAA"}


@pytest.fixture
def send() -> InProcess:
    """Its clock stands at 2026-01-01T00:00:00Z."""
    return InProcess(FalAIProvider(), kind="empty", headers=KEY)


def create(send: InProcess) -> str:
    response = send("POST", "/v1/compute/instances", json=H100)
    assert response.status_code == 201
    return response.json()["id"]


def status(send: InProcess, instance_id: str) -> str:
    return send("GET", f"/v1/compute/instances/{instance_id}").json()["status"]


def buckets(send: InProcess, **window: str) -> list[str]:
    response = send("GET", "/v1/models/usage", params={"limit": "1000", **window})
    assert response.status_code == 200
    return [bucket["bucket"] for bucket in response.json()["time_series"]]


def test_an_instance_is_ready_after_the_seconds_of_its_worlds_setting(send: InProcess) -> None:
    send.world.settings["falai.provisioning_seconds"] = 2.0
    instance_id = create(send)
    send.world.clock.advance(1)
    assert status(send, instance_id) == "provisioning"
    send.world.clock.advance(1)
    assert status(send, instance_id) == "ready"


def test_hours_of_an_instance_are_split_between_buckets_and_stay_after_it_is_deleted(send: InProcess) -> None:
    instance_id = create(send)
    send.world.clock.advance(30 + 5400)
    send("DELETE", f"/v1/compute/instances/{instance_id}")
    series = send("GET", "/v1/models/usage").json()["time_series"]
    hours = {bucket["bucket"]: bucket["results"][0]["quantity"] for bucket in series if bucket["results"]}
    assert hours == {"2026-01-01T00:00:00+00:00": 0.991667, "2026-01-01T01:00:00+00:00": 0.508333}


def test_weeks_begin_on_monday_and_months_on_the_first(send: InProcess) -> None:
    weeks = buckets(send, start="2024-01-03", end="2024-01-20", timeframe="week")
    months = buckets(send, start="2024-11-03", end="2025-02-20", timeframe="month")
    assert [bucket[:10] for bucket in weeks] == ["2024-01-01", "2024-01-08", "2024-01-15"]
    assert [bucket[:10] for bucket in months] == ["2024-11-01", "2024-12-01", "2025-01-01", "2025-02-01"]


@pytest.mark.parametrize("date", ["0001-01-01", "1969-12-31", "9999-12-31", "9999-12-31T23:59:59-12:00"])
def test_dates_far_away_are_answered(send: InProcess, date: str) -> None:
    for name in ("start", "end"):
        response = send("GET", "/v1/models/usage", params={name: date, "expand": "summary", "timeframe": "month"})
        assert (response.status_code, response.json()["summary"]) == (200, [])


def test_an_exported_world_goes_on_where_it_was(send: InProcess) -> None:
    instance_id = create(send)
    send.world.clock.advance(10)
    other = InProcess(FalAIProvider(), kind="empty", headers=KEY)
    other.world.load(json.loads(json.dumps(send.world.dump())))
    other.world.clock.advance(20)
    assert (status(other, instance_id), status(send, instance_id)) == ("ready", "provisioning")
