"""Who may call a hosted app: pages of other sites may not, nor names that were rebound to this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bananastand.asgi.host_guard import HostGuard
from servers import JSON, Server, hosted


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with hosted("--allow-host", "gpu.example", "--background-queue", "1") as running:
        yield running


def ask(server: Server, **headers: str) -> tuple[int, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, _, body = server.request("POST", "/", "{}", {**JSON, **named})
    return status, body


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:80", "[::1]:8000", "gpu.example", "10.1.2.3:8000", "app:8000"]
)
def test_this_machines_names_listed_ones_and_addresses_are_let_in(server: Server, host: str) -> None:
    assert ask(server, Host=host)[0] == 200
    assert ask(server, Host=host, Origin=f"http://{host}")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.test"},
        {"Host": "127.0.0.1.evil.test:8000", "Origin": "http://127.0.0.1.evil.test:8000"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_other_sites_and_rebound_names_are_refused(server: Server, headers: dict[str, str]) -> None:
    status, _, body = server.request("POST", "/", "{}", {**JSON, **headers})

    assert (status, json.loads(body)["error"]["code"]) == (403, "forbidden")


def test_a_star_lets_in_every_host_and_no_foreign_origin() -> None:
    guard = HostGuard(["*"])

    assert guard.refusal({"path": "/a", "headers": [(b"host", b"any.example")]}) is None
    foreign = [(b"host", b"any.example"), (b"origin", b"http://evil.test")]
    assert guard.refusal({"path": "/a", "headers": foreign}) is not None


def test_background_tasks_beyond_the_limit_are_refused_with_429(server: Server) -> None:
    body = json.dumps({"seconds": 1})
    first = server.request("POST", "/background", body, JSON)
    second = server.request("POST", "/background", body, JSON)

    assert first[0] == 200
    assert (second[0], second[1]["retry-after"]) == (429, "10")
    assert json.loads(second[2])["error"]["code"] == "too_many_tasks"


def test_bodies_that_are_not_json_are_refused_though_they_are_large(server: Server) -> None:
    status, _, body = server.request("POST", "/", b'{"a": "' + b"x" * 200_000, JSON)

    assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_json")
