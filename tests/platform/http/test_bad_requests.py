"""Requests that make no sense: texts that no encoding has, websockets where there are none, methods that do not fit."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from servers import hosted
from stands import Up


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("refusals") / "data", mocks=True) as running:
        yield running


HALF = "\\ud800"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/stand/v1/projects/empty/deploy", '{"source": "a%s"}'),
        ("POST", "/stand/v1/projects/empty/deploy", '{"source": "a", "environment": {"A": "%s"}}'),
        ("POST", "/stand/v1/projects/empty/deploy", '{"source": "a", "secrets": {"A": "%s"}}'),
        ("POST", "/stand/v1/projects/empty/deploy", '{"source": "a", "environment": {"A%s": "b"}}'),
        ("POST", "/stand/v1/projects/empty/deploy", '{"source": "a", "builder": "%s"}'),
        ("POST", "/stand/v1/projects/empty/deploy", '{"source": "a", "as_of": "%s"}'),
        ("POST", "/stand/v1/keys", '{"name": "a%s"}'),
        ("PATCH", "/stand/v1/projects/known", '{"host": "%s"}'),
        ("POST", "/stand/v1/projects/known/rollback", '{"build_id": "%s"}'),
    ],
)
def test_half_of_a_character_is_refused_and_leaves_nothing(up: Up, method: str, path: str, body: str) -> None:
    up.http.post("/stand/v1/projects/known/deploy", json={"source": "small"})
    answer = up.http.request(method, path, content=(body % HALF).encode())

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid"), answer.text
    assert [project["name"] for project in up.http.get("/stand/v1/projects").json()["projects"]] == ["known"]


@pytest.mark.parametrize("field", ["modelKey", "source"])
def test_half_of_a_character_is_refused_by_lowcodeapi_too(up: Up, field: str) -> None:
    body = {"modelKey": "new", "source": "small", "environment": {}}
    raw = json.dumps({**body, field: "HALF"}).replace("HALF", HALF)
    answer = up.http.post(
        "/lowcodeapi/bananadev/v1/deploy", params={"api_token": f"at_r{up.key.replace('-', '')}"}, content=raw.encode(),
        headers={"content-type": "application/json"},
    )  # fmt: skip

    assert answer.status_code == 400, answer.text
    assert [project["name"] for project in up.http.get("/stand/v1/projects").json()["projects"]] in ([], ["known"])


@pytest.mark.parametrize(
    "path", ["/git/app.git/info/refs", "/git", "/hooks/github", "/stand/v1/status", "/", "/healthz", "/_stand/"]
)
def test_websockets_where_there_are_none_are_refused(up: Up, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{up.port}{path}"):
        pass

    assert 400 <= refused.value.response.status_code < 500
    assert "Traceback" not in up.log


def test_a_hosted_app_refuses_websockets() -> None:
    with hosted() as server:
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{server.port}/"):
            pass

        assert refused.value.response.status_code == 400
        assert b"POST" in refused.value.response.body


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_a_target_that_is_no_path_is_refused(up: Up, method: str) -> None:
    with socket.create_connection(("127.0.0.1", up.port), timeout=20) as connection:
        connection.sendall(f"{method} * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/stand/v1/projects/app", "DELETE, GET, PATCH"),
        ("DELETE", "/stand/v1/keys", "GET, POST"),
        ("GET", "/stand/v1/projects/app/deploy", "POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("DELETE", "/metrics", "GET, HEAD"),
        ("GET", "/hooks/github", "POST"),
        ("PUT", "/banana/start/v4", "POST"),
        ("PUT", "/lowcodeapi/falai/v1/models", "GET"),
    ],
)
def test_a_method_that_does_not_fit_is_told_those_that_do(up: Up, method: str, path: str, allow: str) -> None:
    answer = up.http.request(method, path)

    if answer.status_code == 404:  # LowCodeAPI knows no 405
        assert path.startswith("/lowcodeapi/")
    else:
        assert (answer.status_code, answer.headers["allow"]) == (405, allow)


def test_git_address_with_a_wrong_method_names_the_allowed_one(up: Up) -> None:
    answer = up.http.post("/git/app.git/info/refs", auth=("any", up.key))

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_a_hosted_app_says_which_method_fits() -> None:
    with hosted() as server:
        answers = [server.request(method, path) for method, path in (("GET", "/"), ("POST", "/healthz"))]

    assert [(status, headers["allow"]) for status, headers, _ in answers] == [
        (405, "OPTIONS, POST"),
        (405, "GET, HEAD, OPTIONS"),
    ]
