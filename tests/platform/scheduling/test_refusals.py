"""An app's own 503, 423 or 429 is its answer: the platform passes it on and does not ask again.

Only two servers may say that no handler has run: `bananastand serve`, and Potassium's own of 0.1 to 0.3 where the
project's setting says that it is Potassium's own.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from banana_dev import Client

from bananastand.platform.platform import Platform
from stands import Up, called, deployed, outcome_of, until

NOT_RUN = "x-bananastand-not-run"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("refusals") / "data") as running:
        assert running.deploy("own", "refuses")["state"] == "live", running.log
        yield running


def runs(up: Up, path: str) -> int:
    count: int = up.http.get("/stand/v1/projects/own/call/count").json()[path]
    return count


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (503, {}, "no"),
        (503, {NOT_RUN: "1"}, ""),
        (503, {NOT_RUN: "true", "retry-after": "1"}, '{"error": {"code": "busy"}}'),
        (423, {}, ""),
        (423, {NOT_RUN: "1"}, ""),
        (423, {"x-endpoint-type": "handler"}, "locked"),
        (423, {"x-endpoint-type": "handler"}, ""),
        (423, {"x-endpoint-type": "background"}, ""),
        (423, {"x-endpoint-type": "door"}, ""),
        (429, {"retry-after": "1"}, "slowly"),
        (429, {NOT_RUN: "1"}, ""),
    ],
)
def test_a_refusal_of_an_apps_own_is_passed_on_after_one_run(
    up: Up, status: int, headers: dict[str, str], body: str, request: pytest.FixtureRequest
) -> None:
    path = f"/{abs(hash(request.node.name))}"
    response = {"status": status, "headers": headers, "body": body}

    answer = httpx2.post(
        f"http://127.0.0.1:{up.port}/banana/run/own{path}", json=response, headers={"x-banana-api-key": up.key}
    )

    assert (answer.status_code, answer.text) == (status, body)
    assert headers.items() <= dict(answer.headers).items()
    assert runs(up, path) == 1


def test_an_app_that_knows_its_replicas_id_is_not_taken_for_our_host(up: Up) -> None:
    (replica,) = up.http.get("/stand/v1/projects/own/replicas").json()["replicas"]
    response = {"status": 503, "headers": {NOT_RUN: replica["id"]}, "body": "no"}

    answer = httpx2.post(
        f"http://127.0.0.1:{up.port}/banana/run/own/known", json=response, headers={"x-banana-api-key": up.key}
    )

    assert (answer.status_code, answer.text) == (503, "no")
    assert runs(up, "/known") == 1


def test_the_status_page_of_a_refused_call_is_a_failure_that_names_it(up: Up) -> None:
    response = {"status": 503, "headers": {NOT_RUN: "1"}, "body": '{"error": "out of memory"}'}
    key = up.http.get("/stand/v1/projects/own").json()["model_key"]
    # The first generation's calls always go to the root route.
    answer = up.http.post("/banana/start/v4/", json={"apiKey": up.key, "modelKey": key, "modelInputs": response})

    assert answer.json()["message"] == "error: the app answered 503: out of memory"
    assert runs(up, "/") == 1


def test_an_sdk_that_comes_again_after_a_503_reaches_the_app_again(up: Up) -> None:
    """One request id for all of its tries, as published: an app that has become ready meanwhile answers."""
    client = Client(up.key, url=f"http://127.0.0.1:{up.port}/banana/run/own", verbosity="")

    answer, _ = client.call("/warms", {"status": 503, "times": 2, "body": "loading"}, retry_timeout=60)

    assert answer == {"done": True}
    assert runs(up, "/warms") == 3


async def test_a_handlers_423_under_the_worker_is_its_answer(stand: Platform) -> None:
    """Potassium 0.1 to 0.3 set x-endpoint-type on every answer of a handler, and the worker does too."""
    project = await deployed(stand, source="potassium")
    pending = await stand.submit(project, "/locked", b"{}")
    outcome = await pending.outcome(20)
    assert outcome is not None, "the call is retried for ever"
    assert (outcome.status, outcome.body) == (423, b"")
    assert await called(stand, project, "/locks") == 1


async def test_potassiums_own_server_is_asked_again_when_it_says_that_no_handler_ran(stand: Platform) -> None:
    """The project's setting says that it is Potassium's own; the app here answers as 0.1 to 0.3 do."""
    project = await deployed(stand, source="refuses", host="potassium")
    busy = b'{"status": 423, "headers": {"x-endpoint-type": "handler"}, "times": 2}'
    pending = await stand.submit(project, "/gpu", busy)
    outcome = await outcome_of(pending)
    assert (outcome.status, pending.call.attempts) == (200, 1)


async def test_bananastand_serve_is_asked_again_when_it_says_that_no_handler_ran(stand: Platform) -> None:
    """With a queue of none it answers 503 to a second call; the platform, which sends two, waits for its turn."""
    project = await deployed(stand, source="serves", concurrency=2, max_replicas=1)
    calls = [await stand.submit(project, "/sleep", b'{"seconds": 0.5}') for _ in range(2)]
    await until(lambda: any(replica.inflight == 2 for replica in stand.pool.of_project(project.id)))
    outcomes = [await call.outcome(30) for call in calls]
    assert [outcome and outcome.status for outcome in outcomes] == [200, 200]
