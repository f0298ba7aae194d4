"""Lists of projects come in pages."""

from __future__ import annotations

import httpx2

from bananastand.platform.http.app import PlatformServer
from bananastand.platform.platform import Platform


def client_of(stand: Platform) -> httpx2.AsyncClient:
    headers = {"x-banana-api-key": stand.keys.create("test")[1]}
    transport = httpx2.ASGITransport(app=PlatformServer(stand, {}))
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)


async def test_projects_are_listed_in_parts(stand: Platform) -> None:
    for number in range(5):
        stand.projects.create(f"project-{number}")
    async with client_of(stand) as client:
        first = (await client.get("/stand/v1/projects?limit=2")).json()["projects"]
        second = (await client.get(f"/stand/v1/projects?limit=9&after={first[-1]['id']}")).json()["projects"]
        missing = await client.get("/stand/v1/projects?after=nothing")

    assert [row["name"] for row in first] == ["project-0", "project-1"]
    assert [row["name"] for row in second] == ["project-2", "project-3", "project-4"]
    assert missing.status_code == 404


async def test_the_status_page_shows_fifty_projects_at_a_time(stand: Platform) -> None:
    for number in range(51):
        stand.projects.create(f"project-{number}")
    async with client_of(stand) as client:
        first, last = (await client.get("/")).text, (await client.get("/?page=99")).text
        odd = await client.get("/?page=none")

    assert "51 projects" in first
    assert "<h2>project-49</h2>" in first
    assert "<h2>project-50</h2>" not in first
    assert "Page 2 of 2" in last
    assert "<h2>project-50</h2>" in last
    assert odd.status_code == 200
