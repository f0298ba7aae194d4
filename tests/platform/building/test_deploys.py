"""From a build to the traffic: healthy first, zero downtime, rollback; and every way in which it fails."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from bananastand.platform.building import deployer
from bananastand.platform.building.builder import source_builder
from bananastand.platform.building.deployer import BuildRequest
from bananastand.platform.errors import Conflict, Refused
from bananastand.platform.http import serializers
from bananastand.platform.launch import Launch
from bananastand.platform.platform import Platform
from bananastand.platform.store.builds import Build
from stands import called, deployed, outcome_of, running, until

pytestmark = pytest.mark.usefixtures("database")


async def finished(stand: Platform, build: Build) -> Build:
    await until(lambda: stand.builds.get(build.id).state in ("live", "failed", "cancelled"))
    return stand.builds.get(build.id)


def lines(stand: Platform, build: Build) -> list[str]:
    return [row["line"] for row in stand.deployer.log(build).lines()]


async def test_a_build_goes_live_and_logs_its_steps(stand: Platform) -> None:
    build = stand.deploy("app", "small", environment={"VERSION": "1"})
    rows = stand.deployer.log(build).follow()
    followed = [row["line"] async for row in rows]
    assert (await finished(stand, build)).state == "live"
    assert followed == lines(stand, build)
    assert followed[1:3] == ["builds small", "built; starting a replica"]
    assert followed[-1].startswith("live; its first replica took 0.")
    replica = [row["line"] for row in stand.log_of(stand.projects.named("app")).lines()]
    assert "a line of the app, no token" in replica
    assert any(line.startswith("ready after 0.") for line in replica)


async def test_a_deploy_loses_no_call_and_moves_all_traffic_to_the_new_version(stand: Platform) -> None:
    project = await deployed(stand, environment={"VERSION": "1"}, max_replicas=2, concurrency=4)
    seen, stop = list[str](), asyncio.Event()

    async def caller() -> None:
        while not stop.is_set():
            seen.append((await called(stand, project, value={"seconds": 0.02}))["version"])

    callers = [asyncio.create_task(caller()) for _ in range(3)]
    await asyncio.sleep(0.2)
    await deployed(stand, environment={"VERSION": "2"})
    await asyncio.sleep(0.2)
    stop.set()
    await asyncio.gather(*callers)
    assert set(seen) == {"1", "2"}
    assert seen.index("2") > 3
    assert "1" not in seen[seen.index("2") + 12 :], "the new version has all the traffic"


@pytest.mark.parametrize(
    ("source", "environment", "error"),
    [
        ("fails", {}, "line 3 of the Dockerfile: RUN false ended with status 1"),
        ("crashes", {}, "ZeroDivisionError: a mistake of the builder's own"),
        ("hangs", {}, "the build took longer than 0.3 s and was ended; "
         "bananastand up --build-timeout allows more"),
        ("small", {"CRASH_AT_START": "1"}, "the new version takes no traffic, the one before stays live: "
         "the app ended with status 1 while it "
         "started; its last lines: a line of the app, no token | no model here"),
        ("small", {"NEVER_READY": "1"}, "the new version takes no traffic, the one before stays live: "
         "the app was not ready after 3 s: GET /readyz answered 503; its last lines: a line of the app, no token"),
    ],
)  # fmt: skip
async def test_a_version_that_fails_never_takes_traffic(
    tmp_path: Path, source: str, environment: dict[str, str], error: str
) -> None:
    async with running(tmp_path, start_timeout=3.0, build_timeout=0.3) as stand:
        project = await deployed(stand, environment={"VERSION": "1"})
        build = stand.deploy("app", source, environment=environment)
        over = await finished(stand, build)
        assert (over.state, over.error) == ("failed", error)
        assert lines(stand, build)[-1] == f"error: {error}"
        assert (await called(stand, project))["version"] == "1"
        await until(lambda: len(stand.pool.of_project(project.id)) == 1)


async def test_a_failed_first_build_is_the_projects_problem_until_a_version_is_live(tmp_path: Path) -> None:
    async with running(tmp_path, build_timeout=0.3) as stand:
        build = await finished(stand, stand.deploy("app", "hangs"))
        assert stand.problem(stand.projects.named("app")) == (
            "its build failed: the build took longer than 0.3 s and was ended; "
            f"bananastand up --build-timeout allows more (its log: bananastand logs --build {build.id})"
        )
        await deployed(stand)
        await finished(stand, stand.deploy("app", "hangs"))
        assert stand.problem(stand.projects.named("app")) is None


async def test_error_messages_with_the_last_lines_hide_secrets(stand: Platform) -> None:
    secrets = {"TOKEN": "hush-hush"}
    over = await finished(stand, stand.deploy("app", "small", secrets=secrets, environment={"CRASH_AT_START": "1"}))
    assert over.error is not None
    assert over.error.endswith("its last lines: a line of the app, *** | no model here")
    assert "hush" not in str(stand.problem(stand.projects.named("app")))

    project = await deployed(stand, secrets=secrets)
    outcome = await outcome_of(await stand.submit(project, "/crash", b"{}"))
    assert "a line of the app, *** | about to crash" in (outcome.error or "")
    assert "a line of the app, *** | about to crash" in str(stand.problem(project))


async def test_the_build_log_has_the_lines_of_its_first_replica_until_live(stand: Platform) -> None:
    secrets = {"TOKEN": "hush-hush"}
    build = await finished(stand, stand.deploy("app", "small", secrets=secrets))
    said = lines(stand, build)
    assert said.index("replica | a line of the app, ***") > said.index("built; starting a replica")
    assert said[-1].startswith("live; ")
    await called(stand, stand.projects.named("app"))
    await stand.deployer.abandon(stand.projects.named("app"))
    for replica in stand.pool.of_project(build.project_id):
        replica.log_event("a line after it")
    assert lines(stand, build) == said


async def test_the_log_of_a_silent_build_says_that_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployer, "SILENCE", 0.1)
    async with running(tmp_path, build_timeout=1.0, start_timeout=1.0) as stand:
        built = await finished(stand, stand.deploy("app", "hangs"))
        assert "still building: 0 s since the build began" in lines(stand, built)
        started = await finished(stand, stand.deploy("app", "small", environment={"NEVER_READY": "1"}))
        assert any(
            line.startswith("still starting a replica: ") and line.endswith(" s since the build began, 1 s at most")
            for line in lines(stand, started)
        )


async def test_a_failed_start_is_reported_as_one_sentence_with_advice(tmp_path: Path) -> None:
    """A program that ends with a traceback: its last error is named, and the file as the repository has it."""

    async def make(order: BuildRequest) -> Launch:
        source = order.folder / "source"
        source.mkdir(parents=True)
        (source / "requirements.txt").write_text("torch\n")
        (source / "app.py").write_text("def load():\n    import cv2\n\n\nload()\n")
        return Launch("process", (sys.executable, "-S", "app.py"), str(source), dict(order.environment))

    async with running(tmp_path, builder=make) as stand:
        build = await finished(stand, stand.deploy("app", "small"))
        row = serializers.build(stand, build, "http://x")
        assert str(row["error"]).startswith(
            "the app ended with status 1 while it started; its last error: ModuleNotFoundError: No module named 'cv2' ("
        )
        assert row["advice"] == (
            "cv2 is not installed (app.py:2: import cv2); the package is opencv-python-headless. "
            "Add `opencv-python-headless` to requirements.txt, which does not name it."
        )
        assert lines(stand, build)[-1] == f"advice: {row['advice']}"
        problem = str(stand.problem(stand.projects.named("app")))
        assert "\n" not in problem
        assert problem.endswith(f"(its log: bananastand logs --build {build.id})")


async def test_a_run_line_that_fails_names_its_last_error(tmp_path: Path) -> None:
    """A Dockerfile whose download.py ends with a traceback; built for real, on this Python."""
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "Dockerfile").write_text(
        'FROM python:3\nWORKDIR /app\nCOPY . .\nRUN python3 download.py\nCMD ["python3", "app.py"]\n'
    )
    (repository / "app.py").touch()
    (repository / "download.py").write_text("open('/no-such-list.txt')\n")

    data = tmp_path / "data"
    async with running(data, builder=source_builder(data, (tmp_path,))) as stand:
        build = stand.deploy("app", str(repository), builder="process")
        await until(lambda: stand.builds.get(build.id).state == "failed", 60)
        reason, _, step = str(stand.builds.get(build.id).error).partition("\n")
        assert "RUN python3 download.py ended with status 1" in reason
        assert "No such file or directory: '/no-such-list.txt'" in reason
        assert "Have the Dockerfile write or COPY /no-such-list.txt" in step


async def test_advice_of_the_builder_is_not_replaced_by_general_advice(tmp_path: Path) -> None:
    reason = "Dockerfile line 4 failed. weights: a/b is gated, and no token was sent. ERROR: 404"

    async def make(order: BuildRequest) -> Launch:
        raise Refused(reason)

    async with running(tmp_path, builder=make) as stand:
        assert (await finished(stand, stand.deploy("app", "small"))).error == reason


async def test_as_of_reaches_the_builder_and_an_invalid_date_is_refused(tmp_path: Path) -> None:
    orders = list[BuildRequest]()

    async def make(order: BuildRequest) -> Launch:
        orders.append(order)
        raise Refused("enough")

    async with running(tmp_path, builder=make) as stand:
        for day in ("2023-03-01", "now", None):
            await finished(stand, stand.deploy("app", "small", as_of=day))
        assert [order.as_of for order in orders] == ["2023-03-01", "now", None]
        with pytest.raises(Refused, match="as_of: must be a date such as 2023-03-01"):
            stand.deploy("app", "small", as_of="yesterday")


async def test_rollback_moves_the_traffic_back(stand: Platform) -> None:
    await deployed(stand, environment={"VERSION": "1"})
    project = await deployed(stand, environment={"VERSION": "2"})
    second = project.live
    stand.deployer.rollback(project, None)
    assert (await called(stand, project))["version"] == "1"
    stand.deployer.rollback(stand.projects.named("app"), second)
    assert (await called(stand, project))["version"] == "2"
    with pytest.raises(Refused, match="no such version"):
        stand.deployer.rollback(stand.projects.named("app"), "nothing")


async def test_a_queued_and_a_running_build_can_be_cancelled(stand: Platform) -> None:
    first, second = stand.deploy("a", "hangs"), stand.deploy("b", "hangs")
    await until(lambda: stand.builds.get(first.id).state == "building")
    assert stand.builds.get(second.id).state == "queued"
    assert (await stand.deployer.cancel(second)).state == "cancelled"
    assert (await stand.deployer.cancel(first)).state == "cancelled"
    with pytest.raises(Conflict):
        await stand.deployer.cancel(first)


def test_a_build_starts_again_after_its_supervisor_was_killed(tmp_path: Path) -> None:
    async def before() -> str:
        async with running(tmp_path) as stand:
            build = stand.deploy("app", "hangs")
            await until(lambda: stand.builds.get(build.id).state == "building")
            return build.id

    async def after(id: str) -> None:
        async with running(tmp_path, build_timeout=0.2) as stand:
            over = await finished(stand, stand.builds.get(id))
            assert (over.state, over.attempts) == ("failed", 2)
            assert "started again: the platform was killed while it built" in lines(stand, over)

    asyncio.run(after(asyncio.run(before())))


async def test_calls_without_a_version_wait_for_the_build_or_get_404(stand: Platform) -> None:
    project = stand.projects.create("app")
    outcome = await outcome_of(await stand.submit(project, "/", b"{}"))
    assert (outcome.status, outcome.error) == (
        404,
        "app has no live version: deploy it first: bananastand deploy FOLDER --name app",
    )
    stand.deploy("app", "small")
    assert (await called(stand, project))["got"] == {}


async def test_waiting_calls_get_500_when_the_version_no_longer_starts(tmp_path: Path) -> None:
    async with running(tmp_path, starts=2) as stand:
        project = await deployed(stand, idle_timeout=0)
        await until(lambda: not stand.pool.replicas)
        with stand.store.transaction() as connection:
            connection.exec_driver_sql("UPDATE deployments SET launch = replace(launch, 'replica_app.py', 'gone.py')")
        outcome = await outcome_of(await stand.submit(project, "/", b"{}"))
        assert outcome.status == 500, "SDKs would try a 503 again for minutes"
        assert outcome.error is not None
        assert outcome.error.startswith("the app does not start: the app ended with status 2 while it started")
        assert "gone.py" in outcome.error


async def test_secrets_reach_the_replica_and_are_hidden_in_logs(stand: Platform, tmp_path: Path) -> None:
    secrets = {"TOKEN": "hush-hush", "KEY": "-----BEGIN-----\nof-several-lines\n-----END-----\n"}
    project = await deployed(stand, secrets=secrets, environment={"PLAIN": "yes"})
    stand.log_of(project).add("a line of-several-lines")
    environment = await called(stand, project, "/environment")
    assert (environment["TOKEN"], environment["PLAIN"]) == ("hush-hush", "yes")
    assert "PYTEST_CURRENT_TEST" not in environment
    logged = b"".join(path.read_bytes() for path in (tmp_path / "logs").iterdir())
    assert b"a line of the app, ***" in logged
    assert b"hush-hush" not in logged
    assert b"of-several-lines" not in logged


async def test_a_password_in_the_source_address_is_hidden_everywhere(tmp_path: Path) -> None:
    """A repository that nobody serves; git repeats its address in what it says of it."""
    async with running(tmp_path, builder=source_builder(tmp_path, ())) as stand:
        build = stand.deploy("app", "https://me:hush-hush@127.0.0.1:9/app.git")
        await until(lambda: stand.builds.get(build.id).state == "failed")
        build = stand.builds.get(build.id)
        assert stand.source_of(build) == "https://***@127.0.0.1:9/app.git"
        said = [row["line"] for row in stand.deployer.log(build).lines()]
        assert "source: https://***@127.0.0.1:9/app.git" in said
        assert "hush-hush" not in f"{said} {build.error}"


async def test_deleting_a_project_deletes_its_calls_replicas_builds_and_files(stand: Platform, tmp_path: Path) -> None:
    project = await deployed(stand)
    pending = await stand.submit(project, "/sleep", b'{"seconds": 30}')
    await until(lambda: stand.dispatcher.queue(project.id).running)
    await stand.remove(project)
    outcome = await outcome_of(pending)
    assert outcome.error == "the project was removed"
    assert (stand.projects.list(), stand.pool.replicas, stand.builds.list()) == ([], {}, [])
    assert list((tmp_path / "logs").iterdir()) == list((tmp_path / "builds").iterdir()) == []
