"""What a replica takes of this machine: whole GPUs, shares of one, none, memory, and labels that it lacks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pynvml
import pytest

from bananastand.platform.launch import Launch
from bananastand.platform.nodes import ReplicaOrder, Resources, has_labels
from bananastand.platform.replicas.gpu_shares import GpuShares
from bananastand.platform.replicas.local_machine import LocalMachine
from bananastand.platform.settings import Settings
from stands import called, deployed, running, until


@pytest.mark.parametrize(
    ("node", "requested", "fits"),
    [
        ({"gpu": "a100-sxm4-80gb"}, {"gpu": "a100"}, True),
        ({"gpu": "a100-sxm4-80gb"}, {"gpu": "A100-80GB"}, True),
        ({"gpu": "geforce-rtx-3090"}, {"gpu": "rtx-3090"}, True),
        ({"gpu": "a10"}, {"gpu": "a100"}, False),
        ({"gpu": "a100", "zone": "B"}, {"gpu": "a100", "zone": "b"}, True),
        ({"gpu": "a100", "zone": "bb"}, {"zone": "b"}, False),
        ({}, {"gpu": "a100"}, False),
        ({}, {}, True),
    ],
)
def test_labels_of_a_node_are_compared_word_by_word(
    node: dict[str, str], requested: dict[str, str], fits: bool
) -> None:
    assert has_labels(node, requested) is fits


def test_shares_fill_one_gpu_before_they_take_another_and_whole_gpus_stay_free() -> None:
    gpus, half = GpuShares(("4", "7", "9"), {}), Resources(gpus=0.5)

    for name in ("a", "b", "c"):
        assert gpus.take(name, half, may_share=False)

    assert [gpus.of(name) for name in ("a", "b", "c")] == [("4",), ("4",), ("7",)]
    assert (gpus.room_for(half), gpus.room_for(Resources()), gpus.room_for(Resources(gpus=2))) == (3, 1, 0)
    assert not gpus.take("d", Resources(gpus=2), may_share=False)
    gpus.release("c")
    assert gpus.take("d", Resources(gpus=2), may_share=False)
    assert gpus.of("d") == ("7", "9")
    assert gpus.free == 0


def test_a_trial_shares_the_gpus_that_are_used_least_and_there_is_less_than_no_room_then() -> None:
    gpus = GpuShares(("0", "1"), {})
    for name in ("a", "b"):
        assert gpus.take(name, Resources(), may_share=False)

    assert not gpus.take("c", Resources(), may_share=False)
    assert gpus.take("c", Resources(), may_share=True)

    assert gpus.room_for(Resources()) == -1
    assert gpus.room_for(Resources(gpus=0)) is None
    gpus.release("a")
    gpus.release("a")
    assert gpus.room_for(Resources()) == 0


async def test_a_replica_sees_its_gpus_alone(tmp_path: Path) -> None:
    async with running(tmp_path, gpus=("2", "5", "6")) as platform:

        async def visible(name: str, **settings: float | None) -> str | None:
            project = await deployed(platform, name, **settings)
            value = (await called(platform, project, "/environment"))["CUDA_VISIBLE_DEVICES"]
            (replica,) = platform.pool.of_project(project.id)
            assert (replica.gpu or "") == value
            return value

        assert await visible("two", gpus=2) == "2,5"
        assert await visible("one", gpus=None) == "6"
        assert await visible("none", gpus=0) == ""
        state = platform.pool.nodes.states()[0]
        assert (state.gpus, state.free_gpus, state.replicas) == (3, 0, 3)


async def test_what_this_machine_lacks_is_said_as_the_problem_of_the_project(tmp_path: Path) -> None:
    async with running(tmp_path, gpus=("0",)) as platform:
        project = await deployed(platform, idle_timeout=0)
        await until(lambda: not platform.pool.replicas)
        for changes, problem in (
            ({"gpus": 2}, "a replica needs 2 GPUs, and this machine has 1"),
            ({"gpus": None, "labels": "gpu=a100"}, "no node has the labels gpu=a100: this machine has no labels"),
            ({"labels": "", "gpu_memory_gb": 40}, "a replica needs 1 GPUs of 40 GiB, and this machine has too few"),
        ):
            project = platform.projects.change(project, changes)
            assert (platform.problem(project) or "").startswith(problem)
            pending = await platform.submit(project, "/", b"{}")
            assert await pending.outcome(0.3) is None, "it waits"
            assert not platform.pool.replicas
        project = platform.projects.change(project, {"gpu_memory_gb": None})
        assert platform.problem(project) is None
        assert (await called(platform, project))["got"] == {}


async def test_a_deploy_that_no_node_can_run_says_so(tmp_path: Path) -> None:
    async with running(tmp_path) as platform:
        platform.projects.change(platform.projects.create("app"), {"labels": "gpu=h100"})
        build = platform.deploy("app", "small")
        await until(lambda: platform.builds.get(build.id).state == "failed")
        assert "no replica can be started: no node has the labels gpu=h100" in (
            platform.builds.get(build.id).error or ""
        )


async def test_a_replica_over_the_memory_of_its_project_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bananastand.platform.replicas.replica.MEMORY_LOOK", 0.05)
    async with running(tmp_path) as platform:
        project = await deployed(platform, memory_mb=64)
        pending = await platform.submit(project, "/large", b'{"bytes": 150000000}')
        outcome = await pending.outcome(30)
        assert outcome is not None
        assert "MiB of memory, 64 are allowed" in (outcome.error or "")


def test_the_model_of_the_gpus_is_a_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "nvmlInit": None,
        "nvmlShutdown": None,
        "nvmlDeviceGetCount": 2,
        "nvmlDeviceGetHandleByIndex": "a handle",
        "nvmlDeviceGetName": "NVIDIA A100-SXM4-80GB",
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=80 * 2**30),
    }
    for name, value in answers.items():
        monkeypatch.setattr(pynvml, name, mock.Mock(return_value=value))

    machine = LocalMachine(Settings(tmp_path, gpus=("0", "1"), isolation="none"), "tests")

    assert machine.states()[0].labels == {"gpu": "a100-sxm4-80gb"}
    assert machine.why_never(Resources(gpu_memory_gb=80, labels={"gpu": "a100"})) is None
    assert machine.why_never(Resources(gpu_memory_gb=81)) is not None


async def test_a_node_runs_an_order_on_the_gpus_that_were_chosen_for_it(tmp_path: Path) -> None:
    machine = LocalMachine(Settings(tmp_path, isolation="none", fork_servers=0), "tests")
    launch = Launch("process", ("/bin/sh", "-c", "echo GPU $CUDA_VISIBLE_DEVICES"), "/")
    order = ReplicaOrder("r1", "p", "d", launch, resources=Resources(gpus=1), gpus=("3",))
    lines = list[str]()

    assert machine.reserve(order)
    running_replica = await machine.start(order, lines.append)
    assert await running_replica.ended() == 0
    await running_replica.clean_up()

    assert lines == ["GPU 3"]
