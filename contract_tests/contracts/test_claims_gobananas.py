"""The mock keeps each claim of claims/gobananas.yaml, over HTTP. A test has the name of its claim."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from PIL import Image

from bananastand_mocks.gobananas import GoBananasProvider
from flat_painter import FlatPainter
from in_process import InProcess

KEY = "sk_live_bananastand"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


class GoBananasCaller:
    """Calls with a key, and the world's clock."""

    def __init__(self, provider: GoBananasProvider, kind: str) -> None:
        self.send = InProcess(provider, kind=kind)
        self.world = self.send.world

    def __call__(self, method: str, path: str, json: Any = None, *, key: str = KEY, **request: Any) -> httpx2.Response:
        body = {} if json is None else {"json": json}
        return self.send(method, path, headers={"X-API-Key": key, **request.pop("headers", {})}, **body, **request)

    def result(self, method: str, path: str, json: Any = None, **request: Any) -> Any:
        """Of a call that has to succeed."""
        answer = self(method, path, json, **request)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def make(self, **body: Any) -> Any:
        """One new image."""
        return self.result("POST", "/api/images", {"prompt": "a banana on a hill", **body})["images"][0]

    def bytes_of(self, image: Any) -> bytes:
        """The file behind an image's url, fetched without a key."""
        answer = self.send("GET", image["url"])
        assert answer.status_code == 200
        return answer.content


@pytest.fixture
def call() -> GoBananasCaller:
    return GoBananasCaller(GoBananasProvider(FlatPainter()), "development")


@pytest.fixture
def drawn() -> GoBananasCaller:
    return GoBananasCaller(GoBananasProvider(), "development")


@pytest.fixture
def documents() -> Iterator[GoBananasCaller]:
    caller = GoBananasCaller(GoBananasProvider(FlatPainter()), "documents")
    yield caller
    assert caller.world.breaches == []


def error(answer: httpx2.Response) -> tuple[int, str, str]:
    assert set(answer.json()) == {"error", "code"}
    return answer.status_code, answer.json()["code"], answer.json()["error"]


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


def square(kind: str = "PNG", side: int = 40) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (200, 180, 40)).save(file, kind)
    return file.getvalue()


def test_gobananas_auth_two_headers(call: GoBananasCaller):
    refused = (401, "UNAUTHORIZED", "Invalid or missing API key")
    assert call.send("GET", "/api/profile", headers={"X-API-Key": KEY}).status_code == 200
    assert call.send("GET", "/api/profile", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    assert error(call.send("GET", "/api/profile")) == refused
    assert error(call.send("GET", "/api/profile", headers={"X-API-Key": "sk_live_unknown"})) == refused
    assert error(call.send("GET", "/api/profile", headers={"Authorization": f"Basic {KEY}"})) == refused


def test_gobananas_auth_before_the_body(call: GoBananasCaller):
    assert call.send("POST", "/api/images", content=b"{").status_code == 401
    assert call.send("POST", "/api/images", json={}).status_code == 401


def test_gobananas_errors_envelope(call: GoBananasCaller):
    json = {"content-type": "application/json"}
    assert error(call("GET", "/api/nothing")) == (404, "NOT_FOUND", "Resource not found")
    assert error(call("PUT", "/api/images")) == (405, "METHOD_NOT_ALLOWED", "Method not allowed")
    assert error(call("POST", "/api/images", content=b"{", headers=json))[:2] == (400, "BAD_REQUEST")
    assert error(call("POST", "/api/images", {}))[2] == 'Invalid parameters: prompt: "prompt" is a required property'
    assert error(call("POST", "/api/images", {"prompt": "a", "n": "2"}))[:2] == (400, "BAD_REQUEST")
    assert error(call("GET", "/api/images/x"))[:2] == (400, "BAD_REQUEST")
    assert error(call("GET", "/api/images/7")) == (404, "NOT_FOUND", "Image not found")
    call.world.faults.next_calls(1, "status", status=500)
    assert error(call("GET", "/api/images")) == (500, "INTERNAL_ERROR", "Internal server error")


@pytest.mark.parametrize(
    ("ratio", "size"),
    [("16:9", (1820, 1024)), ("portrait", (1024, 1820)), ("1:1", (1024, 1024)), ("4:3", (1365, 1024))],
)
def test_gobananas_images_size(drawn: GoBananasCaller, ratio: str, size: tuple[int, int]):
    image = drawn.make(aspect_ratio=ratio)
    content = drawn.bytes_of(image)
    picture = opened(content)
    assert (image["width"], image["height"], image["format"], image["size_bytes"]) == (*size, "png", len(content))
    assert (picture.size, picture.format) == (size, "PNG")


def test_gobananas_images_count(call: GoBananasCaller):
    assert len(call.result("POST", "/api/images", {"prompt": "a", "n": 4})["images"]) == 4
    assert len(call.result("POST", "/api/images", {"prompt": "a"})["images"]) == 1
    assert call("POST", "/api/images", {"prompt": "a", "n": 5}).status_code == 400
    call.world.settings["gobananas.max_images_per_generation"] = 2
    assert error(call("POST", "/api/images", {"prompt": "a", "n": 3}))[:2] == (400, "BAD_REQUEST")
    assert call.result("GET", "/api/profile")["tenant"]["settings"]["maxImagesPerGeneration"] == 2


def test_gobananas_images_thumbnail(drawn: GoBananasCaller):
    small = opened(drawn.send("GET", drawn.make(aspect_ratio="16:9")["thumbnail_url"]).content)
    assert (small.format, small.size) == ("JPEG", (320, 180))


def test_gobananas_images_public_address(call: GoBananasCaller):
    image, address = call.make(), "/api/images"
    assert call.send("GET", image["url"]).headers["content-type"] == "image/png"
    tenant, day, name = image["url"].split("/")[-3:]
    assert (tenant, day, len(name)) == ("acme-corp", "2026-01-01", 28)
    assert error(call.send("GET", image["url"].replace("pub-", "pub-0"))) == (404, "NOT_FOUND", "Resource not found")
    assert call("DELETE", f"{address}/{image['id']}").status_code == 204
    assert error(call.send("GET", image["url"])) == (404, "NOT_FOUND", "Image not found")


def test_gobananas_images_repeat(drawn: GoBananasCaller):
    first = drawn.bytes_of(drawn.make())
    assert drawn.bytes_of(drawn.make()) == first
    style = drawn.result("POST", "/api/style-presets", {"name": "p", "prompt": "pixel art"})["id"]
    others = [
        {"prompt": "a boat on the sea"},
        {"negative_prompt": "bananas"},
        {"style_preset_id": style},
        {"system_instruction": "in the style of a pencil sketch"},
        {"character_id": 1},
        {"seed": 1},
    ]
    pictures = [opened(drawn.bytes_of(drawn.make(**other))).tobytes() for other in others]
    assert len({*pictures, opened(first).tobytes()}) == 7


def test_gobananas_images_unknown_fields(drawn: GoBananasCaller):
    plain, more = drawn.make(), drawn.make(enhance_prompt=True, quality={"a": 1})
    assert drawn.bytes_of(plain) == drawn.bytes_of(more)


def test_gobananas_images_style_by_id_or_name(drawn: GoBananasCaller):
    drawn.result("POST", "/api/style-presets", {"name": "Pixels", "prompt": "pixel art", "aspect_ratio": "9:16"})
    by_id, by_name = drawn.make(style_preset_id=2), drawn.make(style_preset_name="Pixels")
    assert (by_id["width"], by_id["height"]) == (1024, 1820)
    assert drawn.bytes_of(by_id) == drawn.bytes_of(by_name)
    assert drawn.bytes_of(by_id) == drawn.bytes_of(drawn.make(style_preset_id=2, style_preset_name="Watercolor"))
    assert error(drawn("POST", "/api/images", {"prompt": "a", "style_preset_id": 9})) == (
        404, "NOT_FOUND", "Style preset not found")  # fmt: skip
    assert drawn("POST", "/api/images", {"prompt": "a", "style_preset_name": "none"}).status_code == 404


def test_gobananas_images_system_instruction(call: GoBananasCaller):
    image = call.make(system_instruction="Only pastel colours", style_preset_id=1)
    detail = call.result("GET", f"/api/images/{image['id']}")
    assert (detail["system_instruction"], detail["style_preset_id"]) == ("Only pastel colours", 1)
    other = call.make(style_preset_id=1)
    assert call.result("GET", f"/api/images/{other['id']}")["system_instruction"] == (
        "Soft artistic watercolor aesthetic")  # fmt: skip


def test_gobananas_images_continue(drawn: GoBananasCaller):
    first, second = drawn.make(prompt="mountains at noon"), drawn.make(prompt="a boat on the sea")
    edited = drawn.result("POST", "/api/images/continue", {"prompt": "at night"})["images"][0]
    named = drawn.result("POST", "/api/images/continue", {"prompt": "green sky", "image_id": first["id"]})["images"][0]
    detail = drawn.result("GET", f"/api/images/{edited['id']}")
    assert (detail["operation_type"], detail["parent_id"]) == ("edit", second["id"])
    assert [row["prompt"] for row in detail["edit_history"]] == ["a boat on the sea", "at night"]
    assert drawn.result("GET", f"/api/images/{named['id']}")["parent_id"] == first["id"]
    assert drawn.bytes_of(edited) != drawn.bytes_of(second)
    assert drawn.result("GET", "/api/usage")["summary"]["total_edits"] == 2


def test_gobananas_images_upload(drawn: GoBananasCaller):
    assert error(drawn("POST", "/api/images/continue", {"prompt": "red"})) == (404, "NOT_FOUND", "Image not found")
    sent = drawn.result("POST", "/api/images/upload", files={"file": ("a.webp", square("WEBP"), "image/webp")})
    assert (sent["format"], sent["width"], sent["size_bytes"]) == ("webp", 40, len(square("WEBP")))
    assert drawn.bytes_of(sent) == square("WEBP")
    data = "data:image/jpeg;base64," + base64.b64encode(square("JPEG")).decode()
    assert drawn.result("POST", "/api/images/upload", {"image_url": data})["format"] == "jpeg"
    again = drawn.result("POST", "/api/upload-for-editing", {"image_url": sent["url"]})
    edited = drawn.result("POST", "/api/images/continue", {"prompt": "a red balloon at night"})["images"][0]
    assert drawn.result("GET", f"/api/images/{edited['id']}")["parent_id"] == again["image_id"]
    assert opened(drawn.bytes_of(edited)).size == (40, 40)
    for url in ("http://169.254.169.254/latest", "data:image/png;base64,!!", "data:text/plain,a", "http://[", "a"):
        assert error(drawn("POST", "/api/images/upload", {"image_url": url}))[:2] == (400, "BAD_REQUEST")
    assert error(drawn("POST", "/api/images/upload", files={"other": b"a"}))[2] == "Invalid parameters: file is missing"


def test_gobananas_gallery_newest_first(call: GoBananasCaller):
    ids = [call.make()["id"] for _ in range(5)]
    seen, more, offset = list[int](), True, 0
    while more:
        page = call.result("GET", f"/api/images?limit=2&offset={offset}")
        assert page["pagination"] == {"total": 5, "limit": 2, "offset": offset, "has_more": offset < 4}
        seen += [image["id"] for image in page["images"]]
        more, offset = page["pagination"]["has_more"], offset + 2
    assert seen == ids[::-1]


def test_gobananas_gallery_limit_is_clamped(call: GoBananasCaller):
    assert call.result("GET", "/api/images?limit=1000")["pagination"]["limit"] == 200
    assert call.result("GET", "/api/images")["pagination"]["limit"] == 50
    assert call("GET", "/api/images?limit=0").status_code == 400
    assert call("GET", "/api/images?offset=-1").status_code == 400


def test_gobananas_gallery_search(call: GoBananasCaller):
    found = call.make(prompt="A Sunset over the sea")
    call.make(prompt="a banana")
    assert [image["id"] for image in call.result("GET", "/api/images?search=sunset")["images"]] == [found["id"]]
    assert call.result("GET", "/api/images?search=%25")["images"] == []


def test_gobananas_gallery_delete(call: GoBananasCaller):
    image = call.make()
    answer = call("DELETE", f"/api/images/{image['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert error(call("DELETE", f"/api/images/{image['id']}")) == (404, "NOT_FOUND", "Image not found")
    assert call("GET", f"/api/images/{image['id']}").status_code == 404


def test_gobananas_gallery_delete_in_bulk(documents: GoBananasCaller):
    answer = documents.result("POST", "/api/images/delete-bulk", {"ids": [42, 43, 44, 42]})
    assert answer == {"deleted": [42, 43], "failed": [{"id": 44, "reason": "Not found"}]}
    assert documents.result("POST", "/api/images/delete-bulk", {"ids": [42]})["deleted"] == []
    assert documents("POST", "/api/images/delete-bulk", {"ids": list(range(1, 22))}).status_code == 400
    assert documents("POST", "/api/images/delete-bulk", {"ids": []}).status_code == 400


def test_gobananas_sessions_one_open_session(call: GoBananasCaller):
    def session(**body: Any) -> str:
        return call.result("POST", "/api/images", {"prompt": "a", **body})["session_id"]

    first = session()
    call.world.clock.advance(29 * MINUTE)
    assert session() == first
    call.world.clock.advance(31 * MINUTE)
    second = session()
    assert second != first
    assert session(session_id=first) == first
    assert error(call("POST", "/api/images", {"prompt": "a", "session_id": "none"})) == (
        404, "NOT_FOUND", "Session not found")  # fmt: skip
    call.world.admit("gobananas", "sk_test_second")
    third = call.result("POST", "/api/images", {"prompt": "a"}, key="sk_test_second")["session_id"]
    assert third not in (first, second)


def test_gobananas_sessions_totals(call: GoBananasCaller):
    created = call.result("POST", "/api/images", {"prompt": "a", "n": 2})
    call.result("POST", "/api/images/continue", {"prompt": "b"})
    call("DELETE", f"/api/images/{created['images'][0]['id']}")
    (session,) = call.result("GET", "/api/sessions")["sessions"]
    expected = {"session_id": created["session_id"], "total_images": 2, "total_edits": 1}
    assert session == {**expected, "last_activity_at": "2026-01-01T00:00:00Z"}
    detail = call.result("GET", f"/api/sessions/{session['session_id']}")
    assert [image["operation_type"] for image in detail["images"]] == ["generate", "edit"]
    assert call("GET", "/api/sessions/none").status_code == 404


def test_gobananas_usage_counts_what_happened(call: GoBananasCaller):
    size = call.make()["size_bytes"]
    call.world.clock.advance(DAY)
    image = call.make()
    call.result("POST", "/api/images/continue", {"prompt": "b"})
    call("DELETE", f"/api/images/{image['id']}")
    usage = call.result("GET", "/api/usage?days=2")
    days = [(row["date"], row["images"], row["edits"]) for row in usage["daily"]]
    assert days == [("2026-01-01", 1, 0), ("2026-01-02", 2, 1)]
    assert usage["summary"]["total_size_mb"] == round(3 * size / 1_000_000, 2)
    assert (usage["summary"]["total_images"], usage["summary"]["total_edits"]) == (3, 1)


def test_gobananas_usage_window(documents: GoBananasCaller):
    def period(query: str) -> tuple[str, str]:
        summary = documents.result("GET", f"/api/usage{query}")["summary"]
        return summary["period_start"], summary["period_end"]

    assert period("") == ("2025-12-03", "2026-01-01")
    assert period("?days=1") == ("2026-01-01", "2026-01-01")
    assert period("?days=5&start=2025-01-01&end=2025-01-31") == ("2025-01-01", "2025-01-31")
    assert period("?end=2025-01-31") == ("2025-01-02", "2025-01-31")
    usage = documents.result("GET", "/api/usage?start=2025-01-15&end=2025-01-15")
    assert usage["daily"] == [{"date": "2025-01-15", "images": 25, "edits": 10, "size_mb": 5.2}]
    for query in ("?start=2025-02-01&end=2025-01-01", "?days=0", "?days=91", "?start=yesterday", "?start=2025-02-30"):
        assert error(documents("GET", f"/api/usage{query}"))[:2] == (400, "BAD_REQUEST")


def test_gobananas_quota_storage_moves(documents: GoBananasCaller):
    def quotas() -> Any:
        return documents.result("GET", "/api/profile")["tenant"]["quotas"]

    assert quotas() == {"monthly_mb": 1000, "used_mb": 125, "remaining_mb": 875}
    sent = base64.b64encode(square("PNG") + b"\0" * 2_000_000).decode()
    documents.result("POST", "/api/images/upload", {"image_url": f"data:image/png;base64,{sent}"})
    assert quotas() == {"monthly_mb": 1000, "used_mb": 127, "remaining_mb": 873}
    documents.world.settings["gobananas.monthly_mb"] = 127
    assert error(documents("POST", "/api/images", {"prompt": "a"})) == (429, "QUOTA_EXCEEDED", "Quota exceeded")
    documents.world.clock.advance(31 * DAY)
    assert quotas() == {"monthly_mb": 127, "used_mb": 0, "remaining_mb": 127}


def test_gobananas_quota_month(call: GoBananasCaller):
    call.world.settings["gobananas.monthly_images"] = 3
    for _ in range(3):
        call.make()
    refused = call("POST", "/api/images", {"prompt": "a"})
    assert error(refused) == (429, "QUOTA_EXCEEDED", "Quota exceeded")
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert refused.headers["x-ratelimit-reset"] == "1769904000"  # 2026-02-01
    call.world.settings["gobananas.quota_status"] = 402
    assert error(call("POST", "/api/images", {"prompt": "a"})) == (402, "QUOTA_EXCEEDED", "Quota exceeded")
    assert call.result("GET", "/api/usage")["summary"]["total_images"] == 3
    call.world.clock.advance(30 * DAY)
    assert call("POST", "/api/images", {"prompt": "a"}).status_code == 402
    call.world.clock.advance(DAY)
    call.make()


def test_gobananas_limit_per_tenant(call: GoBananasCaller):
    call.world.admit("gobananas", "sk_test_second")
    for turn in range(60):
        assert call("GET", "/api/sessions", key=(KEY, "sk_test_second")[turn % 2]).status_code == 200
    refused = call("GET", "/api/sessions", key="sk_test_second")
    assert error(refused) == (429, "RATE_LIMITED", "Rate limit exceeded")
    other = call("GET", "/api/profile", key="sk_live_other")
    assert (other.status_code, other.json()["tenant"]["tenantId"]) == (200, "other-corp")
    assert call.send("GET", "/gallery").status_code == 200
    call.world.clock.advance(MINUTE)
    assert call("GET", "/api/sessions").status_code == 200


def test_gobananas_limit_headers(call: GoBananasCaller):
    call.world.limits.set("gobananas", 3, 60)
    answers = [call("GET", path) for path in ("/api/sessions", "/api/images/9", "/api/images/x", "/api/sessions")]
    assert [answer.status_code for answer in answers] == [200, 404, 400, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer.headers["x-ratelimit-reset"] for answer in answers} == {"1767225660"}


def test_the_month_of_a_quota_takes_less_than_fifty_milliseconds():
    """Drawing is excluded: what paints here is a colour. The processor's time, so that a busy machine has it too."""
    best = 9.0
    for _ in range(20):
        call = GoBananasCaller(GoBananasProvider(FlatPainter()), "empty")
        call.world.settings["gobananas.monthly_images"] = 3
        began = time.process_time()
        statuses = [call("POST", "/api/images", {"prompt": "a"}).status_code for _ in range(4)]
        call.world.clock.advance(30 * DAY)
        statuses.append(call("POST", "/api/images", {"prompt": "a"}).status_code)
        call.world.clock.advance(DAY)
        statuses.append(call("POST", "/api/images", {"prompt": "a"}).status_code)
        best = min(best, time.process_time() - began)
        assert statuses == [200, 200, 200, 429, 429, 200]
    assert best < 0.05


def test_the_window_of_a_rate_takes_less_than_fifty_milliseconds():
    best = 9.0
    for _ in range(20):
        call = GoBananasCaller(GoBananasProvider(FlatPainter()), "empty")
        call.world.limits.set("gobananas", 10, 60)
        began = time.process_time()
        statuses = [call("GET", "/api/sessions").status_code for _ in range(11)]
        call.world.clock.advance(MINUTE - 0.1)
        statuses.append(call("GET", "/api/sessions").status_code)
        call.world.clock.advance(0.1)
        statuses.append(call("GET", "/api/sessions").status_code)
        best = min(best, time.process_time() - began)
        assert statuses == [200] * 10 + [429, 429, 200]
    assert best < 0.05


def test_gobananas_proxy_tenants(documents: GoBananasCaller):
    key = "tenant/2025-01-15/image.png"
    assert documents("GET", f"/images/{key}").headers["content-type"] == "image/png"
    assert documents("GET", "/images/tenant/image-thumb.jpg").headers["content-type"] == "image/jpeg"
    assert error(documents("GET", "/images/acme-corp/none.png")) == (404, "NOT_FOUND", "Image not found")
    assert error(documents("GET", "/images/tenant/none.png")) == (403, "FORBIDDEN", "Tenant access denied")
    mine = documents.make()["url"].split("/", 5)[5]
    assert documents("GET", f"/images/{mine}").status_code == 200
    assert documents("GET", f"/images/{mine}", key="sk_live_other").status_code == 403
    assert documents.send("GET", f"/images/{key}").status_code == 401


def test_gobananas_proxy_deleted(documents: GoBananasCaller):
    url = documents.make()["url"].split("/", 5)[5]
    listed = documents("GET", "/api/images").json()["images"]
    for image in listed:
        assert documents("DELETE", f"/api/images/{image['id']}").status_code == 204
    for gone in (url, "tenant/image.png", "tenant/image-thumb.jpg", "tenant/image-2.png"):
        assert error(documents("GET", f"/images/{gone}")) == (404, "NOT_FOUND", "Image not found")
    assert documents("GET", f"/images/{url}", key="sk_live_other").status_code == 403
    assert documents("GET", "/images/tenant/2025-01-15/image.png").status_code == 200


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("%2e%2e/%2e%2e/etc/passwd", 403),
        ("..%2f..%2fetc%2fpasswd", 403),
        ("%2fetc/passwd", 403),
        ("..%5c..%5cwindows", 403),
        ("acme-corp/%2e%2e/other-corp/a.png", 404),
        ("acme-corp/a.png%00.jpg", 404),
        ("acme-corp/%ff%fe", 404),
        ("a" * 5000, 403),
    ],
)
def test_gobananas_proxy_hostile_paths(documents: GoBananasCaller, key: str, status: int):
    assert documents("GET", f"/images/{key}").status_code == status


def test_gobananas_proxy_download(documents: GoBananasCaller):
    path = "/images/tenant/2025-01-15/image.png"
    assert (
        documents("GET", f"{path}?download=true").headers["content-disposition"] == 'attachment; filename="image.png"'
    )
    assert "content-disposition" not in documents("GET", path).headers
    assert documents("GET", f"{path}?download=maybe").status_code == 400


def test_gobananas_characters_lifecycle(call: GoBananasCaller):
    image = call.make()["id"]
    body = {"character_name": "Peel", "base_prompt": "a banana in a red coat", "reference_image_ids": [image]}
    character = call.result("POST", "/api/characters", body)
    assert [row["id"] for row in character["reference_images"]] == [image]
    assert [row["id"] for row in call.result("GET", "/api/characters?search=pee")["data"]] == [character["id"]]
    assert call.result("GET", "/api/characters?search=pee&exact=true")["characters"] == []
    assert call.result("GET", "/api/characters?limit=1")["pagination"]["hasMore"] is True
    path = f"/api/characters/{character['id']}"
    assert call.result("PATCH", path, {"description": "ripe"})["description"] == "ripe"
    call("DELETE", f"/api/images/{image}")
    assert call.result("GET", path)["reference_images"] == []
    assert call.result("DELETE", path) == {"deleted": True, "id": character["id"]}
    assert error(call("DELETE", path)) == (404, "NOT_FOUND", "Character not found")
    assert call("POST", "/api/characters", {**body, "base_prompt": "short"}).status_code == 400
    assert call("POST", "/api/characters", body).status_code == 404


def test_gobananas_presets_lifecycle(call: GoBananasCaller):
    created = call.result("POST", "/api/style-presets", {"name": "Ink", "prompt": "ink drawing,"})
    names = [preset["name"] for preset in call.result("GET", "/api/style-presets")["presets"]]
    assert names == ["Watercolor", "Ink"]
    path = f"/api/style-presets/{created['id']}"
    assert call.result("DELETE", path) == {"deleted": True, "id": created["id"]}
    assert error(call("DELETE", path)) == (404, "NOT_FOUND", "Style preset not found")
    assert call("POST", "/api/style-presets", {"name": "", "prompt": "a"}).status_code == 400
