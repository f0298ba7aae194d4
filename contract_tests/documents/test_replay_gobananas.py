"""Every curl of the document on Go Bananas! gets its success response from the mock."""

from __future__ import annotations

import pytest
from curl_commands import read
from snippets import Snippet, snippets

from bananastand_mocks.gobananas import GoBananasProvider
from in_process import InProcess

KEY = "sk_live_bananastand"
DELETED = {"delete_image": 204, "create_character": 201, "create_style_preset": 201}


@pytest.mark.parametrize("example", snippets("gobananas", "curl"), ids=str)
@pytest.mark.parametrize("way", ["X-API-Key", "Authorization"])
def test_a_curl_gets_its_success_answer(example: Snippet, way: str):
    request = read(example.text)
    send = InProcess(GoBananasProvider(), kind="documents")
    headers = {"content-type": "application/json"} if request.body is not None else {}
    headers[way] = KEY if way == "X-API-Key" else f"Bearer {KEY}"
    content = {} if request.body is None else {"json": request.body}
    answer = send(request.method, request.target, headers=headers, **content)
    assert answer.status_code == DELETED.get(example.operation or "", 200)
    assert answer.headers["x-ratelimit-remaining"] == "59"
    if example.operation == "delete_images":
        assert answer.json() == {"deleted": [42, 43], "failed": [{"id": 44, "reason": "Not found"}]}
    if example.operation == "get_profile":
        assert answer.json()["tenant"]["quotas"] == {"monthly_mb": 1000, "used_mb": 125, "remaining_mb": 875}
    if example.operation == "create_image":
        sizes = [(image["width"], image["height"], image["format"]) for image in answer.json()["images"]]
        assert sizes == [(1820, 1024, "png")] * 2
    if example.operation == "get_file":
        assert answer.headers["content-type"] == "image/png"
        assert ("content-disposition" in answer.headers) == ("download" in request.query)
    assert send.world.breaches == []
