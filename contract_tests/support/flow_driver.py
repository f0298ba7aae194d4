"""Runs the flows of a client without a connection; its clock advances by the pauses of a flow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bananastand.clients.request import PreparedRequest
from bananastand.clients.response import RawResponse
from bananastand.clients.session import Flow, Pause

__all__ = ["FlowDriver"]


class FlowDriver:
    """Gives one answer after the other, the last for ever: JSON, a RawResponse, or an error after a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
        self.now, self.answers = 0.0, answers
        self.sent, self.pauses = list[PreparedRequest](), list[float]()
        for name in ("waiting", "session"):
            monkeypatch.setattr(f"bananastand.clients.{name}.time", self)

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def run(self, flow: Flow[Any]) -> Any:
        """What the flow comes to."""
        try:
            step = next(flow)
            while True:
                step = self._pause(flow, step) if isinstance(step, Pause) else self._answer(flow, step)
        except StopIteration as end:
            return end.value

    def _pause(self, flow: Flow[Any], step: Pause) -> Any:
        assert len(self.pauses) < 300, "it never ends"
        self.pauses.append(step.seconds)
        self.now += step.seconds
        return flow.send(None)

    def _answer(self, flow: Flow[Any], step: PreparedRequest) -> Any:
        self.sent.append(step)
        answer = self.answers[min(len(self.sent), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            self.now += 1.0
            return flow.throw(answer)
        raw = answer if isinstance(answer, RawResponse) else RawResponse(200, {}, json.dumps(answer).encode())
        return flow.send(raw)

    @property
    def targets(self) -> list[str]:
        """Method and address of what was sent, without the host."""
        return [f"{request.method} /{request.url.split('/', 3)[3]}" for request in self.sent]

    @property
    def bodies(self) -> list[Any]:
        """The JSON of what was sent."""
        return [json.loads(response.content) if response.content else None for response in self.sent]
