"""A trailing slash is redirected. FastAPI, which PaperBanana's published source uses, is the witness."""

from __future__ import annotations

import asyncio

import httpx2
import pytest
from fastapi import FastAPI

import bananastand_mocks
from bananastand_mocks.paperbanana import PaperBananaProvider
from in_process import InProcess

ROUTES = {
    "/api/health": ["GET"],
    "/api/plot": ["POST"],
    "/api/tasks/{task_id}/image": ["GET"],
    "/api/admin/keys/{key}": ["GET", "PATCH", "DELETE"],
}


def fastapi_answers(method: str, path: str) -> httpx2.Response:
    """What an application with some of the provider's routes answers (zhwcoding/paperbanana, api_server.py)."""
    app = FastAPI()
    for route, methods in ROUTES.items():
        app.add_api_route(route, lambda: {}, methods=methods)

    async def send() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://mock") as client:
            return await client.request(method, path)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/health/"),
        ("HEAD", "/api/health/"),
        ("POST", "/api/plot/"),
        ("GET", "/api/plot//"),
        ("GET", "/api/tasks/a%20b/image/?format=svg&x=%C3%A9"),
        ("PATCH", "/api/admin/keys/pb_0/"),
        ("DELETE", "/api/admin/keys/..%2f"),
        ("GET", "/api/nothing/"),
        ("GET", "//api/health/"),
        ("GET", "/"),
    ],
)
def test_a_trailing_slash_is_answered_as_by_fastapi(method: str, path: str) -> None:
    answer, expected = InProcess(PaperBananaProvider())(method, path), fastapi_answers(method, path)

    assert (answer.status_code, answer.content) == (expected.status_code, expected.content)
    assert answer.headers.get("location") == expected.headers.get("location")


def test_a_client_that_follows_redirects_submits_its_body() -> None:
    with bananastand_mocks.start("paperbanana") as server:
        at = server.stand().endpoint("paperbanana")
        with httpx2.Client(headers={"Authorization": f"Bearer {at.key}"}, follow_redirects=True) as http:
            answer = http.post(f"{at.base_url}/api/optimize-prompt/", json={"description": "An encoder"})

    assert (answer.history[0].status_code, answer.history[0].headers["location"]) == (
        307,
        f"{at.base_url}/api/optimize-prompt",
    )
    assert answer.json()["status"] == "pending"
