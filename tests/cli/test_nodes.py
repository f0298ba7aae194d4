"""`bananastand nodes`, `cluster` and `join` as a user runs them, without a cluster behind them."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner, Result

from bananastand.cli import nodes
from bananastand.cli._app import build
from bananastand.cluster import prerequisites

Run = Callable[..., Result]


@pytest.fixture
def bananastand(tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command with the address and key of a server, in this process."""
    for name in [name for name in os.environ if name.startswith("BANANASTAND_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(nodes, "POLL", 0)
    place = {
        "BANANASTAND_DATA": str(tmp_path / "data"),
        "BANANASTAND_URL": httpserver.url_for("").rstrip("/"),
        "BANANASTAND_KEY": "k",
    }

    def run(*arguments: str, status: int = 0) -> Result:
        done = CliRunner().invoke(build(), list(arguments), env={"COLUMNS": "200", "NO_COLOR": "1", **place})
        assert done.exit_code == status, f"{done.output} {done.exception!r}"
        return done

    return run


def node(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name, "address": "10.0.0.2", "labels": {"gpu": "a100"}, "gpus": 2, "free_gpus": 1.5, "memory_mb": 65536,
        "replicas": 1, "is_cordoned": False, "warm": ["b1"], "seen": 0.5, "problem": None, **changes,
    }  # fmt: skip


def test_nodes_lists_what_each_has_and_what_is_wrong_with_it(bananastand: Run, httpserver: HTTPServer) -> None:
    rows = [node("gpu-1"), node("gpu-2", is_cordoned=True), node("gpu-3", problem="has Ray 2.59.0")]
    httpserver.expect_request("/stand/v1/nodes").respond_with_json({"nodes": rows})
    httpserver.expect_request("/stand/v1/fronts").respond_with_json({"fronts": []})

    assert bananastand("nodes").stdout.splitlines() == [
        "NODE   ADDRESS   GPUS  FREE  MEMORY GIB  REPLICAS  WARM  STATE           LABELS",
        "gpu-1  10.0.0.2  2     1.5   64          1         1     ready           gpu=a100",
        "gpu-2  10.0.0.2  2     1.5   64          1         1     cordoned        gpu=a100",
        "gpu-3  10.0.0.2  2     1.5   64          1         1     has Ray 2.59.0  gpu=a100",
    ]
    assert json.loads(bananastand("nodes", "--json").stdout) == rows


def test_nodes_lists_the_fronts_of_a_shared_database(bananastand: Run, httpserver: HTTPServer) -> None:
    front = {"name": "gpu-1:8750", "url": "https://10.0.0.1:8753", "version": "1.2", "started": 0.0, "silent": 0.1}
    other = {**front, "name": "gpu-2:8750", "url": "https://10.0.0.2:8753", "active": False}
    httpserver.expect_request("/stand/v1/nodes").respond_with_json({"nodes": []})
    httpserver.expect_request("/stand/v1/fronts").respond_with_json({"fronts": [{**front, "active": True}, other]})

    assert bananastand("nodes").stdout.splitlines()[-3:] == [
        "FRONT       ADDRESS                ROLE       VERSION",
        "gpu-1:8750  https://10.0.0.1:8753  active     1.2",
        "gpu-2:8750  https://10.0.0.2:8753  stands by  1.2",
    ]


def test_drain_waits_until_the_node_is_empty(bananastand: Run, httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request("/stand/v1/nodes/gpu-1/drain", method="POST").respond_with_json(
        {"node": "gpu-1", "leaving": 2}
    )
    for left in (2, 1, 0):
        httpserver.expect_ordered_request("/stand/v1/nodes").respond_with_json(
            {"nodes": [node("gpu-1", replicas=left)]}
        )

    assert bananastand("nodes", "drain", "gpu-1").stdout.splitlines() == [
        "2 replicas leave gpu-1",
        "gpu-1 is empty and gets no replicas",
    ]
    assert len(httpserver.log) == 4


def test_drain_gives_up_with_a_hint(bananastand: Run, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/stand/v1/nodes/gpu-1/drain", method="POST").respond_with_json(
        {"node": "gpu-1", "leaving": 1}
    )
    httpserver.expect_request("/stand/v1/nodes").respond_with_json({"nodes": [node("gpu-1")]})

    done = bananastand("nodes", "drain", "gpu-1", "--timeout", "0", status=1)

    assert done.stderr.splitlines() == [
        "error: 1 replicas are still on gpu-1",
        "to wait on: bananastand nodes drain gpu-1",
    ]


def test_cordon_and_uncordon_say_what_they_have_done(bananastand: Run, httpserver: HTTPServer) -> None:
    for action in ("cordon", "uncordon"):
        httpserver.expect_request(f"/stand/v1/nodes/gpu-1/{action}", method="POST").respond_with_json({})

    assert bananastand("nodes", "cordon", "gpu-1").stdout == "gpu-1 gets no further replicas\n"
    assert bananastand("nodes", "uncordon", "gpu-1").stdout == "gpu-1 is in use again\n"


def test_init_prints_the_steps_and_keeps_its_secrets_private(bananastand: Run, tmp_path: Path) -> None:
    out = bananastand("cluster", "init", "--address", "10.0.0.1", "--label", "gpu=a100").stdout

    command = re.search(r"bananastand join 10\.0\.0\.1:8752 --token \w{6}\.\w{32}@sha256:\w{64}", out)
    assert command is not None
    assert "bananastand up --cluster auto" in out
    assert (
        "Ray listens on all addresses of this machine, on ports 6379, 8790, 8791, 8800 to 8899: have a firewall" in out
    )
    folder = tmp_path / "data" / "cluster"
    paths = [folder, *folder.rglob("*")]
    assert [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
    assert (folder / "ray-token").read_text() not in out
    secret = command[0].partition(".")[2].partition("@")[0]
    assert not [path for path in paths if path.is_file() and secret.encode() in path.read_bytes()]


def test_a_second_init_is_refused_and_replace_makes_other_secrets(bananastand: Run, tmp_path: Path) -> None:
    bananastand("cluster", "init", "--address", "10.0.0.1")
    token = (tmp_path / "data" / "cluster" / "ray-token").read_text()

    assert "has a cluster already" in bananastand("cluster", "init", "--address", "10.0.0.1", status=2).stderr
    bananastand("cluster", "init", "--address", "10.0.0.1", "--replace")

    assert (tmp_path / "data" / "cluster" / "ray-token").read_text() != token


def test_status_and_token_of_a_cluster_that_does_not_run(bananastand: Run) -> None:
    assert "bananastand cluster init makes a cluster" in bananastand("cluster", "status", status=2).stderr
    bananastand("cluster", "init", "--address", "10.0.0.1")

    status = json.loads(bananastand("cluster", "status", "--json").stdout)
    assert (status["address"], status["runs"], status["members"]) == ("10.0.0.1:6379", False, {})
    assert "bananastand cluster head" in bananastand("cluster", "status").stdout
    token = bananastand("cluster", "token", "--front").stdout
    assert token.startswith("bananastand join 10.0.0.1:8752 --front --token ")
    assert token.strip().endswith(status["authority"])
    assert bananastand("cluster", "token", "--revoke").stdout == "2 join tokens are revoked\n"
    assert "no member named gpu-1" in bananastand("cluster", "forget", "gpu-1", status=2).stderr


@pytest.mark.parametrize("label", ["a100", "gpu=", "=a100", "gpu=a 100", "gpu=a,b"])
def test_a_malformed_label_is_refused(bananastand: Run, label: str) -> None:
    done = bananastand("cluster", "init", "--address", "10.0.0.1", "--label", label, status=2)

    assert "--label takes NAME=VALUE" in done.stderr


@pytest.mark.parametrize(
    ("version", "reason"), [("2.59.0", "Ray 2.59.0 is too old: 2.60 or newer is needed"), (None, "is not installed")]
)
def test_an_old_or_missing_ray_is_refused(
    bananastand: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str | None, reason: str
) -> None:
    def find(name: str) -> str:
        if version is None:
            raise prerequisites.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(prerequisites.metadata, "version", find)
    for arguments in (("cluster", "init", "--address", "10.0.0.1"), ("join", "10.0.0.1:8752", "--token", "a.b@c")):
        done = bananastand(*arguments, status=2)
        assert reason in done.stderr
        assert "'bananastand[cluster]'" in done.stderr
    assert not (tmp_path / "data").exists()


def test_join_without_a_token_or_a_port_says_what_to_do(bananastand: Run) -> None:
    assert "HEAD:PORT, such as 10.0.0.1:8752" in bananastand("join", "10.0.0.1", status=2).stderr
    assert "bananastand cluster token" in bananastand("join", "127.0.0.1:1", status=2).stderr
