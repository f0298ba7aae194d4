"""Banana.dev through LowCodeAPI, over HTTP, as a program of its user would call it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from PIL import Image

from bananastand_mocks.running import Endpoint, MockSession

Call = Callable[..., httpx2.Response]


@pytest.fixture
def call(bananadev: Endpoint) -> Iterator[Call]:
    with httpx2.Client() as http:

        def send(method: str, path: str, body: Any = None, **query: str) -> httpx2.Response:
            options = {"params": {**query, "api_token": bananadev.key}}
            return http.request(method, f"{bananadev.base_url}{path}", json=body, **options)

        yield send


def picture(answer: httpx2.Response) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(answer.json()["result"]["modelOutputs"][0]["output"])))


def test_run_returns_a_picture_of_the_size_asked_for(call: Call) -> None:
    inputs = {"prompt": "a yellow banana", "width": 256, "height": 128}

    answer = call("POST", "/v1/run", {"modelKey": "value", "modelInputs": inputs})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json()["message"] == "Request completed"
    assert answer.json()["provider"] == "bananadev"
    assert answer.json()["response_headers"] == {"content-type": "application/json"}
    assert answer.json()["result"]["finished"] is True
    assert answer.json()["result"]["callID"] == ""
    assert picture(answer).size == (256, 128)
    assert picture(answer).format == "PNG"


def test_the_same_inputs_give_the_same_picture_and_other_prompts_another(call: Call) -> None:
    first, again, other = (
        call("POST", "/v1/run", {"modelKey": "value", "modelInputs": {"prompt": prompt, "seed": 7}}).json()["result"]
        for prompt in ("a banana", "a banana", "an apple")
    )

    assert first["modelOutputs"] == again["modelOutputs"]
    assert first["modelOutputs"] != other["modelOutputs"]


def test_a_started_run_is_found_by_id_and_by_call_id(call: Call, stand: MockSession) -> None:
    stand.tasks.finish_after_polls(1)
    started = call("POST", "/v1/start", {"modelKey": "value", "modelInputs": {}, "startOnly": True}).json()["result"]

    running = call("POST", "/v1/check", {"modelKey": "value", "id": started["id"]})
    done = call("POST", "/v1/check", {"modelKey": "value", "id": started["callID"]})

    assert started["finished"] is False
    assert started["callID"].startswith("call_")
    assert started["modelOutputs"] is None
    assert (running.json()["message"], running.json()["result"]["modelOutputs"]) == ("running", None)
    assert (done.json()["message"], done.json()["result"]["message"]) == ("success", "success")
    assert len(done.json()["result"]["modelOutputs"]) == 1


def test_a_run_that_takes_long_is_done_when_the_clock_says_so(call: Call, stand: MockSession) -> None:
    stand.tasks.finish_after_seconds(90)
    started = call("POST", "/v1/start", {"modelKey": "value", "modelInputs": {"prompt": "x"}}).json()["result"]
    body = {"modelKey": "value", "id": started["callID"]}

    assert started["finished"] is False
    stand.clock.advance(89)
    assert call("POST", "/v1/check", body).json()["message"] == "running"
    stand.clock.advance(1)
    assert call("POST", "/v1/check", body).json()["message"] == "success"
    assert call("GET", "/v1/usage").json()["result"]["summary"]["computeSeconds"] == 90


def test_without_a_hold_what_is_done_at_once_still_comes_at_once(call: Call, stand: MockSession) -> None:
    stand.world.settings["bananadev.hold_seconds"] = 0.0

    answer = call("POST", "/v1/start", {"modelKey": "value", "modelInputs": {"width": 64, "height": 64}})

    assert picture(answer).size == (64, 64)


def test_a_failed_run_says_error_in_a_success(call: Call, stand: MockSession) -> None:
    stand.tasks.fail_next(1, "CUDA out of memory")

    answer = call("POST", "/v1/run", {"modelKey": "value", "modelInputs": {}})

    assert answer.status_code == 200
    assert answer.json()["message"] == "error: CUDA out of memory"
    assert answer.json()["result"]["modelOutputs"] is None


def test_an_unknown_model_is_404_but_not_for_deploy(call: Call) -> None:
    body = {"modelKey": "nobody", "modelInputs": {}}
    missing = {"message": "Model not found", "provider": "bananadev", "error": {"message": "Model not found"},
               "headers": {"content-type": "application/json"}}  # fmt: skip

    assert [call("POST", path, body).json() for path in ("/v1/start", "/v1/run")] == [missing, missing]
    assert call("GET", "/v1/models/nobody").status_code == 404
    assert call("POST", "/v1/check", {"modelKey": "value", "id": "nobody"}).json()["message"] == "Run not found"
    assert call("POST", "/v1/deploy", {"modelKey": "nobody", "source": "docker.io/x"}).status_code == 200


def test_a_run_of_another_model_is_not_found(call: Call) -> None:
    run = call("POST", "/v1/start", {"modelKey": "value", "modelInputs": {}, "startOnly": True}).json()["result"]

    assert call("POST", "/v1/check", {"modelKey": "stable-diffusion", "id": run["id"]}).status_code == 404


def test_a_deployment_goes_its_way_on_the_clock(call: Call, stand: MockSession) -> None:
    deployed = call(
        "POST", "/v1/deploy", {"modelKey": "new", "source": "https://git.test/x", "environment": {"A": "1"}}
    )
    assert deployed.json()["result"]["status"] == "queued"

    seen = []
    for seconds in (0, 1, 20, 10):
        stand.clock.advance(seconds)
        seen.append(call("GET", "/v1/models/new").json()["result"]["status"])

    assert seen == ["queued", "building", "deploying", "live"]
    detail = call("GET", "/v1/models/model_key", model_key="new").json()["result"]
    assert detail["deployments"] == [
        {
            "deploymentId": deployed.json()["result"]["deploymentId"],
            "status": "live",
            "source": "https://git.test/x",
            "environment": {"A": "1"},
            "createdAt": "2026-01-01T00:00:00.000Z",
            "finishedAt": "2026-01-01T00:00:31.000Z",
        }
    ]


def test_a_deployment_that_is_told_to_fail_does_so_while_building(call: Call, stand: MockSession) -> None:
    stand.tasks.fail_next(1, "no Dockerfile")
    call("POST", "/v1/deploy", {"modelKey": "value", "source": "https://git.test/x"})
    stand.clock.advance(60)

    detail = call("GET", "/v1/models/value").json()["result"]

    assert [deployment["status"] for deployment in detail["deployments"]] == ["failed", "live"]
    assert detail["deployments"][0]["message"] == "no Dockerfile"
    assert detail["status"] == "live"


def test_usage_counts_by_day_and_model_within_the_window(call: Call, stand: MockSession) -> None:
    for model in ("value", "value", "stable-diffusion"):
        call("POST", "/v1/run", {"modelKey": model, "modelInputs": {}})
    stand.clock.advance(86400)
    stand.tasks.fail_next()
    call("POST", "/v1/run", {"modelKey": "value", "modelInputs": {}})

    both = call("GET", "/v1/usage", startDate="2026-01-01", endDate="2026-01-02T23:00:00Z").json()["result"]
    second = call("GET", "/v1/usage", startDate="2026-01-02").json()["result"]

    assert both["summary"] == {"runs": 4, "succeeded": 3, "failed": 1, "computeSeconds": 0, "coldStarts": 3}
    assert [(day["date"], day["runs"]) for day in both["daily"]] == [("2026-01-01", 3), ("2026-01-02", 1)]
    assert [(model["modelKey"], model["runs"]) for model in both["models"]] == [("stable-diffusion", 1), ("value", 3)]
    assert second["summary"]["runs"] == 1
    assert call("GET", "/v1/usage").json()["result"]["startDate"] == "2025-12-04"


def test_dates_that_are_inverted_or_none_are_400(call: Call) -> None:
    assert call("GET", "/v1/usage", startDate="2026-02-01", endDate="2026-01-01").status_code == 400
    assert call("GET", "/v1/usage", startDate="yesterday").json()["error"]["message"].startswith("Invalid request")
    assert call("GET", "/v1/usage", startDate="9999-12-31T23:59:59-12:00").status_code == 400
    assert call("GET", "/v1/usage", endDate="0001-01-01").status_code == 200


def test_what_the_document_leaves_open_in_its_bodies_is_taken(call: Call) -> None:
    """A:36 sends strings where the table says object and boolean; a startOnly that is not true is false."""
    answer = call("POST", "/v1/start", {"modelKey": "value", "modelInputs": "value", "startOnly": "value"})

    assert answer.json()["result"]["finished"] is True


@pytest.mark.parametrize("created", [1684444779.5, "1684444779", None, True, [1], {"at": 1}])
def test_start_check_and_run_take_any_json_as_created(call: Call, created: Any) -> None:
    run = {"modelKey": "value", "modelInputs": {}, "created": created}
    started = call("POST", "/v1/start", run).json()["result"]

    assert call("POST", "/v1/run", run).json()["result"]["finished"] is True
    checked = call("POST", "/v1/check", {"modelKey": "value", "id": started["id"], "created": created})
    assert checked.json()["message"] == "success"


def test_a_body_that_does_not_fit_names_the_field(call: Call) -> None:
    assert call("POST", "/v1/start", {"modelKey": 2, "modelInputs": {}}).json()["message"] == (
        'Invalid request parameters: modelKey: 2 is not of type "string"'
    )
    assert call("POST", "/v1/check", {"modelKey": "value"}).json()["error"] == {
        "message": 'Invalid request parameters: id: "id" is a required property'
    }


def test_the_account_counts_its_keys(call: Call) -> None:
    account = call("GET", "/v1/account").json()["result"]

    assert account["apiKeys"] == 1
    assert account["limits"] == {"maxReplicas": 10, "concurrentBuilds": 2}


def test_a_limit_that_is_set_answers_429_in_the_envelope(call: Call, stand: MockSession) -> None:
    stand.limits.set("bananadev", calls=1, seconds=60)

    answers = [call("GET", "/v1/models") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].json()["error"] == {"message": "Rate limit exceeded"}


def test_a_fault_comes_in_the_envelope_with_its_status(call: Call, stand: MockSession) -> None:
    stand.faults.next_calls(1, "status", "list_models", status=503)

    answers = [call("GET", "/v1/models") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [503, 200]
    assert answers[0].json()["error"] == {"message": "Request failed."}


def test_a_reset_and_a_truncated_body_break_the_connection(call: Call, stand: MockSession) -> None:
    stand.faults.next_calls(1, "reset", "list_models")
    stand.faults.next_calls(1, "truncated_body", "get_account")

    with pytest.raises(httpx2.TransportError):
        call("GET", "/v1/models")
    with pytest.raises(httpx2.TransportError):
        call("GET", "/v1/account")
    assert call("GET", "/v1/models").status_code == 200


def test_a_near_miss_names_field_expected_and_got(call: Call, stand: MockSession) -> None:
    call("POST", "/v1/start", {"modelKey": "value", "modelInputs": {"prompt": "a banana", "steps": 4}})

    good = stand.journal.verify(operation="start_run", body={"modelInputs": {"prompt": "a banana"}})
    bad = stand.journal.verify(operation="start_run", body={"modelInputs": {"prompt": "an apple", "seed": 1}})

    assert good.verified
    assert not bad.verified
    assert [tuple(difference) for difference in bad.near_misses[0][1]] == [
        ("body.modelInputs.prompt", "an apple", "a banana"),
        ("body.modelInputs.seed", 1, "(missing)"),
    ]
    assert "body.modelInputs.prompt: expected 'an apple', got 'a banana'" in bad.explain()
