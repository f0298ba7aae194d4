"""Usage and analytics: counted from what was called, in buckets without gaps."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from bananastand.contracts.errors import ProviderError
from bananastand_mocks.falai.compute import ARRIVED, arrive, create_instance, delete_instance, stop_instance
from bananastand_mocks.falai.models import get_model
from bananastand_mocks.falai.state import Tally, count, fill
from bananastand_mocks.falai.usage import get_analytics, get_usage
from bananastand_mocks.falai.window import Window, moment
from bananastand_mocks.kernel.world import World

FLUX = {"model_id": "fal-ai/flux-pro"}


@pytest.fixture
def world() -> World:
    """Its clock stands at 2026-01-01T00:00:00Z."""
    return World("test", seed=1, events={ARRIVED: arrive})


def filled(answer: dict) -> dict[str, list]:
    return {each["bucket"]: each["results"] for each in answer["time_series"] if each["results"]}


def test_an_unused_world_has_26_empty_hours(world: World):
    answer = get_usage(world, {})
    assert [each["bucket"] for each in answer["time_series"]][::25] == [
        "2025-12-31T00:00:00+00:00",
        "2026-01-01T01:00:00+00:00",
    ]
    assert len(answer["time_series"]) == 26
    assert filled(answer) == {}
    assert answer["summary"] == []


def test_each_request_that_names_a_model_is_counted_in_its_bucket(world: World):
    get_model(world, FLUX)
    world.clock.advance(3600)
    get_model(world, FLUX)
    get_model(world, FLUX)
    answer = get_usage(world, {})
    assert {bucket: rows[0]["requests"] for bucket, rows in filled(answer).items()} == {
        "2026-01-01T00:00:00+00:00": 1,
        "2026-01-01T01:00:00+00:00": 2,
    }
    assert answer["summary"] == [
        {
            "endpoint_id": "fal-ai/flux-pro",
            "unit": "megapixels",
            "quantity": 0,
            "unit_price": 0.05,
            "percent_discount": None,
            "cost_subtotal": 0,
            "cost_discount": 0,
            "cost_total": 0,
            "cost": 0,
            "currency": "USD",
            "requests": 3,
        }
    ]


def test_the_hours_of_an_instance_cost_and_stay_when_it_is_deleted(world: World):
    instance_id = create_instance(world, {"instance_type": "gpu_1x_h100_sxm5"}).body["id"]
    world.clock.advance(30 + 2 * 3600)
    stop_instance(world, {"instance_id": instance_id})
    world.clock.advance(3600)
    before = get_usage(world, {})["summary"]
    delete_instance(world, {"instance_id": instance_id})
    assert get_usage(world, {})["summary"] == before
    assert (before[0]["endpoint_id"], before[0]["unit"]) == ("compute/gpu_1x_h100_sxm5", "hours")
    assert (before[0]["quantity"], before[0]["cost_total"]) == (2.0, 3.78)


def test_hours_are_cut_at_the_borders_of_buckets(world: World):
    create_instance(world, {"instance_type": "a"})
    world.clock.advance(5400)
    quantities = {bucket: rows[0]["quantity"] for bucket, rows in filled(get_usage(world, {})).items()}
    assert quantities == {"2026-01-01T00:00:00+00:00": 0.991667, "2026-01-01T01:00:00+00:00": 0.5}


def test_a_model_filter_leaves_its_rows_alone(world: World):
    get_model(world, FLUX)
    get_model(world, {"model_id": "fal-ai/whisper"})
    assert [each["endpoint_id"] for each in get_usage(world, FLUX)["summary"]] == ["fal-ai/flux-pro"]
    with pytest.raises(ProviderError, match="not_found"):
        get_usage(world, {"model_id": "fal-ai/none"})


def test_both_dates_are_included(world: World):
    fill(world, "documents")
    assert len(get_usage(world, {"start_date": "2024-01-01", "end_date": "2024-01-31"})["time_series"]) == 31
    day = get_usage(world, {"start_date": "2024-01-15", "end_date": "2024-01-15"})
    assert len(day["time_series"]) == 24
    assert list(filled(day)) == ["2024-01-15T12:00:00+00:00"]
    assert get_usage(world, {"start_date": "2024-01-01", "end_date": "2024-01-14"})["summary"] == []


def test_a_moment_as_the_end_is_not_included(world: World):
    fill(world, "documents")
    answer = get_usage(world, {"start_date": "2024-01-15T11:00:00Z", "end_date": "2024-01-15T12:00:00Z"})
    assert len(answer["time_series"]) == 60
    assert answer["summary"] == []


def test_an_inverted_window_is_invalid(world: World):
    with pytest.raises(ProviderError, match="invalid"):
        get_usage(world, {"start_date": "2024-02-01", "end_date": "2024-01-01"})


@pytest.mark.parametrize("date", ["0001-01-01", "1969-12-31", "9999-12-31", "9999-12-31T23:59:59-12:00"])
def test_dates_far_away_are_answered(world: World, date: str):
    assert get_usage(world, {"start_date": date})["summary"] == []
    assert get_usage(world, {"end_date": date})["summary"] == []


def test_a_row_of_analytics_has_the_metric_that_was_asked_for(world: World):
    fill(world, "documents")
    january = {"start_date": "2024-01-01", "end_date": "2024-01-31"}
    assert get_analytics(world, {**january, "metric": "requests"})["summary"] == [
        {"endpoint_id": "fal-ai/flux-pro", "requests": 3}
    ]
    assert get_analytics(world, january)["summary"] == [
        {"endpoint_id": "fal-ai/flux-pro", "requests": 3, "cost": 0.1, "latency": 4.0, "errors": 1}
    ]
    assert filled(get_analytics(world, {**january, "metric": "errors"})) == {
        "2024-01-15T00:00:00+00:00": [{"endpoint_id": "fal-ai/flux-pro", "errors": 1}]
    }


def test_what_is_kept_of_a_minute_is_bounded(world: World):
    for _ in range(3):
        count(world, "fal-ai/flux-pro", Tally(requests=60, durations=[1.0] * 60))
    kept = world.table("falai.requests")[str(int(world.clock.now() // 60))]["fal-ai/flux-pro"]
    assert (kept["requests"], len(kept["durations"])) == (180, 100)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("end", "timeframe", "buckets"),
    [
        ("2024-01-01T01:59", "minute", 119),
        ("2024-01-01T02:00", "hour", 2),
        ("2024-01-02T23:00", "hour", 47),
        ("2024-01-03T00:00", "day", 2),
        ("2024-03-04T00:00", "day", 63),
        ("2024-03-05T00:00", "week", 10),
        ("2024-07-01T00:00", "week", 26),
        ("2024-07-02T00:00", "month", 7),
    ],
)
def test_the_length_of_a_window_decides_its_buckets(end: str, timeframe: str, buckets: int):
    window = Window(at("2024-01-01T00:00"), at(end))
    assert (window.timeframe, window.count) == (timeframe, buckets)


def test_weeks_begin_on_monday_and_months_on_the_first():
    assert Window(at("2024-01-03T10:00"), at("2024-01-20T00:00"), "week").bucket(0) == at("2024-01-01T00:00")
    window = Window(at("2024-11-03T10:00"), at("2025-02-20T00:00"), "month")
    assert [window.bucket(n) for n in range(window.count)] == [
        at("2024-11-01T00:00"),
        at("2024-12-01T00:00"),
        at("2025-01-01T00:00"),
        at("2025-02-01T00:00"),
    ]


def test_days_begin_at_midnight_of_the_zone():
    berlin = ZoneInfo("Europe/Berlin")
    window = Window(moment("2024-07-01", berlin), moment("2024-07-03", berlin), "day", berlin)
    assert [window.bucket(n).isoformat() for n in range(window.count)] == [
        "2024-07-01T00:00:00+02:00",
        "2024-07-02T00:00:00+02:00",
    ]


def test_an_unbound_window_keeps_its_own_ends():
    start, end = at("2024-01-01T10:30"), at("2024-01-01T12:30")
    assert Window(start, end, "hour").since == at("2024-01-01T10:00")
    assert Window(start, end, "hour").until == at("2024-01-01T13:00")
    loose = Window(start, end, "hour", bound=False)
    assert (loose.since, loose.until, loose.count) == (start, end, 3)


def test_an_empty_window_has_no_buckets():
    assert Window(at("2024-01-01T10:30"), at("2024-01-01T10:30")).count == 0


def test_what_is_no_date_is_invalid():
    with pytest.raises(ProviderError, match="invalid"):
        moment("0000-01-01")
