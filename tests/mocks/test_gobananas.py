"""Go Bananas! on a running server: addresses of other worlds, the page, painting by an app, hostile pictures."""

from __future__ import annotations

import base64
import io
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx2
import pytest
from PIL import Image
from pytest_httpserver import HTTPServer

from bananastand_mocks import start
from bananastand_mocks.gobananas import GoBananasProvider
from bananastand_mocks.kernel.app import ProviderApp
from bananastand_mocks.kernel.state_file import StateFile
from bananastand_mocks.kernel.worlds import Worlds
from bananastand_mocks.running import Endpoint, MockSession, RunningServer
from in_process import InProcess

KEY = "sk_live_bananastand"


def client(where: Endpoint) -> httpx2.Client:
    return httpx2.Client(base_url=where.base_url, headers={"X-API-Key": where.key}, timeout=60)


def png(width: int = 8, height: int = 8, colour: tuple[int, int, int] = (10, 200, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_addresses_lead_to_the_pictures_of_their_own_world(gobananas: Endpoint, mock_server: RunningServer) -> None:
    with client(gobananas) as http:
        image = http.post("/api/images", json={"prompt": "a banana"}).json()["images"][0]
        default = mock_server.endpoint("gobananas")
        foreign = image["url"].replace(gobananas.base_url, default.base_url)

        assert image["url"].startswith(f"{gobananas.base_url}/r2/pub-")
        assert httpx2.get(image["url"]).content[:4] == b"\x89PNG"
        assert httpx2.get(foreign).status_code == 200  # the bucket finds the world, wherever it is asked for
        assert httpx2.get(foreign.replace("pub-", "pub-f")).status_code == 404


LATER_MODELS = (
    "gemini-flash-lite-image",
    "gemini-nano-banana-2.1",
    "openai-gpt-image-2",
    "openai-gpt-image-2.5-flare",
    "openai-gpt-image-2.5-sunburst",
)


def test_the_models_of_the_providers_later_reference_are_taken_and_others_refused(gobananas: Endpoint) -> None:
    """davendra/go-bananas-plugins, rest-api.md."""
    with client(gobananas) as http:
        allowed = http.get("/api/profile").json()["tenant"]["allowedModels"]
        answers = [http.post("/api/images", json={"prompt": "a", "model_id": model}) for model in LATER_MODELS]
        refused = http.post("/api/images", json={"prompt": "a", "model_id": "nano-banana"})

    assert [answer.status_code for answer in answers] == [200] * len(LATER_MODELS)
    assert set(LATER_MODELS) < set(allowed)
    assert (refused.status_code, refused.json()["code"]) == (400, "BAD_REQUEST")


def test_a_preset_without_a_prompt_sets_the_ratio(gobananas: Endpoint) -> None:
    """Its prompt is optional in davendra/go-bananas-plugins, mcp-tools.md."""
    with client(gobananas) as http:
        preset = http.post("/api/style-presets", json={"name": "tall", "aspect_ratio": "9:16"})
        image = http.post("/api/images", json={"prompt": "a", "style_preset_id": preset.json()["id"]}).json()["images"][
            0
        ]

    assert (preset.status_code, "prompt" in preset.json()) == (201, False)
    assert (image["width"], image["height"]) == (1024, 1820)


def test_a_second_tenant_is_there_from_the_start(mock_server: RunningServer) -> None:
    where = mock_server.endpoint("gobananas")

    def tenant(key: str) -> str:
        answer = httpx2.get(f"{where.base_url}/api/profile", headers={"X-API-Key": key})
        return answer.json()["tenant"]["tenantId"]

    assert (tenant(KEY), tenant("sk_live_other")) == ("acme-corp", "other-corp")


def test_a_browser_of_any_site_may_call(gobananas: Endpoint) -> None:
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "x-api-key,content-type"}  # fmt: skip
    answer = httpx2.options(f"{gobananas.base_url}/api/images", headers=preflight)

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == "x-api-key,content-type"


def test_other_calls_are_answered_while_a_picture_is_drawn(gobananas: Endpoint) -> None:
    waits = list[float]()
    with client(gobananas) as drawing, client(gobananas) as asking:
        body = {"prompt": "a misty forest", "n": 4, "system_instruction": "oil painting"}
        thread = threading.Thread(target=lambda: drawing.post("/api/images", json=body))
        thread.start()
        while thread.is_alive():
            began = time.perf_counter()
            assert asking.get("/gallery").status_code == 200
            waits.append(time.perf_counter() - began)
        thread.join()

    assert len(waits) > 3
    assert sorted(waits)[len(waits) // 2] < 0.5


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags = list[tuple[str, dict[str, str | None]]]()
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def test_the_gallery_shows_pictures_safely_and_without_a_script() -> None:
    send = InProcess(GoBananasProvider(), headers={"X-API-Key": KEY})
    send("POST", "/api/images", json={"prompt": '<script>alert("a")</script> & sea', "n": 2})
    answer = send("GET", "/gallery?search=%3Cscript")
    page = Page(answer.text)

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert page.all("script") == []
    assert page.words.count('<script>alert("a")</script> & sea') == 2
    assert page.all("input")[0]["value"] == "<script"
    assert page.all("label")[0]["for"] == page.all("input")[0]["id"]
    assert "This month: 102 of 1000 images" in page.words
    for image in page.all("img"):
        assert image["alt"]
        assert opened(send("GET", str(image["src"])).content).format == "JPEG"
    assert send("GET", "/gallery?page=0").status_code == 400


def test_the_gallery_has_pages() -> None:
    send = InProcess(GoBananasProvider(), kind="development", headers={"X-API-Key": KEY})
    (first,) = [send("POST", "/api/images/upload", files={"file": png()}) for _ in range(1)]
    assert first.status_code == 200
    for _ in range(24):
        send("POST", "/api/images/upload", files={"file": png()})
    newest, oldest = Page(send("GET", "/gallery").text), Page(send("GET", "/gallery?page=2").text)

    assert (len(newest.all("img")), len(oldest.all("img"))) == (24, 1)
    assert [link["href"] for link in newest.all("a")][-1] == "?page=2"
    assert [link["href"] for link in oldest.all("a")][-1] == "?page=1"
    assert "No images yet." in InProcess(GoBananasProvider(), kind="empty")("GET", "/gallery").text


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


@pytest.fixture
def painted(httpserver: HTTPServer) -> Iterator[MockSession]:
    with start("gobananas", images=httpserver.url_for("")) as server:
        yield server.default


def test_images_are_what_the_app_paints_scaled_up(painted: MockSession, httpserver: HTTPServer) -> None:
    output = base64.b64encode(png(128, 128)).decode()
    expected = {"prompt": "a pear, ink drawing, ", "seed": 7, "negative_prompt": "red"}
    expected["prompt"] = "a pear, ink drawing"
    httpserver.expect_request("/", method="POST", json=expected).respond_with_json({"output": output})
    body = {"prompt": "a pear", "system_instruction": "ink drawing", "negative_prompt": "red", "seed": 7}
    with client(painted.endpoint("gobananas")) as http:
        image = http.post("/api/images", json={**body, "aspect_ratio": "16:9"}).json()["images"][0]
        picture = opened(http.get(image["url"]).content)

    assert picture.size == (1820, 1024)
    assert picture.getpixel((900, 500)) == (10, 200, 30)


def test_an_app_that_is_down_is_a_500_and_the_reason_is_logged(
    painted: MockSession, httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    with client(painted.endpoint("gobananas")) as http:
        httpserver.expect_oneshot_request("/").respond_with_data("Traceback", status=500)
        failed = http.post("/api/images", json={"prompt": "a"})
        httpserver.expect_oneshot_request("/").respond_with_json({"output": "not a picture"})
        wrong = http.post("/api/images", json={"prompt": "a"})
        httpserver.stop()
        gone = http.post("/api/images", json={"prompt": "a"})
        httpserver.start()
        listed = http.get("/api/images").json()["pagination"]["total"]
        counted = http.get("/api/usage").json()["summary"]["total_images"]

    for answer in (failed, wrong, gone):
        assert answer.status_code == 500
        assert answer.json() == {"error": "Internal server error", "code": "INTERNAL_ERROR"}
    assert "answered 500" in caplog.text
    assert "answered with no picture" in caplog.text
    assert "does not answer: ConnectError" in caplog.text
    assert (listed, counted) == (0, 0)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, data: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")


HOSTILE = {
    "nothing": b"",
    "text": b"this is no picture",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9999 9999\n",
    "half a png": png(600, 600)[:200],
    "a bomb": png_of(60_000, 60_000, zlib.compress(b"\0" * 1000)),
    "long and thin": png_of(2**31 - 1, 1, b""),
    "no size": png_of(0, 0, b""),
    "zeros that inflate": png_of(4000, 4000, zlib.compress(b"\0" * 50_000_000)[:100]),
    "text that inflates": png()[:33] + chunk(b"zTXt", b"a\0\0" + zlib.compress(b"a" * 80_000_000)) + png()[33:],
    "jpeg head": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    "webp head": b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\xff",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_picture_is_a_clear_400_at_once(name: str) -> None:
    send = InProcess(GoBananasProvider(), kind="empty", headers={"X-API-Key": KEY})
    opened(png())  # Pillow is loaded
    began = time.process_time()
    answer = send("POST", "/api/images/upload", files={"file": ("a.png", HOSTILE[name], "image/png")})

    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
    assert time.process_time() - began < 1
    assert send("GET", "/api/images").json()["images"] == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"a"),
        ("multipart/form-data; boundary=", b"--\r\n"),
        ("multipart/form-data; boundary=a", b"--a\r\n--a--"),
        ("multipart/form-data; boundary=a", b'--a\r\nContent-Disposition: form-data; name="file"'),
        ("multipart/form-data; boundary=a", b'--a\r\nContent-Disposition: form-data; name="file"\r\n\r\n\r\n--a--'),
    ],
)
def test_a_broken_form_is_a_400(content_type: str, body: bytes) -> None:
    send = InProcess(GoBananasProvider(), kind="empty", headers={"X-API-Key": KEY})
    answer = send("POST", "/api/images/upload", content=body, headers={"content-type": content_type})

    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("body", [b"form-data;" * 2_000_000, b"\r\n--a" * 4_000_000, b'name="' * 3_000_000])
def test_a_form_made_to_take_long_does_not(body: bytes) -> None:
    send = InProcess(GoBananasProvider(), kind="empty", headers={"X-API-Key": KEY})
    began = time.process_time()
    headers = {"content-type": "multipart/form-data; boundary=a"}
    answer = send("POST", "/api/images/upload", content=b"--a\r\n" + body + b"\r\n\r\n", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
    assert time.process_time() - began < 1


def test_a_thumbnail_stands_upright_and_16_bits_become_8() -> None:
    send = InProcess(GoBananasProvider(), kind="empty", headers={"X-API-Key": KEY})
    turned, grey = io.BytesIO(), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (1600, 800), "red").save(turned, "JPEG", exif=exif)
    Image.new("I;16", (700, 700), 0x8000).save(grey, "PNG")
    for content, size, level in ((turned, (160, 320), 254), (grey, (320, 320), 128)):
        uploaded = send("POST", "/api/images/upload", files={"file": content.getvalue()}).json()
        small = opened(send("GET", uploaded["thumbnail_url"]).content)
        assert small.size == size
        assert abs(small.convert("RGB").getpixel((9, 9))[0] - level) < 3  # type: ignore[index]


def test_what_is_too_large_is_a_413() -> None:
    send = InProcess(GoBananasProvider(), kind="empty", headers={"X-API-Key": KEY})
    picture = send("POST", "/api/images/upload", files={"file": png() + b"\0" * 20_000_000})
    body = send("POST", "/api/images", content=b" " * 30_000_000, headers={"content-type": "application/json"})

    for answer in (picture, body):
        assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_pictures_are_there_after_a_restart(tmp_path: Path) -> None:
    def begin() -> tuple[StateFile, InProcess]:
        send = InProcess(GoBananasProvider(), kind="empty", headers={"X-API-Key": KEY})
        state = StateFile(tmp_path / "state")
        state.restore(send.worlds)
        return state, send

    state, send = begin()
    drawn = send("POST", "/api/images", json={"prompt": "a banana"}).json()["images"][0]
    sent = send("POST", "/api/images/upload", files={"file": png()}).json()
    before = [send("GET", image["url"]).content for image in (drawn, sent)]
    state.close()
    state, send = begin()

    assert [send("GET", image["url"]).content for image in (drawn, sent)] == before
    assert send("GET", "/api/profile").json()["tenant"]["quotas"]["used_mb"] > 0
    state.close()


def test_uploads_make_room_for_newer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bananastand_mocks.gobananas.state.KEPT", 2 * len(png()))
    send = InProcess(GoBananasProvider(), kind="empty", headers={"X-API-Key": KEY})
    sent = [send("POST", "/api/images/upload", files={"file": png()}).json()["url"] for _ in range(3)]

    assert [send("GET", url).status_code for url in sent] == [404, 200, 200]


def test_a_server_that_draws_nothing_loads_no_pillow() -> None:
    code = (
        "import sys; from bananastand_mocks.server import Server; Server(kind='documents');"
        "assert 'PIL' not in sys.modules and 'numpy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr


def test_a_world_with_a_picture_of_another_tenant_is_filled_in_time() -> None:
    worlds = Worlds([GoBananasProvider()])
    began = time.process_time()
    for _ in range(20):
        worlds.create(kind="documents")

    assert (time.process_time() - began) / 20 < 0.015
    assert ProviderApp(GoBananasProvider(), worlds).openapi()["info"]["title"] == "Go Bananas!"
