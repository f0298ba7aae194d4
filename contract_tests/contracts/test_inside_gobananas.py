"""What Go Bananas! keeps and counts, at its edges: forms, files, the month, sessions, pages; called directly."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime
from typing import Any

import pytest

from bananastand.contracts.errors import ProviderError
from bananastand_mocks.gobananas import GoBananasProvider, ledger, profile, ratios, state, uploads, usage
from bananastand_mocks.gobananas.multipart import find_file
from bananastand_mocks.kernel.faults import Fault
from bananastand_mocks.kernel.world import World
from flat import Flat
from in_process import InProcess

HEADERS = {"x-api-key": "sk_live_bananastand"}
MEGABYTE = 1_000_000
ONE_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PIXEL = f"data:image/png;base64,{ONE_PIXEL}"


@pytest.fixture
def call() -> InProcess:
    """An empty tenant. The clock stands at 2026-01-01T00:00:00Z."""
    return InProcess(GoBananasProvider(Flat()), kind="empty", headers=HEADERS)


@pytest.fixture
def world(call: InProcess) -> World:
    return call.world


def made(call: InProcess, **body: Any) -> Any:
    answer = call("POST", "/api/images", json={"prompt": "a", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


# Forms -----------------------------------------------------------------------------------------------------------


def part(name: str, content: str, mark: str = "b") -> str:
    return f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{content}\r\n'


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        ("multipart/form-data; boundary=b", part("file", "one") + "--b--", b"one"),
        ("multipart/form-data; boundary=b", "a preamble\r\n" + part("file", "one") + "--b--", b"one"),
        ("multipart/form-data; boundary=b", "x" + part("file", "one") + "--b--", None),
        ("multipart/form-data; boundary=b", part("other", "two") + part("file", "one") + "--b--", b"one"),
        ("multipart/form-data; boundary=b", part("file", "one") + part("file", "two") + "--b--", b"one"),
        ("multipart/form-data; boundary=b", part("files", "one") + "--b--", None),
        ("multipart/form-data; boundary=b", part("file", "") + "--b--", b""),
        ("multipart/form-data; boundary=b", "", None),
        ("multipart/form-data; boundary=b", "--b--", None),
        ("multipart/form-data; boundary=c", part("file", "one") + "--b--", None),
        ("multipart/form-data", part("file", "one") + "--b--", None),
        ('multipart/form-data; boundary="b c"', part("file", "one", "b c") + "--b c--", b"one"),
        ("multipart/form-data; BOUNDARY=b; charset=utf-8", part("file", "one") + "--b--", b"one"),
        ("multipart/form-data; boundary=b", '--b\r\nContent-Disposition: form-data; filename="file"\r\n\r\none', None),
    ],
)
def test_a_file_is_found_in_a_form(kind: str, body: str, found: bytes | None) -> None:
    assert find_file(kind, body.encode(), "file") == found


@pytest.mark.parametrize(("before", "found"), [(63, b"one"), (64, None)])
def test_no_further_than_in_the_first_parts(before: int, found: bytes | None) -> None:
    body = part("other", "x") * before + part("file", "one") + "--b--"

    assert find_file("multipart/form-data; boundary=b", body.encode(), "file") == found


# Files -----------------------------------------------------------------------------------------------------------


def kept(world: World, size: int) -> Any:
    row = state.add_image(world, {"format": "png"})
    state.keep_bytes(world, row, b"x" * size)
    return row


def test_the_oldest_files_make_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert state.KEPT == 256 * MEGABYTE
    monkeypatch.setattr(state, "KEPT", 10)
    first, second = kept(world, 5), kept(world, 5)
    assert {first["r2_key"], second["r2_key"]} <= world.blobs.keys(), "as much as there is room for"

    third = kept(world, 1)
    assert first["r2_key"] not in world.blobs
    assert {second["r2_key"], third["r2_key"]} <= world.blobs.keys(), "and no more than has to go"

    large = kept(world, 11)
    assert [key for key in world.blobs if key in world.table(state.FILES)] == [large["r2_key"]], "the newest stays"


def test_images_are_counted_from_one_and_named_by_the_day(world: World) -> None:
    first, second = state.add_image(world, {"format": "png"}), state.add_image(world, {"format": "webp"})

    assert (first["id"], second["id"]) == (1, 2)
    tenant = world.table(state.TENANT)["tenantId"]
    stem = first["r2_key"].removesuffix(".png")
    assert stem.startswith(f"{tenant}/2026-01-01/")
    assert len(stem.rpartition("/")[2]) == 24
    assert first["thumbnail_key"] == f"{stem}-thumb.jpg"
    assert second["r2_key"].endswith(".webp")
    assert state.find_file(world, first["r2_key"]) == (first, False)
    assert state.find_file(world, first["thumbnail_key"]) == (first, True)
    assert state.forget_image(world, 1) is True
    assert state.forget_image(world, 1) is False
    assert state.find_file(world, first["thumbnail_key"]) is None


def test_the_address_of_files_tells_no_key_and_stays(world: World) -> None:
    found = state.bucket(world)

    assert found.startswith("pub-")
    assert len(found) == 36
    assert state.bucket(world) == found


def test_settings_are_the_documents() -> None:
    assert state.SETTINGS == {
        "gobananas.monthly_mb": 1000,
        "gobananas.monthly_images": 1000,
        "gobananas.quota_status": 429,
        "gobananas.default_aspect_ratio": "1:1",
        "gobananas.max_images_per_generation": 4,
        "gobananas.session_minutes": 30,
    }
    assert state.MODELS == ["gemini-flash-image", "gemini-pro-image", "gemini-flash-lite-image"]


@pytest.mark.parametrize(
    ("ratio", "size"),
    [
        ("1:1", (1024, 1024)),
        ("square", (1024, 1024)),
        ("portrait", (1024, 1820)),
        ("landscape", (1820, 1024)),
        ("16:9", (1820, 1024)),
        ("9:16", (1024, 1820)),
        ("4:3", (1365, 1024)),
        ("21:9", (2389, 1024)),
    ],
)
def test_the_pixels_of_a_ratio(ratio: str, size: tuple[int, int]) -> None:
    assert ratios.pixels(ratio) == size


# The month -------------------------------------------------------------------------------------------------------


def test_the_last_image_of_a_month_is_made_and_the_next_is_not(world: World) -> None:
    world.settings["gobananas.monthly_images"] = 3

    assert ledger.claim(world, images=2) == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    ledger.claim(world, images=1, edits=1)
    with pytest.raises(ProviderError) as caught:
        ledger.claim(world, images=1)

    assert (caught.value.problem.condition, caught.value.problem.status) == ("quota_exceeded", 429)
    assert caught.value.problem.details["reset"] == datetime(2026, 2, 1, tzinfo=UTC).timestamp()
    ledger.claim(world)
    assert ledger.month(world) == {"images": 3, "edits": 1, "bytes": 0}
    ledger.take_back(world, world.clock.now(), images=1, edits=1)
    assert ledger.month(world) == {"images": 2, "edits": 0, "bytes": 0}


def test_what_is_uploaded_is_of_the_months_megabytes(world: World) -> None:
    world.settings["gobananas.monthly_mb"] = 1
    world.settings["gobananas.quota_status"] = 402

    ledger.add(world, world.clock.now(), size=MEGABYTE - 1)
    ledger.claim(world)
    ledger.add(world, world.clock.now(), size=1)
    with pytest.raises(ProviderError) as caught:
        ledger.claim(world)
    assert caught.value.problem.status == 402


@pytest.mark.parametrize(
    ("now", "reset"),
    [
        (datetime(2026, 11, 30, 23, 59, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC)),
    ],
)
def test_a_month_ends_with_the_calendars(now: datetime, reset: datetime, world: World) -> None:
    world.settings["gobananas.monthly_images"] = 1
    ledger.add(world, datetime(2026, 10, 31, 23, 59, tzinfo=UTC).timestamp(), images=5)
    world.clock.advance(now.timestamp() - world.clock.now())

    ledger.claim(world, images=1)
    with pytest.raises(ProviderError) as caught:
        ledger.claim(world, images=1)

    assert caught.value.problem.details["reset"] == reset.timestamp()
    world.clock.advance(reset.timestamp() - world.clock.now())
    assert ledger.month(world)["images"] == 0


def test_days_on_which_nothing_was_made_are_not_told(world: World) -> None:
    for day, words in {1: {"images": 1}, 2: {"size": 7}, 3: {}, 4: {"images": 1, "edits": 1}}.items():
        ledger.add(world, datetime(2026, 1, day, 12, tzinfo=UTC).timestamp(), **words)

    assert ledger.period(world, date(2026, 1, 1), date(2026, 1, 4)) == [
        ("2026-01-01", {"images": 1, "edits": 0, "bytes": 0}),
        ("2026-01-02", {"images": 0, "edits": 0, "bytes": 7}),
        ("2026-01-04", {"images": 1, "edits": 1, "bytes": 0}),
    ]
    assert [day for day, _ in ledger.period(world, date(2026, 1, 2), date(2026, 1, 3))] == ["2026-01-02"]


@pytest.mark.parametrize(
    ("size", "told"),
    [(0, 0), (125 * MEGABYTE, 125), (5_200_000, 5.2), (1_234_567, 1.23), (1_235_001, 1.24), (4_999, 0), (5_001, 0.01)],
)
def test_bytes_are_told_in_millions(size: int, told: float) -> None:
    assert ledger.megabytes(size) == told
    assert type(ledger.megabytes(size)) is type(told)


def test_what_is_left_of_the_month(world: World) -> None:
    world.settings["gobananas.monthly_mb"] = 2
    ledger.add(world, world.clock.now(), size=1_250_000)
    assert profile.get_profile(world)["tenant"]["quotas"] == {"monthly_mb": 2, "used_mb": 1.25, "remaining_mb": 0.75}
    ledger.add(world, world.clock.now(), size=MEGABYTE)
    assert profile.get_profile(world)["tenant"]["quotas"] == {"monthly_mb": 2, "used_mb": 2.25, "remaining_mb": 0}


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ({}, "2025-12-03", "2026-01-01"),
        ({"days": 1}, "2026-01-01", "2026-01-01"),
        ({"days": 7}, "2025-12-26", "2026-01-01"),
        ({"end": "2025-06-30"}, "2025-06-01", "2025-06-30"),
        ({"end": "2025-06-30", "days": 1}, "2025-06-01", "2025-06-30"),
        ({"start": "2025-12-31"}, "2025-12-31", "2026-01-01"),
        ({"start": "2025-06-30", "end": "2025-06-30"}, "2025-06-30", "2025-06-30"),
        ({"end": "0001-01-05"}, "0001-01-01", "0001-01-05"),
        ({"end": "0001-01-30"}, "0001-01-01", "0001-01-30"),
        ({"end": "0001-01-31"}, "0001-01-02", "0001-01-31"),
    ],
)
def test_the_days_that_usage_is_of(asked: Any, start: str, end: str, world: World) -> None:
    summary = usage.get_usage(world, asked)["summary"]

    assert (summary["period_start"], summary["period_end"]) == (start, end)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"start": "2025-06-30", "end": "2025-06-29"}, "end is before start"),
        ({"start": "2025-02-30"}, "day is out of range for month"),
    ],
)
def test_days_that_are_none(asked: Any, told: str, world: World) -> None:
    with pytest.raises(ProviderError, match=rf"^invalid: Invalid parameters: {told}"):
        usage.get_usage(world, asked)


# Sessions and pages ----------------------------------------------------------------------------------------------


def test_a_session_ends_after_half_an_hour_of_nothing(call: InProcess) -> None:
    first = made(call)["session_id"]
    call.world.clock.advance(1800)
    assert made(call)["session_id"] == first
    call.world.clock.advance(1801)
    second = made(call)["session_id"]
    assert second != first
    assert len(second) == len("session-") + 8
    assert made(call, session_id=first)["session_id"] == first, "as long ago as it may be"
    assert made(call)["session_id"] == first, "it is the last in which something was made"


def test_sessions_are_told_the_latest_first(call: InProcess) -> None:
    first = made(call)["session_id"]
    call.world.clock.advance(3600)
    second = made(call, n=2)["session_id"]

    told = call("GET", "/api/sessions").json()["sessions"]

    assert told == [
        {"session_id": second, "total_images": 2, "total_edits": 0, "last_activity_at": "2026-01-01T01:00:00Z"},
        {"session_id": first, "total_images": 1, "total_edits": 0, "last_activity_at": "2026-01-01T00:00:00Z"},
    ]


def test_a_page_of_characters(call: InProcess) -> None:
    for name in ("Bo", "Bobo", "Ann"):
        call("POST", "/api/characters", json={"character_name": name, "base_prompt": "a banana in a hat"})

    def page(**query: Any) -> tuple[list[str], Any]:
        told = call("GET", "/api/characters", params=query).json()
        return [each["character_name"] for each in told["data"]], told["pagination"]

    def counted(total: int, limit: int, offset: int, more: bool) -> Any:
        return {"total": total, "limit": limit, "offset": offset, "has_more": more, "hasMore": more}

    assert page() == (["Bo", "Bobo", "Ann"], counted(3, 100, 0, False))
    assert page(limit=2) == (["Bo", "Bobo"], counted(3, 2, 0, True))
    assert page(limit=2, offset=1) == (["Bobo", "Ann"], counted(3, 2, 1, False))
    assert page(limit=3) == (["Bo", "Bobo", "Ann"], counted(3, 3, 0, False))
    assert page(search="BO") == (["Bo", "Bobo"], counted(2, 100, 0, False))
    assert page(search="bo", exact="true") == (["Bo"], counted(1, 100, 0, False))
    assert page(limit=101) == (["Bo", "Bobo", "Ann"], counted(3, 100, 0, False))


def test_a_page_of_images(call: InProcess) -> None:
    for _ in range(3):
        made(call)

    def page(**query: Any) -> tuple[list[int], Any]:
        told = call("GET", "/api/images", params=query).json()
        return [each["id"] for each in told["images"]], told["pagination"]

    assert page() == ([3, 2, 1], {"total": 3, "limit": 50, "offset": 0, "has_more": False})
    assert page(limit=2) == ([3, 2], {"total": 3, "limit": 2, "offset": 0, "has_more": True})
    assert page(limit=2, offset=1) == ([2, 1], {"total": 3, "limit": 2, "offset": 1, "has_more": False})
    assert page(limit=201) == ([3, 2, 1], {"total": 3, "limit": 200, "offset": 0, "has_more": False})


# Making and uploading --------------------------------------------------------------------------------------------


def test_as_many_at_once_as_the_tenant_may(call: InProcess) -> None:
    call.world.settings["gobananas.max_images_per_generation"] = 2

    assert len(made(call, n=2)["images"]) == 2
    answer = call("POST", "/api/images", json={"prompt": "a", "n": 3})
    assert (answer.status_code, answer.json()["error"]) == (
        400, "Invalid parameters: n: this tenant may generate 2 images at once",
    )  # fmt: skip


def test_pictures_of_one_prompt_have_seeds_in_a_row(call: InProcess) -> None:
    seeds = [call("GET", f"/api/images/{each['id']}").json()["seed"] for each in made(call, n=3, seed=7)["images"]]
    assert seeds == [7, 8, 9]
    (one,) = made(call)["images"]
    assert call("GET", f"/api/images/{one['id']}").json()["seed"] == 0


def test_an_upload_of_twenty_megabytes_and_no_more(call: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    assert uploads.LARGEST == 20 * MEGABYTE
    content = base64.b64decode(ONE_PIXEL)

    monkeypatch.setattr(uploads, "LARGEST", len(content))
    taken = call("POST", "/api/images/upload", json={"image_url": PIXEL})
    monkeypatch.setattr(uploads, "LARGEST", len(content) - 1)
    refused = call("POST", "/api/images/upload", json={"image_url": PIXEL})

    assert (taken.status_code, refused.status_code) == (200, 413)
    shown = {name: taken.json()[name] for name in ("image_id", "width", "height", "format", "size_bytes")}
    assert shown == {"image_id": 1, "width": 1, "height": 1, "format": "png", "size_bytes": len(content)}
    assert call("GET", "/api/usage").json()["summary"]["total_images"] == 0


@pytest.mark.parametrize("url", ["data:image/png,abcd", "data:image/png;base64,a", "data:image/png;base64,ab cd"])
def test_a_data_url_that_is_none(url: str, call: InProcess) -> None:
    answer = call("POST", "/api/images/upload", json={"image_url": url})

    assert (answer.status_code, answer.json()["error"]) == (
        400, "Invalid parameters: image_url is not a data URL in base64",
    )  # fmt: skip


@pytest.mark.parametrize("url", ["https://example.com/a.png", "http://[", "https://example.com/images/none.png"])
def test_an_address_that_is_none_of_the_tenants(url: str, call: InProcess) -> None:
    answer = call("POST", "/api/images/upload", json={"image_url": url})

    assert (answer.status_code, answer.json()["error"]) == (
        400, "Invalid parameters: image_url is neither a data URL nor a picture of this tenant",
    )  # fmt: skip


# Keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-api-key": "sk_live_bananastand"}, 200),
        ({"authorization": "bearer sk_live_bananastand"}, 200),
        ({"authorization": "Bearer  sk_live_bananastand "}, 200),
        ({"authorization": "Basic sk_live_bananastand"}, 401),
        ({"x-api-key": "sk_live_bananastand", "authorization": "Bearer wrong"}, 200),
        ({"x-api-key": "wrong", "authorization": "Bearer sk_live_bananastand"}, 401),
        ({"x-api-key": "sk_test_unknown"}, 401),
        ({}, 401),
    ],
)
def test_where_a_key_may_stand(headers: dict[str, str], status: int) -> None:
    call = InProcess(GoBananasProvider(Flat()), kind="empty", headers=headers)

    assert call("GET", "/api/profile").status_code == status


def test_the_limit_counts_down_and_is_told(call: InProcess) -> None:
    call.world.limits.set("gobananas", 2, 60)

    first, second, third = (call("GET", "/api/profile") for _ in range(3))

    told = [(each.status_code, each.headers["x-ratelimit-remaining"]) for each in (first, second, third)]
    assert told == [(200, "1"), (200, "0"), (429, "0")]
    assert {each.headers["x-ratelimit-reset"] for each in (first, second, third)} == {"1767225660"}
    call.world.clock.advance(60)
    assert call("GET", "/api/profile").headers["x-ratelimit-remaining"] == "1"


def test_an_edit_of_an_upload_is_an_edit(call: InProcess) -> None:
    call("POST", "/api/images/upload", json={"image_url": PIXEL})
    call("POST", "/api/images/continue", json={"prompt": "greener"})

    usage_ = call("GET", "/api/usage").json()["summary"]
    assert (usage_["total_images"], usage_["total_edits"]) == (1, 1)
    made(call)
    call("POST", "/api/images/continue", json={"prompt": "greener"})
    usage_ = call("GET", "/api/usage").json()["summary"]
    assert (usage_["total_images"], usage_["total_edits"]) == (3, 2)


def test_an_edit_is_made_by_the_model_that_made_the_image(call: InProcess) -> None:
    def model(answer: Any) -> str:
        return call("GET", f"/api/images/{answer['images'][0]['id']}").json()["model_id"]

    assert model(made(call)) == "gemini-flash-image"
    assert model(made(call, model_id="gemini-pro-image")) == "gemini-pro-image"
    assert model(call("POST", "/api/images/continue", json={"prompt": "b"}).json()) == "gemini-pro-image"
    call("POST", "/api/images/upload", json={"image_url": PIXEL})
    assert model(call("POST", "/api/images/continue", json={"prompt": "b"}).json()) == "gemini-flash-image"


def test_the_size_of_an_image_is_its_files() -> None:
    drawn = InProcess(GoBananasProvider(), headers=HEADERS)
    shown = drawn("GET", "/api/images/42").json()

    assert shown["size_bytes"] == len(drawn("GET", f"/images/{shown['r2_key']}").content)


@pytest.mark.parametrize(("now", "reset"), [(0, "1767225660"), (0.5, "1767225660"), (30, "1767225690")])
def test_a_fault_of_429_is_over_in_a_minute(now: float, reset: str, call: InProcess) -> None:
    call.world.clock.advance(now)
    call.world.limits.unset("gobananas")
    call.world.faults.add(Fault("status", "get_profile", status=429))

    answer = call("GET", "/api/profile")

    assert (answer.status_code, answer.headers["x-ratelimit-remaining"]) == (429, "0")
    assert answer.headers["x-ratelimit-reset"] == reset


def test_a_public_file_is_not_of_the_tenants_limit(call: InProcess) -> None:
    (image,) = made(call)["images"]
    call.world.limits.set("gobananas", 1, 60)
    path = image["url"].removeprefix("http://mock")

    assert [call("GET", path).status_code for _ in range(3)] == [200, 200, 200]
    assert [call("GET", "/api/profile").status_code for _ in range(2)] == [200, 429]
    assert call("GET", path).status_code == 200
