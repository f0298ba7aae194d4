"""The Testcontainers class, against a Docker daemon of few words whose container is the mocks of this process."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bananastand_mocks.container import IMAGE, PORT, MocksContainer
from bananastand_mocks.running import RunningServer

ID = "4c01db0b339c"
API = "/v1.47"


class Daemon:
    """Docker's API, as far as one container needs it."""

    def __init__(self, server: HTTPServer, port: int) -> None:
        self.url = f"tcp://127.0.0.1:{server.port}"
        self.created: dict[str, Any] = {}
        self.removed = False
        ports = {f"{PORT}/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(port)}]}
        container = {
            "Id": ID,
            "Config": {"Image": IMAGE},
            "State": {"Status": "running", "Running": True},
            "NetworkSettings": {"Ports": ports},
        }
        server.expect_request("/version").respond_with_json({"ApiVersion": API[2:], "Version": "29.0"})
        image = {"Id": "sha256:1", "RepoTags": [IMAGE], "Config": {}}
        server.expect_request(f"{API}/images/{IMAGE}/json").respond_with_json(image)
        server.expect_request(f"{API}/containers/create", method="POST").respond_with_handler(self._create)
        server.expect_request(f"{API}/containers/{ID}/json").respond_with_json(container)
        server.expect_request(f"{API}/containers/json").respond_with_json([{**container, "Ports": []}])
        server.expect_request(f"{API}/containers/{ID}/start", method="POST").respond_with_data("", 204)
        server.expect_request(f"{API}/containers/{ID}", method="DELETE").respond_with_handler(self._remove)

    def _create(self, request: Request) -> Response:
        self.created = json.loads(request.data)
        return Response(json.dumps({"Id": ID, "Warnings": []}), 201, content_type="application/json")

    def _remove(self, request: Request) -> Response:
        self.removed = True
        return Response("", 204)


@pytest.fixture
def daemon(httpserver: HTTPServer, mock_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    from testcontainers.core.config import ConnectionMode, testcontainers_config

    daemon = Daemon(httpserver, mock_server.port)
    monkeypatch.setenv("DOCKER_HOST", daemon.url)
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)  # a second container, which removes the first
    monkeypatch.setattr(testcontainers_config, "connection_mode_override", ConnectionMode.docker_host)
    return daemon


def test_a_container_is_started_waited_for_and_removed(daemon: Daemon, mock_server: RunningServer) -> None:
    with MocksContainer(providers=["falai", "banana-native"], world="documents", seed=7, step=2.5) as mocks:
        assert mocks.url == mock_server.url
        assert httpx2.get(f"{mocks.control_url}/journal").status_code == 200
        falai = mocks.endpoint("falai")
        assert httpx2.get(f"{falai.base_url}/v1/models", params={"api_token": falai.key}).status_code == 200

    assert daemon.created["Image"] == IMAGE
    assert daemon.created["ExposedPorts"] == {"8750/tcp": {}}
    assert daemon.created["Cmd"] == [
        "--world", "documents", "--time", "virtual", "--step", "2.5", "--seed", "7",
        "--only", "falai", "--only", "banana-native",
    ]  # fmt: skip
    assert daemon.removed


def test_endpoints_have_the_keys_of_the_docs(daemon: Daemon, mock_server: RunningServer) -> None:
    with MocksContainer(seed=None) as mocks:
        paperbanana = mocks.endpoint("paperbanana")
        with pytest.raises(ValueError, match="there is no provider nobody"):
            mocks.endpoint("nobody")

    assert paperbanana.base_url == f"{mock_server.url}/paperbanana"
    assert (paperbanana.key, paperbanana.admin_key) == ("pb_00000000000000000000000000000000", "admin-bananastand")
    assert "--seed" not in daemon.created["Cmd"]


def test_a_remote_docker_host_may_use_the_control_plane(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    from testcontainers.core.config import testcontainers_config

    monkeypatch.setattr(testcontainers_config, "tc_host_override", "docker.test")

    with MocksContainer().waiting_for(None):  # type: ignore[arg-type]
        assert daemon.created["Cmd"][-2:] == ["--allow-host", "docker.test"]
