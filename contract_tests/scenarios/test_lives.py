"""Clients and mocks together: runs, deployments and instances, with blocking and asynchronous clients."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from bananastand.clients.banana import AsyncBanana, Banana
from bananastand.clients.bananadev import AsyncBananaDev, BananaDev
from bananastand.clients.bananadev.answers import CheckedRun
from bananastand.clients.errors import APIRefusedError, CallCancelled, DeadlineExceeded, NotFoundError
from bananastand.clients.falai import AsyncFalAI, FalAI
from both_clients import client_of


@pytest.fixture(params=["sync", "async"])
def banana(request: pytest.FixtureRequest, bananadev: Any) -> Iterator[Any]:
    with client_of(request.param, bananadev, BananaDev, AsyncBananaDev) as client:
        yield client


@pytest.fixture(params=["sync", "async"])
def fal(request: pytest.FixtureRequest, falai: Any) -> Iterator[Any]:
    with client_of(request.param, falai, FalAI, AsyncFalAI) as client:
        yield client


@pytest.fixture(params=["sync", "async"])
def native(request: pytest.FixtureRequest, banana_native: Any) -> Iterator[Any]:
    with client_of(request.param, banana_native, Banana, AsyncBanana) as client:
        yield client


def test_the_life_of_a_run(banana: Any, stand: Any) -> None:
    stand.tasks.finish_after_polls(2)
    seen: list[CheckedRun] = []

    done = banana.run_and_wait("value", {"prompt": "a ripe banana"}, poll=0.01, on_check=seen.append)

    assert [checked.message for checked in seen] == ["running", "running", "success"]
    assert done == seen[-1]
    assert list(done.model_outputs[0])
    assert stand.journal.verify(operation="run", body={"modelKey": "value"}).verified
    assert stand.journal.verify(exactly=3, operation="check_run", body={"id": done_id(stand)}).verified


def done_id(stand: Any) -> str:
    """The id that every check named."""
    return stand.journal.find(operation="check_run")[0].body["id"]


def test_a_run_that_is_finished_at_once_is_not_checked(banana: Any, stand: Any) -> None:
    done = banana.run_and_wait("value", {"prompt": "a ripe banana"})

    assert done.finished
    assert done.call_id == ""
    assert stand.journal.verify(exactly=0, operation="check_run").verified


def test_a_run_that_fails(banana: Any, stand: Any) -> None:
    stand.tasks.finish_after_polls(1)
    stand.tasks.fail_next(1)

    with pytest.raises(APIRefusedError, match="(?i)error") as caught:
        banana.run_and_wait("value", {"prompt": "a ripe banana"}, poll=0.01)

    assert caught.value.body["result"]["modelOutputs"] is None


def test_a_run_that_takes_too_long(banana: Any, stand: Any) -> None:
    stand.tasks.finish_after_polls(1000)

    with pytest.raises(DeadlineExceeded, match="is not finished after 0.05 s") as caught:
        banana.run_and_wait("value", {"prompt": "a ripe banana"}, poll=0.01, deadline=0.05)

    assert caught.value.task.message == "running"


def test_a_run_can_be_cancelled(banana: Any, stand: Any) -> None:
    stand.tasks.finish_after_polls(1000)
    looks = iter([False, False, True, True, True])

    with pytest.raises(CallCancelled):
        banana.run_and_wait("value", {"prompt": "a ripe banana"}, poll=60, cancelled=lambda: next(looks))


def test_the_life_of_a_deployment(banana: Any, stand: Any) -> None:
    deployed = banana.deploy_model("fresh", "https://example.com/repo", environment={"STEPS": "4"})
    assert deployed.status == "queued"

    seen = []
    for seconds in (0, 2, 20, 20):
        stand.clock.advance(seconds)
        seen.append(banana.get_model("fresh").status)

    assert seen == ["queued", "building", "deploying", "live"]
    (deployment,) = banana.get_model("fresh").deployments
    assert deployment.deployment_id == deployed.deployment_id
    assert deployment.environment == {"STEPS": "4"}
    assert "fresh" in [model.model_key for model in banana.list_models().models]


def test_usage_counts_runs(banana: Any) -> None:
    before = banana.get_usage().summary.runs

    banana.run("value", {"prompt": "a"})
    started = banana.start_run("value", {"prompt": "b"}, start_only=True)
    assert not started.finished
    assert banana.check_run(started.call_id, "value").message == "success"

    usage = banana.get_usage()
    assert usage.summary.runs == before + 2
    assert usage.models[0].model_key == "value"


def test_an_unknown_model_is_an_error(banana: Any) -> None:
    with pytest.raises(NotFoundError, match="Model not found"):
        banana.get_model("nobody's")


def test_the_account_and_the_base_are_read(banana: Any) -> None:
    assert banana.get_account().limits.max_replicas > 0
    assert banana.get_base().endswith("/bananadev")


def test_the_life_of_an_instance(fal: Any, stand: Any) -> None:
    created = fal.create_instance("gpu-1x-a10g", name="mine", config={"disk": 10})
    assert (created.status, created.name, created.config, created.ip) == ("provisioning", "mine", {"disk": 10}, None)

    stand.clock.advance(30)
    active = fal.wait_for_instance(created.id, poll=0.01)
    assert active.status == "active"
    assert active.ip
    stand.clock.advance(3600)
    readings = fal.monitor_instance(created.id, metrics=["cpu", "gpu"])
    assert set(readings.metrics) == {"cpu", "gpu"}
    assert readings.metrics["gpu"].points

    assert fal.stop_instance(created.id).status == "stopping"
    stand.clock.advance(10)
    assert [item.id for item in fal.each_instance(status="stopped")] == [created.id]
    assert fal.start_instance(created.id).status == "starting"
    with pytest.raises(DeadlineExceeded, match="is starting after 0 s"):
        fal.wait_for_instance(created.id, poll=0.01, deadline=0)
    assert fal.delete_instance(created.id) == ""
    assert fal.list_instances().instances == []
    hours = {row.endpoint_id: row.quantity for row in fal.get_usage().summary}
    assert hours["compute/gpu-1x-a10g"] >= 1


def test_the_catalogue_page_by_page(fal: Any, stand: Any) -> None:
    paged = [model.endpoint_id for model in fal.each_model(limit=2)]

    assert paged == [model.endpoint_id for model in fal.list_models(limit=100).models]
    assert stand.journal.verify(exactly=len(paged) // 2 + 1, operation="list_models").verified
    assert {model.endpoint_id for model in fal.each_model(search="flux")} < set(paged)
    assert fal.get_pricing(model_id="fal-ai/flux/dev").prices[0].unit_price == 0.025
    assert "text-to-image" in fal.get_model("fal-ai/flux/dev").capabilities


def test_a_batch_answers_in_order(fal: Any) -> None:
    answers = fal.batch(
        [{"method": "GET", "path": "/v1/models", "params": {"limit": 1}}, {"method": "GET", "path": "/v1/nowhere"}]
    ).responses

    assert [answer.status for answer in answers] == [200, 404]
    assert len(answers[0].body["models"]) == 1


def test_usage_and_analytics_count_what_was_asked_for(fal: Any) -> None:
    fal.get_pricing(model_id="fal-ai/flux-pro")

    usage = fal.get_usage(model_id="fal-ai/flux-pro")
    analytics = fal.get_analytics(model_id="fal-ai/flux-pro", metric="requests")

    assert usage.summary[0].requests == 1
    assert analytics.summary[0].requests == 1
    assert analytics.summary[0].cost is None


def test_the_life_of_a_native_run(native: Any, stand: Any) -> None:
    stand.tasks.finish_after_polls(2)
    seen: list[CheckedRun] = []

    done = native.run_and_wait("value", {"prompt": "a ripe banana"}, poll=0.01, on_check=seen.append)

    assert [checked.message for checked in seen] == ["running", "running", "success"]
    assert done == seen[-1]
    stand.tasks.finish_immediately()
    assert native.start_run("value", {"prompt": "a"}).finished
    stand.tasks.fail_next(1)
    with pytest.raises(APIRefusedError, match="(?i)error"):
        native.run_and_wait("value", {"prompt": "a"}, poll=0.01)


def test_the_life_of_a_project(native: Any, stand: Any) -> None:
    deployed = native.deploy(archive(), name="stand-in")
    assert deployed.project.name == "stand-in"
    stand.clock.advance(60)

    lines = list(native.build_log(deployed.build.id))
    assert all(line.t.endswith("Z") for line in lines)
    assert len(lines) > 2

    changed = native.update_project(deployed.project.id, max_replicas=2)
    assert (changed.max_replicas, changed.idle_timeout) == (2, deployed.project.idle_timeout)
    assert native.get_project(deployed.project.id) == changed
    assert deployed.project.id in [project.id for project in native.list_projects().results]
    assert native.warmup_project(deployed.project.id) == {"warm": True}
    assert native.call_project(deployed.project.id, "", {"prompt": "a ripe banana"})


def test_a_busy_app_is_retried_until_it_answers(native: Any, stand: Any) -> None:
    stand.faults.next_calls(2, "status", "call_project", status=423)

    assert native.call_project("value", "", {"prompt": "a ripe banana"})

    calls = stand.journal.find(operation="call_project")
    assert [call.status for call in calls] == [423, 423, 200]
    assert len({call.headers["x-banana-request-id"] for call in calls}) == 1


def test_an_unknown_handler_is_not_retried(native: Any, stand: Any) -> None:
    with pytest.raises(NotFoundError):
        native.call_project("value", "nowhere", {})

    assert stand.journal.verify(operation="call_project", status=404).verified


def archive() -> bytes:
    """A repository of Banana's: an app and its Dockerfile, as a tar.gz."""
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
            for name, text in (("app.py", b"import potassium"), ("Dockerfile", b"FROM scratch")):
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                packed.addfile(entry, io.BytesIO(text))
        return buffer.getvalue()
