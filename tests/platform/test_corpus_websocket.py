"""A repository of the corpus whose server takes websockets, deployed as it is and talked to by its run URL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tools.compatibility.corpus import check_out, read_manifest
from tools.compatibility.platform_process import PlatformProcess

pytestmark = pytest.mark.needs("uv", "git")
NAME = "fastapi-chat"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PlatformProcess, dict[str, Any]]]:
    folder: Path = tmp_path_factory.mktemp("chat")
    sources = folder / "sources"
    sources.mkdir()
    (repository,) = [repository for repository in read_manifest() if repository.name == NAME]
    with PlatformProcess(folder, sources, {}) as platform:
        built = platform.deploy(NAME, check_out(repository, sources), "process", limit=300)
        assert built["state"] == "live", built["error"]
        yield platform, platform.api("GET", f"projects/{NAME}")


def chat(project: tuple[PlatformProcess, dict[str, Any]], query: str = "", **options: Any) -> Any:
    platform, row = project
    url = row["url"].replace("http://", "ws://").rstrip("/")
    headers = {"X-Banana-API-Key": platform.key}
    return connect(f"{url}/chat{query}", additional_headers=headers, proxy=None, open_timeout=120, **options)


def test_its_websocket_streams_tokens_turn_by_turn(project: tuple[PlatformProcess, dict[str, Any]]) -> None:
    with chat(project, subprotocols=[Subprotocol("tokens.v1")]) as socket:
        assert socket.subprotocol == "tokens.v1"
        for turn in (1, 2):
            socket.send(json.dumps({"prompt": "bake a"}))
            said = [json.loads(socket.recv(timeout=60)) for _ in range(5)]
            assert [message.get("token") for message in said] == ["ripe", "banana", "bread", ".", None]
            assert said[-1] == {"done": True, "turn": turn}


def test_the_code_and_reason_that_its_server_closes_with_reach_the_caller(
    project: tuple[PlatformProcess, dict[str, Any]],
) -> None:
    with chat(project) as socket:
        socket.send(json.dumps({"prompt": "bye banana", "max_new_tokens": 1}))
        assert json.loads(socket.recv(timeout=60)) == {"token": "bread", "turn": 1}
        assert json.loads(socket.recv(timeout=60)) == {"done": True, "turn": 1}
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=60)

    assert (socket.close_code, socket.close_reason) == (4000, "said bye")


def test_its_server_may_refuse_a_websocket(project: tuple[PlatformProcess, dict[str, Any]]) -> None:
    with pytest.raises(InvalidStatus) as refused, chat(project, "?token=expired"):
        pass

    assert refused.value.response.status_code == 403


def test_a_listener_that_leaves_is_known_to_its_server(project: tuple[PlatformProcess, dict[str, Any]]) -> None:
    platform, _ = project
    with chat(project) as socket:
        socket.send(json.dumps({"prompt": "bake a"}))
        socket.recv(timeout=60)

    with chat(project) as another:  # one at a time: the first has ended
        another.send(json.dumps({"prompt": "banana", "max_new_tokens": 1}))
        assert json.loads(another.recv(timeout=60)) == {"token": "bread", "turn": 1}
