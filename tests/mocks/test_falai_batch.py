"""Many requests in one: through the gateway, so that each item goes the way a request of its own would."""

from __future__ import annotations

from typing import Any

import pytest

from bananastand_mocks.falai import FalAIUpstream
from bananastand_mocks.lowcodeapi.gateway import Gateway
from in_process import InProcess

TOKEN = {"api_token": "at_r0123456789abcdef0123456789abcdef"}
REFUSED = {"error": {"type": "validation_error", "message": "Invalid request parameters"}}


@pytest.fixture
def send() -> InProcess:
    return InProcess(Gateway(FalAIUpstream()))


def batch(send: InProcess, *items: Any) -> list[Any]:
    answer = send("POST", "/v1/batch", params=TOKEN, json={"requests": list(items)})
    assert answer.status_code == 200
    return answer.json()["result"]["responses"]


def test_items_are_answered_in_their_order(send: InProcess):
    models, pricing = batch(
        send,
        {"method": "GET", "path": "/v1/models", "params": {"limit": 2}},
        {"method": "GET", "path": "/v1/pricing", "params": {"model_id": "fal-ai/flux-pro"}},
    )
    assert [model["endpoint_id"] for model in models["body"]["models"]] == ["fal-ai/flux-pro", "fal-ai/flux/dev"]
    assert [price["endpoint_id"] for price in pricing["body"]["prices"]] == ["fal-ai/flux-pro"]
    assert (models["status"], pricing["status"]) == (200, 200)


def test_an_item_without_params_has_none(send: InProcess):
    (answer,) = batch(send, {"method": "GET", "path": "/v1/pricing"})
    assert len(answer["body"]["prices"]) == 14


def test_a_bad_item_leaves_the_others_as_they_are(send: InProcess):
    answers = batch(
        send,
        {"method": "GET", "path": "/v1/models", "params": {"limit": -1}},
        {"method": "GET", "path": "/v1/models/model_id", "params": {"model_id": "fal-ai/none"}},
        {"method": "GET", "path": "/v1/pricing"},
    )
    assert [answer["status"] for answer in answers] == [400, 404, 200]
    assert answers[0]["body"] == REFUSED
    assert answers[1]["body"] == {"error": {"type": "not_found", "message": "Resource not found"}}


@pytest.mark.parametrize(
    "item",
    [
        {"method": "POST", "path": "/v1/batch", "body": {"requests": []}},
        {"method": "POST", "path": "/v1/batch/", "body": {"requests": []}},
        {"method": "GET", "path": "/definition"},
        {"method": "GET", "path": "https://example.com/v1/models"},
        {"method": "GET"},
        {"path": "/v1/models"},
        {"method": "GET", "path": "/v1/models", "params": [1]},
        {"method": 1, "path": "/v1/models"},
        "GET /v1/models",
        None,
    ],
)
def test_what_is_no_request_below_v1_is_refused_in_its_place(send: InProcess, item: Any):
    assert batch(send, item) == [{"status": 400, "body": REFUSED}]


def test_an_unknown_path_is_not_found_in_its_place(send: InProcess):
    (answer,) = batch(send, {"method": "GET", "path": "/v1/nothing"})
    assert answer["status"] == 404


def test_an_item_can_carry_a_body_and_changes_the_world(send: InProcess):
    answers = batch(
        send,
        {"method": "post", "path": "/v1/compute/instances", "body": {"instance_type": "gpu-1x-a10g"}},
        {"method": "GET", "path": "/v1/compute/instances"},
    )
    assert [answer["status"] for answer in answers] == [201, 200]
    assert [instance["id"] for instance in answers[1]["body"]["instances"]] == ["abc123", answers[0]["body"]["id"]]


def test_an_empty_batch_is_a_bad_request(send: InProcess):
    answer = send("POST", "/v1/batch", params=TOKEN, json={"requests": []})
    assert answer.status_code == 400
    assert answer.json()["error"] == REFUSED


def test_batch_takes_at_most_100_requests(send: InProcess):
    item = {"method": "GET", "path": "/v1/pricing"}
    assert len(batch(send, *[item] * 100)) == 100
    assert send("POST", "/v1/batch", params=TOKEN, json={"requests": [item] * 101}).status_code == 400


@pytest.mark.parametrize("wrong", [1, None, True, {}, [], [1], [None], [{}], ["cpu", 1], [["cpu"]]])
@pytest.mark.parametrize("name", ["metrics", "limit", "offset", "cursor", "search", "status", "model_id", "start_date"])
def test_params_of_any_type_are_no_mistake_of_ours(send: InProcess, name: str, wrong: Any):
    answers = batch(
        send,
        {"method": "GET", "path": "/v1/compute/instances/abc123/monitor", "params": {name: wrong}},
        {"method": "GET", "path": "/v1/models", "params": {name: wrong}},
        {"method": "GET", "path": "/v1/compute/instances", "params": {name: wrong}},
        {"method": "GET", "path": "/v1/usage", "params": {name: wrong}},
        {"method": "GET", "path": "/v1/models/model_id", "params": {name: wrong}},
    )
    assert {answer["status"] for answer in answers} <= {200, 400, 404}
