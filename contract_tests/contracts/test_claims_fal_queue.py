"""The mock keeps each claim of claims/fal-queue.yaml, over HTTP. A test has the name of its claim."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from PIL import Image
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bananastand_mocks.falqueue import FalQueueProvider
from bananastand_mocks.falqueue.seeds import COMPLETED, RUNNING, WAITING
from bananastand_mocks.falqueue.state import requests
from bananastand_mocks.running import MockSession
from in_process import InProcess

KEY = {"authorization": "Key fal-bananastand"}
FLUX, APPLICATION = "/fal-ai/flux/dev", "/fal-ai/flux"


@pytest.fixture
def call() -> InProcess:
    return InProcess(FalQueueProvider(), kind="documents", headers=KEY)


def submit(call: InProcess, path: str = FLUX, **inputs: Any) -> str:
    """Submit a request; return the address that its own operations are below."""
    response = call("POST", path, json=inputs)
    assert response.status_code == 200, response.text
    return local(response.json()["response_url"])


def local(url: str) -> str:
    return urlsplit(url).path


def refusal(response: httpx2.Response) -> tuple[int, Any]:
    return response.status_code, response.json()["detail"]


def finished(call: InProcess, **inputs: Any) -> Any:
    """The output of a request."""
    at = submit(call, **inputs)
    assert call("GET", f"{at}/status").json()["status"] == "COMPLETED"
    return call("GET", at).json()


def test_fal_queue_auth_key(call: InProcess) -> None:
    assert call("GET", f"{APPLICATION}/requests/{COMPLETED}").status_code == 200
    for wrong in ("", "fal-bananastand", "Basic fal-bananastand"):
        response = call("GET", f"{APPLICATION}/requests/{COMPLETED}", headers={"authorization": wrong})
        assert refusal(response) == (401, "Authentication is required to access this application")


def test_fal_queue_auth_unknown(call: InProcess) -> None:
    unknown = call("POST", FLUX, json={}, headers={"authorization": "Key nobody:nothing"})
    assert refusal(unknown) == (401, "No user found for Key ID and Secret")
    without = call("POST", FLUX, json={}, headers={"authorization": "Key nobody"})
    text = "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."
    assert refusal(without) == (401, text)


def test_fal_queue_auth_open(call: InProcess) -> None:
    url = finished(call, prompt="a cat")["images"][0]["url"]
    assert call("GET", local(url), headers={"authorization": ""}).status_code == 200
    assert call("GET", "/rest/.well-known/jwks.json", headers={"authorization": ""}).status_code == 200


def test_fal_queue_submit_addresses(call: InProcess) -> None:
    answer = call("POST", FLUX, json={"prompt": "a cat"}).json()
    base = f"http://mock/fal-ai/flux/requests/{answer['request_id']}"
    assert answer["status"] == "IN_QUEUE"
    assert (answer["response_url"], answer["status_url"], answer["cancel_url"]) == (
        base,
        f"{base}/status",
        f"{base}/cancel",
    )
    assert "gateway_request_id" not in answer


def test_fal_queue_submit_namespace(call: InProcess) -> None:
    assert submit(call, "/workflows/ada/portrait/fast").startswith("/workflows/ada/portrait/requests/")
    assert submit(call, "/comfy/ada/portrait").startswith("/comfy/ada/portrait/requests/")
    assert refusal(call("POST", "/workflows/ada", json={})) == (404, "Application 'ada' not found")


def test_a_slash_after_a_model_is_no_part_of_it(call: InProcess) -> None:
    assert submit(call, f"{FLUX}/", prompt="a cat").startswith(f"{APPLICATION}/requests/")
    assert call("POST", f"/run{FLUX}/", json={"prompt": "a cat"}).status_code == 200
    assert refusal(call("POST", "/fal-ai/", json={})) == (404, "Application 'fal-ai' not found")


@pytest.mark.parametrize("path", ["/rest/tokens/", "/run/fal-ai", "/run/stream"])
def test_what_fals_other_hosts_serve_is_no_model(path: str, call: InProcess) -> None:
    before = len(requests(call.world))
    assert call("POST", path, json={"prompt": "a cat"}).status_code == 404
    assert len(requests(call.world)) == before


def test_a_stream_sends_an_event_for_each_picture_and_ends_with_the_whole_output(call: InProcess) -> None:
    answer = call("POST", f"/run{FLUX}/stream", json={"prompt": "a cat", "num_images": 3, "seed": 7})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
    output = call("POST", f"/run{FLUX}", json={"prompt": "a cat", "num_images": 3, "seed": 7}).json()

    assert [len(event["images"]) for event in events] == [1, 2, 3]
    assert [image["width"] for image in events[-1]["images"]] == [image["width"] for image in output["images"]]
    assert events[-1]["seed"] == 7
    assert call("POST", f"/run{FLUX}/stream", json={}).status_code == 422


def part(call: InProcess, path: str, content: bytes) -> dict[str, Any]:
    answer = call("PUT", path, content=content)
    assert answer.headers["etag"] == answer.json()["etag"]
    return answer.json()


def test_parts_in_any_order_make_a_file_in_the_order_of_their_numbers(call: InProcess) -> None:
    begun = call("POST", "/media/files/upload/multipart", headers={"content-type": "text/plain"}).json()
    file = "/media" + begun["access_url"].partition("/media")[2]
    upload = f"{file}/multipart/{begun['uploadId']}"
    second, first = part(call, f"{upload}/2", b"pear"), part(call, f"{upload}/1", b"a ")

    assert call("GET", file).status_code == 404
    assert call("POST", f"{upload}/complete", json={"parts": [{**first, "etag": "x"}]}).status_code == 422
    assert call("POST", f"{upload}/complete", json={"parts": [{**first, "partNumber": 3}]}).status_code == 422
    assert call("POST", f"{file}/multipart/other/complete", json={"parts": [first]}).status_code == 404
    assert call("POST", f"{upload}/complete", json={"parts": [second, first]}).status_code == 200
    found = call("GET", file)
    assert (found.content, found.headers["content-type"]) == (b"a pear", "text/plain")


def test_the_last_of_several_logs_counts(call: InProcess) -> None:
    status = f"{APPLICATION}/requests/{RUNNING}/status"
    assert call("GET", f"{status}?logs=0&logs=1").json()["logs"]
    assert call("GET", f"{status}?logs=1&logs=0").json()["logs"] is None
    assert call.world.breaches == []


def test_fal_queue_submit_gateway_id(call: InProcess) -> None:
    answer = call("POST", f"{FLUX}?fal_webhook=http://127.0.0.1:9/", json={}).json()
    assert answer["gateway_request_id"] == answer["request_id"]


def test_fal_queue_submit_position(call: InProcess) -> None:
    call.world.tasks.finish_after_seconds(10)
    call("PUT", f"{APPLICATION}/requests/{WAITING}/cancel")
    positions = [call("POST", path, json={}).json()["queue_position"] for path in (FLUX, FLUX, "/fal-ai/lcm", FLUX)]
    assert positions == [0, 1, 0, 2]


def test_fal_queue_submit_invalid_input(call: InProcess) -> None:
    at = submit(call, num_images=2)
    assert call("GET", f"{at}/status").json()["error"] == "Invalid status code: 422"
    response = call("GET", at)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "prompt"]


def test_fal_queue_status_codes(call: InProcess) -> None:
    call.world.tasks.finish_after_seconds(10)
    at = submit(call, prompt="a cat")
    seen = []
    for seconds in (0, 2, 7.9, 0.1):
        call.world.clock.advance(seconds)
        response = call("GET", f"{at}/status")
        seen.append((response.status_code, response.json()["status"]))
    assert seen == [(202, "IN_QUEUE"), (202, "IN_PROGRESS"), (202, "IN_PROGRESS"), (200, "COMPLETED")]


def test_fal_queue_status_logs(call: InProcess) -> None:
    at = submit(call, prompt="a cat")
    for query in ("", "?logs=0", "?logs=false"):
        assert call("GET", f"{at}/status{query}").json()["logs"] is None
    for query in ("?logs=1", "?logs=true", "?logs=True"):
        (first, last) = call("GET", f"{at}/status{query}").json()["logs"]
        assert (first["message"], last["message"], last["level"]) == ("Running fal-ai/flux/dev", "Finished", "INFO")


def test_fal_queue_status_metrics(call: InProcess) -> None:
    call.world.tasks.finish_after_seconds(10)
    at = submit(call, prompt="a cat")
    assert call("GET", f"{at}/status").json()["metrics"] == {}
    call.world.clock.advance(10)
    assert call("GET", f"{at}/status").json()["metrics"] == {"inference_time": 8.0}
    assert call("GET", at).json()["timings"] == {"inference": 8.0}


def test_fal_queue_status_failed(call: InProcess) -> None:
    call.world.tasks.fail_next(1, "out of memory")
    answer = call("GET", f"{submit(call, prompt='a cat')}/status").json()
    assert (answer["status"], answer["error"], answer["error_type"]) == (
        "COMPLETED",
        "out of memory",
        "runner_server_error",
    )


def test_fal_queue_status_path(call: InProcess) -> None:
    for operation in ("", "/status", "/status/stream"):
        response = call("GET", f"{FLUX}/requests/{COMPLETED}{operation}")
        assert refusal(response) == (404, "Request not found")


def test_fal_queue_stream_events(call: InProcess) -> None:
    call.world.tasks.finish_after_polls(2)
    response = call("GET", f"{submit(call, prompt='a cat')}/status/stream?logs=1")
    assert response.headers["content-type"] == "text/event-stream"
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line]
    assert [event["status"] for event in events] == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    lines = [[line["message"] for line in event["logs"]] for event in events]
    assert lines == [[], ["Running fal-ai/flux/dev"], ["Finished"]]


def test_fal_queue_result_too_early(call: InProcess) -> None:
    for request in (WAITING, RUNNING):
        assert refusal(call("GET", f"{APPLICATION}/requests/{request}")) == (400, "Request is still in progress")


def test_fal_queue_result_pictures(call: InProcess) -> None:
    output = finished(call, prompt="a cat by the sea", seed=7, num_images=2, output_format="png")
    assert output.keys() == {"images", "timings", "seed", "has_nsfw_concepts", "prompt"}
    assert (output["seed"], output["prompt"], output["has_nsfw_concepts"]) == (7, "a cat by the sea", [False, False])
    files = [call("GET", local(image["url"])) for image in output["images"]]
    for image, file in zip(output["images"], files, strict=True):
        opened = Image.open(io.BytesIO(file.content))
        assert opened.size == (image["width"], image["height"]) == (1024, 768)
        assert file.headers["content-type"] == image["content_type"] == "image/png"
    assert files[0].content != files[1].content
    again = finished(call, prompt="a cat by the sea", seed=7, output_format="png")
    assert call("GET", local(again["images"][0]["url"])).content == files[0].content
    (jpeg,) = finished(call, prompt="a cat")["images"]
    assert Image.open(io.BytesIO(call("GET", local(jpeg["url"])).content)).format == "JPEG"
    assert jpeg["content_type"] == "image/jpeg"


def test_fal_queue_result_sizes(call: InProcess) -> None:
    sizes = {
        "square_hd": (1024, 1024), "square": (512, 512), "portrait_4_3": (768, 1024), "portrait_16_9": (576, 1024),
        "landscape_4_3": (1024, 768), "landscape_16_9": (1024, 576),
    }  # fmt: skip
    for name, size in sizes.items():
        (image,) = finished(call, prompt="a cat", image_size=name)["images"]
        assert (image["width"], image["height"]) == size
    (image,) = finished(call, prompt="a cat", image_size={"width": 640, "height": 360})["images"]
    assert (image["width"], image["height"]) == (640, 360)
    (image,) = finished(call, prompt="a cat", aspect_ratio="16:9")["images"]
    assert (image["width"], image["height"]) == (1820, 1024)


def test_fal_queue_result_input_errors(call: InProcess) -> None:
    at = submit(call, prompt=5, num_images=9)
    call("GET", f"{at}/status")
    response = call("GET", at)
    assert response.headers["x-fal-retryable"] == "false"
    assert response.json()["detail"] == [
        {
            "loc": ["body", "num_images"],
            "msg": "Input should be less than or equal to 4",
            "type": "less_than_equal",
            "url": "https://docs.fal.ai/errors#less_than_equal",
            "input": 9,
            "ctx": {"le": 4},
        },
        {
            "loc": ["body", "prompt"],
            "msg": "Input should be a valid string",
            "type": "string_type",
            "url": "https://docs.fal.ai/errors#string_type",
            "input": 5,
        },
    ]


def test_fal_queue_result_sync_mode(call: InProcess) -> None:
    (image,) = finished(call, prompt="a cat", sync_mode=True, image_size="square")["images"]
    start, _, content = image["url"].partition(",")
    assert start == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (512, 512)


def test_fal_queue_result_failed(call: InProcess) -> None:
    call.world.tasks.fail_next(1, "out of memory")
    at = submit(call, prompt="a cat")
    call("GET", f"{at}/status")
    response = call("GET", at)
    assert response.status_code == 500
    assert response.json() == {"detail": "out of memory", "error_type": "runner_server_error"}
    assert response.headers["x-fal-error-type"] == "runner_server_error"


def test_fal_queue_cancel_queued(call: InProcess) -> None:
    response = call("PUT", f"{APPLICATION}/requests/{WAITING}/cancel")
    assert (response.status_code, response.json()) == (200, {"status": "OK"})
    assert call("GET", f"{APPLICATION}/requests/{WAITING}/status").json()["error_type"] == "client_cancelled"


def test_fal_queue_cancel_running(call: InProcess) -> None:
    response = call("PUT", f"{APPLICATION}/requests/{RUNNING}/cancel")
    assert (response.status_code, response.json()) == (202, {"status": "CANCELLATION_REQUESTED"})


def test_fal_queue_cancel_completed(call: InProcess) -> None:
    completed = call("PUT", f"{APPLICATION}/requests/{COMPLETED}/cancel")
    assert (completed.status_code, completed.json()) == (400, {"status": "ALREADY_COMPLETED"})
    unknown = call("PUT", f"{APPLICATION}/requests/nobody/cancel")
    assert (unknown.status_code, unknown.json()) == (404, {"status": "NOT_FOUND"})


def test_fal_queue_cancel_result(call: InProcess) -> None:
    call.world.tasks.finish_after_seconds(10)
    at = submit(call, prompt="a cat")
    call("PUT", f"{at}/cancel")
    call.world.clock.advance(10)
    response = call("GET", at)
    assert (response.status_code, response.json()["error_type"]) == (499, "client_cancelled")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-fal-request-timeout": "5.0"},
        {"x-fal-request-start-timeout": "5"},
        {"x-fal-request-start-timeout": "5", "x-fal-request-timeout": "30"},
    ],
)
def test_fal_queue_timeout_start(headers: dict[str, str], call: InProcess) -> None:
    call.world.tasks.finish_after_seconds(100)
    response = call("POST", FLUX, json={"prompt": "a cat"}, headers=headers)
    at = local(response.json()["response_url"])
    call.world.clock.advance(5)
    result = call("GET", at)
    assert (result.status_code, result.json()) == (
        504,
        {"detail": "Request timed out", "error_type": "request_timeout"},
    )
    assert result.headers["x-fal-request-timeout-type"] == "user"
    patient = call("POST", FLUX, json={"prompt": "a cat"}, headers={"x-fal-request-timeout": "30"})
    call.world.clock.advance(100)
    assert call("GET", local(patient.json()["response_url"])).status_code == 200


def test_fal_queue_run_output(call: InProcess) -> None:
    response = call("POST", f"/run{FLUX}", json={"prompt": "a cat"})
    assert response.json()["images"][0]["url"].startswith("http://mock/media/files/")
    assert response.headers["x-fal-request-id"]
    assert call("POST", f"/run{FLUX}", json={}).status_code == 422
    assert call("POST", "/run/fal-ai/whisper", json={}).json()["error_type"] == "internal_error"


class Receiver:
    """Takes webhooks and answers with the statuses of a list, then with 200."""

    def __init__(self, httpserver: HTTPServer, *statuses: int) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self._statuses = list(statuses)
        httpserver.expect_request("/hook").respond_with_handler(self._answer)
        self.url = httpserver.url_for("/hook")

    def _answer(self, request: Request) -> Response:
        self.requests.append(({name.lower(): value for name, value in request.headers.items()}, request.get_data()))
        return Response(status=self._statuses.pop(0) if self._statuses else 200)


def test_fal_queue_webhook_ok(call: InProcess, httpserver: HTTPServer) -> None:
    receiver = Receiver(httpserver)
    submitted = call("POST", f"{FLUX}?fal_webhook={receiver.url}", json={"prompt": "a cat", "seed": 3}).json()
    call.world.clock.advance(0)
    ((_, body),) = receiver.requests
    output = call("GET", local(submitted["response_url"])).json()
    request_id = submitted["request_id"]
    assert json.loads(body) == {
        "request_id": request_id,
        "gateway_request_id": request_id,
        "status": "OK",
        "payload": output,
    }
    assert output["images"][0]["url"].startswith("http://mock/")


def test_fal_queue_webhook_error(call: InProcess, httpserver: HTTPServer) -> None:
    receiver = Receiver(httpserver)
    call("POST", f"{FLUX}?fal_webhook={receiver.url}", json={})
    call.world.clock.advance(0)
    body = json.loads(receiver.requests[0][1])
    assert (body["status"], body["error"]) == ("ERROR", "Invalid status code: 422")
    assert body["payload"]["detail"][0]["type"] == "missing"


def test_fal_queue_webhook_signature(call: InProcess, httpserver: HTTPServer) -> None:
    receiver = Receiver(httpserver)
    request_id = call("POST", f"{FLUX}?fal_webhook={receiver.url}", json={"prompt": "a cat"}).json()["request_id"]
    call.world.clock.advance(0)
    ((headers, body),) = receiver.requests
    names = [f"x-fal-webhook-{name}" for name in ("request-id", "user-id", "timestamp")]
    message = "\n".join([*(headers[name] for name in names), hashlib.sha256(body).hexdigest()])
    (key,) = call("GET", "/rest/.well-known/jwks.json").json()["keys"]
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    public.verify(bytes.fromhex(headers["x-fal-webhook-signature"]), message.encode())
    assert headers["x-fal-webhook-request-id"] == request_id


def test_fal_queue_webhook_retries(call: InProcess, httpserver: HTTPServer) -> None:
    down = Receiver(httpserver, *[503] * 20)
    request_id = call("POST", f"{FLUX}?fal_webhook={down.url}", json={"prompt": "a cat"}).json()["request_id"]
    call.world.clock.advance(2 * 3600)
    attempts = call.world.journal.deliveries(request_id)
    assert len(attempts) == 11
    assert attempts[-1].at - attempts[0].at <= 2 * 3600
    call.world.clock.advance(24 * 3600)
    assert len(down.requests) == 11


def test_a_webhook_is_not_sent_again_once_it_is_delivered(call: InProcess, httpserver: HTTPServer) -> None:
    receiver = Receiver(httpserver, 500)
    request_id = call("POST", f"{FLUX}?fal_webhook={receiver.url}", json={"prompt": "a cat"}).json()["request_id"]
    call.world.clock.advance(2 * 3600)
    assert [attempt.status for attempt in call.world.journal.deliveries(request_id)] == [500, 200]


def test_fal_queue_storage_initiate(call: InProcess) -> None:
    announced = {"file_name": "my notes.txt", "content_type": "text/plain"}
    answer = call("POST", "/rest/storage/upload/initiate?storage_type=gcs", json=announced).json()
    at = local(answer["file_url"])
    assert refusal(call("GET", at)) == (404, "File not found")
    assert call("PUT", local(answer["upload_url"]), content=b"a pear", headers={"authorization": ""}).status_code == 200
    file = call("GET", at)
    assert (file.content, file.headers["content-type"]) == (b"a pear", "text/plain")


def test_fal_queue_storage_cdn(call: InProcess) -> None:
    token = call("POST", "/rest/storage/auth/token?storage_type=fal-cdn-v3", json={}).json()
    headers = {"authorization": f"{token['token_type']} {token['token']}", "content-type": "image/png"}
    answer = call("POST", "/media/files/upload", content=b"\x89PNG", headers=headers).json()
    file = call("GET", local(answer["access_url"]))
    assert (file.content, file.headers["content-type"]) == (b"\x89PNG", "image/png")


def test_fal_queue_usage_counted(stand: MockSession) -> None:
    queue, own = stand.endpoint("fal-queue"), stand.endpoint("fal-native")
    headers = {"authorization": f"Key {queue.key}"}
    stand.tasks.finish_after_seconds(10)
    for body in ({"prompt": "a cat", "num_images": 2}, {}):
        httpx2.post(f"{queue.base_url}/fal-ai/flux/dev", json=body, headers=headers)
    stand.clock.advance(10)
    (row,) = httpx2.get(f"{own.base_url}/v1/models/usage?expand=summary", headers=headers).json()["summary"]
    assert (row["endpoint_id"], row["quantity"], row["cost_total"]) == ("fal-ai/flux/dev", 2.0, 0.05)
    metrics = "request_count,success_count,user_error_count,p50_duration,p50_prepare_duration"
    url = f"{own.base_url}/v1/models/analytics?endpoint_id=fal-ai/flux/dev&expand=summary,{metrics}"
    assert httpx2.get(url, headers=headers).json()["summary"] == [
        {
            "endpoint_id": "fal-ai/flux/dev",
            "request_count": 2,
            "success_count": 1,
            "user_error_count": 1,
            "p50_duration": 8.0,
            "p50_prepare_duration": 2.0,
        }
    ]
