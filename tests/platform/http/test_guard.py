"""Who is let in: Host, Origin, and the key that a stand wants everywhere once others can reach it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from bananastand.asgi.host_guard import HostGuard
from stands import Up


def scope(path: str = "/", **headers: str) -> dict[str, Any]:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"path": path, "headers": named}


@pytest.mark.parametrize("host", ["127.0.0.1:8750", "localhost", "LOCALHOST:1", "[::1]:8750", "gpu.example:8750"])
def test_this_machines_names_and_those_that_are_listed_are_let_in(host: str) -> None:
    assert HostGuard(["gpu.example"]).refusal(scope(host=host)) is None
    assert HostGuard(["gpu.example"]).refusal(scope(host=host, origin=f"http://{host}".lower())) is None


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "2130706433", "", "127.0.0.1@evil.test", "[::1"])
def test_host_guard_refuses_a_foreign_host(host: str) -> None:
    refusal = HostGuard().refusal(scope(host=host))

    assert refusal is not None
    assert "is not this platform's" in refusal


def test_none_or_two_hosts_are_refused() -> None:
    assert HostGuard().refusal({"path": "/", "headers": []}) is not None
    twice = [(b"host", b"localhost"), (b"host", b"localhost")]
    assert HostGuard().refusal({"path": "/", "headers": twice}) is not None


@pytest.mark.parametrize(
    "origin", ["http://evil.test", "null", "http://localhost:3000", "http://127.0.0.1:8750.evil.test"]
)
def test_a_foreign_origin_is_refused_but_where_cors_is_open(origin: str) -> None:
    guard = HostGuard(cross_origin=["/paperbanana"])

    assert guard.refusal(scope("/stand/v1/keys", host="127.0.0.1:8750", origin=origin)) is not None
    assert guard.refusal(scope("/paperbanana/api", host="127.0.0.1:8750", origin=origin)) is None
    assert guard.refusal(scope("/paperbananas", host="127.0.0.1:8750", origin=origin)) is not None
    assert guard.refusal(scope("/paperbanana/api", host="evil.test", origin=origin)) is not None


def test_a_page_elsewhere_may_link_to_the_status_page_and_do_nothing_more() -> None:
    guard, host = HostGuard(), "127.0.0.1:8750"

    assert guard.refusal(scope("/", host=host, sec_fetch_site="cross-site")) is None
    assert guard.refusal(scope("/metrics", host=host, sec_fetch_site="cross-site")) is not None
    assert guard.refusal(scope("/metrics", host=host, sec_fetch_site="same-origin")) is None


def test_where_others_can_reach_it_the_page_and_the_metrics_want_a_key_too(tmp_path: Path) -> None:
    up = Up(tmp_path / "data", host="0.0.0.0", hosts=["gpu.example"])
    base = f"http://127.0.0.1:{up.port}"
    try:
        assert [httpx2.get(f"{base}{path}").status_code for path in ("/", "/metrics", "/healthz")] == [401, 401, 200]
        assert httpx2.get(f"{base}/", auth=("any", up.key)).status_code == 200
        assert httpx2.get(f"{base}/", auth=("any", "wrong")).status_code == 401
        assert up.http.get("/metrics", headers={"host": "gpu.example"}).status_code == 200
        assert up.http.get("/metrics", headers={"host": "other.example"}).status_code == 403
    finally:
        assert up.stop() == 0, up.log


def test_a_second_start_keeps_the_key_and_tells_the_new_address(tmp_path: Path) -> None:
    first = Up(tmp_path / "data")
    first.stop()
    with Up(tmp_path / "data") as second:
        assert second.key == first.key
        assert first.key not in second.log
        assert f"127.0.0.1:{second.port}" in (tmp_path / "data" / "client.toml").read_text()
        assert second.http.get("/stand/v1/status").status_code == 200


def test_a_port_or_a_directory_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with Up(tmp_path / "data") as first:
        for options, message in (({"port": first.port}, "cannot listen"), ({}, "another stand is running on")):
            with pytest.raises(AssertionError, match=message) as failed:
                Up(tmp_path / ("other" if options else "data"), **options)
            assert "Traceback" not in str(failed.value)
