"""Limits, whole answers and errors of fal's queue.

Shapes are those of docs.fal.ai, fal-client and @fal-ai/client; those of input errors are FastAPI's and pydantic's.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx2
import pytest

from bananastand import outbound
from bananastand_mocks.falqueue import FalQueueProvider
from bananastand_mocks.falqueue.seeds import COMPLETED, RUNNING, WAITING
from bananastand_mocks.falqueue.state import requests, uploads
from bananastand_mocks.kernel.app import ProviderApp
from bananastand_mocks.kernel.worlds import Worlds
from bananastand_mocks.running import MockSession
from in_process import InProcess

KEY = {"authorization": "Key fal-bananastand"}
FLUX, APPLICATION = "/fal-ai/flux/dev", "/fal-ai/flux"
EPOCH = "2026-01-01T00:00:00.000000Z"
JSON_TYPE = {"content-type": "application/json"}


@pytest.fixture
def call() -> InProcess:
    return InProcess(FalQueueProvider(), kind="documents", headers=KEY)


def request_path(answer: Any) -> str:
    return f"{APPLICATION}/requests/{answer.json()['request_id']}"


def result_of(call: InProcess, model: str = FLUX, **inputs: Any) -> Any:
    """The response with the output of a request."""
    request_id = call("POST", model, json=inputs).json()["request_id"]
    application = "/".join(model.split("/")[:3])
    return call("GET", f"{application}/requests/{request_id}")


def links(request_id: str) -> dict[str, str]:
    url = f"http://mock{APPLICATION}/requests/{request_id}"
    return {
        "request_id": request_id,
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
    }


def line(message: str, timestamp: str = EPOCH) -> dict[str, str]:
    return {"message": message, "level": "INFO", "source": "USER", "timestamp": timestamp}


def test_each_answer_about_a_request_is_complete_and_has_its_id_in_a_header(call: InProcess) -> None:
    call.world.tasks.finish_after_seconds(10)
    submitted = call("POST", FLUX, json={"prompt": "a cat", "seed": 7})
    request_id = submitted.json()["request_id"]
    at = request_path(submitted)
    begun = {**links(request_id), "metrics": {}}
    assert submitted.json() == {**begun, "status": "IN_QUEUE", "logs": None, "queue_position": 1}
    call.world.clock.advance(2)
    started = line("Running fal-ai/flux/dev", "2026-01-01T00:00:02.000000Z")
    running = call("GET", f"{at}/status?logs=1")
    assert running.json() == {**begun, "status": "IN_PROGRESS", "logs": [started]}
    call.world.clock.advance(8)
    completed = call("GET", f"{at}/status?logs=1")
    ended = line("Finished", "2026-01-01T00:00:10.000000Z")
    state = {**begun, "status": "COMPLETED", "logs": [started, ended], "metrics": {"inference_time": 8.0}}
    assert completed.json() == state
    stream = call("GET", f"{at}/status/stream?logs=1")
    assert (json.loads(stream.text.removeprefix("data: ")), stream.text[-2:]) == (state, "\n\n")
    result = call("GET", at)
    assert "x-fal-retryable" not in result.headers
    answers = (submitted, running, completed, stream, result)
    assert [answer.headers["x-fal-request-id"] for answer in answers] == [request_id] * 5


@pytest.mark.parametrize("model", [FLUX, f"/run{FLUX}"])
def test_an_output_is_complete(model: str, call: InProcess) -> None:
    sent = {"prompt": "a cat", "seed": 7, "image_size": "square", "output_format": "png"}
    response = call("POST", model, json=sent) if "run" in model else result_of(call, model, **sent)
    number = response.headers["x-fal-request-id"]
    url = f"http://mock/media/files/b/{number}_0.png"
    assert response.json() == {
        "images": [{"url": url, "width": 512, "height": 512, "content_type": "image/png"}],
        "timings": {"inference": 0.0},
        "seed": 7,
        "has_nsfw_concepts": [False],
        "prompt": "a cat",
    }
    path = url.removeprefix("http://mock")
    assert call("GET", path).content.startswith(b"\x89PNG")
    assert call("GET", path.replace("_0", "_1")).status_code == 404
    assert call("GET", path.replace("png", "jpeg")).status_code == 404


@pytest.mark.parametrize("model", ["/fal-ai/esrgan", "/run/fal-ai/esrgan"])
def test_a_model_that_changes_a_picture_returns_one(model: str, call: InProcess) -> None:
    sent = {"image_url": "http://mock/a.png", "sync_mode": True}
    response = call("POST", model, json=sent) if "run" in model else result_of(call, model, **sent)
    url = f"http://mock/media/files/b/{response.headers['x-fal-request-id']}_0.jpeg"
    image = {"url": url, "width": 1024, "height": 768, "content_type": "image/jpeg"}
    assert response.json() == {"image": image}


def test_the_documented_request_has_its_pictures_at_an_address(call: InProcess) -> None:
    (image,) = call("GET", f"{APPLICATION}/requests/{COMPLETED}").json()["images"]
    assert image["url"] == f"http://mock/media/files/b/{COMPLETED}_0.png"


@pytest.mark.parametrize("path", [FLUX, f"/run{FLUX}", "/rest/storage/upload/initiate"])
def test_a_body_that_is_no_object_is_refused(path: str, call: InProcess) -> None:
    text = "Input should be a valid dictionary or object to extract fields from"
    answer = call("POST", path, json=[])
    assert answer.status_code == 422
    assert answer.json() == {"detail": [{"loc": ["body"], "msg": text, "type": "model_attributes_type"}]}


def test_an_announcement_names_each_wrong_field(call: InProcess) -> None:
    answer = call("POST", "/rest/storage/upload/initiate", json={"file_name": 5})
    assert answer.json()["detail"] == [
        {"loc": ["body", "content_type"], "msg": "Field required", "type": "missing"},
        {"loc": ["body", "file_name"], "msg": "Input should be a valid string", "type": "string_type"},
    ]
    part = {"parts": [{"partNumber": 1}]}
    (nested,) = call("POST", "/media/files/a/multipart/b/complete", json=part).json()["detail"]
    assert nested == {"loc": ["body", "parts", 0, "etag"], "msg": "Field required", "type": "missing"}


@pytest.mark.parametrize(
    ("body", "place", "text"),
    [(b"nonsense", 0, "Expecting value"), (b'{"a":', 5, "Expecting value"),
     (b"[" * 101 + b"]" * 101, 0, "nested deeper than 100 levels")],
)  # fmt: skip
def test_a_body_that_cannot_be_read_names_the_place(body: bytes, place: int, text: str, call: InProcess) -> None:
    answer = call("POST", FLUX, content=body, headers=JSON_TYPE)
    error = {"type": "json_invalid", "loc": ["body", place], "msg": "JSON decode error", "input": {}}
    assert (answer.status_code, answer.json()) == (422, {"detail": [{**error, "ctx": {"error": text}}]})


def test_unknown_addresses_and_methods_have_fastapis_texts(call: InProcess) -> None:
    answers = [call("POST", "/rest/tokens/"), call("DELETE", FLUX)]
    details = [(answer.status_code, answer.json()["detail"]) for answer in answers]
    assert details == [(404, "Not Found"), (405, "Method Not Allowed")]


def test_a_failure_of_the_mock_itself_is_500(call: InProcess) -> None:
    call.world.settings["falqueue.seconds"] = None

    async def send() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=ProviderApp(FalQueueProvider(), call.worlds, strict=False))
        async with httpx2.AsyncClient(transport=transport, base_url="http://mock", headers=KEY) as client:
            return await client.post(FLUX, json={})

    answer = asyncio.run(send())
    assert (answer.status_code, answer.json()) == (500, {"detail": "Internal Server Error"})
    assert call.world.breaches


def test_the_errors_of_the_infrastructure_are_in_body_and_header(call: InProcess) -> None:
    body = call("POST", "/run/fal-ai/whisper", json={})
    assert body.headers["x-fal-error-type"] == body.json()["error_type"] == "internal_error"
    assert body.json().keys() == {"detail", "error_type"}


def test_the_key_set_describes_an_ed25519_key_of_signatures(call: InProcess) -> None:
    (key,) = call("GET", "/rest/.well-known/jwks.json").json()["keys"]
    assert key == {**key, "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA"}
    assert key.keys() == {"kty", "crv", "use", "alg", "kid", "x"}


@pytest.mark.parametrize(
    ("polls", "states"),
    [(1, ["IN_PROGRESS", "COMPLETED"]), (3, ["IN_QUEUE", "IN_PROGRESS", "IN_PROGRESS", "COMPLETED"])],
)
def test_a_request_is_completed_after_its_number_of_looks(polls: int, states: list[str], call: InProcess) -> None:
    call.world.tasks.finish_after_polls(polls)
    at = request_path(call("POST", FLUX, json={"prompt": "a cat"}))
    assert [call("GET", f"{at}/status").json()["status"] for _ in states] == states
    stream = call("GET", f"{request_path(call('POST', FLUX, json={'prompt': 'a cat'}))}/status/stream")
    events = [text for text in stream.text.split("\n\n") if text]
    assert [json.loads(text.removeprefix("data: "))["status"] for text in events] == list(dict.fromkeys(states))


@pytest.mark.parametrize(
    ("text", "status"), [("0.5", 504), ("19.5", 504), ("20", 200), ("0", 200), ("-1", 200), ("soon", 200)]
)
def test_a_request_that_starts_in_time_does_not_expire(text: str, status: int, call: InProcess) -> None:
    call.world.tasks.finish_after_seconds(100)  # 20 of them in the queue
    answer = call("POST", FLUX, json={"prompt": "a cat"}, headers={"x-fal-request-start-timeout": text})
    call.world.clock.advance(100)
    assert call("GET", request_path(answer)).status_code == status


def test_a_cancelled_request_stays_cancelled_when_its_time_runs_out(call: InProcess) -> None:
    call.world.tasks.finish_after_seconds(100)
    answer = call("POST", FLUX, json={"prompt": "a cat"}, headers={"x-fal-request-start-timeout": "5"})
    call("PUT", f"{request_path(answer)}/cancel")
    call.world.clock.advance(5)
    assert call("GET", request_path(answer)).status_code == 499


def test_the_hosts_of_fal_serve_their_own_part(stand: MockSession) -> None:
    """queue.fal.run, fal.run, rest.fal.ai and v3.fal.media: docs.fal.ai and fal-client."""

    def call(method: str, host: str, path: str, **request: Any) -> httpx2.Response:
        return httpx2.request(method, f"{origin}{path}", headers={**KEY, "host": host}, **request)

    origin = stand.endpoint("fal-queue").base_url.partition("/w/")[0]
    submitted = call("POST", "queue.fal.run", FLUX, json={"prompt": "a cat"}).json()
    assert submitted["response_url"] == f"http://queue.fal.run{APPLICATION}/requests/{submitted['request_id']}"
    (image,) = call("POST", "fal.run", FLUX, json={"prompt": "a cat"}).json()["images"]
    assert image["url"].startswith("http://v3.fal.media/files/")
    file = call("GET", "v3.fal.media", image["url"].removeprefix("http://v3.fal.media"))
    assert file.headers["content-type"] == "image/jpeg"
    for host in ("rest.fal.ai", "rest.alpha.fal.ai"):
        assert call("GET", host, "/.well-known/jwks.json").json()["keys"]


@pytest.mark.parametrize("status", [400, 404])
def test_a_provoked_refusal_of_a_cancellation_has_a_detail(status: int, stand: MockSession) -> None:
    stand.faults.next_calls(1, "status", status=status, message="out of bananas")
    at = stand.endpoint("fal-queue")
    answer = httpx2.put(f"{at.base_url}{APPLICATION}/requests/a/cancel", headers={"authorization": f"Key {at.key}"})
    assert (answer.status_code, answer.json()) == (status, {"detail": "out of bananas"})


def test_usage_counts_units_errors_and_seconds_of_each_request(stand: MockSession) -> None:
    """Megapixels are rounded up (docs.fal.ai, pricing); errors of the service and of the caller are counted apart."""
    queue, native = stand.endpoint("fal-queue"), stand.endpoint("fal-native")
    headers = {"authorization": f"Key {queue.key}"}

    def submit(model: str, **inputs: Any) -> str:
        answer = httpx2.post(f"{queue.base_url}/{model}", json=inputs, headers=headers)
        return answer.json()["cancel_url"]

    stand.world.settings["falqueue.seconds"] = [0.1234567, 0.7654321]
    submit("fal-ai/flux/dev", prompt="a cat", image_size={"width": 1001, "height": 1000})
    submit("fal-ai/flux/dev", prompt="a cat", image_size={"width": 1000, "height": 1000}, num_images=3)
    submit("fal-ai/nano-banana-2", prompt="a cat", image_size={"width": 2000, "height": 2000})
    submit("fal-ai/flux/dev")
    cancel_url = submit("fal-ai/flux/dev", prompt="a cat")
    stand.clock.advance(0.5)
    assert httpx2.put(cancel_url, headers=headers).status_code == 202
    stand.clock.advance(1)
    stand.tasks.fail_next(1, "out of memory")
    submit("fal-ai/flux/dev", prompt="a cat")
    stand.clock.advance(1)

    usage = httpx2.get(f"{native.base_url}/v1/models/usage?expand=summary", headers=headers).json()["summary"]
    assert {row["endpoint_id"]: row["quantity"] for row in usage} == {"fal-ai/flux/dev": 5, "fal-ai/nano-banana-2": 1}
    metrics = "request_count,success_count,error_count,user_error_count,p50_duration,p50_prepare_duration"
    url = f"{native.base_url}/v1/models/analytics?endpoint_id=fal-ai/flux/dev&expand=summary,{metrics}"
    (row,) = httpx2.get(url, headers=headers).json()["summary"]
    assert row == {
        "endpoint_id": "fal-ai/flux/dev",
        "request_count": 5,
        "success_count": 2,
        "error_count": 1,
        "user_error_count": 2,
        "p50_duration": 0.765432,
        "p50_prepare_duration": 0.123457,
    }


def test_seconds_have_six_digits(call: InProcess) -> None:
    call.world.settings["falqueue.seconds"] = [0.1234567, 0.7654321]
    at = request_path(call("POST", FLUX, json={"prompt": "a cat"}))
    call.world.clock.advance(1)
    assert call("GET", f"{at}/status").json()["metrics"] == {"inference_time": 0.765432}
    assert call("GET", at).json()["timings"] == {"inference": 0.765432}


def test_a_run_in_real_time_takes_its_seconds() -> None:
    call = InProcess(FalQueueProvider(), headers=KEY)
    call.worlds = Worlds([FalQueueProvider()], kind="empty", seed=1, virtual=False, speed=2.0)
    call.world = call.worlds.default
    call._app = ProviderApp(FalQueueProvider(), call.worlds, strict=True)
    call.world.settings["falqueue.seconds"] = [0.2, 0.2]
    began = time.monotonic()
    output = call("POST", f"/run{FLUX}", json={"prompt": "a cat"}).json()
    assert time.monotonic() - began >= 0.2
    assert output["timings"]["inference"] >= 0.4


def test_a_stream_moves_the_clock_of_a_world_that_advances_itself(call: InProcess) -> None:
    call.world.tasks.finish_after_seconds(10)
    call.world.auto_advance = True
    at = request_path(call("POST", FLUX, json={"prompt": "a cat"}))
    assert '"status":"COMPLETED"' in call("GET", f"{at}/status/stream").text


def test_a_stream_leaves_the_clock_of_other_worlds_alone(call: InProcess) -> None:
    call.world.tasks.finish_after_seconds(10)
    waiting = request_path(call("POST", FLUX, json={"prompt": "a cat"}))
    call.world.tasks.finish_after_polls(2)
    polled = request_path(call("POST", FLUX, json={"prompt": "a cat"}))
    assert '"status":"COMPLETED"' in call("GET", f"{polled}/status/stream").text
    assert call("GET", f"{waiting}/status").json()["status"] == "IN_QUEUE"


def test_drawn_seeds_have_31_bits(call: InProcess) -> None:
    seeds = [call("POST", f"/run{FLUX}", json={"prompt": "a cat"}).json()["seed"] for _ in range(16)]
    assert 2**30 <= max(seeds) < 2**31


def input_error(field: str, most: int, number: int) -> dict[str, Any]:
    kind = "less_than_equal"
    return {"loc": ["body", *field.split(".")], "msg": f"Input should be less than or equal to {most}", "type": kind,
            "url": f"https://docs.fal.ai/errors#{kind}", "input": number, "ctx": {"le": most}}  # fmt: skip


@pytest.mark.parametrize(("model", "most"), [("fal-ai/flux-2-pro", 1), ("fal-ai/flux/dev", 4), ("fal-ai/fast-sdxl", 8)])
def test_each_model_has_its_own_most_pictures(model: str, most: int, call: InProcess) -> None:
    output = call("POST", f"/run/{model}", json={"prompt": "a cat", "num_images": most, "seed": 5}).json()
    assert len({image["url"] for image in output["images"]}) == most
    refused = call("POST", f"/run/{model}", json={"prompt": "a cat", "num_images": most + 1})
    assert (refused.status_code, refused.json()) == (422, {"detail": [input_error("num_images", most, most + 1)]})


def test_a_side_has_at_most_14142_pixels(call: InProcess) -> None:
    """fal's published schema of image_size; pictures are drawn with 2048 at most."""
    size = {"width": 14_142, "height": 100}
    (image,) = call("POST", f"/run{FLUX}", json={"prompt": "a cat", "image_size": size}).json()["images"]
    assert (image["width"], image["height"]) == (2048, 100)
    size["width"] += 1
    detail = call("POST", f"/run{FLUX}", json={"prompt": "a cat", "image_size": size}).json()["detail"]
    assert input_error("image_size.ImageSize.width", 14_142, 14_143) in detail


def test_a_model_that_the_catalogue_lacks_reads_what_it_can(call: InProcess) -> None:
    sent = {"prompt": "a cat", "num_images": 5, "seed": 7, "image_size": "huge", "aspect_ratio": "1:1"}
    output = call("POST", "/run/ada/portrait", json=sent).json()
    (image,) = output["images"]
    assert (output["seed"], output["prompt"], image["width"], image["height"]) == (7, "a cat", 1024, 1024)
    assert len(call("POST", "/run/ada/portrait", json={"num_images": 4}).json()["images"]) == 4


def announce(call: InProcess, file_name: str = "a.bin", content_type: str = "text/plain") -> str:
    body = {"file_name": file_name, "content_type": content_type}
    return call("POST", "/rest/storage/upload/initiate", json=body).json()["file_url"].removeprefix("http://mock")


@pytest.mark.parametrize(
    ("sent", "returned"),
    [("text/plain", "text/plain"), ("text/pl\u00e4in", "application/octet-stream"),
     ("text/\nplain", "application/octet-stream"), ("", "application/octet-stream")],
)  # fmt: skip
def test_a_type_that_no_header_can_have_becomes_bytes(sent: str, returned: str, call: InProcess) -> None:
    path = announce(call, content_type=sent)
    call("PUT", path, content=b"a pear")
    assert call("GET", path).headers["content-type"] == returned


def test_an_uploads_address_ends_with_the_files_name(call: InProcess) -> None:
    letters, _, name = announce(call, f"photos/of/a/{'x' * 97}.png").removeprefix("/media/files/u/").partition("_")
    assert (len(letters), name) == (21, f"{'x' * 96}.png")


def test_the_oldest_upload_makes_room_beyond_256_megabytes(call: InProcess) -> None:
    first, second, third = (announce(call) for _ in range(3))
    call("PUT", first, content=b"a")
    call.world.blobs["falqueue/" + first.removeprefix("/media/files/")] = bytes(256 * 2**20 - 1)
    call("PUT", second, content=b"b")
    assert len(uploads(call.world)) == 3
    call("PUT", third, content=b"c")
    assert [call("GET", path).status_code for path in (first, second, third)] == [404, 200, 200]


def test_an_upload_in_parts_has_at_most_256_megabytes(call: InProcess) -> None:
    begun = call("POST", "/media/files/upload/multipart", headers={"content-type": "text/plain"}).json()
    file = begun["access_url"].removeprefix("http://mock")
    parts = uploads(call.world)[file.removeprefix("/media/files/")]["parts"]
    parts["1"] = 256 * 2**20 - 1
    at = f"{file}/multipart/{begun['uploadId']}"
    assert call("PUT", f"{at}/2", content=b"a").status_code == 200
    assert call("PUT", f"{at}/3", content=b"a").status_code == 413
    assert call("PUT", f"{at}/2", content=b"b").status_code == 200


def test_beyond_10000_requests_the_oldest_completed_one_is_forgotten(call: InProcess) -> None:
    table = requests(call.world)
    pending = {name: row for name, row in table.items() if row["state"] != "COMPLETED"}
    done = {f"r{number}": {**table[COMPLETED], "request_id": f"r{number}"} for number in range(9_997)}
    table.clear()
    table.update(pending | done)
    assert set(pending) == {RUNNING, WAITING}
    call("POST", FLUX, json={"prompt": "a cat"})
    assert len(table) == 10_000
    call("POST", FLUX, json={"prompt": "a cat"})
    assert len(table) == 10_000
    states = [call("GET", f"{APPLICATION}/requests/{name}/status").status_code for name in (*pending, "r0", "r1")]
    assert states == [202, 202, 404, 200]


def test_requests_that_are_not_completed_are_never_forgotten(call: InProcess) -> None:
    table = requests(call.world)
    table.update({f"r{number}": {**table[WAITING], "request_id": f"r{number}"} for number in range(10_000)})
    for name in [name for name, row in table.items() if row["state"] == "COMPLETED"]:
        del table[name]
    call.world.tasks.finish_after_seconds(10)
    assert call("POST", FLUX, json={"prompt": "a cat"}).status_code == 200
    assert len(table) == 10_003


def delivered(call: InProcess, monkeypatch: pytest.MonkeyPatch, fail: Exception | None) -> tuple[list[Any], str]:
    """Submit with a webhook and return the options of each delivery, all of which fail, and the request's id."""
    sent: list[Any] = []

    def deliver_once(url: str, body: bytes, **options: Any) -> outbound.Attempt:
        sent.append(options)
        if fail is not None:
            raise fail
        return outbound.Attempt(False, 503, "status 503", 0.0, None)

    monkeypatch.setattr(outbound, "deliver_once", deliver_once)
    answer = call("POST", f"{FLUX}?fal_webhook=http://127.0.0.1:9/", json={"prompt": "a cat"})
    call.world.clock.advance(24 * 3600)
    return sent, answer.json()["request_id"]


def test_a_webhook_is_json_waits_15_seconds_and_is_sent_again_ever_later(
    call: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs.fal.ai, webhooks: 15 seconds for an answer, ten retries in two hours."""
    sent, request_id = delivered(call, monkeypatch, None)
    assert [options["timeout"] for options in sent] == [15.0] * 11
    assert dict(sent[0]["headers"])["Content-Type"] == "application/json"
    attempts = call.world.journal.deliveries(request_id)
    waits = [later.at - earlier.at for earlier, later in zip(attempts, attempts[1:], strict=False)]
    assert waits == [7, 14, 28, 56, 112, 224, 448, 896, 1792, 3584]
    assert {(attempt.status, attempt.error) for attempt in attempts} == {(503, "status 503")}


def test_a_delivery_that_breaks_is_noted_with_200_letters(call: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    _, request_id = delivered(call, monkeypatch, ValueError("7" * 300))
    (attempt, *others) = call.world.journal.deliveries(request_id)
    assert (attempt.status, attempt.error, len(others)) == (None, f"ValueError: {'7' * 188}", 10)
