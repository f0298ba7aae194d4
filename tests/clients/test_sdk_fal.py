"""Published versions of fal-client and @fal-ai/client, unmodified, against the mock of fal's queue.

Each runs at fal's own addresses, with the variables that `bananastand mocks --proxy` prints, and at the mock's address
by a setting of its own. docs/mocks.md names both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import pytest

import bananastand_mocks
from bananastand_mocks.running import RunningServer
from sdk_packages import NodeSdks, PythonSdks

Answers = Callable[[], dict[str, Any]]

WAYS = {"by proxy": True, "by setting": False}
SLOW_PYTHON = ("0.5.9", "0.7.0", "0.14.1")
SLOW_NODE = ("1.0.2", "1.2.3", "1.6.2")


def marked(quick: str, slow: tuple[str, ...], *, without_setting: tuple[str, ...] = ()) -> list[Any]:
    """Each version by each way; some versions have no setting for the address of the queue."""
    return [
        pytest.param(version, by_proxy, marks=() if version == quick else pytest.mark.slow, id=f"{version} {way}")
        for version in (quick, *slow)
        for way, by_proxy in WAYS.items()
        if by_proxy or version not in without_setting
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with bananastand_mocks.start("fal-queue", tls=True, proxy=True, virtual=False) as running:
        running.default.world.settings["falqueue.seconds"] = [1.2, 0.6]  # a busy machine polls late
        yield running


@pytest.fixture(scope="module")
def drive_python(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Any]:
    sdks = PythonSdks(tmp_path_factory.mktemp("fal-client"))

    @cache
    def drive(version: str, by_proxy: bool) -> dict[str, Any]:
        address = f"127.0.0.1:{server.port}/fal-queue"
        trusted = {name: value for name, value in server.environment.items() if "proxy" not in name.lower()}
        setting = {**trusted, "FAL_QUEUE_RUN_HOST": address, "FAL_RUN_HOST": f"{address}/run"}
        return sdks.drive_fal(version, {"FAL_KEY": "fal-bananastand", **(server.environment if by_proxy else setting)})

    return drive


@pytest.fixture(scope="module")
def drive_node(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Any]:
    sdks = NodeSdks(tmp_path_factory.mktemp("fal-ai-client"))

    @cache
    def drive(version: str, by_proxy: bool) -> dict[str, Any]:
        base = {} if by_proxy else {"base": f"{server.url}/fal-queue"}
        return sdks.drive_fal(version, base, {"FAL_KEY": "fal-bananastand", **server.environment})

    return drive


def check_pictures(found: dict[str, Any], by_proxy: bool) -> None:
    """A square picture of a subscription and one of a run, at the right host."""
    (image,) = found["subscribed"]["images"]
    assert (image["width"], image["height"], image["content_type"]) == (512, 512, "image/jpeg")
    assert urlsplit(image["url"]).hostname == ("v3.fal.media" if by_proxy else "127.0.0.1")
    assert found["file"] == "ffd8ff"
    assert (found["run"]["seed"], found["run"]["prompt"]) == (5, "a pear")


@pytest.mark.needs("uv")
@pytest.mark.parametrize(("version", "by_proxy"), marked("1.0.3", SLOW_PYTHON, without_setting=("0.5.9", "0.7.0")))
def test_fal_client_subscribes_runs_and_reads_errors(
    version: str, by_proxy: bool, drive_python: Callable[[str, bool], Any]
) -> None:
    found = drive_python(version, by_proxy)

    check_pictures(found, by_proxy)
    assert found["seen"] == ["enqueued", "Queued", "InProgress", "Completed"]
    assert found["logs"] == ["Running fal-ai/flux/dev", "Finished"]
    assert 0.2 < found["seconds"] < 5
    assert found["cancel"] is None
    status, detail = found["invalid"]
    assert (status, detail[0]["loc"], detail[0]["type"]) == (422, ["body", "prompt"], "missing")
    assert found["async"] == 9
    assert found["streamed"] == [1, 2]
    assert found.get("upload") == ("a pear" if by_proxy else None)
    assert found.get("parts") == (True if by_proxy else None)


@pytest.mark.needs("node", "npm")
@pytest.mark.parametrize(("version", "by_proxy"), marked("1.10.1", SLOW_NODE))
def test_the_package_of_node_subscribes_streams_uploads_and_reads_errors(
    version: str, by_proxy: bool, drive_node: Callable[[str, bool], Any]
) -> None:
    found = drive_node(version, by_proxy)

    check_pictures(found, by_proxy)
    assert found["seen"] == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    assert found["streamed"] == [["IN_QUEUE", 0], ["IN_PROGRESS", 1], ["COMPLETED", 2]]
    name, status, body = found["invalid"]
    assert (name, status, body["detail"][0]["msg"]) == ("ValidationError", 422, "Field required")
    assert found["cancelled"][:2] == ["ApiError", 499]
    assert found["outputs"] == [1, 2]
    assert found["upload"] == "a pear"
    assert found.get("parts") == ([91 * 2**20, "ear pear p"] if by_proxy else None)
    assert found["image"]["image"]["content_type"] == "image/jpeg"
