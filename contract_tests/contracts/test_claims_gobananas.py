"""Each claim of claims/gobananas.yaml, made good by the mock over HTTP. A test has the name of its claim."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from PIL import Image

from bananastand_mocks.gobananas import GoBananasProvider
from bananastand_mocks.gobananas.pictures import Recipe
from in_process import InProcess

KEY = "sk_live_bananastand"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


class Flat:
    """Paints at once, one colour for each recipe: for the claims that no picture has a part in."""

    keeps = True

    async def paint(self, recipe: Recipe) -> bytes:
        kept = io.BytesIO()
        Image.new("1", (recipe.width, recipe.height)).save(kept, "PNG")
        return kept.getvalue()


class Caller:
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
def call() -> Caller:
    return Caller(GoBananasProvider(Flat()), "development")


@pytest.fixture
def drawn() -> Caller:
    return Caller(GoBananasProvider(), "development")


@pytest.fixture
def documents() -> Iterator[Caller]:
    caller = Caller(GoBananasProvider(Flat()), "documents")
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
    kept = io.BytesIO()
    Image.new("RGB", (side, side), (200, 180, 40)).save(kept, kind)
    return kept.getvalue()


def test_every_claim_has_a_test_of_its_name():
    rows = yaml.safe_load((Path(__file__).parent / "claims" / "gobananas.yaml").read_text(encoding="utf-8"))
    wanted = {"test_" + each["id"].replace(".", "_").replace("-", "_") for each in rows}
    assert wanted - globals().keys() == set()


def test_gobananas_auth_two_headers(call: Caller):
    refused = (401, "UNAUTHORIZED", "Invalid or missing API key")
    assert call.send("GET", "/api/profile", headers={"X-API-Key": KEY}).status_code == 200
    assert call.send("GET", "/api/profile", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    assert error(call.send("GET", "/api/profile")) == refused
    assert error(call.send("GET", "/api/profile", headers={"X-API-Key": "sk_live_unknown"})) == refused
    assert error(call.send("GET", "/api/profile", headers={"Authorization": f"Basic {KEY}"})) == refused


def test_gobananas_auth_before_the_body(call: Caller):
    assert call.send("POST", "/api/images", content=b"{").status_code == 401
    assert call.send("POST", "/api/images", json={}).status_code == 401


def test_gobananas_errors_envelope(call: Caller):
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
def test_gobananas_images_size(drawn: Caller, ratio: str, size: tuple[int, int]):
    made = drawn.make(aspect_ratio=ratio)
    content = drawn.bytes_of(made)
    picture = opened(content)
    assert (made["width"], made["height"], made["format"], made["size_bytes"]) == (*size, "png", len(content))
    assert (picture.size, picture.format) == (size, "PNG")


def test_gobananas_images_count(call: Caller):
    assert len(call.result("POST", "/api/images", {"prompt": "a", "n": 4})["images"]) == 4
    assert len(call.result("POST", "/api/images", {"prompt": "a"})["images"]) == 1
    assert call("POST", "/api/images", {"prompt": "a", "n": 5}).status_code == 400
    call.world.settings["gobananas.max_images_per_generation"] = 2
    assert error(call("POST", "/api/images", {"prompt": "a", "n": 3}))[:2] == (400, "BAD_REQUEST")
    assert call.result("GET", "/api/profile")["tenant"]["settings"]["maxImagesPerGeneration"] == 2


def test_gobananas_images_thumbnail(drawn: Caller):
    small = opened(drawn.send("GET", drawn.make(aspect_ratio="16:9")["thumbnail_url"]).content)
    assert (small.format, small.size) == ("JPEG", (320, 180))


def test_gobananas_images_public_address(call: Caller):
    made, address = call.make(), "/api/images"
    assert call.send("GET", made["url"]).headers["content-type"] == "image/png"
    tenant, day, name = made["url"].split("/")[-3:]
    assert (tenant, day, len(name)) == ("acme-corp", "2026-01-01", 28)
    assert error(call.send("GET", made["url"].replace("pub-", "pub-0"))) == (404, "NOT_FOUND", "Resource not found")
    assert call("DELETE", f"{address}/{made['id']}").status_code == 204
    assert error(call.send("GET", made["url"])) == (404, "NOT_FOUND", "Image not found")


def test_gobananas_images_repeat(drawn: Caller):
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
    pictures = [opened(drawn.bytes_of(drawn.make(**each))).tobytes() for each in others]
    assert len({*pictures, opened(first).tobytes()}) == 7


def test_gobananas_images_unknown_fields(drawn: Caller):
    plain, more = drawn.make(), drawn.make(enhance_prompt=True, quality={"a": 1})
    assert drawn.bytes_of(plain) == drawn.bytes_of(more)


def test_gobananas_images_style_by_id_or_name(drawn: Caller):
    drawn.result("POST", "/api/style-presets", {"name": "Pixels", "prompt": "pixel art", "aspect_ratio": "9:16"})
    by_id, by_name = drawn.make(style_preset_id=2), drawn.make(style_preset_name="Pixels")
    assert (by_id["width"], by_id["height"]) == (1024, 1820)
    assert drawn.bytes_of(by_id) == drawn.bytes_of(by_name)
    assert drawn.bytes_of(by_id) == drawn.bytes_of(drawn.make(style_preset_id=2, style_preset_name="Watercolor"))
    assert error(drawn("POST", "/api/images", {"prompt": "a", "style_preset_id": 9})) == (
        404, "NOT_FOUND", "Style preset not found")  # fmt: skip
    assert drawn("POST", "/api/images", {"prompt": "a", "style_preset_name": "none"}).status_code == 404


def test_gobananas_images_system_instruction(call: Caller):
    made = call.make(system_instruction="Only pastel colours", style_preset_id=1)
    told = call.result("GET", f"/api/images/{made['id']}")
    assert (told["system_instruction"], told["style_preset_id"]) == ("Only pastel colours", 1)
    other = call.make(style_preset_id=1)
    assert call.result("GET", f"/api/images/{other['id']}")["system_instruction"] == (
        "Soft artistic watercolor aesthetic")  # fmt: skip


def test_gobananas_images_continue(drawn: Caller):
    first, second = drawn.make(prompt="mountains at noon"), drawn.make(prompt="a boat on the sea")
    edited = drawn.result("POST", "/api/images/continue", {"prompt": "at night"})["images"][0]
    named = drawn.result("POST", "/api/images/continue", {"prompt": "green sky", "image_id": first["id"]})["images"][0]
    told = drawn.result("GET", f"/api/images/{edited['id']}")
    assert (told["operation_type"], told["parent_id"]) == ("edit", second["id"])
    assert [each["prompt"] for each in told["edit_history"]] == ["a boat on the sea", "at night"]
    assert drawn.result("GET", f"/api/images/{named['id']}")["parent_id"] == first["id"]
    assert drawn.bytes_of(edited) != drawn.bytes_of(second)
    assert drawn.result("GET", "/api/usage")["summary"]["total_edits"] == 2


def test_gobananas_images_upload(drawn: Caller):
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


def test_gobananas_gallery_newest_first(call: Caller):
    made = [call.make()["id"] for _ in range(5)]
    seen, more, offset = list[int](), True, 0
    while more:
        page = call.result("GET", f"/api/images?limit=2&offset={offset}")
        assert page["pagination"] == {"total": 5, "limit": 2, "offset": offset, "has_more": offset < 4}
        seen += [each["id"] for each in page["images"]]
        more, offset = page["pagination"]["has_more"], offset + 2
    assert seen == made[::-1]


def test_gobananas_gallery_limit_is_clamped(call: Caller):
    assert call.result("GET", "/api/images?limit=1000")["pagination"]["limit"] == 200
    assert call.result("GET", "/api/images")["pagination"]["limit"] == 50
    assert call("GET", "/api/images?limit=0").status_code == 400
    assert call("GET", "/api/images?offset=-1").status_code == 400


def test_gobananas_gallery_search(call: Caller):
    found = call.make(prompt="A Sunset over the sea")
    call.make(prompt="a banana")
    assert [each["id"] for each in call.result("GET", "/api/images?search=sunset")["images"]] == [found["id"]]
    assert call.result("GET", "/api/images?search=%25")["images"] == []


def test_gobananas_gallery_delete(call: Caller):
    made = call.make()
    answer = call("DELETE", f"/api/images/{made['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert error(call("DELETE", f"/api/images/{made['id']}")) == (404, "NOT_FOUND", "Image not found")
    assert call("GET", f"/api/images/{made['id']}").status_code == 404


def test_gobananas_gallery_delete_in_bulk(documents: Caller):
    answer = documents.result("POST", "/api/images/delete-bulk", {"ids": [42, 43, 44, 42]})
    assert answer == {"deleted": [42, 43], "failed": [{"id": 44, "reason": "Not found"}]}
    assert documents.result("POST", "/api/images/delete-bulk", {"ids": [42]})["deleted"] == []
    assert documents("POST", "/api/images/delete-bulk", {"ids": list(range(1, 22))}).status_code == 400
    assert documents("POST", "/api/images/delete-bulk", {"ids": []}).status_code == 400


def test_gobananas_sessions_one_open_session(call: Caller):
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


def test_gobananas_sessions_totals(call: Caller):
    made = call.result("POST", "/api/images", {"prompt": "a", "n": 2})
    call.result("POST", "/api/images/continue", {"prompt": "b"})
    call("DELETE", f"/api/images/{made['images'][0]['id']}")
    (told,) = call.result("GET", "/api/sessions")["sessions"]
    expected = {"session_id": made["session_id"], "total_images": 2, "total_edits": 1}
    assert told == {**expected, "last_activity_at": "2026-01-01T00:00:00Z"}
    whole = call.result("GET", f"/api/sessions/{told['session_id']}")
    assert [each["operation_type"] for each in whole["images"]] == ["generate", "edit"]
    assert call("GET", "/api/sessions/none").status_code == 404


def test_gobananas_usage_counts_what_happened(call: Caller):
    size = call.make()["size_bytes"]
    call.world.clock.advance(DAY)
    made = call.make()
    call.result("POST", "/api/images/continue", {"prompt": "b"})
    call("DELETE", f"/api/images/{made['id']}")
    told = call.result("GET", "/api/usage?days=2")
    days = [(each["date"], each["images"], each["edits"]) for each in told["daily"]]
    assert days == [("2026-01-01", 1, 0), ("2026-01-02", 2, 1)]
    assert told["summary"]["total_size_mb"] == round(3 * size / 1_000_000, 2)
    assert (told["summary"]["total_images"], told["summary"]["total_edits"]) == (3, 1)


def test_gobananas_usage_window(documents: Caller):
    def period(query: str) -> tuple[str, str]:
        summary = documents.result("GET", f"/api/usage{query}")["summary"]
        return summary["period_start"], summary["period_end"]

    assert period("") == ("2025-12-03", "2026-01-01")
    assert period("?days=1") == ("2026-01-01", "2026-01-01")
    assert period("?days=5&start=2025-01-01&end=2025-01-31") == ("2025-01-01", "2025-01-31")
    assert period("?end=2025-01-31") == ("2025-01-02", "2025-01-31")
    shown = documents.result("GET", "/api/usage?start=2025-01-15&end=2025-01-15")
    assert shown["daily"] == [{"date": "2025-01-15", "images": 25, "edits": 10, "size_mb": 5.2}]
    for query in ("?start=2025-02-01&end=2025-01-01", "?days=0", "?days=91", "?start=yesterday", "?start=2025-02-30"):
        assert error(documents("GET", f"/api/usage{query}"))[:2] == (400, "BAD_REQUEST")


def test_gobananas_quota_storage_moves(documents: Caller):
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


def test_gobananas_quota_month(call: Caller):
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


def test_gobananas_limit_per_tenant(call: Caller):
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


def test_gobananas_limit_headers(call: Caller):
    call.world.limits.set("gobananas", 3, 60)
    answers = [call("GET", path) for path in ("/api/sessions", "/api/images/9", "/api/images/x", "/api/sessions")]
    assert [each.status_code for each in answers] == [200, 404, 400, 429]
    assert [each.headers["x-ratelimit-remaining"] for each in answers] == ["2", "1", "0", "0"]
    assert {each.headers["x-ratelimit-reset"] for each in answers} == {"1767225660"}


def test_the_month_of_a_quota_takes_less_than_fifty_milliseconds():
    """Drawing is excluded: what paints here is a colour. The processor's time, so that a busy machine has it too."""
    best = 9.0
    for _ in range(20):
        call = Caller(GoBananasProvider(Flat()), "empty")
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
        call = Caller(GoBananasProvider(Flat()), "empty")
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


def test_gobananas_proxy_tenants(documents: Caller):
    key = "tenant/2025-01-15/image.png"
    assert documents("GET", f"/images/{key}").headers["content-type"] == "image/png"
    assert documents("GET", "/images/tenant/2025-01-15/image-thumb.jpg").headers["content-type"] == "image/jpeg"
    assert error(documents("GET", "/images/acme-corp/none.png")) == (404, "NOT_FOUND", "Image not found")
    assert error(documents("GET", "/images/tenant/none.png")) == (403, "FORBIDDEN", "Tenant access denied")
    mine = documents.make()["url"].split("/", 5)[5]
    assert documents("GET", f"/images/{mine}").status_code == 200
    assert documents("GET", f"/images/{mine}", key="sk_live_other").status_code == 403
    assert documents.send("GET", f"/images/{key}").status_code == 401


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
def test_gobananas_proxy_hostile_paths(documents: Caller, key: str, status: int):
    assert documents("GET", f"/images/{key}").status_code == status


def test_gobananas_proxy_download(documents: Caller):
    path = "/images/tenant/2025-01-15/image.png"
    assert (
        documents("GET", f"{path}?download=true").headers["content-disposition"] == 'attachment; filename="image.png"'
    )
    assert "content-disposition" not in documents("GET", path).headers
    assert documents("GET", f"{path}?download=maybe").status_code == 400


def test_gobananas_characters_lifecycle(call: Caller):
    image = call.make()["id"]
    body = {"character_name": "Peel", "base_prompt": "a banana in a red coat", "reference_image_ids": [image]}
    made = call.result("POST", "/api/characters", body)
    assert [each["id"] for each in made["reference_images"]] == [image]
    assert [each["id"] for each in call.result("GET", "/api/characters?search=pee")["data"]] == [made["id"]]
    assert call.result("GET", "/api/characters?search=pee&exact=true")["characters"] == []
    assert call.result("GET", "/api/characters?limit=1")["pagination"]["hasMore"] is True
    path = f"/api/characters/{made['id']}"
    assert call.result("PATCH", path, {"description": "ripe"})["description"] == "ripe"
    call("DELETE", f"/api/images/{image}")
    assert call.result("GET", path)["reference_images"] == []
    assert call.result("DELETE", path) == {"deleted": True, "id": made["id"]}
    assert error(call("DELETE", path)) == (404, "NOT_FOUND", "Character not found")
    assert call("POST", "/api/characters", {**body, "base_prompt": "short"}).status_code == 400
    assert call("POST", "/api/characters", body).status_code == 404


def test_gobananas_presets_lifecycle(call: Caller):
    made = call.result("POST", "/api/style-presets", {"name": "Ink", "prompt": "ink drawing,"})
    names = [each["name"] for each in call.result("GET", "/api/style-presets")["presets"]]
    assert names == ["Watercolor", "Ink"]
    path = f"/api/style-presets/{made['id']}"
    assert call.result("DELETE", path) == {"deleted": True, "id": made["id"]}
    assert error(call("DELETE", path)) == (404, "NOT_FOUND", "Style preset not found")
    assert call("POST", "/api/style-presets", {"name": "", "prompt": "a"}).status_code == 400
