"""fal's numbers at their edges: percentiles, meters, cursors, prices, windows, names of states; called directly."""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bananastand.contracts.errors import ProviderError
from bananastand_mocks.falai import (
    FalAIProvider,
    analytics,
    compute,
    models,
    monitor,
    native,
    paging,
    pricing,
    state,
    tallies,
    usage,
)
from bananastand_mocks.falai.state import Tally
from bananastand_mocks.falai.window import LONGEST, STEPS, Window, moment
from bananastand_mocks.kernel.world import World
from in_process import InProcess

START = 1767225600.0  # 2026-01-01T00:00:00Z, at which a world's clock stands
FLUX = "fal-ai/flux-pro"


@pytest.fixture
def call() -> InProcess:
    return InProcess(FalAIProvider(), kind="empty", headers={"authorization": "Key fal-bananastand"})


@pytest.fixture
def world(call: InProcess) -> World:
    return call.world


# Analytics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "expected"), [(25, 1.0), (26, 2.0), (50, 2.0), (75, 3.0), (76, 4.0), (90, 4.0), (99, 4.0), (0, 1.0)]
)
def test_a_percentile_is_one_of_the_durations(part: int, expected: float) -> None:
    assert analytics._percentile(part, Tally(4, 0, 0.0, [4.0, 2.0, 1.0, 3.0])) == expected
    assert analytics._percentile(part, Tally()) is None


def test_of_a_hundred_and_one_durations_nine_in_ten_are_ninety_one() -> None:
    assert analytics._percentile(90, Tally(101, 0, 0.0, [float(each) for each in range(1, 102)])) == 91.0


def test_a_row_of_analytics() -> None:
    tally = Tally(requests=5, errors=2, quantity=1.0, durations=[3.0, 1.0])
    found = analytics.metrics_row(FLUX, tally, list(analytics.METRICS))

    zero = ("cold_boot", "user_error", "startup_error", "connection_error", "timeout_error", "runtime_error")
    nothing = [f"p{each}_prepare_duration" for each in (50, 75, 90, 95, 99)]
    nothing += [f"p{each}_cold_boot_duration" for each in (50, 75, 90)]
    assert found == {
        "endpoint_id": FLUX,
        "request_count": 5,
        "success_count": 3,
        "error_count": 2,
        "total_billable_duration": 4.0,
        **{f"p{each}_duration": 1.0 for each in (25, 50)},
        **{f"p{each}_duration": 3.0 for each in (75, 90, 95, 99)},
        **{f"{each}_count": 0 for each in zero},
        **dict.fromkeys(nothing),
    }


def test_latency_is_the_mean_of_what_is_known() -> None:
    assert usage._latency(FLUX, Tally(3, 0, 0.0, [1.0, 2.0, 2.0000001])) == 1.666667
    assert usage._latency(FLUX, Tally(3)) == 0.0


def test_a_row_of_usage_is_rounded_to_millionths() -> None:
    row = usage.usage_row(FLUX, Tally(1, 0, 1.23456789, []))

    assert row == {
        "endpoint_id": FLUX, "unit": "megapixels", "quantity": 1.234568, "unit_price": 0.05, "percent_discount": None,
        "cost_subtotal": 0.061728, "cost_discount": 0, "cost_total": 0.061728, "cost": 0.061728, "currency": "USD",
    }  # fmt: skip


def test_a_hundred_durations_of_a_minute_are_kept(world: World) -> None:
    for number in range(101):
        state.count(world, FLUX, Tally(1, 0, 1.0, [float(number)]))

    ((kept,),) = [each.values() for each in world.table(state.REQUESTS).values()]
    assert (kept["requests"], len(kept["durations"]), kept["durations"][0]) == (101, 100, 1.0)
    assert list(world.table(state.REQUESTS)) == [str(int(START) // 60)]


# Meters ----------------------------------------------------------------------------------------------------------


def test_the_meters_of_an_instance() -> None:
    def shown(name: str) -> list[float]:
        told = monitor.points("abc123", monitor.METRICS[name], [[START, START + 120]], START + 120)
        assert [each["timestamp"] for each in told] == [
            "2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00", "2026-01-01T00:02:00+00:00",
        ]  # fmt: skip
        return [each["value"] for each in told]

    assert shown("cpu") == [79.354, 77.137, 74.599]
    assert shown("network") == [0.296, 0.0, 0.303]


def test_the_last_sixty_points_are_shown() -> None:
    def moments(runs: list[list[float]], now: float) -> list[int]:
        told = monitor.points("a", monitor.METRICS["cpu"], runs, START + now)
        return [int(datetime.fromisoformat(each["timestamp"]).timestamp() - START) for each in told]

    assert moments([[START, START + 59 * 60]], 59 * 60) == [60 * each for each in range(60)]
    assert moments([[START, START + 60 * 60]], 60 * 60) == [60 * each for each in range(1, 61)]
    assert moments([[START, START + 60], [START + 3600, START + 3600]], 3600) == [0, 60, 3600]
    assert moments([[START, START + 300]], 60) == [0, 60]
    assert moments([[START, START + 59]], 59) == [0]


def test_an_instance_that_is_stopped_at_once_never_ran(world: World) -> None:
    made = compute.create_instance(world, {"instance_type": "gpu-1x-a10g"}).body["id"]
    world.clock.advance(30)
    compute.stop_instance(world, {"instance_id": made})

    assert compute.of(world, made)["runs"] == []
    compute.delete_instance(world, {"instance_id": made})
    assert world.table(state.RUNS) == {}


def test_hours_before_a_window_are_none_of_it(world: World) -> None:
    made = compute.create_instance(world, {"instance_type": "gpu-1x-a10g"}).body["id"]
    world.clock.advance(30)
    begun = world.clock.now()
    world.clock.advance(60)
    compute.stop_instance(world, {"instance_id": made})
    noon = datetime.fromtimestamp(begun, UTC)

    def hours(since: float, until: float) -> list[float]:
        window = [noon + timedelta(seconds=each) for each in (since, until)]
        return [(end - start).total_seconds() for _, start, end in tallies._hours(world, *window)]

    assert hours(-1, 61) == hours(0, 60) == [60.0]
    assert hours(59, 61) == [1.0]
    assert hours(60, 61) == hours(-1, 0) == []


def test_addresses_are_of_a_net_that_is_nobodys(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def least(low: int, high: int) -> int:
        asked.append((low, high))
        return low

    monkeypatch.setattr(world.random, "randrange", least)
    made = compute.create_instance(world, {"instance_type": "gpu-1x-a10g"}).body["id"]

    assert asked == [(1, 255)]
    assert compute.of(world, made)["ip"] == "203.0.113.1"


@pytest.mark.parametrize(
    ("status", "told"),
    [("provisioning", "provisioning"), ("starting", "pending"), ("active", "ready"), ("stopping", "stopped"),
     ("stopped", "stopped")],
)  # fmt: skip
def test_states_in_fals_own_words(status: str, told: str, world: World) -> None:
    made = compute.create_instance(world, {"instance_type": "gpu-1x-a10g"}).body["id"]
    compute.of(world, made)["status"] = status

    assert native.get_instance(world, {"id": made})["status"] == told
    assert [each["status"] for each in native.list_instances(world, {})["instances"]] == [told]
    assert [each["status"] for each in compute.list_instances(world, {})["instances"]] == [status]


def test_what_the_document_names_is_there() -> None:
    world = InProcess(FalAIProvider(), kind="documents").world

    assert compute.get_instance(world, {"instance_id": "abc123"}) == {
        "id": "abc123", "instance_type": "gpu-1x-a10g", "name": "my-ai-instance", "config": {"max_workers": 4},
        "status": "active", "region": "us-west", "creator_user_nickname": "bananastand", "ip": "203.0.113.7",
        "created_at": "2026-01-01T00:00:00.000Z", "started_at": "2026-01-01T00:00:00.000Z", "stopped_at": None,
    }  # fmt: skip
    assert state.SETTINGS == {
        "falai.provisioning_seconds": 30.0,
        "falai.starting_seconds": 10.0,
        "falai.stopping_seconds": 5.0,
        "falai.admin_key": True,
    }
    assert state.key_id(world) == str(uuid.uuid5(uuid.NAMESPACE_URL, "fal:fal-bananastand"))
    world.credentials["fal"] = []
    assert state.key_id(world) == str(uuid.uuid5(uuid.NAMESPACE_URL, "fal:"))


# Pages -----------------------------------------------------------------------------------------------------------


def cursor(number: str) -> str:
    return base64.urlsafe_b64encode(number.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("number", "start", "stop", "following"),
    [("1", 0, 2, "2"), ("0", 0, 2, "2"), ("-3", 0, 2, "2"), ("2", 2, 4, "3"), ("3", 4, 5, None), ("4", 5, 5, None),
     ("10", 5, 5, None), ("100", 5, 5, None), ("1000", 5, 5, None), ("10000", 5, 5, None), ("1000000", 5, 5, None)],
)  # fmt: skip
def test_a_cursor_is_the_number_of_a_page(number: str, start: int, stop: int, following: str | None) -> None:
    for told in (cursor(number), base64.urlsafe_b64encode(number.encode()).decode()):
        found = paging.page(5, {"cursor": told, "limit": 2}, 50)
        assert (found.start, found.stop, found.next_cursor) == (start, stop, following and cursor(following))
        assert found.has_more == (following is not None)


def test_how_long_a_page_is() -> None:
    assert paging.page(200, {}, 50) == paging.Page(0, 50, cursor("2"))
    assert paging.page(50, {}, 50) == paging.Page(0, 50, None)
    assert paging.page(200, {"limit": 150}, 50, most=100) == paging.Page(0, 100, cursor("2"))
    assert paging.page(200, {"limit": 150}, 50) == paging.Page(0, 150, cursor("2"))
    assert paging.page(200, {"offset": 150, "cursor": cursor("2"), "limit": 25}, 50) == paging.Page(175, 200, None)
    assert paging.page(9, {"offset": 10}, 50) == paging.Page(9, 9, None)
    assert paging.whole(7) == paging.Page(0, 7, None)


def test_fifty_are_on_a_page_where_nobody_says_how_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(51):
        compute.create_instance(world, {"instance_type": "gpu-1x-a10g"})
    assert len(compute.list_instances(world, {})["instances"]) == 50
    assert len(native.list_instances(world, {})["instances"]) == 50

    many = {f"{number}": {**state.known(FLUX), "endpoint_id": f"{number}"} for number in range(51)}
    monkeypatch.setattr(models, "catalogue", lambda: many)
    assert len(models.list_models({})["models"]) == 50


# Prices ----------------------------------------------------------------------------------------------------------


def test_an_hour_of_an_instance() -> None:
    assert pricing.hourly("gpu_8x_h100_sxm5") == 15.12
    assert pricing.hourly("gpu_1x_h100_sxm5") == 1.89
    assert pricing.hourly("gpu-1x-a10g") == 1.2


def test_tiers_begin_at_ten_thousand() -> None:
    assert pricing._promised({"unit_price": 0.0123457}) == {
        "cost_per_request": 0.0123457,
        "usage_tiers": [
            {"from_quantity": 0, "unit_price": 0.012346},
            {"from_quantity": 10_000, "unit_price": 0.011111},
        ],
        "billing": {"model": "pay_per_use", "period": "month"},
    }


def test_an_estimate_is_rounded_to_millionths() -> None:
    asked: Any = {"estimate_type": "unit_price", "endpoints": {FLUX: {"unit_quantity": 1.23456789}}}

    assert native.estimate_pricing(asked)["total_cost"] == 0.061728


def test_a_key_that_is_remembered_is_for_ten_minutes(world: World) -> None:
    asked: Any = {"instance_type": "gpu_1x_h100_sxm5", "ssh_key": "a key"}

    def made() -> str:
        return native.create_instance(world, {"idempotency-key": "one"}, asked).body["id"]

    first = made()
    world.clock.advance(599.9)
    assert made() == first
    world.clock.advance(0.1)
    assert made() != first


# Windows ---------------------------------------------------------------------------------------------------------


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_length_of_a_window_says_how_it_is_cut() -> None:
    assert {name: step.total_seconds() for name, step in STEPS.items()} == {
        "minute": 60, "hour": 3600, "day": 86400, "week": 604800,
    }  # fmt: skip
    for longest, name in LONGEST:
        first = at("2026-01-01")
        assert Window(first, first + longest - timedelta(seconds=1)).timeframe == name
        assert Window(first, first + longest).timeframe != name
    assert [(longest.total_seconds() / 3600, name) for longest, name in LONGEST] == [
        (2, "minute"), (48, "hour"), (64 * 24, "day"), (183 * 24, "week"),
    ]  # fmt: skip
    assert Window(at("2026-01-01"), at("2026-12-31")).timeframe == "month"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1969-12-31", at("1970-01-01")),
        ("1970-01-01", at("1970-01-01")),
        ("2199-12-31", at("2199-12-31")),
        ("2200-01-01", at("2200-01-01")),
        ("2201-06-01", at("2200-01-01")),
        ("2026-01-01T12:00:00+02:00", at("2026-01-01T10:00:00")),
    ],
)
def test_dates_are_kept_within_bounds(text: str, expected: datetime) -> None:
    assert moment(text) == expected


def test_months_follow_one_another_over_the_year() -> None:
    window = Window(at("2025-11-15"), at("2026-02-02"), "month")

    assert window.count == 4
    assert [window.bucket(each) for each in range(5)] == [
        at("2025-11-01"), at("2025-12-01"), at("2026-01-01"), at("2026-02-01"), at("2026-03-01"),
    ]  # fmt: skip
    assert [window.index(at(each)) for each in ("2025-10-31", "2025-11-01", "2026-01-31", "2026-02-01")] == [
        -1,
        0,
        2,
        3,
    ]
    assert (window.since, window.until) == (at("2025-11-01"), at("2026-03-01"))


def test_a_window_that_ends_now_has_one_bucket_more() -> None:
    first, now = at("2026-01-01T10:30:00"), at("2026-01-01T12:00:00")
    shut, still_open = Window(first, now, "hour"), Window(first, now, "hour", open_end=True)

    assert (shut.count, shut.since, shut.until) == (2, at("2026-01-01T10:00:00"), now)
    assert (still_open.count, still_open.until) == (4, at("2026-01-01T13:00:00"))
    free = Window(first, now, "hour", bound=False)
    assert (free.since, free.until) == (first, now)
    assert Window(first, now, "hour", bound=False, open_end=True).until == now + timedelta(microseconds=1)
    assert Window(now, now, "hour").count == 0
    assert Window(first, first, "hour").count == 0
    noon = at("2026-01-01T12:00:00")
    assert (Window(noon, noon, "hour").since, Window(noon, noon, "hour").until) == (noon, noon)
    assert Window(noon, noon - timedelta(hours=2), "hour", open_end=True).count == 1
    assert Window(now, now, "hour", open_end=True).count == 2


def test_a_window_of_no_length_is_no_mistake(world: World) -> None:
    noon = at("2026-01-01T12:00:00")
    assert usage.asked(world, noon, noon) == (noon, noon, False)
    with pytest.raises(ProviderError, match="the window ends before it starts"):
        usage.asked(world, noon + timedelta(microseconds=1), noon)
    now = at("2026-01-01")
    assert usage.asked(world, None, None) == (now - timedelta(days=1), now, True)
    assert usage.asked(world, None, noon) == (noon - timedelta(days=1), noon, False)
    assert usage.asked(world, noon, None) == (noon, noon, True)


def test_a_bound_window_is_widened_to_whole_hours(world: World) -> None:
    state.count(world, FLUX, Tally(1, 0, 1.0, []))
    world.clock.advance(3600)
    asked: Any = {"start": "2026-01-01T00:30:00", "end": "2026-01-01T01:00:00", "timeframe": "hour",
                  "expand": ["summary"]}  # fmt: skip

    def counted(**words: str) -> Any:
        return native.get_usage(world, {**asked, **words})

    assert [each["quantity"] for each in counted()["summary"]] == [1.0]
    assert [each["quantity"] for each in counted(bound_to_timeframe="true")["summary"]] == [1.0]
    assert counted(bound_to_timeframe="false") == {"next_cursor": None, "has_more": False, "summary": []}
