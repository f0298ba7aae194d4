"""A response that breaks off goes on behind what its caller has got, if it is a recorded one."""

from __future__ import annotations

from typing import Any

import pytest

from bananastand.platform.fronts.caller_response import BrokenOff, CallerResponse

RECORDED = [(b"x-banana-call-id", b"call_1"), (b"content-length", b"10")]


class Caller:
    """Collects what it is sent."""

    def __init__(self) -> None:
        self.heads, self.body = list[Any](), b""

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.heads.append((message["status"], message["headers"]))
        else:
            self.body += message.get("body", b"")


@pytest.mark.anyio
async def test_a_recorded_answer_is_continued_where_it_stopped() -> None:
    response = CallerResponse(caller := Caller())
    await response.begin(200, RECORDED)
    await response.add(b"01234")
    assert response.can_continue

    await response.begin(200, RECORDED)
    for chunk in (b"012", b"3456", b"789"):
        await response.add(chunk)
    await response.end()

    assert caller.body == b"0123456789"
    assert caller.heads == [(200, RECORDED)]


@pytest.mark.anyio
@pytest.mark.parametrize("headers", [[(b"x-banana-call-id", b"call_2"), (b"content-length", b"10")], []])
async def test_another_answer_does_not_continue_it(headers: list[tuple[bytes, bytes]]) -> None:
    response = CallerResponse(Caller())
    await response.begin(200, RECORDED)
    await response.add(b"01234")

    with pytest.raises(BrokenOff):
        await response.begin(200, headers)


@pytest.mark.anyio
async def test_a_stream_cannot_be_continued_once_it_has_begun() -> None:
    response = CallerResponse(Caller())
    assert response.can_continue

    await response.begin(200, [(b"x-banana-call-id", b"call_1")])

    assert not response.can_continue
