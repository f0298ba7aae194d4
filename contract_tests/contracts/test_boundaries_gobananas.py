"""Go Bananas! at its boundaries: forms, the month's quota, sessions, pages, keys and rate limits, over HTTP.

An empty tenant, whose clock starts at 2026-01-01T00:00:00Z.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import httpx2
import pytest

from bananastand_mocks.gobananas import GoBananasProvider
from bananastand_mocks.kernel.faults import Fault
from flat_painter import FlatPainter
from in_process import InProcess

HEADERS = {"x-api-key": "sk_live_bananastand"}
ONE_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PIXEL = f"data:image/png;base64,{ONE_PIXEL}"
DAY = 86_400
CHARACTER = {"character_name": "Bo", "base_prompt": "a banana in a hat"}


@pytest.fixture
def call() -> InProcess:
    return InProcess(GoBananasProvider(FlatPainter()), kind="empty", headers=HEADERS)


def create(call: InProcess, **body: Any) -> Any:
    response = call("POST", "/api/images", json={"prompt": "a", **body})
    assert response.status_code == 200, response.text
    return response.json()


def error(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def summary(call: InProcess, **query: Any) -> Any:
    return call("GET", "/api/usage", params=query).json()["summary"]


# Forms -----------------------------------------------------------------------------------------------------------


def part(name: str, content: bytes, boundary: bytes = b"b") -> bytes:
    return b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (boundary, name.encode(), content)


PICTURE = base64.b64decode(ONE_PIXEL)


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("multipart/form-data; boundary=b", part("file", PICTURE) + b"--b--", 200),
        ("multipart/form-data; boundary=b", part("other", b"two") + part("file", PICTURE) + b"--b--", 200),
        ("multipart/form-data; boundary=b", part("file", PICTURE) + part("file", b"two") + b"--b--", 200),
        ('multipart/form-data; boundary="b c"', part("file", PICTURE, b"b c") + b"--b c--", 200),
        ("multipart/form-data; boundary=b", part("files", PICTURE) + b"--b--", 400),
        ("multipart/form-data; boundary=c", part("file", PICTURE) + b"--b--", 400),
        ("multipart/form-data", part("file", PICTURE) + b"--b--", 400),
    ],
)
def test_an_uploaded_form_needs_a_file_in_the_field_named_file(
    content_type: str, body: bytes, status: int, call: InProcess
) -> None:
    response = call("POST", "/api/images/upload", content=body, headers={"content-type": content_type})

    assert response.status_code == status, response.text
    if status == 200:
        assert (response.json()["width"], response.json()["size_bytes"]) == (1, len(PICTURE))


@pytest.mark.parametrize("url", ["data:image/png,abcd", "data:image/png;base64,a", "data:image/png;base64,ab cd"])
def test_a_data_url_must_be_base64(url: str, call: InProcess) -> None:
    response = call("POST", "/api/images/upload", json={"image_url": url})

    assert error(response) == (400, "Invalid parameters: image_url is not a data URL in base64")


@pytest.mark.parametrize("url", ["https://example.com/a.png", "http://[", "https://example.com/images/none.png"])
def test_an_image_url_must_be_a_picture_of_the_tenant(url: str, call: InProcess) -> None:
    response = call("POST", "/api/images/upload", json={"image_url": url})

    assert error(response) == (
        400,
        "Invalid parameters: image_url is neither a data URL nor a picture of this tenant",
    )


def test_an_upload_counts_neither_as_an_image_nor_as_an_edit_but_editing_it_does(call: InProcess) -> None:
    call("POST", "/api/images/upload", json={"image_url": PIXEL})
    assert (summary(call)["total_images"], summary(call)["total_edits"]) == (0, 0)
    call("POST", "/api/images/continue", json={"prompt": "greener"})
    assert (summary(call)["total_images"], summary(call)["total_edits"]) == (1, 1)
    create(call)
    call("POST", "/api/images/continue", json={"prompt": "greener"})
    assert (summary(call)["total_images"], summary(call)["total_edits"]) == (3, 2)


# Images ----------------------------------------------------------------------------------------------------------


def test_image_ids_count_from_one_and_files_are_named_by_the_day(call: InProcess) -> None:
    first, second = create(call, n=2)["images"]
    row = call("GET", "/api/images/1").json()

    assert (first["id"], second["id"]) == (1, 2)
    assert "/2026-01-01/" in row["r2_key"]
    assert re.fullmatch(r"pub-[0-9a-f]{32}", first["url"].partition("/r2/")[2].partition("/")[0])
    assert first["url"].endswith(f"/{row['r2_key']}")
    assert first["thumbnail_url"] == first["url"].replace(".png", "-thumb.jpg")
    assert call("DELETE", "/api/images/1").status_code == 204
    assert call("DELETE", "/api/images/1").status_code == 404


@pytest.mark.parametrize(
    ("ratio", "size"),
    [
        ("square", (1024, 1024)),
        ("portrait", (1024, 1820)),
        ("landscape", (1820, 1024)),
        ("16:9", (1820, 1024)),
        ("9:16", (1024, 1820)),
        ("4:3", (1365, 1024)),
        ("21:9", (2389, 1024)),
    ],
)
def test_an_aspect_ratio_keeps_the_short_side_at_1024_pixels(
    ratio: str, size: tuple[int, int], call: InProcess
) -> None:
    (image,) = create(call, aspect_ratio=ratio)["images"]

    assert (image["width"], image["height"]) == size


def test_a_tenant_generates_no_more_images_at_once_than_its_settings_say(call: InProcess) -> None:
    call.world.settings["gobananas.max_images_per_generation"] = 2

    assert len(create(call, n=2)["images"]) == 2
    response = call("POST", "/api/images", json={"prompt": "a", "n": 3})
    assert error(response) == (400, "Invalid parameters: n: this tenant may generate 2 images at once")


def test_images_of_one_request_have_consecutive_seeds(call: InProcess) -> None:
    images = create(call, n=3, seed=7)["images"]
    assert [call("GET", f"/api/images/{image['id']}").json()["seed"] for image in images] == [7, 8, 9]
    (image,) = create(call)["images"]
    assert call("GET", f"/api/images/{image['id']}").json()["seed"] == 0


def test_an_edit_uses_the_model_of_the_image_it_edits(call: InProcess) -> None:
    def model(created: Any) -> str:
        return call("GET", f"/api/images/{created['images'][0]['id']}").json()["model_id"]

    def edit() -> Any:
        return call("POST", "/api/images/continue", json={"prompt": "b"}).json()

    assert model(create(call)) == "gemini-flash-image"
    assert model(create(call, model_id="gemini-pro-image")) == "gemini-pro-image"
    assert model(edit()) == "gemini-pro-image"
    call("POST", "/api/images/upload", json={"image_url": PIXEL})
    assert model(edit()) == "gemini-flash-image"


# The month and the days ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "reset"),
    [(0, "1769904000"), (334, "1798761600"), (365, "1801440000")],  # 2026-02-01, 2027-01-01, 2027-02-01
)
def test_the_image_quota_is_a_calendar_months(days: int, reset: str, call: InProcess) -> None:
    call.world.settings["gobananas.monthly_images"] = 3
    call.world.clock.advance(days * DAY + DAY / 2)

    create(call, n=2)
    create(call)
    response = call("POST", "/api/images", json={"prompt": "a"})

    assert error(response) == (429, "Quota exceeded")
    assert (response.json()["code"], response.headers["x-ratelimit-reset"]) == ("QUOTA_EXCEEDED", reset)
    call.world.clock.advance(float(reset) - call.world.clock.now())
    create(call)


def test_the_storage_quota_stops_generation_once_it_is_used_up(call: InProcess) -> None:
    call.world.settings["gobananas.quota_status"] = 402
    call.world.settings["gobananas.monthly_mb"] = 1
    assert call("GET", "/api/profile").json()["tenant"]["quotas"] == {
        "monthly_mb": 1, "used_mb": 0, "remaining_mb": 1,
    }  # fmt: skip
    create(call)
    call.world.settings["gobananas.monthly_mb"] = 0

    assert call("POST", "/api/images", json={"prompt": "a"}).status_code == 402
    assert call("GET", "/api/profile").json()["tenant"]["quotas"]["remaining_mb"] == 0


def test_usage_leaves_out_days_on_which_nothing_happened(call: InProcess) -> None:
    create(call)
    call.world.clock.advance(2 * DAY)
    create(call)
    call("POST", "/api/images/continue", json={"prompt": "greener"})
    call.world.clock.advance(DAY)

    daily = call("GET", "/api/usage").json()["daily"]

    assert [(day["date"], day["images"], day["edits"]) for day in daily] == [("2026-01-01", 1, 0), ("2026-01-03", 2, 1)]
    assert summary(call, start="2026-01-02", end="2026-01-02")["total_images"] == 0


@pytest.mark.parametrize(
    ("query", "start", "end"),
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
def test_usage_covers_thirty_days_unless_the_query_says_otherwise(
    query: Any, start: str, end: str, call: InProcess
) -> None:
    period = summary(call, **query)

    assert (period["period_start"], period["period_end"]) == (start, end)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"start": "2025-06-30", "end": "2025-06-29"}, "end is before start"),
        ({"start": "2025-02-30"}, 'start: "2025-02-30" is not a "date"'),
    ],
)
def test_usage_refuses_days_that_make_no_period(query: Any, text: str, call: InProcess) -> None:
    assert error(call("GET", "/api/usage", params=query)) == (400, f"Invalid parameters: {text}")


# Sessions and pages ----------------------------------------------------------------------------------------------


def test_sessions_are_listed_latest_first(call: InProcess) -> None:
    first = create(call)["session_id"]
    call.world.clock.advance(3600)
    second = create(call, n=2)["session_id"]

    assert call("GET", "/api/sessions").json()["sessions"] == [
        {"session_id": second, "total_images": 2, "total_edits": 0, "last_activity_at": "2026-01-01T01:00:00Z"},
        {"session_id": first, "total_images": 1, "total_edits": 0, "last_activity_at": "2026-01-01T00:00:00Z"},
    ]


def test_characters_are_paged_and_searched_by_name(call: InProcess) -> None:
    for name in ("Bo", "Bobo", "Ann"):
        call("POST", "/api/characters", json={**CHARACTER, "character_name": name})

    def page(**query: Any) -> tuple[list[str], Any]:
        body = call("GET", "/api/characters", params=query).json()
        return [character["character_name"] for character in body["data"]], body["pagination"]

    def pagination(total: int, limit: int, offset: int, more: bool) -> Any:
        return {"total": total, "limit": limit, "offset": offset, "has_more": more, "hasMore": more}

    assert page() == (["Bo", "Bobo", "Ann"], pagination(3, 100, 0, False))
    assert page(limit=2) == (["Bo", "Bobo"], pagination(3, 2, 0, True))
    assert page(limit=2, offset=1) == (["Bobo", "Ann"], pagination(3, 2, 1, False))
    assert page(limit=3) == (["Bo", "Bobo", "Ann"], pagination(3, 3, 0, False))
    assert page(search="BO") == (["Bo", "Bobo"], pagination(2, 100, 0, False))
    assert page(search="bo", exact="true") == (["Bo"], pagination(1, 100, 0, False))
    assert page(limit=101) == (["Bo", "Bobo", "Ann"], pagination(3, 100, 0, False))


def test_images_are_paged_fifty_at_a_time_and_two_hundred_at_most(call: InProcess) -> None:
    create(call, n=3)

    def page(**query: Any) -> tuple[list[int], Any]:
        body = call("GET", "/api/images", params=query).json()
        return [image["id"] for image in body["images"]], body["pagination"]

    assert page() == ([3, 2, 1], {"total": 3, "limit": 50, "offset": 0, "has_more": False})
    assert page(limit=2) == ([3, 2], {"total": 3, "limit": 2, "offset": 0, "has_more": True})
    assert page(limit=2, offset=1) == ([2, 1], {"total": 3, "limit": 2, "offset": 1, "has_more": False})
    assert page(limit=201) == ([3, 2, 1], {"total": 3, "limit": 200, "offset": 0, "has_more": False})


# Keys and rate limits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": "bearer sk_live_bananastand"}, 200),
        ({"authorization": "Bearer  sk_live_bananastand "}, 200),
        ({"authorization": "Basic sk_live_bananastand"}, 401),
        ({"x-api-key": "sk_live_bananastand", "authorization": "Bearer wrong"}, 200),
        ({"x-api-key": "wrong", "authorization": "Bearer sk_live_bananastand"}, 401),
        ({"x-api-key": "sk_test_unknown"}, 401),
    ],
)
def test_x_api_key_goes_before_a_bearer_key(headers: dict[str, str], status: int) -> None:
    call = InProcess(GoBananasProvider(FlatPainter()), kind="empty", headers=headers)

    assert call("GET", "/api/profile").status_code == status


@pytest.mark.parametrize(("calls", "seconds"), [(-1, 1), (1, 0), (1, -0.5)])
def test_a_rate_limit_needs_a_count_and_a_time(calls: int, seconds: float, call: InProcess) -> None:
    with pytest.raises(ValueError, match="calls is 0 or more, seconds more than 0"):
        call.world.limits.set("gobananas", calls, seconds)


@pytest.mark.parametrize(("now", "reset"), [(0, "1767225660"), (0.5, "1767225660"), (30, "1767225690")])
def test_a_provoked_429_says_to_wait_a_minute(now: float, reset: str, call: InProcess) -> None:
    call.world.clock.advance(now)
    call.world.limits.unset("gobananas")
    call.world.faults.add(Fault("status", "get_profile", status=429))

    response = call("GET", "/api/profile")

    assert (response.status_code, response.headers["x-ratelimit-remaining"]) == (429, "0")
    assert response.headers["x-ratelimit-reset"] == reset


def test_public_files_are_not_rate_limited(call: InProcess) -> None:
    (image,) = create(call)["images"]
    call.world.limits.set("gobananas", 1, 60)
    path = image["url"].removeprefix("http://mock")

    assert [call("GET", path).status_code for _ in range(3)] == [200, 200, 200]
    assert [call("GET", "/api/profile").status_code for _ in range(2)] == [200, 429]
    assert call("GET", path).status_code == 200
