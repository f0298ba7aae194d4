"""Nodes over HTTP: their state, cordon and drain, and what the status page shows of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2
import pytest

from bananastand.platform.http.api import platform_api
from bananastand.platform.http.page import StatusPage
from bananastand.platform.platform import Platform
from fake_nodes import FakeNodes
from stands import deployed, running, until


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncGenerator[Platform]:
    """A platform with the nodes n1 and n2."""
    async with running(tmp_path / "data", make_nodes=FakeNodes) as platform:
        yield platform


def client_of(platform: Platform) -> httpx2.AsyncClient:
    _, secret = platform.keys.create("test")
    transport = httpx2.ASGITransport(app=platform_api(platform))
    return httpx2.AsyncClient(transport=transport, base_url="http://stand", headers={"X-Banana-API-Key": secret})


async def test_a_drained_node_is_empty_and_its_replicas_run_elsewhere(platform: Platform) -> None:
    project = await deployed(platform, min_replicas=2)
    await until(lambda: sum(replica.state == "ready" for replica in platform.pool.of_project(project.id)) == 2)
    async with client_of(platform) as http:
        before = (await http.get("/stand/v1/nodes")).json()["nodes"]
        answer = await http.post("/stand/v1/nodes/n1/drain")
        await until(lambda: not any(replica.node == "n1" for replica in platform.pool.replicas.values()))
        after = (await http.get("/stand/v1/nodes")).json()["nodes"]

    assert [(node["name"], node["replicas"], node["is_cordoned"]) for node in before] == [
        ("n1", 1, False),
        ("n2", 1, False),
    ]
    assert answer.json() == {"node": "n1", "leaving": 1}
    ready = [replica.node for replica in platform.pool.of_project(project.id) if replica.state == "ready"]
    assert ready == ["n2", "n2"]
    assert [node["is_cordoned"] for node in after] == [True, False]


async def test_a_cordoned_node_is_used_again_once_it_is_uncordoned(platform: Platform) -> None:
    async with client_of(platform) as http:
        assert (await http.post("/stand/v1/nodes/n2/cordon")).json() == {"node": "n2", "is_cordoned": True}
        assert [node["is_cordoned"] for node in (await http.get("/stand/v1/nodes")).json()["nodes"]] == [False, True]
        assert (await http.post("/stand/v1/nodes/n2/uncordon")).json() == {"node": "n2", "is_cordoned": False}
        assert [node["is_cordoned"] for node in (await http.get("/stand/v1/nodes")).json()["nodes"]] == [False, False]


@pytest.mark.parametrize("action", ["drain", "cordon", "uncordon"])
async def test_an_unknown_node_is_not_found(platform: Platform, action: str) -> None:
    async with client_of(platform) as http:
        answer = await http.post(f"/stand/v1/nodes/n7/{action}")

    assert answer.status_code == 404
    assert "there is no node n7" in answer.text


async def test_the_routes_need_a_key(platform: Platform) -> None:
    async with client_of(platform) as http:
        for method, path in (("GET", "nodes"), ("POST", "nodes/n1/drain"), ("POST", "nodes/n1/cordon")):
            answer = await http.request(method, f"/stand/v1/{path}", headers={"X-Banana-API-Key": "wrong"})
            assert answer.status_code == 401


async def test_the_status_page_lists_nodes_where_there_are_several(platform: Platform) -> None:
    platform.pool.nodes.cordon("n2", True)

    html = await StatusPage(platform).html("http://stand")

    assert "<h2>Nodes</h2>" in html
    assert "<td>n1<td><span class=ready>ready</span>" in html
    assert "<td>n2<td>cordoned" in html


async def test_one_machine_alone_has_no_list_of_nodes_on_its_page(stand: Platform) -> None:
    assert "<h2>Nodes</h2>" not in await StatusPage(stand).html("http://stand")
