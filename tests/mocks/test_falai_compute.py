"""Compute instances on the world's clock, and what their meters show."""

from __future__ import annotations

import json

import pytest

from bananastand.contracts.errors import ProviderError
from bananastand_mocks.falai.compute import (
    ARRIVED,
    arrive,
    create_instance,
    delete_instance,
    get_instance,
    list_instances,
    monitor_instance,
    start_instance,
    stop_instance,
)
from bananastand_mocks.kernel.world import World


@pytest.fixture
def world() -> World:
    """Its clock stands at 2026-01-01T00:00:00Z."""
    return World("test", seed=1, events={ARRIVED: arrive})


def created(world: World, **body: object) -> dict[str, str]:
    """The parameters that name a new instance."""
    return {"instance_id": create_instance(world, {"instance_type": "gpu-1x-a10g", **body}).body["id"]}


def test_a_new_instance_is_provisioning_for_30_seconds(world: World):
    answer = create_instance(world, {"instance_type": "gpu-1x-a10g", "name": "a", "config": {"max_workers": 4}})
    assert answer.status == 201
    assert answer.body == {
        "id": answer.body["id"],
        "instance_type": "gpu-1x-a10g",
        "name": "a",
        "config": {"max_workers": 4},
        "status": "provisioning",
        "region": "us-west",
        "creator_user_nickname": "bananastand",
        "created_at": "2026-01-01T00:00:00.000Z",
        "started_at": None,
        "stopped_at": None,
    }
    same = {"instance_id": answer.body["id"]}
    world.clock.advance(29)
    assert get_instance(world, same)["status"] == "provisioning"
    world.clock.advance(1)
    active = get_instance(world, same)
    assert (active["status"], active["started_at"]) == ("active", "2026-01-01T00:00:30.000Z")
    assert active["ip"].startswith("203.0.113.")


def test_without_name_and_config_they_are_null_and_empty(world: World):
    instance = get_instance(world, created(world))
    assert (instance["name"], instance["config"]) == (None, {})


def test_stop_and_start_lead_over_stopping_and_starting(world: World):
    same = created(world)
    world.clock.advance(30)
    assert stop_instance(world, same)["status"] == "stopping"
    assert "ip" not in get_instance(world, same)
    world.clock.advance(5)
    stopped = get_instance(world, same)
    assert (stopped["status"], stopped["stopped_at"]) == ("stopped", "2026-01-01T00:00:35.000Z")
    assert start_instance(world, same)["status"] == "starting"
    world.clock.advance(10)
    active = get_instance(world, same)
    assert (active["status"], active["stopped_at"]) == ("active", None)


def test_start_of_a_running_and_stop_of_a_stopped_instance_change_nothing(world: World):
    same = created(world)
    world.clock.advance(30)
    assert start_instance(world, same)["status"] == "active"
    stop_instance(world, same)
    world.clock.advance(5)
    before = get_instance(world, same)
    assert stop_instance(world, same) == before
    world.clock.advance(3600)
    assert get_instance(world, same) == before


def test_an_instance_stopped_while_it_is_provisioned_does_not_become_active(world: World):
    same = created(world)
    world.clock.advance(10)
    stop_instance(world, same)
    world.clock.advance(60)
    assert get_instance(world, same)["status"] == "stopped"


def test_an_instance_started_while_it_is_stopping_becomes_active(world: World):
    same = created(world)
    world.clock.advance(30)
    stop_instance(world, same)
    assert start_instance(world, same)["status"] == "starting"
    world.clock.advance(10)
    assert get_instance(world, same)["status"] == "active"


def test_the_world_says_how_long_a_passing_state_lasts(world: World):
    world.settings["falai.provisioning_seconds"] = 2.0
    same = created(world)
    world.clock.advance(2)
    assert get_instance(world, same)["status"] == "active"


def test_a_deleted_instance_is_not_found_by_anything(world: World):
    same = created(world)
    assert delete_instance(world, same).status == 204
    world.clock.advance(60)
    assert list_instances(world, {})["instances"] == []
    for operation in (get_instance, delete_instance, start_instance, stop_instance, monitor_instance):
        with pytest.raises(ProviderError, match="not_found"):
            operation(world, same)


def test_lists_are_filtered_by_status_and_cut_into_pages(world: World):
    first = created(world)
    world.clock.advance(30)
    second, third = created(world), created(world)
    named = [each["instance_id"] for each in (first, second, third)]
    assert [each["id"] for each in list_instances(world, {})["instances"]] == named
    assert [each["id"] for each in list_instances(world, {"status": "active"})["instances"]] == named[:1]
    assert list_instances(world, {"status": "bananas"})["instances"] == []
    page = list_instances(world, {"limit": 1, "offset": 1})
    assert ([each["id"] for each in page["instances"]], page["has_more"]) == (named[1:2], True)


def test_a_monitor_has_a_point_a_minute_while_the_instance_ran(world: World):
    same = created(world)
    assert monitor_instance(world, {**same, "metrics": "cpu"})["metrics"]["cpu"]["points"] == []
    world.clock.advance(30 + 150)
    answer = monitor_instance(world, {**same, "metrics": "cpu,memory"})
    assert list(answer["metrics"]) == ["cpu", "memory"]
    assert [each["timestamp"] for each in answer["metrics"]["cpu"]["points"]] == [
        "2026-01-01T00:00:30+00:00",
        "2026-01-01T00:01:30+00:00",
        "2026-01-01T00:02:30+00:00",
    ]
    assert answer["metrics"]["cpu"]["unit"] == "percent"
    assert all(5 <= each["value"] <= 85 for each in answer["metrics"]["cpu"]["points"])
    assert monitor_instance(world, {**same, "metrics": "cpu,memory"}) == answer


def test_a_monitor_has_all_five_metrics_and_an_hour_at_most(world: World):
    same = created(world)
    world.clock.advance(30 + 10 * 3600)
    metrics = monitor_instance(world, same)["metrics"]
    assert list(metrics) == ["cpu", "memory", "gpu", "disk", "network"]
    assert len(metrics["gpu"]["points"]) == 60
    assert metrics["gpu"]["points"][-1]["timestamp"] == "2026-01-01T10:00:30+00:00"


def test_an_exported_world_goes_on_where_it_was(world: World):
    same = created(world, name="a")
    world.clock.advance(10)
    other = World("other", seed=2, events={ARRIVED: arrive})
    other.load(json.loads(json.dumps(world.dump())))
    assert list_instances(other, {}) == list_instances(world, {})
    other.clock.advance(20)
    assert get_instance(other, same)["started_at"] == "2026-01-01T00:00:30.000Z"
    assert get_instance(world, same)["status"] == "provisioning"
